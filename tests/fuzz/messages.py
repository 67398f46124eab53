"""Message reading: a body and its group, from the queue's record to a payment or to every fault.

The rule it keeps: nothing here trusts the reader. Amounts, JSON and card numbers are read a second time by the
simplest code that can, and only what both agree on may be a payment. Input: UTF-8, the group, `\\0`, the body.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable
from decimal import Decimal, InvalidOperation
from typing import Any

from handler.batch import NotABatchError, messages_of
from handler.domain.currencies import DIGITS
from handler.domain.payment import Fault, Message
from handler.domain.reading import Reading, bounded_copy, examine
from handler.domain.rules import Rules
from handler.domain.validate import Limits, from_canonical
from scoring import _compiled
from tests.fuzz.cards import card_like
from tests.support.payments import body

WORDS = (
    '{"payment_id":"p","order_id":"o","customer_id":"c","payment_method":"card","amount":1,',
    '"billing_address":{"street":"","city":"","state":"","zip":""}',
    *(f'"{name}":' for name in ("payment_id", "order_id", "customer_id", "amount", "payment_method", "currency")),
    *(f'"{name}":' for name in ("customer_name", "customer_email", "description", "payment_token", "off_session")),
    *(f'"{name}":' for name in ("gateway_customer_id", "cvv", "pin", "track2", "card", "cid", "name", "value")),
    *(
        "4111111111111111",
        "378282246310005",
        "4111 1111 1111 1111",
        "cvv 123",
        "%B4111111111111111^",
        "pm_1234567890abcd",
    ),
    *(
        "25.99",
        "1e2",
        "0.10",
        "999999999999",
        "1.500",
        "0.001",
        '"USD"',
        '"JPY"',
        '"KWD"',
        '"usd"',
        "true",
        "null",
        "NaN",
    ),
    *("\\u0034", "\\ud800", "\\n", "\\/", "é", "e\u0301", "\u200b", "\uff14", "{", "}", "[", "]", ",", ":", '"', "\0"),
    *('{"Records":[{"body":"{}"}]}', '"attributes":', '"messageId":', '"eventSource":"aws:sqs"'),
)
_LIMITS = Limits("USD", 1_000_000, {"JPY": 10**8, "KWD": 10**7})
RULES = [Rules(limits=_LIMITS), Rules(limits=_LIMITS, canonical_version=2, id_shapes="INV#{13}")]
_FIXED = Message("m-0", body(), "group")


def check(data: bytes) -> set[Hashable]:
    """Read one message under every kind of rules; its faults, or what it pays with."""
    group, _, text = data.decode("utf-8", "replace").rpartition("\0")
    seen: set[Hashable] = {_check_event(text)}
    message = Message("m-1", text, group)
    for rules in RULES:
        reading, fixed, again = examine([message, _FIXED, message], rules, _compiled.find_card_numbers)
        assert _told(again) == _told(reading), "what a message is depends on its place in the batch"
        assert _told(fixed) == _ALONE[rules.canonical_version], "what a message is depends on its batch"
        _check_reading(reading, text, rules)
        validation = reading.validation
        seen |= {(validation.version, fault) for fault in validation.faults}
        if validation.payment is not None:
            seen |= {(name, bool(value)) for name, value in validation.payment._asdict().items()}
            seen |= {validation.payment.currency, (validation.version, len(str(validation.payment.amount_minor)))}
    copy = json.loads(bounded_copy(text, _compiled.find_card_numbers))
    assert not card_like(copy["head"])
    assert copy["bytes"] == len(text.encode())
    return seen


def _told(reading: Reading) -> tuple[Any, ...]:
    return reading.message._replace(message_id=""), reading.masked_body, reading.validation


_ALONE = {rules.canonical_version: _told(examine([_FIXED], rules, _compiled.find_card_numbers)[0]) for rules in RULES}


def _check_reading(reading: Reading, text: str, rules: Rules) -> None:
    validation = reading.validation
    assert (validation.payment is None) == bool(validation.faults)
    document = _strictly(text)
    unreadable = [fault for fault in validation.faults if not fault.field and fault.reason_code != "message_too_large"]
    assert (document is None) == bool(unreadable) or Fault("", "message_too_large") in validation.faults
    for version in (1, 2):
        other = reading.in_version(version)
        assert (other.payment is None) == bool(other.faults)
        if other.payment is not None:
            assert other.payment.request_hash == other.request_hash
    kept = [reading.masked_body, reading.message.group, reading.message.body, validation.canonical]
    declared = re.compile("INV[0-9]{13}" if rules.id_shapes else "(?!)")
    texts = [text for each in kept for text in _texts_in(each) if not declared.fullmatch(text)]
    assert _compiled.find_card_numbers(texts) == [[] for _ in texts], "a card number goes on"
    assert not any(card_like(text) for text in texts), "what anybody would call a card number goes on"
    if document is not None:
        _check_verification_data(document, json.loads(reading.masked_body))
    if validation.payment is not None:
        assert document is not None
        _check_payment(reading, document, rules)


def _check_payment(reading: Reading, document: dict[str, Any], rules: Rules) -> None:
    payment = reading.validation.payment
    assert payment is not None
    amount = document["amount"]
    assert isinstance(amount, Decimal), "what is charged was no number"
    assert amount == Decimal(payment.amount_minor).scaleb(-DIGITS[payment.currency]), "money is not exact"
    maximum = rules.limits.amount_max(payment.currency)
    assert maximum is not None
    assert 0 < payment.amount_minor <= maximum
    named = document.get("currency")
    assert payment.currency == (rules.limits.currency if named is None else named.upper())
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,48}", payment.payment_id)
    assert payment.payment_id == document["payment_id"]
    assert from_canonical(payment.canonical) == payment, "what is stored is another payment"
    # The same text with its fields turned round, and with space between: the same payment.
    turned = json.dumps(dict(reversed(_texts(document).items())), indent=1)
    turned = re.sub(r'"\\u0000([^"\\]*)\\u0000"', r"\1", turned)
    (again,) = examine([reading.message._replace(body=turned)], rules, _compiled.find_card_numbers)
    assert again.validation.request_hash == reading.validation.request_hash, "the order of fields counts"


# A number whose exponent is beyond what Decimal can hold, which is a number all the same: told as infinite below.
_BEYOND = "9e9999999999999999999"


def _texts(document: dict[str, Any]) -> dict[str, Any]:
    """A document with its numbers between zero characters, to be written again as they were."""

    def told(value: Any) -> Any:
        if isinstance(value, Decimal):
            return f"\0{value if value.is_finite() else _BEYOND}\0"
        if isinstance(value, list):
            return [told(each) for each in value]
        return {name: told(each) for name, each in value.items()} if isinstance(value, dict) else value

    return {name: told(value) for name, value in document.items()}


def _check_verification_data(document: dict[str, Any], masked: dict[str, Any]) -> None:
    """The plainest of all cases: a security code by its name at the top of the message."""
    for name in ("cvv", "cvc", "cvv2", "cvc2", "cav2"):
        value = document.get(name)
        if isinstance(value, str) and re.fullmatch("[0-9]{3,4}", value):
            assert masked[name] != value, "a security code goes on"


def _texts_in(kept: str) -> list[str]:
    """The texts of a document, its keys among them, or what is no document, as one."""
    try:
        left = [json.loads(kept)]
    except ValueError:
        return [kept]
    found: list[str] = []
    while left:
        value = left.pop()
        found += [value] if isinstance(value, str) else []
        left += [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []
    return found


def _strictly(text: str) -> dict[str, Any] | None:
    """The document as `json` reads it with every liberty taken away; None where it is none."""

    class Refused(ValueError):
        pass

    def constant(_name: str) -> None:
        raise Refused

    def number(text: str) -> Decimal:
        try:
            return Decimal(text)
        except InvalidOperation:
            return Decimal("Infinity")

    def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in pairs}) < len(pairs):
            raise Refused
        return dict(pairs)

    try:
        document = json.loads(
            text, parse_int=Decimal, parse_float=number, parse_constant=constant, object_pairs_hook=distinct
        )
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) and _depth(document) <= 16 else None


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, inner), default=0) if isinstance(value, dict | list) else 0


def _check_event(text: str) -> Hashable:
    """A whole event: it is a batch, or refused by a sentence that repeats nothing of it."""
    try:
        event = json.loads(text)
    except (ValueError, RecursionError):
        return "no JSON"
    try:
        messages = messages_of(event, lambda: "new")
    except NotABatchError as refused:
        assert len(str(refused)) < 200  # noqa: PT017
        return re.sub("[0-9]", "", str(refused))
    records = event.get("Records", [])
    assert [message.body for message in messages] == [record["body"] for record in records]
    assert all(message.receives >= 1 for message in messages)
    return len(messages)
