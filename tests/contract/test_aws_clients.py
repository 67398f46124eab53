"""Both supports' clients over real HTTP: against the services of this machine, the proxy of faults, and broken servers.

Held here: for the same calls both give the same answers and the same errors, and whatever a server does, a call ends in
an answer or an AwsError, the lean one's within its deadline.
"""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
import trustme

from handler.adapters.approval.starter import LambdaApprovalStarter
from handler.adapters.queues import SqsRejectedQueue, SqsSourceQueue
from handler.adapters.secrets import read_pepper, read_text
from handler.adapters.support.errors import AwsError
from handler.adapters.support.lean import clients as lean_clients
from handler.adapters.table.parking_log import DynamoDbParkingLog
from handler.adapters.table.transaction_log import DynamoDbTransactionLog, ended_shard
from handler.domain.errors import ApprovalStartRefusedError, TableRefusedError, TransactionLogUnavailableError
from handler.domain.item import GatewayResponse, Item, from_stored
from handler.domain.refund_item import RefundItem, RefundRequest, new_refund
from handler.support import load_support
from local.faults import TableFaults
from local.ministack import CREDENTIALS, REGION
from tests.support.approvals import pending
from tests.support.aws import SUPPORTS, make_table
from tests.support.payments import message, whole_item
from tests.support.services import KEYS, services

LONG = 60.0
Client = Callable[[str], Any]
Connect = Callable[[str, str], Client]


@pytest.fixture(scope="module", params=["ministack", "moto"])
def services_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Two stand-ins for AWS by different people: what both take is not one's own idea of the protocol."""
    with services(request.param, tmp_path_factory.mktemp("services")) as url:
        yield url


@pytest.fixture
def aws(services_url: str) -> Iterator[Client]:
    """boto3's clients, which make what is asked about."""
    with ExitStack() as ends:

        def client(service: str) -> Any:
            made = boto3.client(service, region_name=REGION, endpoint_url=services_url, **KEYS)
            ends.callback(made.close)
            return made

        yield client


@pytest.fixture(params=SUPPORTS)
def support(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Iterator[Connect]:
    """A support's clients of the services at a URL; their connections end with the test."""
    with ExitStack() as ends:

        def make(support: str, url: str) -> Client:
            for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": url, "NO_PROXY": "127.0.0.1"}.items():
                monkeypatch.setenv(name, value)
            create = load_support(support).create_clients(REGION, None)

            def client(service: str) -> Any:
                made = create(service)
                ends.callback(made._peer.close if support == "lean" else made._client.close)
                return made

            return client

        yield make


@pytest.fixture
def clients(support: str, services_url: str, connect: Connect) -> Client:
    return connect(support, services_url)


@pytest.fixture
def table(aws: Client) -> str:
    return make_table(aws("dynamodb"))


# ---- the services of this machine -----------------------------------------------------------------------------------


def an_item(**changed: Any) -> Item:
    given = {"transaction_id": "txn-1", "owner": "o", "attempt": 1, "customer_id": 'K\u00f6ln \U0001f600 "\\\n'}
    return from_stored(whole_item({**given, **changed}))


def test_the_log_writes_reads_lists_and_is_refused_the_same(clients: Client, table: str) -> None:
    log = DynamoDbTransactionLog(clients("dynamodb"), table)
    assert log.get("txn-1") is None
    assert log.put_new(an_item()) is None
    assert log.get("txn-1") == an_item()
    assert log.put_new(an_item(owner="another")) == an_item()
    refused = log.store_gateway_ref("txn-1", owner="another", attempt=1, gateway_ref="pi_1", now=3)
    assert refused == an_item()
    assert log.store_gateway_ref("txn-1", owner="o", attempt=1, gateway_ref="pi_1", now=3) is None
    stored = log.get("txn-1")
    assert stored is not None
    assert stored.gateway_ref == "pi_1"
    assert list(log.open_transaction_ids("processing")) == ["txn-1"]


def test_what_is_to_be_forgotten_is_found_by_its_time_and_goes_once_that_is_over(clients: Client, table: str) -> None:
    log = DynamoDbParkingLog(clients("dynamodb"), table)
    ended = {"status": "expired", "created_at": 1000, "processed_at": "1970-01-01T00:00:02Z"}
    ended |= {"open_shard": ended_shard("txn-1")[":ended_shard"], "shown": {"name": "Ada", "hits": []}}
    log.put_new(an_item(**ended))
    conflict = {"transaction_id": "txn-2", "status": "conflict", "reason_code": "conflict", "attempt": None}
    log.put_new(an_item(**conflict, created_at=1000, open_shard="conflict#15", request="{}"))
    for name, key in (("ended", "txn-1"), ("conflict", "txn-2")):
        found = [list(log.indexed_before(name, before=before)) for before in (1000, 1001)]
        assert found == [[], [key]]
    assert log.forget_person("txn-1", before=2000, now=9) == an_item(**ended)
    assert log.forget_person("txn-1", before=3000, now=9) is None
    assert log.forget_conflict("txn-2", before=1000, now=9) is not None
    assert log.forget_conflict("txn-2", before=1001, now=9) is None
    person, kept = log.get("txn-1"), log.get("txn-2")
    assert person is not None
    assert kept is not None
    assert (person.shown, person.open_shard, kept.request, kept.open_shard) == (None, "", "", "")
    assert [list(log.indexed_before(name, before=9999)) for name in ("ended", "conflict")] == [[], []]


def test_refunds_are_reserved_and_given_back_with_their_payment_or_not_at_all(clients: Client, table: str) -> None:
    log = DynamoDbTransactionLog(clients("dynamodb"), table)
    completed = whole_item({"transaction_id": "txn-pay-abc123", "status": "completed", "customer_id": "c"})
    log.put_new(from_stored(completed))
    refunds: Any = log.refunds()

    def refund(refund_id: str, amount_minor: int) -> RefundItem:
        request = RefundRequest("pay-abc123", refund_id, amount_minor, "USD")
        return new_refund(request, message(), "pending", owner="o", now_ms=1, gateway_ref="pi_1")

    def reserved() -> int:
        return int(refunds.payment("txn-pay-abc123").refund_reserved)

    first, second = refund("r-1", 2000), refund("r-2", 600)
    assert refunds.claim_reserved(first, captured_minor=2599) is None
    assert refunds.get(first.transaction_id) == first
    too_much = refunds.claim_reserved(second, captured_minor=2599)
    assert (too_much.refund, too_much.payment) == (None, refunds.payment("txn-pay-abc123"))
    assert refunds.get(second.transaction_id) is None
    again = refunds.claim_reserved(first._replace(owner="another"), captured_minor=2599)
    assert again.refund == first
    assert (reserved(), list(refunds.open_transaction_ids())) == (2000, [first.transaction_id])
    fail = partial(refunds.fail, first, status_seen="pending", reason_code="refund_failed", now=2)
    assert fail(response=GatewayResponse("failed")) is None
    stands = fail(response=GatewayResponse("failed", code="another"))
    assert (stands.status, reserved()) == ("failed", 0)


def test_a_table_that_is_not_there_is_unavailable_and_a_wrong_key_is_refused(clients: Client, table: str) -> None:
    with pytest.raises(TransactionLogUnavailableError, match="ResourceNotFoundException"):
        DynamoDbTransactionLog(clients("dynamodb"), "none").get("txn-1")
    with pytest.raises(TableRefusedError, match="ValidationException"):
        DynamoDbTransactionLog(clients("dynamodb"), table).get("")


def test_rejected_copies_and_delays_arrive(clients: Client, aws: Client) -> None:
    sqs = aws("sqs")
    url = sqs.create_queue(QueueName=f"q-{uuid.uuid4()}.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    SqsRejectedQueue(lambda: clients("sqs"), url).send(message(), 'K\u00f6ln \U0001f600 "', "not_json")
    [received] = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"], VisibilityTimeout=600)["Messages"]
    assert received["Body"] == 'K\u00f6ln \U0001f600 "'
    assert received["MessageAttributes"]["reason_code"]["StringValue"] == "not_json"
    returned = message()._replace(receipt_handle=received["ReceiptHandle"])
    SqsSourceQueue(lambda: clients("sqs"), url).delay([(returned, 0)])
    assert sqs.receive_message(QueueUrl=url)["Messages"][0]["Body"] == received["Body"]


def test_a_queue_that_is_not_there_has_the_services_old_word(clients: Client) -> None:
    with pytest.raises(AwsError) as caught:
        clients("sqs").send_message(QueueUrl="http://127.0.0.1/000000000000/none", MessageBody="a")
    assert caught.value.code in ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist")


def test_secrets_are_texts_and_bytes(clients: Client, aws: Client) -> None:
    manager = aws("secretsmanager")
    text = manager.create_secret(Name=f"text-{uuid.uuid4()}", SecretString="sk_test_K\u00f6ln")
    binary = manager.create_secret(Name=f"bytes-{uuid.uuid4()}", SecretBinary=b"\x00\xffpepper")
    assert read_text(clients("secretsmanager"), text["ARN"]) == "sk_test_K\u00f6ln"
    assert read_pepper(clients("secretsmanager"), binary["ARN"]) == (b"\x00\xffpepper", binary["VersionId"])
    with pytest.raises(AwsError) as caught:
        clients("secretsmanager").get_secret_value(SecretId="none")
    assert caught.value.code == "ResourceNotFoundException"


def test_a_function_that_is_not_there_is_not_started(clients: Client) -> None:
    item = pending().stored()
    arn = f"arn:aws:lambda:{REGION}:000000000000:function:none:live"
    with pytest.raises(ApprovalStartRefusedError, match="ResourceNotFoundException"):
        LambdaApprovalStarter(lambda: clients("lambda"), arn).start(item, item.request)


def test_the_proxys_throttles_are_outlasted_or_an_error_with_their_word(
    services_url: str, support: str, table: str, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = TableFaults({"throttled_claim": "1"}, 1, kill=lambda payment_id: None, throttle_rate=0.0)
    faults.upstream = urlsplit(services_url).netloc
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    with closing(_Stopped(faults)):
        log = DynamoDbTransactionLog(connect(support, faults.url)("dynamodb"), table)
        with pytest.raises(TransactionLogUnavailableError, match="ProvisionedThroughputExceededException"):
            log.put_new(an_item())
        assert log.put_new(an_item()) is None
    assert faults.struck == {"throttled_claim": 3}


class _Stopped:
    def __init__(self, faults: TableFaults) -> None:
        self.close = faults.stop


# ---- broken servers -------------------------------------------------------------------------------------------------

ITEM = b'{"Item": {"transaction_id": {"S": "a"}}}'
GET = {"TableName": "t", "Key": {"transaction_id": {"S": "a"}}}


def whole(body: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\n" + ITEM[:5] + b"\r\n%x\r\n" % len(ITEM[5:])
CHUNKED += ITEM[5:] + b"\r\n0\r\nx-amz-crc32: 1\r\n\r\n"
GOOD = whole(ITEM)


class Server:
    """Gives each request, on whichever connection, the next of `answers`; b"" ends it, None resets it."""

    def __init__(self, answers: Sequence[bytes | None], tls: ssl.SSLContext | None = None) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._answers = iter(answers)
        self._tls = tls
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self._listening.getsockname()[1]}"
        self.requests = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                accepted, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(accepted,), daemon=True).start()

    def _serve(self, accepted: socket.socket) -> None:
        with suppress(OSError, StopIteration), accepted:
            connected = accepted if self._tls is None else self._tls.wrap_socket(accepted, server_side=True)
            with connected as accepted:  # noqa: PLR1704
                accepted.settimeout(LONG)
                while self._read(accepted):
                    self.requests += 1
                    answer = next(self._answers)
                    if answer is None:
                        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        return
                    if not answer or answer.startswith(b"trickle"):
                        self._trickle(accepted, answer)
                        return
                    accepted.sendall(answer)
                    if answer.endswith(b"<cut>"):
                        return

    def _read(self, accepted: socket.socket) -> bool:
        data = b""
        while b"\r\n\r\n" not in data or len(data.partition(b"\r\n\r\n")[2]) < _length(data):
            more = accepted.recv(65_536)
            if not more:
                return False
            data += more
        return True

    def _trickle(self, accepted: socket.socket, answer: bytes) -> None:
        if answer:
            accepted.sendall(whole(b" " * 60_000)[:50])
            while True:
                accepted.sendall(b" ")
                time.sleep(0.02)

    def close(self) -> None:
        self._listening.close()


def _length(data: bytes) -> int:
    lines = data.partition(b"\r\n\r\n")[0].lower().split(b"\r\n")
    return next((int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:")), 0)


FAULTS: dict[str, bytes | None] = {
    "reset": None,
    "ended": b"",
    "truncated chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{<cut>",
    "a balancer's page": whole(b"<html>502</html>", b"502 Bad Gateway"),
    "unavailable, without a word": whole(b"", b"503 Service Unavailable"),
    "an internal error": whole(b'{"__type": "InternalServerError"}', b"500 Internal Server Error"),
}
# The reference takes the first for an answer without an item, and the second, too, when it comes a third time.
UNSEEN_BY_THE_REFERENCE = {
    "truncated": b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{<cut>",
    "another checksum": b"HTTP/1.1 200 OK\r\nx-amz-crc32: 17\r\nContent-Length: 2\r\n\r\n{}",
}
BOTH: list[tuple[str, bytes | None]] = [(support, answer) for support in SUPPORTS for answer in FAULTS.values()]
LEAN: list[tuple[str, bytes | None]] = [("lean", answer) for answer in UNSEEN_BY_THE_REFERENCE.values()]


@pytest.mark.parametrize(("on", "fault"), BOTH + LEAN)
def test_a_fault_that_passes_is_outlasted(on: str, fault: bytes | None, connect: Connect) -> None:
    with closing(Server([fault, fault, GOOD])) as server:
        assert connect(on, server.url)("dynamodb").get_item(**GET)["Item"] == {"transaction_id": {"S": "a"}}
        assert server.requests == 3


@pytest.mark.parametrize(("on", "fault"), BOTH + LEAN)
def test_a_fault_that_stays_is_one_error(on: str, fault: bytes | None, connect: Connect) -> None:
    with closing(Server([fault] * 4)) as server:
        with pytest.raises(AwsError):
            connect(on, server.url)("dynamodb").get_item(**GET)
        assert server.requests == 3


@pytest.mark.parametrize("answer", [GOOD, CHUNKED, whole(ITEM).replace(b"OK\r\n", b"OK\r\nConnection: close\r\n")])
def test_an_answer_is_read_in_every_form_that_http_has(support: str, answer: bytes, connect: Connect) -> None:
    with closing(Server([answer] * 3)) as server:
        client = connect(support, server.url)("dynamodb")
        for _ in range(3):
            assert client.get_item(**GET)["Item"] == {"transaction_id": {"S": "a"}}


def test_bytes_that_trickle_in_do_not_outlast_the_deadline_of_a_call(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The reference has no deadline: each byte is in time for it.
    monkeypatch.setattr(lean_clients, "_ANSWER_SECONDS", 0.2)
    with closing(Server([b"trickle"] * 4)) as server:
        client = connect("lean", server.url)("dynamodb")
        with pytest.raises(AwsError, match=r"GetItem: no answer within 0\.2\d* s"):
            client.get_item(**GET)
        assert server.requests == 3


@pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
def test_tls_is_trusted_by_the_roots_that_are_named_and_no_others(
    support: str, variable: str, tmp_path: Path, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    with closing(Server([GOOD] * 2, context)) as server:
        for known, trusted in ((authority, True), (stranger, False)):
            path = tmp_path / f"{trusted}.pem"
            known.cert_pem.write_to_path(path)
            monkeypatch.setenv(variable, str(path))
            client = connect(support, server.url)("dynamodb")
            if trusted:
                assert "Item" in client.get_item(**GET)
                continue
            with pytest.raises(AwsError, match=r"(?i)certificate"):
                client.get_item(**GET)
