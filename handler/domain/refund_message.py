"""A refund message, from its document to what it asks for, or to every fault that it has; nothing of it is changed.

The rule it keeps: it is masked as a payment is, and an id that masking would change is refused (protocol, "Ids").
"""

from __future__ import annotations

import re
from typing import Final

from handler.domain.card_data import mask_documents
from handler.domain.currencies import DIGITS
from handler.domain.money import AMOUNT_MINOR_MAX, read_amount
from handler.domain.parse import Document, NumberText
from handler.domain.payment import Fault
from handler.domain.ports import FindCardNumbers
from handler.domain.refund_item import RefundRequest
from handler.domain.rules import Rules
from handler.domain.typed import NamedTuple

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,48}")


class RefundRead(NamedTuple):
    """A refund message as it may be kept, and what it asks for; `faults` where it asks for nothing."""

    document: dict[str, Document]
    request: RefundRequest | None
    faults: tuple[Fault, ...]


def read_refund(
    document: dict[str, Document], group_faults: tuple[Fault, ...], rules: Rules, find_card_numbers: FindCardNumbers
) -> RefundRead:
    """Mask and check a document that has `refund` and no payment. Fields that are not known are passed over."""
    inner = document["refund"]
    if not isinstance(inner, dict):
        (masked,) = mask_documents([document], find_card_numbers, rules.id_shapes)
        return RefundRead(masked.document, None, (Fault("refund", "wrong_type"),))
    beside = {name: value for name, value in document.items() if name != "refund"}
    # Its own id is looked at under the name of an id, as the shapes of ids that are declared hold for it too.
    named = {"payment_id": inner.get("refund_id")}
    around, masked, own = mask_documents([beside, inner, named], find_card_numbers, rules.id_shapes)
    kept = {**masked.document, **({"refund_id": own.document["payment_id"]} if "refund_id" in inner else {})}
    faults = [*group_faults, *around.faults, *masked.faults]
    if own.faults:
        faults.append(Fault("refund_id", "card_number"))
    payment_id, refund_id = kept.get("payment_id"), kept.get("refund_id")
    if not _is_id(payment_id) and Fault("payment_id", "card_number") not in faults:
        faults.append(Fault("payment_id", "missing" if payment_id is None else "malformed"))
    if not _is_id(refund_id) and not own.faults:
        faults.append(Fault("refund_id", "missing" if refund_id is None else "malformed"))
    currency = _currency(kept, rules, faults)
    amount_minor = read_amount(kept, currency, AMOUNT_MINOR_MAX, faults)
    request = None if faults else RefundRequest(str(payment_id), str(refund_id), amount_minor, currency)
    return RefundRead({**around.document, "refund": kept}, request, tuple(faults))


def _is_id(value: Document) -> bool:
    return isinstance(value, str) and not isinstance(value, NumberText) and _ID.fullmatch(value) is not None


def _currency(document: dict[str, Document], rules: Rules, faults: list[Fault]) -> str:
    """Any that has a minor unit: what a deployment takes by now says nothing of what it took."""
    value = document.get("currency", rules.limits.currency)
    if isinstance(value, str) and not isinstance(value, NumberText) and value in DIGITS:
        return str(value)
    faults.append(Fault("currency", "unsupported_currency"))
    return ""
