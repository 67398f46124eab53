"""The gateway simulator: what it keeps through the death of its process, and where its faults come from."""

from __future__ import annotations

import http.client
import os
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from local.gateway.fault_plan import FAULTS, FaultPlan
from local.gateway.messages import RefusedError, Request
from local.gateway.payments import API_KEY, Gateway
from local.gateway.server import GatewayServer
from tests.support.gateway import ask, process


def form(payment_id: str) -> dict[str, str]:
    return {
        "amount": "500",
        "currency": "usd",
        "payment_method": "pm_card_visa",
        "metadata[payment_id]": payment_id,
    }


def prepare(url: str, payment_id: str, key: str | None = None) -> tuple[int, dict[str, Any]]:
    return ask(url, "POST", "/v1/payment_intents", form(payment_id), key)


def test_captures_and_stored_answers_survive_kill_9_and_the_sequence_goes_on(tmp_path: Path) -> None:
    database = tmp_path / "gateway.sqlite"
    with process(database) as (started, url):
        _, intent = prepare(url, "pay-1", key="dev:pay-1:prepare")
        charged = ask(url, "POST", f"/v1/payment_intents/{intent['id']}/confirm", {}, "dev:pay-1")
        started.send_signal(signal.SIGKILL)
        started.wait()
    with process(database) as (_, url):
        assert ask(url, "POST", f"/v1/payment_intents/{intent['id']}/confirm", {}, "dev:pay-1") == charged
        _, log = ask(url, "GET", "/_log")
        assert [row["seq"] for row in log["requests"]] == [1, 2, 4]
        assert [row["seq"] for row in log["captures"]] == [3]
        assert [row["replayed"] for row in log["requests"]] == [0, 0, 1]


def test_a_charge_under_way_at_kill_9_can_be_charged_again(tmp_path: Path) -> None:
    database = tmp_path / "gateway.sqlite"
    with process(database) as (started, url):
        _, intent = prepare(url, "pay-1")
        ask(url, "POST", "/_faults", {"payment_id": "pay-1", "call": "charge", "fault": "delay", "seconds": 3600})
        with closing(http.client.HTTPConnection(urlsplit(url).netloc)) as connection:
            headers = {"Idempotency-Key": "k", "Authorization": f"Bearer {API_KEY}"}
            connection.request("POST", f"/v1/payment_intents/{intent['id']}/confirm", "", headers)
            while ask(url, "GET", f"/v1/payment_intents/{intent['id']}")[1]["status"] != "processing":
                pass
            started.kill()
            started.wait()
    with process(database) as (_, url):
        status, charged = ask(url, "POST", f"/v1/payment_intents/{intent['id']}/confirm", {}, "k")
        assert (status, charged["status"]) == (200, "succeeded")
        assert len(ask(url, "GET", "/_log")[1]["captures"]) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_process_ends_on_a_signal_with_everything_in_its_file(tmp_path: Path, number: signal.Signals) -> None:
    database = tmp_path / "gateway.sqlite"
    with process(database) as (started, url):
        prepare(url, "pay-1")
        os.kill(started.pid, number)
        assert started.wait(30) == 0
    with closing(sqlite3.connect(database)) as file:
        assert file.execute("SELECT payment_id, amount FROM intents").fetchall() == [("pay-1", 500)]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--rate", "charge.meteor=0.1"], "rate charge.meteor=0.1: name a call"),
        (["--rate", "charge.decline=2"], "a probability from 0 to 1"),
        (["--port", "99999"], "cannot start on port 99999"),
    ],
)
def test_a_start_that_cannot_work_says_why(tmp_path: Path, arguments: list[str], said: str) -> None:
    command = [sys.executable, "-m", "local.gateway", "--database", str(tmp_path / "g.sqlite"), *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert said in ended.stderr


def test_the_search_lags_behind_what_the_id_shows_at_once(tmp_path: Path) -> None:
    now = [1_700_000_000_000]
    with closing(Gateway(tmp_path / "g.sqlite", search_lag_seconds=2, clock=lambda: now[0])) as gateway:
        created = gateway.execute(_prepare(gateway, "pay-1"))
        assert _search(gateway, "pay-1") == []
        now[0] += 2000
        assert _search(gateway, "pay-1") == [created.body["id"]]
        assert _search(gateway, "pay-2") == _search(gateway, "pay-1", "somebody else") == []


def test_an_expired_key_prepares_a_second_intent(tmp_path: Path) -> None:
    """Why the reference must be stored before the charge: after a day a key protects nothing."""
    now = [1_700_000_000_000]
    with closing(Gateway(tmp_path / "g.sqlite", key_lifetime_seconds=10, clock=lambda: now[0])) as gateway:
        first = gateway.execute(_prepare(gateway, "pay-1", key="k")).body["id"]
        assert gateway.execute(_prepare(gateway, "pay-1", key="k")).body["id"] == first
        now[0] += 10_000
        assert gateway.execute(_prepare(gateway, "pay-1", key="k")).body["id"] != first


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no form",
        b'{"amount": 500, "currency": "usd", "metadata": {"payment_id": "p"}}',
        b"amount=0&currency=usd&metadata[payment_id]=p",
        b"amount=5.5&currency=usd&metadata[payment_id]=p",
        b"amount=5&currency=US+dollars&metadata[payment_id]=p",
        b"amount=5&currency=usd",
        b"amount=5&currency=usd&metadata=p",
        b"amount=5&currency[usd]=1&metadata[payment_id]=p",
        b"amount[usd]=5&currency=usd&metadata[payment_id]=p",
        b"amount=5&amount[usd]=5&currency=usd&metadata[payment_id]=p",
        b"amount=9223372036854775808&currency=usd&metadata[payment_id]=p",
        b"amount=500&currency=usd&metadata[payment_id]=p&off_session=true",
        b"amount=500&currency=usd&metadata[payment_id]=p&payment_method[id]=pm_card_visa",
    ],
)
def test_a_refused_request_is_not_stored_under_its_key(tmp_path: Path, body: bytes) -> None:
    with closing(Gateway(tmp_path / "g.sqlite")) as gateway:
        try:
            refused = gateway.execute(_begin(gateway, "prepare", body, key="k"))
        except RefusedError as error:
            refused = error.answer
        assert refused.status_code in (400, 404)
        assert gateway.execute(_prepare(gateway, "p", key="k")).status_code == 200


@pytest.mark.parametrize("wrong", [{"seconds": "soon"}, {"times": None}, {"times": 1e400}])
def test_an_order_that_makes_no_sense_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with closing(Gateway(tmp_path / "g.sqlite")) as gateway, pytest.raises(RefusedError):
        gateway.order_fault({"payment_id": "p", "call": "charge", "fault": "delay", **wrong})


def test_a_call_that_outlives_the_gateway_ends_with_its_connection(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path / "g.sqlite")
    ref = gateway.execute(_prepare(gateway, "p", key="p:prepare")).body["id"]
    charge = _begin(gateway, "charge", b"", ref=ref, payment_id="p", key="p")
    gateway.close()
    with pytest.raises(ConnectionError):
        gateway.execute(charge)
    with closing(Gateway(tmp_path / "g.sqlite")) as again:
        status = again.execute(_begin(again, "status", b"", ref=ref, payment_id="p"))
        assert status.body["status"] == "requires_confirmation"


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("credential", [None, "Bearer sk_test_of_nobody", f"Basic {API_KEY}", "Bearer "])
def test_a_call_without_a_key_that_it_knows_begins_nothing(tmp_path: Path, method: str, credential: str | None) -> None:
    with process(tmp_path / "g.sqlite") as (_, url):
        path = "/v1/payment_intents" if method == "POST" else "/v1/payment_intents/pi_0"
        with closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)) as connection:
            headers = {} if credential is None else {"Authorization": credential}
            connection.request(method, path, urlencode(form("pay-1")) if method == "POST" else None, headers)
            assert connection.getresponse().status == 401
        assert ask(url, "GET", "/_log")[1]["requests"] == []


def test_a_log_after_what_is_no_number_is_refused(tmp_path: Path) -> None:
    with process(tmp_path / "g.sqlite") as (_, url):
        assert ask(url, "GET", "/_log?after=x")[0] == 400


def test_a_body_that_is_cut_is_no_call(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with process(tmp_path / "g.sqlite") as (_, url):
        _, intent = prepare(url, "pay-1")
        head = (
            f"POST /v1/payment_intents/{intent['id']}/confirm HTTP/1.1\r\n"
            f"Authorization: Bearer {API_KEY}\r\nContent-Length: 20\r\n\r\n"
        )
        with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), timeout=30) as connection:
            connection.sendall(head.encode() + b"off_")
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(1000) == b""
        _, log = ask(url, "GET", "/_log")
        assert [request["call"] for request in log["requests"]] == ["prepare"]
        assert log["captures"] == []
    assert "Traceback" not in capfd.readouterr().err


def test_a_head_that_is_cut_is_no_call(tmp_path: Path) -> None:
    with process(tmp_path / "g.sqlite") as (_, url):
        _, intent = prepare(url, "pay-1")
        # Behind the cut stood its idempotency key.
        head = f"POST /v1/payment_intents/{intent['id']}/confirm HTTP/1.1\r\nAuthorization: Bearer {API_KEY}\r\n"
        with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), timeout=30) as connection:
            connection.sendall(head.encode())
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(1000) == b""
        assert ask(url, "GET", "/_log")[1]["captures"] == []


def test_a_full_disk_costs_an_answer_and_no_effect_of_another_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(Gateway(tmp_path / "g.sqlite")) as gateway:
        server = GatewayServer(gateway)
        server.start("gateway")
        _, before = prepare(server.url, "pay-1", key="k-1")
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1, limits[1]))
        try:
            with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
                prepare(server.url, "pay-2", key="k-2")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert prepare(server.url, "pay-2", key="k-2")[0] == 200
        assert prepare(server.url, "pay-1", key="k-1") == (200, before)
        server.stop()
    told = capsys.readouterr().err
    assert "gave no answer" in told
    assert "Traceback" not in told


def test_keys_that_expire_are_found_without_reading_the_others(tmp_path: Path) -> None:
    with closing(Gateway(tmp_path / "g.sqlite")) as gateway:
        statements: list[str] = []
        gateway._db._connection.set_trace_callback(statements.append)
        gateway.execute(_prepare(gateway, "p", key="p:prepare"))
        gateway._db._connection.set_trace_callback(None)
        [expiring] = [each for each in statements if each.startswith("DELETE FROM idempotency_keys")]
        plan = [row["detail"] for row in gateway._db.execute(f"EXPLAIN QUERY PLAN {expiring}")]
    assert plan
    assert not [step for step in plan if step.startswith("SCAN")]


def test_a_faults_draw_depends_on_seed_payment_and_number_alone() -> None:
    rates = {f"charge.{fault}": 0.05 for fault in FAULTS}
    one, two, other = FaultPlan(1, rates), FaultPlan(1, dict(reversed(rates.items()))), FaultPlan(2, rates)
    payments = [f"pay-{number}" for number in range(400)]
    faults = [[one.fault(payment, "charge", number, 1.0) for number in range(3)] for payment in payments]
    assert faults == [
        list(reversed([two.fault(payment, "charge", number, 1.0) for number in (2, 1, 0)])) for payment in payments
    ]
    assert faults != [[other.fault(payment, "charge", number, 1.0) for number in range(3)] for payment in payments]
    struck = {fault.kind for row in faults for fault in row if fault is not None}
    assert struck == FAULTS - {"decline"}
    declined = [one.declines(payment) for payment in payments]
    assert declined == [two.declines(payment) for payment in payments]
    assert 0 < sum(declined) < 60


def _begin(gateway: Gateway, call: str, body: bytes, account: str = "test", **named: Any) -> Request:
    given: dict[str, Any] = {"ref": "", "payment_id": "", "key": None, "target": "POST /", **named}
    return gateway.begin(call, body=body, account=account, **given)


def _prepare(gateway: Gateway, payment_id: str, key: str | None = None) -> Request:
    return _begin(gateway, "prepare", urlencode(form(payment_id)).encode(), key=key)


def _search(gateway: Gateway, payment_id: str, account: str = "test") -> list[str]:
    request = _begin(gateway, "search", b"", account, payment_id=payment_id)
    return [intent["id"] for intent in gateway.execute(request).body["data"]]
