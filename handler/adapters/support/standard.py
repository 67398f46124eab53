"""The reference: log and metric lines as Powertools for AWS Lambda writes them, and botocore's clients of AWS."""

from __future__ import annotations

import os
from collections.abc import Callable
from threading import Lock
from typing import Any, Final, TextIO
from urllib.parse import urlsplit

from aws_lambda_powertools import Logger, Metrics
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, PartialCredentialsError, UnknownRegionError
from botocore.parsers import ResponseParserError
from botocore.session import Session, get_session
from botocore.utils import is_valid_uri

from handler.adapters.support.endpoints import asks_aws, require_endpoints, require_roots, wrong_endpoint, wrong_region
from handler.adapters.support.errors import AwsError
from handler.domain.errors import ConfigurationError

# One slow answer must not eat the invocation; a lost one is decided from the stored item.
_LIMITS: Final = {"connect_timeout": 1, "read_timeout": 1, "retries": {"mode": "standard", "total_max_attempts": 3}}


def create_logger(service: str, stream: TextIO | None = None) -> Logger:
    """A logger of JSON lines with `service` in each, on `stream`, else standard output.

    Raises Powertools' and logging's ValueErrors for a level or a sampling rate that is none.
    """
    return Logger(service=service, stream=stream)


def create_metrics(namespace: str, service: str, environment: str) -> Metrics:
    """Metrics in CloudWatch's embedded metric format, one line on standard output a flush.

    Their dimensions are `environment` and `service`, which is none where it is empty.
    """
    metrics = Metrics(namespace=namespace, service=service)
    metrics.set_default_dimensions(environment=environment)
    return metrics


def create_clients(
    region: str, ca_file: str | None, maker: Callable[[Session], Any] = lambda session: session.create_client
) -> Callable[[str], Any]:
    """What makes and keeps one client a service, by the service's name at AWS, such as `dynamodb`; for any thread.

    A client has one method an operation, named and called as botocore's, which raises AwsError alone. `ca_file` holds
    the roots that are trusted, None: those of the SDK's variables, else the system's. Raises ConfigurationError for
    credentials that are missing or not to be had, a file without certificates, and an endpoint that is none. `maker`
    turns a session into what makes a client of it, as botocore's `create_client`.
    """
    session = get_session()
    _require_credentials(session)
    require_endpoints(os.environ, _is_endpoint)
    if asks_aws(os.environ):
        _require_region(session, region)
    require_roots(os.environ, ca_file)
    make, lock = maker(session), Lock()
    clients: dict[str, BotocoreClient] = {}

    def client(service: str) -> BotocoreClient:
        # A client is for all threads; a session that makes one is not.
        with lock:
            if service not in clients:
                try:
                    made = make(service, region_name=region, verify=ca_file, config=Config(**_LIMITS))
                except ValueError as error:
                    raise wrong_endpoint(os.environ, service) from error
                clients[service] = BotocoreClient(made)
            return clients[service]

    return client


def _require_region(session: Session, region: str) -> None:
    """A package's botocore has the partition `aws` alone, and would ask it for a region of any other."""
    try:
        session.get_partition_for_region(region)
    except UnknownRegionError as error:
        raise wrong_region(region, "AWS_ENDPOINT_URL") from error


def _is_endpoint(url: str) -> bool:
    """Whether botocore takes it, which looks at the port in the first call alone."""
    try:
        return is_valid_uri(url) and urlsplit(url).port != 0
    except ValueError:
        return False


def _require_credentials(session: Session) -> None:
    needed = "credentials that botocore finds"
    try:
        credentials = session.get_credentials()
        if credentials is None:
            raise ConfigurationError("AWS_ACCESS_KEY_ID", None, needed)
        # Asked for now, as the first call would: those of an endpoint may have ended.
        credentials.get_frozen_credentials()
    except PartialCredentialsError as error:
        raise ConfigurationError(error.kwargs["cred_var"].upper(), None, needed) from error
    except (BotoCoreError, ClientError, RuntimeError, ValueError) as error:
        variable = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
        named = variable if os.environ.get(variable) else "AWS_PROFILE"
        raise ConfigurationError(named, os.environ.get(named), f"{needed} ({error})") from error


class BotocoreClient:
    """A botocore client whose errors are AwsError."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def call(**parameters: Any) -> Any:
            try:
                return method(**parameters)
            except ClientError as error:
                said = error.response["Error"]
                code = said.get("Code") or str(error.response["ResponseMetadata"]["HTTPStatusCode"])
                raise AwsError(error.operation_name, code, said.get("Message", ""), error.response) from error
            except (BotoCoreError, ResponseParserError, RuntimeError, ValueError) as error:
                # Bytes that are no text, and credentials that have ended when they are renewed, have none of its own.
                raise AwsError(name, "", str(error)) from error

        return call
