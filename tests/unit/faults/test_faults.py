"""What a campaign of faults stands on: wires that are cut, clocks that jump, and the checks beside the run's audit."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local.evidence import Evidence, Sent
from local.traffic import CHARGED, EXPIRED, Message, make_overload
from tests.faults import checks, record
from tests.faults.campaign import CLOCK_FOLDER
from tests.faults.chaos import LATER, shift
from tests.faults.wire import CUT_ANSWER, CUT_REQUEST, TRICKLED, Wire


class Upstream:
    """Answers each request of 1,000 bytes with 1,000 of its own, and keeps what came."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                found = b""
                while len(found) < 1000 and (chunk := _received(connection)):
                    found += chunk
                self.got.append(found)
                if len(found) == 1000:
                    connection.sendall(b"a" * 1000)


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    upstream = Upstream()
    yield upstream
    upstream.listener.close()


@pytest.fixture
def wire(upstream: Upstream) -> Iterator[Wire]:
    wire = Wire("gateway", 1, pytest.fail)
    wire.upstream = upstream.listener.getsockname()
    yield wire
    wire.stop()


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65_536)
    except ConnectionResetError:
        return b""


def exchange(wire: Wire) -> bytes:
    with socket.create_connection(("127.0.0.1", wire.port), timeout=30) as connection:
        connection.sendall(b"r" * 1000)
        return b"".join(iter(lambda: _received(connection), b""))


def test_a_wire_passes_everything_on_until_it_is_told_otherwise(wire: Wire, upstream: Upstream) -> None:
    assert exchange(wire) == b"a" * 1000
    assert upstream.got == [b"r" * 1000]
    assert not wire.struck


@pytest.mark.parametrize("kind", [CUT_REQUEST, CUT_ANSWER])
def test_a_cut_strikes_once_and_only_its_own_direction(wire: Wire, upstream: Upstream, kind: str) -> None:
    wire.order(kind)
    assert len(exchange(wire)) < 1000
    assert exchange(wire) == b"a" * 1000
    assert wire.struck == {f"gateway {kind}": 1}
    lengths = [len(each) for each in upstream.got]
    assert (lengths[0] < 1000) == (kind == CUT_REQUEST)
    assert lengths[-1] == 1000


def test_bytes_that_trickle_all_arrive(wire: Wire) -> None:
    wire.order(TRICKLED)
    assert exchange(wire) == b"a" * 1000
    assert wire.struck == {f"gateway {TRICKLED}": 1}


def test_a_wire_is_down_with_what_it_leads_to(wire: Wire, upstream: Upstream) -> None:
    upstream.listener.shutdown(socket.SHUT_RDWR)
    upstream.listener.close()
    with suppress(ConnectionError):
        assert exchange(wire) == b""


def test_a_clock_jumps_while_its_process_runs_and_later_is_for_all(tmp_path: Path) -> None:
    (tmp_path / LATER).write_bytes(bytes(8))
    told = "import sys, time\nfor _ in sys.stdin:\n print(time.time_ns(), time.time(), flush=True)\n"
    environ = {**os.environ, "PYTHONPATH": str(CLOCK_FOLDER), "FAULTS_CLOCKS": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", told], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def read() -> tuple[float, float]:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("\n")
            process.stdin.flush()
            nanoseconds, seconds = process.stdout.readline().split()
            return int(nanoseconds) / 1e9, float(seconds)

        begun, _ = read()
        shift(tmp_path / str(process.pid), -3600 * 10**9)
        assert all(each < begun - 3000 for each in read())
        shift(tmp_path / str(process.pid), 0)
        shift(tmp_path / LATER, 3600 * 10**9)
        passed, runtime = read()
        assert passed > begun + 3000
        # The runtime's deadline is by the real clock.
        assert runtime < begun + 3000
        process.stdin.close()


MESSAGE = Message(1, "risky", "pay-1", "g", "{}", CHARGED, 100, decision="approve")


def evidence(*items: dict[str, Any]) -> Evidence:
    found = Evidence("dev", [Sent(MESSAGE, "m-1", "1", 0)], [], [], [], 0, [])
    found.items = [{"transaction_id": "txn-pay-1", "payment_id": "pay-1", "created_at": 5, **item} for item in items]
    found.__post_init__()
    return found


@pytest.mark.parametrize(
    ("item", "wrong"),
    [
        ({"status": "completed", "decision": "approve", "approval_name": "n"}, 0),
        ({"status": "expired", "approval_name": "n"}, 0),
        ({"status": "rejected", "decision": "reject", "approval_name": "n"}, 0),
        ({"status": "completed", "decision": "approve", "decided_by": "risk", "approval_name": "n"}, 0),
        ({"status": "completed"}, 0),
        ({"status": "completed", "approval_name": "n"}, 1),
        ({"status": "expired", "decision": "approve", "approval_name": "n"}, 1),
        ({"status": "completed", "decision": "reject", "approval_name": "n"}, 1),
    ],
)
def test_a_decision_is_what_became_of_the_payment(item: dict[str, Any], wrong: int) -> None:
    assert len(list(checks.decisions_are_obeyed(evidence(item), []))) == wrong


def test_a_decision_that_the_page_took_stands() -> None:
    expired = evidence({"status": "expired", "approval_name": "n"})
    assert list(checks.decisions_are_obeyed(expired, [checks.Said("pay-1", "approve", 410)])) == []
    assert len(list(checks.decisions_are_obeyed(expired, [checks.Said("pay-1", "approve", 200)]))) == 1


def test_who_decides_may_be_too_late_and_nobody_else() -> None:
    others = replace(MESSAGE, decision="")
    assert [each.ends for each in checks.raced([MESSAGE, others])] == [CHARGED | EXPIRED, CHARGED]


def test_a_message_that_the_queue_never_took_is_missed() -> None:
    other = replace(MESSAGE, number=2)
    assert list(checks.nothing_sent_was_lost(evidence(), [MESSAGE])) == []
    assert len(list(checks.nothing_sent_was_lost(evidence(), [MESSAGE, other]))) == 1


def test_the_order_is_that_of_the_claims_whatever_clocks_say() -> None:
    found = evidence({"status": "completed"})
    # The item holds the first of two claims; the other one was refused.
    checks.in_order_of_claims(found, {("pay-1", 5): 77, ("pay-1", 6): 99})
    assert found.payments["pay-1"]["created_at"] == 77


def test_an_overload_has_its_shares_and_no_two_messages_alike() -> None:
    messages = make_overload(2000, 100, 3, hot_share=0.5, poison_share=0.3)
    assert messages == make_overload(2000, 100, 3, hot_share=0.5, poison_share=0.3)
    hot = sum(each.group == "payment-group-0" for each in messages)
    assert 900 < hot < 1100
    assert sum(each.kind == "ordinary" for each in messages) == 1400
    assert len({each.deduplication_id for each in messages}) == 2000
    assert {each.group for each in make_overload(300, 100, 3)} == {f"payment-group-{n}" for n in range(100)}


def test_every_bar_of_the_record_is_met_by_its_rows() -> None:
    kept = record.read()
    assert [bar.as_document() for bar in record.bars(kept)] == kept["bars"]
    assert [bar["name"] for bar in kept["bars"] if not bar["ok"]] == []
    assert kept["memory"]
    assert len(kept["curve"]) == 5


def test_a_bar_counts_what_a_row_failed() -> None:
    row = {"seed": 1, "payments": 2000, "faults_from_outside": 199, "audit": {"one": True, "two": False}}
    bars = record.bars({"campaigns": [row], "overload": {}, "memory": []})
    assert {bar.name: bar.measured for bar in bars if not bar.ok} == {
        "faults_failed_checks": 1,
        "faults_seeds": 1,
        "faults_from_outside_a_seed": 199,
    }
