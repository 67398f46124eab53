"""What a gateway answers, from its bytes on the wire to a result: whole, ours and exact, or an error that says which.

The rule it keeps: `http.client` is the second reader of the bytes, and of the intent every claim is checked again from
its JSON. Input: the call (`c`, `s`, `x`, `p`, `f`, `r`, `l`, `d`), a number that says how the bytes arrive, then the
bytes, in which `{n}` is the length of what is behind the first empty line.
"""

from __future__ import annotations

import http.client
import io
import json
import re
from collections.abc import Callable, Hashable
from typing import Any

from handler.adapters.connection import Answer as Whole
from handler.adapters.connection import BadAnswerError, NoAnswerError, read_answer
from handler.adapters.gateways import deadline_connection
from handler.adapters.gateways.stripe import StripeGateway
from handler.domain.errors import GatewayAnswerError, RetryableError
from handler.domain.payment import GatewayResult, Payment

_KEY = "sk_test_51Secret0000000000"
_REF = "pi_1"
_INTENT = (
    '{"id":"pi_1","object":"payment_intent","amount":2599,"amount_received":2599,"currency":"usd","livemode":false,'
    '"status":"succeeded","metadata":{"environment":"dev","payment_id":"p-1"},"latest_charge":{"id":"ch_1","created":1700000000}}'
)
WORDS = (
    *(
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 402 \r\n",
        "HTTP/1.0 200\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 500 E\r\n",
    ),
    *(
        "Content-Length: {n}\r\n",
        "Content-Length: ",
        "Transfer-Encoding: chunked\r\n",
        "Connection: close\r\n",
        "Idempotent-Replayed: true\r\n",
        "\r\n",
    ),
    *(
        "\r\n\r\n",
        "0\r\n\r\n",
        "5;x=y\r\n",
        "ffffffffffffffff\r\n",
        "\n",
        "\r",
        "Request-Id: req_1\r\n",
        " ",
        "\t",
        "\0",
        ":",
        _INTENT,
    ),
    *('"amount":', '"amount_received":', '"currency":"usd"', '"livemode":true', '"status":"', "succeeded", "canceled"),
    *(
        "requires_payment_method",
        "requires_confirmation",
        "processing",
        '"last_payment_error":{"code":"card_declined"}',
    ),
    *(
        '"error":{"type":"invalid_request_error","code":"',
        '"payment_intent":',
        "2599",
        "2599.0",
        "true",
        "null",
        "1e400",
        "NaN",
    ),
    *(
        '"metadata":{"environment":"prod"}',
        '"id":"pi_1"',
        '"id":"re_1"',
        '"payment_intent":"pi_1"',
        "\\ud800",
        "\u017f",
        "{",
        "}",
    ),
    *(
        '"created":',
        '"authorization_code":"',
        '"latest_charge":"ch_2"',
        "4111111111111111",
        "-1",
        "c",
        "s",
        "x",
        "p",
        "f",
        "r",
        "l",
        "d",
        '"has_more":false',
        '"amount_refunded":',
        '"data":[',
    ),
)
_BODY_BYTES_MAX = 65_536
_WORD = re.compile(r"[A-Za-z0-9_.\[\]-]{0,64}")
_STATES = {
    "approved": {"succeeded"},
    "declined": {"requires_payment_method"},
    "cancelled": {"canceled"},
    "in_progress": {"processing"},
    "requires_action": {"requires_action"},
    "prepared": {"requires_confirmation"},
}


def check(data: bytes) -> set[Hashable]:
    """Read one answer as HTTP, and as what Stripe says to one call; what it comes to."""
    call, step, raw = data[:1], data[1:2], data[2:]
    raw = raw.replace(b"{n}", b"%d" % len(raw.partition(b"\r\n\r\n")[2]))
    arriving = _read(raw, 1 + (step or b"\0")[0] % 64)
    assert _read(raw, len(raw) + 1)[:2] == arriving[:2], "an answer depends on how its bytes arrive"
    whole, may_keep, refused = arriving
    if whole is None:
        return {refused}
    _check_http(raw, whole, may_keep)
    return {whole.status_code, may_keep, len(whole.headers), _check_stripe(call, whole)}


def _read(raw: bytes, step: int) -> tuple[Whole | None, bool, str]:
    """The answer, whether the connection may be kept, only where nothing is left behind it, and what is against it."""
    source = io.BytesIO(raw)
    try:
        answer, may_keep = read_answer(lambda: source.read(step), _BODY_BYTES_MAX)
    except (BadAnswerError, NoAnswerError) as error:
        return None, False, str(error)
    # Bytes that have not been asked for yet are found when the connection is used next.
    return answer, may_keep and not source.read(1), ""


class _Socket:
    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._raw)


def _check_http(raw: bytes, whole: Whole, may_keep: bool) -> None:
    assert 200 <= whole.status_code <= 999
    assert len(whole.body) <= _BODY_BYTES_MAX
    assert all(
        name == name.lower() and "\n" not in value and "\r" not in value for name, value in whole.headers.items()
    )
    if re.search(rb"[ \t]\r\n", raw):
        return  # at the end of a value it is none of it (RFC 9110, section 5.5), but http.client keeps it
    response = http.client.HTTPResponse(_Socket(raw), method="POST")  # type: ignore[arg-type]
    try:
        response.begin()
        body = response.read()
    except (http.client.HTTPException, ValueError):
        return
    assert response.status == whole.status_code, "the two readers see another status"
    assert body == whole.body, "the two readers see another body"
    assert not (may_keep and response.will_close), "a connection is kept that the other reader closes"


def _without(words: list[str], text: str) -> str:
    """The text with NUL for each letter of the answer's own words, which may be told and can look like a part of it."""
    known = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    return re.sub(rf"(?<!\w)(?:{known})(?!\w)", lambda found: "\0" * len(found[0]), text) if known else text


def _check_stripe(call: bytes, whole: Whole) -> Hashable:
    try:
        answer = deadline_connection.Answer(
            whole.status_code, deadline_connection._document(whole.status_code, whole.body), whole.headers
        )
    except GatewayAnswerError as error:
        return str(error)
    lines: list[str] = []
    gateway = StripeGateway(
        lambda: _KEY, mode="test", environment="dev", url="http://127.0.0.1:1", logger=_logger(lines)
    )
    gateway.connection.call = lambda *_: answer  # type: ignore[method-assign]
    payment = Payment("p-1", "o", "c", 2599, "USD", "card", payment_token="pm_1")
    calls: dict[bytes, Callable[[], Any]] = {
        b"s": lambda: gateway.status(_REF),
        b"x": lambda: gateway.cancel(_REF),
        b"p": lambda: gateway.prepare(payment, "key"),
        b"f": lambda: gateway.find("p-1"),
        b"r": lambda: gateway.refund(_REF, 2599, "USD", "refund-1", "key"),
        b"l": lambda: gateway.refunds(_REF),
        b"d": lambda: gateway.disputes(_REF),
    }
    try:
        found = calls.get(call, lambda: gateway.charge(_REF, "key"))()
    except RetryableError as error:
        found, said = None, f"{error} {' '.join(lines)}"
    else:
        said = " ".join(lines)
        if call in (b"l", b"d"):
            _check_later(found, answer.document, call == b"d")
        else:
            _check_result(found, answer)
    assert _KEY not in said, "a key is told"
    texts = list(_texts(answer.document))
    words = [text for text in texts if _WORD.fullmatch(text)]
    for text in texts:
        free = _without(words, text)
        assert len(free.strip("\0 ")) < 12 or free not in _without(words, said), "free text of others is told"
    return (
        call,
        re.sub("[0-9]", "", said.partition("[")[0])[:60],
        found and found[0] if not isinstance(found, list) else len(found),
    )


def _check_result(found: Any, answer: deadline_connection.Answer) -> None:
    """What was taken for a result stands so in the answer, and in numbers that are whole."""
    intent: Any = answer.document
    if isinstance(found, list):
        assert answer.status_code == 200
        assert intent["has_more"] is False, "there is more than was looked at"
        ours = {"payment_id": "p-1", "environment": "dev"}
        of_us = [
            each["id"]
            for each in intent["data"]
            if isinstance(each, dict)
            and isinstance(each.get("metadata"), dict)
            and ours.items() <= each["metadata"].items()
        ]
        assert found == of_us, "another payment's reference, or not all of this one's"
        assert all(re.fullmatch(r"pi_[A-Za-z0-9]{1,128}", each) for each in found)
        return
    if answer.status_code != 200:
        intent = answer.document["error"]["payment_intent"]
    if isinstance(found, str):
        assert answer.status_code == 200
        assert re.fullmatch(r"pi_[A-Za-z0-9]{1,128}", found)
        assert intent["id"] == found
        assert intent["metadata"]["payment_id"] == "p-1"
        found = GatewayResult("prepared", 2599, "USD")
    elif not isinstance(found, GatewayResult):
        assert (found.amount_minor, found.currency) == (2599, "USD")
        assert intent["metadata"]["refund_id"] == "refund-1"
        assert _is_amount(intent["amount"], 2599)
        assert re.fullmatch("(?i)usd", intent["currency"], re.ASCII)
        return
    else:
        assert intent["id"] == _REF
        assert intent["status"] in _STATES[found.state]
    assert intent["livemode"] is False
    assert intent["metadata"]["environment"] == "dev"
    assert re.fullmatch("[A-Za-z]{3}", intent["currency"]), "a currency that is no code"
    assert found.currency == intent["currency"].upper()
    assert found.currency in ("MGA", "ISK", "UGX") or _is_amount(intent["amount"], found.amount_minor)
    assert found.state != "approved" or _is_amount(intent["amount_received"], intent["amount"]), "captured in part"
    assert 0 <= found.refunded_minor <= found.amount_minor
    assert all(
        _WORD.fullmatch(each) for each in (found.code, found.decline_code, found.request_id, found.authorization_code)
    )
    assert not found.timestamp or re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z", found.timestamp)


def _check_later(found: Any, page: dict[str, Any], are_disputes: bool) -> None:
    """A list of refunds or disputes is all that stands in the answer, in the other order."""
    assert page["has_more"] is False, "there is more than was looked at"
    assert len(found) == len(page["data"]) == len({each["id"] for each in page["data"]})
    for one, said in zip(reversed(found), page["data"], strict=True):
        assert one[0] == said["id"]
        assert said["payment_intent"] == _REF, "another payment's"
        assert one.currency in ("MGA", "ISK", "UGX") or _is_amount(said["amount"], one.amount_minor)
        assert one.amount_minor > 0
        assert one.created_at == 1000 * said["created"]
        if are_disputes:
            assert said["livemode"] is False
            assert _WORD.fullmatch(one.reason)
        else:
            assert one.refund_id in ("", said["metadata"].get("refund_id") if said.get("metadata") else "")
            assert not one.refund_id or said["metadata"]["environment"] == "dev"


def _is_amount(value: object, expected: int) -> bool:
    """A whole number of JSON: `true` and `1.0` are none."""
    return type(value) is int and value == expected


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for each in value.values() for text in _texts(each)]
    if isinstance(value, list):
        return [text for each in value for text in _texts(each)]
    return [value] if isinstance(value, str) else []


class _Logger:
    def __init__(self, lines: list[str]) -> None:
        self._lines = lines

    def info(self, message: str, extra: dict[str, Any]) -> None:
        self._lines.append(json.dumps([message, extra]))


def _logger(lines: list[str]) -> Any:
    return _Logger(lines)
