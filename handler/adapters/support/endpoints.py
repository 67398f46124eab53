"""Where AWS is and whose certificates it shows, by the variables that its SDKs know.

The rule it keeps: what is set and cannot be meant fails init by the name of its variable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final

from handler.adapters.connection import Url, host_header, read_url
from handler.domain.errors import ConfigurationError

if TYPE_CHECKING:
    import ssl

_VARIABLES: Final = {
    "dynamodb": "AWS_ENDPOINT_URL_DYNAMODB",
    "lambda": "AWS_ENDPOINT_URL_LAMBDA",
    "secretsmanager": "AWS_ENDPOINT_URL_SECRETS_MANAGER",
    "sqs": "AWS_ENDPOINT_URL_SQS",
}
_PROXIES: Final = {"http": ("http_proxy", "HTTP_PROXY"), "https": ("https_proxy", "HTTPS_PROXY")}
_ENDPOINT: Final = "http://host:port or https://host, without path or user information"
_ROOTS: Final = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")
_IGNORED: Final = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"
# How regions begin whose partitions have another suffix than amazonaws.com; a test compares botocore's data.
_OTHER_SUFFIXES: Final = ("cn-", "us-iso", "eu-iso", "eusc-")
_KINDS: Final = ("AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT")


def endpoint(environment: Mapping[str, str], service: str, region: str) -> Url:
    """Where a service is asked. Raises ConfigurationError for a variable that names no endpoint."""
    value = environment.get(_variable(environment, service))
    if value:
        url = read_url(value)
        if url is None:
            raise wrong_endpoint(environment, service)
        ignored = environment.get(_IGNORED, "")
        if ignored.lower() == "true":
            named = _variable(environment, service)
            raise ConfigurationError(_IGNORED, ignored, f"no value beside {named}, or SUPPORT=standard")
        return url
    for variable in _KINDS:
        value = environment.get(variable, "")
        if value.lower() not in ("", "false"):
            raise ConfigurationError(variable, value, f"{_VARIABLES[service]}, or SUPPORT=standard, instead")
    if region.startswith(_OTHER_SUFFIXES):
        raise wrong_region(region, _VARIABLES[service])
    return Url("https", f"{service}.{region}.amazonaws.com", 443)


def asks_aws(environment: Mapping[str, str]) -> bool:
    """Whether the region decides where some service is."""
    return not all(environment.get(_variable(environment, service)) for service in _VARIABLES)


def wrong_region(region: str, variable: str) -> ConfigurationError:
    """The error of a region whose endpoints nobody here knows."""
    return ConfigurationError("AWS_REGION", region, f"a region of AWS's partition aws, or its endpoint in {variable}")


def wrong_endpoint(environment: Mapping[str, str], service: str) -> ConfigurationError:
    """The error of the variable that says where a service is."""
    variable = _variable(environment, service)
    value = environment.get(variable)
    return ConfigurationError(
        variable, f"***@{value.rpartition('@')[2]}" if value and "@" in value else value, _ENDPOINT
    )


def require_endpoints(environment: Mapping[str, str], is_endpoint: Callable[[str], bool]) -> None:
    """Raises ConfigurationError where a variable names none, be it of a service that is asked later or never."""
    for service in _VARIABLES:
        value = environment.get(_variable(environment, service))
        if value and not is_endpoint(value):
            raise wrong_endpoint(environment, service)


def _variable(environment: Mapping[str, str], service: str) -> str:
    own = _VARIABLES.get(service, "")
    return own if environment.get(own) else "AWS_ENDPOINT_URL"


def require_roots(environment: Mapping[str, str], ca_file: str | None) -> None:
    """Raises ConfigurationError where the SDK's variables name a file without certificates."""
    if not ca_file and any(environment.get(name) for name in _ROOTS):
        read_roots(environment, None)


def read_roots(environment: Mapping[str, str], ca_file: str | None) -> ssl.SSLContext:
    """What trusts `ca_file`, else the file of the SDK's variables, else the system's roots.

    Raises ConfigurationError for a file without certificates.
    """
    from ssl import SSLError, create_default_context

    variable = next((name for name in _ROOTS if environment.get(name)), "")
    file = ca_file or environment.get(variable)
    try:
        context = create_default_context(cafile=file)
        # OpenSSL takes a file of revocations alone.
        if file and not context.cert_store_stats()["x509"]:
            raise ValueError("it has no certificate")
        return context
    except (OSError, SSLError, ValueError) as error:
        if ca_file or not variable:
            raise
        raise ConfigurationError(variable, file, f"a file of PEM certificates ({error})") from error


def proxy_of(environment: Mapping[str, str], url: Url) -> str:
    """The variable whose HTTP proxy a host would be asked through, as botocore reads them, or ""."""
    variable = next((name for name in _PROXIES[url.scheme] if environment.get(name)), "")
    excepted = environment.get("no_proxy", environment.get("NO_PROXY", ""))
    return "" if _is_excepted(url, excepted) else variable


def require_no_proxy(environment: Mapping[str, str], urls: Iterable[Url]) -> None:
    """Raises ConfigurationError where a service would be asked through an HTTP proxy, which botocore alone can."""
    for url in urls:
        if variable := proxy_of(environment, url):
            # Its value may hold a password.
            raise ConfigurationError(variable, "***", f"no value, {host_header(url)} in NO_PROXY, or SUPPORT=standard")


def _is_excepted(url: Url, excepted: str) -> bool:
    """By names and ends of names, with the port or without, as Python's `urllib` reads NO_PROXY."""
    host = host_header(url).lower()
    without_port = host.rpartition(":")[0] if host.endswith(f":{url.port}") else host
    names = {f".{name.strip().lstrip('.').lower()}" for name in excepted.split(",")} - {"."}
    return excepted == "*" or any(f".{each}".endswith(name) for each in (host, without_port) for name in names)
