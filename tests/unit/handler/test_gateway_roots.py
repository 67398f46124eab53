"""Whom the connection to a gateway trusts: the roots that its host needs, those of a file, or the system's."""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import stripe
import trustme

from handler.adapters.connection import NotReachedError, Peer
from handler.adapters.gateways.deadline_connection import DeadlineConnection
from handler.adapters.gateways.stripe import ROOTS, StripeGateway
from handler.composition import payment_gateway
from handler.domain.errors import ConfigurationError, GatewayNotReachedError
from handler.settings import read_settings
from tests.support.certificates import revocations

VARIABLES = {
    "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
    "GATEWAY": "stripe",
    "GATEWAY_MODE": "test",
    "GATEWAY_SECRET_ARN": "arn:aws:secretsmanager:us-east-1:000000000000:secret:key",
    "CANONICAL_VERSION_WRITTEN": "2",
}
LOG = logging.getLogger(__name__)


class SecretsManager:
    def get_secret_value(self, SecretId: str) -> dict[str, str]:
        return {"SecretString": "sk_test_12345678"}


def trusted(**variables: str) -> set[bytes]:
    """The certificates that a deployment's gateway is trusted by."""
    gateway = payment_gateway(read_settings({**VARIABLES, **variables}), lambda service: SecretsManager(), LOG)
    assert isinstance(gateway, StripeGateway)
    assert gateway.connection._peer._tls is not None
    return set(gateway.connection._peer._tls.get_ca_certs(binary_form=True))


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


@pytest.fixture
def tls_url(authority: trustme.CA) -> Iterator[str]:
    """A server whose certificate is the authority's, and which answers `{}`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            """Nothing on the test's output."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"https://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_stripes_roots_are_those_that_its_own_sdk_ships():
    # If they differ, Stripe has announced others: copy the SDK's file over ours.
    its_own = Path(stripe.__file__).with_name("data") / "ca-certificates.crt"
    assert Path(ROOTS).read_bytes() == its_own.read_bytes()


def test_stripes_own_host_is_trusted_by_the_roots_that_stripe_names_and_a_stand_in_by_the_systems(ca_file):
    stripes = set(ssl.create_default_context(cafile=ROOTS).get_ca_certs(binary_form=True))
    assert len(stripes) == 12
    assert trusted() == stripes
    assert trusted(GATEWAY_URL="https://stripe.example") == set(
        ssl.create_default_context().get_ca_certs(binary_form=True)
    )
    mine = set(ssl.create_default_context(cafile=ca_file).get_ca_certs(binary_form=True))
    assert trusted(GATEWAY_CA_FILE=ca_file) == trusted(GATEWAY_CA_FILE=ca_file, GATEWAY_URL="https://x.example") == mine


def test_a_host_that_the_file_does_not_sign_is_not_reached(tls_url, ca_file):
    connection = DeadlineConnection(tls_url, 30.0, ca_file)
    assert connection.call("GET", "/", {}, None).status_code == 200
    connection.close()
    with pytest.raises(GatewayNotReachedError, match="CERTIFICATE_VERIFY_FAILED"):
        DeadlineConnection(tls_url, 30.0, ROOTS).call("GET", "/", {}, None)


def in_lambda(url: str, ca_file: str, **variables: str) -> StripeGateway:
    given = {**VARIABLES, "AWS_LAMBDA_FUNCTION_NAME": "f", "GATEWAY_URL": url, "GATEWAY_CA_FILE": ca_file, **variables}
    gateway = payment_gateway(read_settings(given), lambda service: SecretsManager(), LOG)
    assert isinstance(gateway, StripeGateway)
    return gateway


def nowhere(*_: object) -> None:
    raise NotReachedError("no new connection in this test")


def test_init_in_lambda_opens_the_connection_that_the_first_payment_uses(tls_url, ca_file, monkeypatch, caplog):
    with closing(in_lambda(tls_url, ca_file)) as gateway:
        monkeypatch.setattr(Peer, "_open", nowhere)
        assert gateway.connection.call("GET", "/", {}, None).status_code == 200
    assert not caplog.records


@pytest.mark.parametrize(
    "variables", [{"AWS_LAMBDA_FUNCTION_NAME": ""}, {"AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start"}]
)
def test_outside_of_lambda_and_for_a_snapshot_init_opens_no_connection(ca_file, variables, monkeypatch, caplog):
    monkeypatch.setattr(Peer, "_open", nowhere)
    in_lambda("https://127.0.0.1:1", ca_file, **variables)
    assert not caplog.records


def test_a_gateway_that_is_not_reached_in_init_is_a_warning_and_stops_nothing(ca_file, monkeypatch, caplog):
    monkeypatch.setattr(Peer, "_open", nowhere)
    in_lambda("https://127.0.0.1:1", ca_file)
    [record] = caplog.records
    assert (record.levelname, record.getMessage()) == (
        "WARNING",
        "not reached in init: the gateway at no new connection in this test",
    )


@pytest.mark.parametrize("content", [None, b"", b"no certificate", Path(ROOTS).read_bytes()[:5000], revocations()])
def test_a_file_without_roots_fails_init_and_names_the_variable(tmp_path, content):
    path = tmp_path / "roots.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=rf"^GATEWAY_CA_FILE is '{path}'; allowed: a PEM file with roots \("):
        trusted(GATEWAY_CA_FILE=str(path))


def test_a_folder_of_roots_is_no_file(tmp_path):
    with pytest.raises(ConfigurationError, match=r"^GATEWAY_CA_FILE is"):
        trusted(GATEWAY_CA_FILE=str(tmp_path))


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"GATEWAY_URL": "http://127.0.0.1:1"}, "no value, as GATEWAY_URL is without TLS"),
        (
            {"GATEWAY": "simulated", "GATEWAY_MODE": "", "GATEWAY_SECRET_ARN": ""},
            "no value, as GATEWAY is simulated",
        ),
    ],
)
def test_roots_for_a_host_that_shows_no_certificate_fail_init(variables, said, ca_file):
    with pytest.raises(ConfigurationError, match=f"^GATEWAY_CA_FILE is '.+'; allowed: {said}$"):
        trusted(**variables, GATEWAY_CA_FILE=ca_file)
