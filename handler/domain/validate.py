"""From a masked document to a payment or to every fault it has, in one pass; stores nothing that is not known."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from handler.domain.canonical import ADDRESS_TEXTS, REQUIRED_TEXTS, canonical_text, text_hash, version_rules
from handler.domain.money import AMOUNT_MINOR_MAX, read_amount
from handler.domain.parse import Document, NumberText
from handler.domain.payment import Address, Fault, Payment, Stated
from handler.domain.typed import NamedTuple

_PAYMENT_ID = re.compile(r"[A-Za-z0-9_-]{1,48}")
_PAYMENT_METHOD = re.compile(r"[a-z][a-z0-9_]{0,31}")
_CURRENCY = re.compile(r"[A-Z]{3}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_TOKEN = re.compile(r"(?:pm|card|src)_[A-Za-z0-9_]+")

_LIMIT_FAULTS: Final = frozenset({"amount_too_large", "unsupported_currency", "card_number"})


class Limits(NamedTuple):
    """What a deployment accepts: the currency of messages that name none, others, and each one's largest amount.

    Amounts are in minor units.
    """

    currency: str = "USD"
    amount_max_minor: int = 1_000_000
    others: Mapping[str, int] = MappingProxyType({})
    # The gateway charges an instrument, which the message must name in `payment_token`.
    needs_token: bool = False

    def amount_max(self, currency: str) -> int | None:
        """The largest amount in a currency; None: it is not taken."""
        return self.amount_max_minor if currency == self.currency else self.others.get(currency)


class Validation(NamedTuple):
    """`payment` or `faults`, never both; `payment_id` is empty where the message has no usable one.

    `beyond_limits` is the payment that it would be under wider limits, if they are all that is against it. `version`
    is that of the canonical text behind `request_hash`, which `canonical` is. `stated` is what was valid beside the
    faults.
    """

    payment_id: str
    request_hash: str
    payment: Payment | None
    faults: tuple[Fault, ...]
    beyond_limits: Payment | None = None
    version: int = 1
    canonical: str = ""
    stated: Stated = Stated()

    @property
    def claimed(self) -> Payment | None:
        """The payment that its item was claimed as, whatever the limits are by now."""
        return self.payment or self.beyond_limits


def validate(
    document: dict[str, Document],
    limits: Limits,
    version: int = 1,
    card_faults: Sequence[Fault] = (),
    as_declared: dict[str, Document] | None = None,
) -> Validation:
    """Check a masked document and report every fault with its field and reason code.

    `version` is that of the canonical text, which decides the spellings and fields too. `card_faults` are what masking
    found. With `as_declared`, the document as if its ids had been declared, shapes of ids are limits too. Raises
    UnknownItemError where only newer code knows the version.
    """
    rules = version_rules(version)
    document = rules.spelled(document)
    faults = [fault for fault in card_faults if fault.reason_code == "card_number"]
    payment_id = _payment_id(document, faults)
    texts = {name: _text(document, name, length, faults, required=True) for name, length in REQUIRED_TEXTS.items()}
    texts |= {name: _text(document, name, length, faults) for name, length in rules.optional_texts.items()}
    off_session = _flag(document, "off_session", faults) if "off_session" in rules.flags else None
    if texts["payment_method"] and not _PAYMENT_METHOD.fullmatch(texts["payment_method"]):
        faults.append(Fault("payment_method", "malformed"))
    if limits.needs_token:
        _instrument(texts.get("payment_token", ""), texts.get("gateway_customer_id", ""), faults)
    currency = _currency(document, limits)
    amount_max = limits.amount_max(currency)
    # What is not taken has in version 1's text the amount and the faults that 0.1 saw: two digits, and its one limit.
    read_in = "" if amount_max is None and rules.tells_faults else currency
    amount_minor = read_amount(document, read_in, amount_max or limits.amount_max_minor, faults)
    if "currency" in document and (amount_max is None or document["currency"] != currency):
        faults.append(Fault("currency", "unsupported_currency"))
    address = _address(document, faults)
    faults += [fault for fault in card_faults if fault.reason_code != "card_number"]

    canonical = canonical_text(document, amount_minor, read_in, faults, version, absent=limits.currency)
    request_hash = text_hash(canonical)
    if faults:
        widest = Limits(currency, AMOUNT_MINOR_MAX)
        can_be_wider = limits != widest or as_declared is not None
        # Any, not all: an amount of another currency's digits is malformed here and none there. An instrument that this
        # gateway cannot charge was none of another gateway's matter.
        is_limited = can_be_wider and (
            limits.needs_token or any(fault.reason_code in _LIMIT_FAULTS for fault in faults)
        )
        left = [fault for fault in card_faults if as_declared is None or fault.reason_code != "card_number"]
        beyond_limits = validate(as_declared or document, widest, version, left).payment if is_limited else None
        stated = _stated(texts, amount_minor, currency, faults)
        return Validation(payment_id, request_hash, None, tuple(faults), beyond_limits, version, canonical, stated)
    payment = Payment(
        payment_id=payment_id,
        amount_minor=amount_minor,
        currency=currency,
        billing_address=address,
        version=version,
        request_hash=request_hash,
        canonical=canonical,
        off_session=off_session,
        **texts,
    )
    return Validation(payment_id, request_hash, payment, (), version=version, canonical=canonical)


def from_canonical(canonical: str) -> Payment:
    """The payment behind stored canonical text, in the text's own version. Raises ValueError where it is none.

    Its hash is that of the text as it stands, which is never built anew. It kept the limits of its time: those that
    hold today do not take it back. Raises UnknownItemError where only newer code knows the version.
    """
    document = json.loads(canonical, parse_int=NumberText, parse_float=NumberText)
    version = document.get("v")
    if not isinstance(version, NumberText) or not re.fullmatch(r"[0-9]{1,6}", version):
        raise ValueError(f"no canonical text: its version is {version!r}")
    result = validate(document, Limits(document.get("currency", ""), AMOUNT_MINOR_MAX), int(version))
    if result.payment is None:
        raise ValueError(f"not a canonical payment: {result.faults}")
    return result.payment._replace(canonical=canonical, request_hash=text_hash(canonical))


def _stated(texts: dict[str, str], amount_minor: int, currency: str, faults: list[Fault]) -> Stated:
    faulty = {fault.field for fault in faults}
    return Stated(
        "" if "order_id" in faulty else texts["order_id"],
        "" if "customer_id" in faulty else texts["customer_id"],
        0 if {"amount", "currency"} & faulty else amount_minor,
        "" if "currency" in faulty else currency,
    )


def _payment_id(document: dict[str, Document], faults: list[Fault]) -> str:
    value = document.get("payment_id")
    if Fault("payment_id", "card_number") in faults:
        return ""
    if isinstance(value, str) and not isinstance(value, NumberText) and _PAYMENT_ID.fullmatch(value):
        return value
    faults.append(Fault("payment_id", "missing" if value is None else "malformed"))
    return ""


def _text(
    source: dict[str, Document],
    name: str,
    length_max: int,
    faults: list[Fault],
    *,
    path: str = "",
    required: bool = False,
) -> str:
    path = path or name
    value = source.get(name)
    if value is None:
        if required:
            faults.append(Fault(path, "missing"))
        return ""
    if not isinstance(value, str) or isinstance(value, NumberText):
        faults.append(Fault(path, "wrong_type"))
    elif required and not value.strip():
        faults.append(Fault(path, "empty"))
    elif len(value) > length_max:
        faults.append(Fault(path, "too_long"))
    elif _SURROGATE.search(value):
        faults.append(Fault(path, "lone_surrogate"))
    elif _CONTROL.search(value):
        faults.append(Fault(path, "control_character"))
    else:
        return value
    return ""


def _flag(document: dict[str, Document], name: str, faults: list[Fault]) -> bool | None:
    value = document.get(name)
    if value is None or isinstance(value, bool):
        return value
    faults.append(Fault(name, "wrong_type"))
    return None


def _instrument(token: str, customer: str, faults: list[Fault]) -> None:
    """A fault where a payment's instrument cannot be charged: it must be one that can be used again."""
    kind = token.partition("_")[0]
    if any(fault.field in ("payment_token", "gateway_customer_id") for fault in faults):
        return
    if not token:
        faults.append(Fault("payment_token", "token_missing"))
    elif kind in ("tok", "ctoken"):
        faults.append(Fault("payment_token", "single_use_token"))
    elif not _TOKEN.fullmatch(token):
        faults.append(Fault("payment_token", "malformed"))
    elif kind != "pm" and not customer:
        faults.append(Fault("gateway_customer_id", "missing"))


def _currency(document: dict[str, Document], limits: Limits) -> str:
    """The one that is named, or the deployment's where none is, or something else than a code."""
    value = document.get("currency")
    is_code = isinstance(value, str) and not isinstance(value, NumberText) and _CURRENCY.fullmatch(value)
    return str(value) if is_code else limits.currency


def _address(document: dict[str, Document], faults: list[Fault]) -> Address | None:
    value = document.get("billing_address")
    if value is None:
        return None
    if not isinstance(value, dict):
        faults.append(Fault("billing_address", "wrong_type"))
        return None
    return Address(
        **{
            name: _text(value, name, length, faults, path=f"billing_address.{name}")
            for name, length in ADDRESS_TEXTS.items()
        }
    )
