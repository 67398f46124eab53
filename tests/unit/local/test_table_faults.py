"""The proxy in front of DynamoDB: what it changes, and that it changes nothing else."""

from __future__ import annotations

import http.client
import json
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any
from urllib.parse import urlsplit

import pytest

from local.faults import TableFaults
from local.loopback import LoopbackHandler, LoopbackServer


class Table(LoopbackServer):
    """Stands for DynamoDB: one item whose attempt the test sets, and the operations that arrived."""

    def __init__(self) -> None:
        self.attempt = 1
        self.arrived: list[str] = []
        self.refused: list[bytes] = []
        super().__init__(_TableHandler)


class _TableHandler(LoopbackHandler):
    server: Table

    def do_POST(self) -> None:
        received = self.body()
        try:
            body = dict(json.loads(received))
        except (ValueError, TypeError):
            self.server.refused.append(received)
            self.reply(400, b"{}")
            return
        operation = self.headers["X-Amz-Target"].rpartition(".")[2]
        self.server.arrived.append(f"{operation} {body.get('note', '')}".strip())
        answer: dict[str, Any] = {"Item": {"attempt": {"N": str(self.server.attempt)}}}
        refused = body.get("note") == "late" and self.server.attempt > 1
        if refused:
            answer = {"__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException"}
        self.reply(400 if refused else 200, json.dumps(answer).encode())


@pytest.fixture
def table() -> Iterator[Table]:
    server = Table()
    server.start("table")
    yield server
    server.stop()


def proxy(table: Table, planned: dict[str, str], kill: Any = lambda payment_id: None, rate: float = 0.0) -> TableFaults:
    faults = TableFaults(planned, 1, kill=kill, throttle_rate=rate)
    faults.upstream = urlsplit(table.url).netloc
    return faults


def call(
    faults: TableFaults,
    operation: str,
    payment_id: str,
    note: str = "",
    status: str = "",
    *,
    header: str = "X-Amz-Target",
) -> tuple[int, str]:
    holder = "Item" if operation == "PutItem" else "Key"
    body: dict[str, Any] = {"TableName": "t", holder: {"transaction_id": {"S": f"txn-{payment_id}"}}, "note": note}
    if status:
        body["ExpressionAttributeValues"] = {":status": {"S": status}}
    with closing(http.client.HTTPConnection(urlsplit(faults.url).netloc, timeout=30)) as connection:
        connection.request("POST", "/", json.dumps(body), {header: f"DynamoDB_20120810.{operation}"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def test_calls_of_no_victim_pass_unchanged(table: Table) -> None:
    faults = proxy(table, {"throttled_claim": "pay-1", "late_record": "pay-2", "killed_before_record": "pay-3"})
    for operation, status in (("PutItem", ""), ("GetItem", ""), ("UpdateItem", "completed")):
        assert call(faults, operation, "pay-4", "n", status) == (200, '{"Item": {"attempt": {"N": "1"}}}')
    assert table.arrived == ["PutItem n", "GetItem n", "UpdateItem n"]
    assert faults.struck == {}
    faults.stop()


def test_a_victims_claim_is_throttled_for_as_long_as_the_sdk_tries(table: Table) -> None:
    faults = proxy(table, {"throttled_claim": "pay-1"})
    for _ in range(3):
        status, answer = call(faults, "PutItem", "pay-1")
        assert status == 400
        assert "ProvisionedThroughputExceededException" in answer
    assert call(faults, "PutItem", "pay-1")[0] == 200
    assert table.arrived == ["PutItem"]
    assert faults.struck == {"throttled_claim": 3}
    faults.stop()


@pytest.mark.parametrize("status", ["completed", "declined"])
def test_a_victims_environment_is_killed_once_before_its_record_arrives(table: Table, status: str) -> None:
    killed: list[str] = []
    faults = proxy(table, {"killed_before_record": "pay-1"}, kill=lambda payment_id: killed.append(payment_id) or 4711)
    assert call(faults, "UpdateItem", "pay-1", "reference")[0] == 200
    with pytest.raises(http.client.RemoteDisconnected):
        call(faults, "UpdateItem", "pay-1", "record", status)
    assert call(faults, "UpdateItem", "pay-1", "again", status)[0] == 200
    assert (killed, table.arrived) == (["pay-1"], ["UpdateItem reference", "UpdateItem again"])
    assert faults.struck == {"killed_before_record": 1}
    faults.stop()


def test_a_kill_that_found_nobody_did_not_strike(table: Table) -> None:
    faults = proxy(table, {"killed_before_record": "pay-1"}, kill=lambda payment_id: None)
    assert call(faults, "UpdateItem", "pay-1", "record", "completed")[0] == 200
    assert faults.struck == {}
    faults.stop()


def test_a_late_record_arrives_right_after_its_payment_was_taken_over(table: Table) -> None:
    faults = proxy(table, {"late_record": "pay-1"})
    wait, waiting = faults._stopped.wait, threading.Semaphore(0)
    faults._stopped.wait = lambda seconds: (waiting.release(), wait(seconds))[1]  # type: ignore[method-assign]
    held = [
        threading.Thread(target=_ignored, args=(faults, "UpdateItem", "pay-1", "late", "completed")) for _ in range(2)
    ]
    for thread in held:
        thread.start()
    for _ in held:
        assert waiting.acquire(timeout=30)
    # The attempt is read for each of them before it is held back.
    assert table.arrived == ["GetItem", "GetItem"]
    assert faults.late_writes == []
    table.attempt = 2
    assert call(faults, "UpdateItem", "pay-1", "take over")[0] == 200
    assert table.arrived[2:] == ["UpdateItem take over", "GetItem", "UpdateItem late"]
    (late,) = faults.late_writes
    assert (late.payment_id, late.attempt_sent, late.attempt_then) == ("pay-1", 1, 2)
    assert (late.accepted, late.answer) == (False, "ConditionalCheckFailedException")
    assert call(faults, "UpdateItem", "pay-1", "record", "completed")[0] == 200
    faults.stop()
    for thread in held:
        thread.join()


def _ignored(*arguments: Any, **more: Any) -> None:
    with pytest.raises(http.client.RemoteDisconnected):
        call(*arguments, **more)


def test_throttling_by_rate_can_be_repeated(table: Table) -> None:
    struck = []
    for _ in range(2):
        faults = proxy(table, {}, rate=0.3)
        struck.append([call(faults, "PutItem", f"pay-{number}")[0] for number in range(40)])
        faults.stop()
    assert struck[0] == struck[1]
    assert 0 < struck[0].count(400) < 40


@pytest.mark.parametrize("header", ["x-amz-target", "X-Amz-Target", "X-AMZ-TARGET"])
def test_an_operation_is_known_however_its_headers_name_is_written(table: Table, header: str) -> None:
    faults = proxy(table, {"throttled_claim": "pay-1", "late_record": "pay-2"})
    wait, waiting = faults._stopped.wait, threading.Semaphore(0)
    faults._stopped.wait = lambda seconds: (waiting.release(), wait(seconds))[1]  # type: ignore[method-assign]
    assert call(faults, "PutItem", "pay-1", header=header)[0] == 400
    held = threading.Thread(
        target=_ignored, args=(faults, "UpdateItem", "pay-2", "late", "completed"), kwargs={"header": header}
    )
    held.start()
    assert waiting.acquire(timeout=30)
    # The proxy's own question, asked with the caller's headers, is another operation than the caller's.
    assert table.arrived == ["GetItem"]
    faults.stop()
    held.join()


@pytest.mark.parametrize("body", [b"no json", b"[1]", b"\xff", b""])
def test_a_body_that_is_no_call_is_passed_on_for_the_services_to_refuse(
    table: Table, body: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    faults = proxy(table, {"throttled_claim": "pay-1"})
    with closing(http.client.HTTPConnection(urlsplit(faults.url).netloc, timeout=30)) as connection:
        connection.request("POST", "/", body, {"X-Amz-Target": "DynamoDB_20120810.PutItem"})
        assert connection.getresponse().status == 400
    faults.stop()
    assert table.refused == [body]
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(
    "document",
    [
        {"Item": "text"},
        {"Key": {"transaction_id": 5}},
        {"Item": {"transaction_id": {"S": ["txn-pay-1"]}}},
        {"Key": {"transaction_id": {"S": "txn-pay-1"}}, "ExpressionAttributeValues": ["completed"]},
        {"Key": {"transaction_id": {"S": "txn-pay-2"}}, "ExpressionAttributeValues": {":s": {"S": "completed"}}},
    ],
    ids=str,
)
def test_a_call_that_is_none_is_passed_on_and_is_no_error_of_the_proxy(
    table: Table, document: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    faults = proxy(table, {"throttled_claim": "pay-1", "late_record": "pay-2"})
    faults._stopped.set()
    with closing(http.client.HTTPConnection(urlsplit(faults.url).netloc, timeout=30)) as connection:
        connection.request("POST", "/", json.dumps(document), {"X-Amz-Target": "DynamoDB_20120810.UpdateItem"})
        with suppress(http.client.RemoteDisconnected):
            assert connection.getresponse().status == 200
    faults.stop()
    assert table.arrived
    assert capfd.readouterr().err == ""


def test_services_that_end_their_answers_are_no_error_of_the_proxy(capfd: pytest.CaptureFixture[str]) -> None:
    class Ending(LoopbackHandler):
        def do_POST(self) -> None:
            self.body()
            self.reply(503, b"<html>going away</html>")

    server = LoopbackServer(Ending)
    server.start("ending")
    faults = TableFaults({"late_record": "pay-1"}, 1, kill=lambda payment_id: None, throttle_rate=0.0)
    faults.upstream = server.address
    with pytest.raises(http.client.RemoteDisconnected):
        call(faults, "UpdateItem", "pay-1", "record", "completed")
    faults.stop()
    server.stop()
    assert capfd.readouterr().err == ""


def test_a_body_that_is_cut_reaches_nobody_and_is_no_error_of_the_proxy(
    table: Table, capfd: pytest.CaptureFixture[str]
) -> None:
    faults = proxy(table, {})
    with socket.create_connection(("127.0.0.1", urlsplit(faults.url).port or 0), timeout=30) as connection:
        connection.sendall(b'POST / HTTP/1.1\r\nContent-Length: 100\r\nX-Amz-Target: a.PutItem\r\n\r\n{"Item": ')
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1000) == b""
    faults.stop()
    assert (table.arrived, table.refused) == ([], [])
    assert "Traceback" not in capfd.readouterr().err


def test_a_client_that_is_killed_is_no_error_of_the_proxy(table: Table, capfd: pytest.CaptureFixture[str]) -> None:
    faults = proxy(table, {})
    with socket.create_connection(("127.0.0.1", urlsplit(faults.url).port or 0)) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\n")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert call(faults, "GetItem", "pay-1")[0] == 200
    faults.stop()
    assert "Traceback" not in capfd.readouterr().err
