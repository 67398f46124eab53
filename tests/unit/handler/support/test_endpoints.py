"""Where AWS is asked, by the variables of its SDKs, and that init refuses what cannot be meant, with either support."""

from __future__ import annotations

import os
from pathlib import Path
from unittest import mock

import pytest
from botocore.loaders import create_loader
from botocore.utils import get_environ_proxies
from hypothesis import given, strategies

from handler.adapters.connection import Url, read_url
from handler.adapters.support.endpoints import endpoint, read_roots, require_no_proxy
from handler.domain.errors import ConfigurationError
from handler.queue_function import create
from tests.support.aws import SUPPORTS
from tests.support.certificates import revocations

ONE = "http://127.0.0.1:1"
QUEUE = f"{ONE}/000000000000/rejected.fifo"


@pytest.fixture(autouse=True)
def variables(monkeypatch):
    """The process has credentials and an endpoint, and nothing else of AWS's."""
    for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "swordfish")
    monkeypatch.setenv("AWS_ENDPOINT_URL", ONE)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    # No profile of whoever runs the tests.
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")


def init(support: str) -> None:
    create({"SUPPORT": support, "AWS_ENDPOINT_URL": ONE, "REJECTED_QUEUE_URL": QUEUE, "SCORING_ENGINE": "pure"})


@pytest.mark.parametrize(
    ("given", "service", "url"),
    [
        ({}, "dynamodb", Url("https", "dynamodb.eu-west-1.amazonaws.com", 443)),
        ({"AWS_ENDPOINT_URL": ONE}, "sqs", Url("http", "127.0.0.1", 1)),
        ({"AWS_ENDPOINT_URL": ONE, "AWS_ENDPOINT_URL_SQS": "https://a:2"}, "sqs", Url("https", "a", 2)),
        ({"AWS_ENDPOINT_URL_SQS": "https://a:2"}, "lambda", Url("https", "lambda.eu-west-1.amazonaws.com", 443)),
        ({"AWS_ENDPOINT_URL_SECRETS_MANAGER": "http://a"}, "secretsmanager", Url("http", "a", 80)),
        ({"AWS_ENDPOINT_URL_LAMBDA": "http://a"}, "lambda", Url("http", "a", 80)),
        ({"AWS_USE_FIPS_ENDPOINT": "false"}, "sqs", Url("https", "sqs.eu-west-1.amazonaws.com", 443)),
        ({"AWS_USE_FIPS_ENDPOINT": "true", "AWS_ENDPOINT_URL_SQS": ONE}, "sqs", Url("http", "127.0.0.1", 1)),
    ],
)
def test_a_services_own_variable_stands_above_the_one_of_all(given, service, url):
    assert endpoint(given, service, "eu-west-1") == url


@pytest.mark.parametrize("variable", ["AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"])
def test_an_endpoint_of_another_kind_is_refused_and_not_passed_over(variable):
    with pytest.raises(ConfigurationError, match=rf"^{variable} is 'True'; allowed: AWS_ENDPOINT_URL_SQS, or SUPPORT"):
        endpoint({variable: "True"}, "sqs", "eu-west-1")


PARTITIONS = create_loader().load_data("endpoints")["partitions"]
REGIONS = [(region, each["dnsSuffix"]) for each in PARTITIONS for region in each["regions"]]


@pytest.mark.parametrize(("region", "suffix"), REGIONS)
def test_a_region_is_asked_by_the_suffix_of_its_partition_or_refused(region, suffix):
    if suffix == "amazonaws.com":
        assert endpoint({}, "sqs", region).host == f"sqs.{region}.{suffix}"
        return
    with pytest.raises(ConfigurationError, match=rf"^AWS_REGION is '{region}'; allowed: .*AWS_ENDPOINT_URL_SQS"):
        endpoint({}, "sqs", region)
    assert endpoint({"AWS_ENDPOINT_URL": ONE}, "sqs", region).port == 1


def test_the_reference_refuses_a_region_that_its_data_do_not_know(monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    variables = {"SUPPORT": "standard", "AWS_ACCESS_KEY_ID": "AKID", "REJECTED_QUEUE_URL": QUEUE}
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", ONE)
    with pytest.raises(ConfigurationError, match=r"^AWS_REGION is 'mars-east-1'"):
        create({**variables, "AWS_REGION": "mars-east-1"})
    monkeypatch.setenv("AWS_ENDPOINT_URL", ONE)
    create({**variables, "AWS_ENDPOINT_URL": ONE, "AWS_REGION": "mars-east-1"})


def test_endpoints_that_botocore_would_pass_over_are_not_asked_in_silence():
    given = {"AWS_ENDPOINT_URL_SQS": ONE, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "True"}
    allowed = "no value beside AWS_ENDPOINT_URL_SQS, or SUPPORT=standard"
    with pytest.raises(ConfigurationError, match=f"^AWS_IGNORE_CONFIGURED_ENDPOINT_URLS is 'True'; allowed: {allowed}"):
        endpoint(given, "sqs", "eu-west-1")
    assert endpoint(given, "lambda", "eu-west-1").scheme == "https"
    assert endpoint({**given, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "false"}, "sqs", "eu-west-1").port == 1


@pytest.mark.parametrize("support", SUPPORTS)
def test_init_passes_with_an_endpoint_that_does_not_answer(support):
    init(support)


@pytest.mark.parametrize("support", SUPPORTS)
@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB"])
@pytest.mark.parametrize("value", ["nonsense", "http//127.0.0.1", "http://", "http://a b"])
def test_an_endpoint_that_is_no_url_fails_init_by_its_name(monkeypatch, support, variable, value):
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=f"^{variable} is {value!r}; allowed: http"):
        init(support)


LATER = ["AWS_ENDPOINT_URL_SQS", "AWS_ENDPOINT_URL_LAMBDA", "AWS_ENDPOINT_URL_SECRETS_MANAGER"]


@pytest.mark.parametrize("support", SUPPORTS)
@pytest.mark.parametrize("variable", LATER)
def test_an_endpoint_that_is_asked_later_is_looked_at_in_init(monkeypatch, support, variable):
    monkeypatch.setenv(variable, "http://user:swordfish@host:port")
    with pytest.raises(ConfigurationError, match=rf"^{variable} is '\*\*\*@host:port'"):
        init(support)


@pytest.mark.parametrize("support", SUPPORTS)
@pytest.mark.parametrize("missing", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_credentials_that_are_missing_fail_init_by_their_name(monkeypatch, support, missing):
    monkeypatch.delenv(missing)
    with pytest.raises(ConfigurationError, match=f"^{missing} is not set"):
        init(support)


@pytest.mark.parametrize("support", SUPPORTS)
@pytest.mark.parametrize("uri", ["http://example.com/keys", f"{ONE}/keys"])
def test_credentials_that_cannot_be_had_fail_init_by_the_name_of_their_endpoint(monkeypatch, support, uri):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri)
    monkeypatch.setattr("botocore.utils.ContainerMetadataFetcher.SLEEP_TIME", 0)
    with pytest.raises(ConfigurationError, match=f"^AWS_CONTAINER_CREDENTIALS_FULL_URI is '{uri}'"):
        init(support)


def test_credentials_that_have_ended_when_they_are_given_fail_init_with_the_reference(monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{ONE}/keys")
    ended = {"AccessKeyId": "A", "SecretAccessKey": "s", "Token": "t", "Expiration": "2020-01-01T00:00:00Z"}
    monkeypatch.setattr("botocore.utils.ContainerMetadataFetcher.retrieve_full_uri", lambda *_, **__: ended)
    with pytest.raises(ConfigurationError, match=r"^AWS_CONTAINER_CREDENTIALS_FULL_URI is .* still expired"):
        init("standard")


@pytest.mark.parametrize("support", SUPPORTS)
@pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
@pytest.mark.parametrize("content", [None, b"", b"no certificate\n", revocations()])
def test_a_root_file_without_certificates_fails_init_by_its_name(monkeypatch, tmp_path, support, variable, content):
    path = Path(tmp_path, "roots.pem")
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv(variable, str(path))
    # Of a service that is asked later.
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", "https://127.0.0.1:1")
    with pytest.raises(ConfigurationError, match=f"^{variable} is '{path}'; allowed: a file of PEM certificates"):
        init(support)


def test_the_roots_that_are_given_stand_above_those_of_the_variables(tmp_path):
    import botocore

    roots = Path(botocore.__file__).with_name("cacert.pem")
    assert read_roots({"AWS_CA_BUNDLE": str(tmp_path / "none")}, str(roots)).cert_store_stats()["x509_ca"] > 100


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy"])
def test_a_proxy_is_refused_with_a_clear_sentence_and_its_password_not_shown(monkeypatch, variable):
    monkeypatch.setenv(variable, "http://user:swordfish@proxy:3128")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    allowed = r"no value, 127\.0\.0\.1:1 in NO_PROXY, or SUPPORT=standard"
    with pytest.raises(ConfigurationError, match=rf"^{variable} is '\*\*\*'; allowed: {allowed}$"):
        init("lean")


@pytest.mark.parametrize("excepted", ["127.0.0.1", "*", "a, 127.0.0.1 ", "0.0.1", ".0.0.1"])
@pytest.mark.parametrize("variable", ["NO_PROXY", "no_proxy"])
def test_a_host_that_is_excepted_is_asked_without_the_proxy(monkeypatch, variable, excepted):
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:3128")
    # Of the other scheme.
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv(variable, excepted)
    init("lean")


NAMES = ["a.b", "b", ".b", "*.b", "*", "a.b:1", "a.b:80", "A.B", "xa.b", "::1", "[::1]", "[::1]:1", "127.0.0.0/8", " "]
HOSTS = ["a.b", "a.b:1", "A.b", "x.a.b", "[::1]:1", "127.0.0.1:80"]
PROXIES = strategies.fixed_dictionaries(
    {},
    optional={
        **{name: strategies.sampled_from(["", "http://proxy"]) for name in ("http_proxy", "HTTP_PROXY")},
        **{
            name: strategies.lists(strategies.sampled_from(NAMES), max_size=3).map(",".join)
            for name in ("no_proxy", "NO_PROXY")
        },
    },
)


@given(strategies.sampled_from(HOSTS), PROXIES)
def test_nobody_is_asked_without_a_proxy_whom_botocore_would_ask_through_one(host, proxies):
    url = read_url(f"http://{host}")
    assert url is not None
    with mock.patch.dict(os.environ, proxies, clear=True):
        is_proxied = "http" in get_environ_proxies(f"http://{host}")
        try:
            require_no_proxy(os.environ, [url])
        except ConfigurationError:
            return
    assert not is_proxied


@pytest.mark.parametrize("excepted", ["a.b:1", "x, .b:1", "A.B"])
def test_a_host_is_excepted_with_its_port_too(excepted):
    require_no_proxy({"HTTP_PROXY": "http://proxy", "NO_PROXY": excepted}, [Url("http", "a.b", 1)])
