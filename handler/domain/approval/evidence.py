"""What people who decide are shown of a payment beside its score: whose it is, and which of its texts rules hit.

The rule it keeps: nothing that the deployment's policy keeps back, and nothing but masked, bounded text, as it stays in
the item when the payment's own text is gone.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Final

from handler.domain.approval.ports import Evidence
from handler.domain.card_data import mask_texts
from handler.domain.errors import ScoringError
from handler.domain.payment import Payment, Shown
from handler.domain.ports import FindCardNumbers

# What a policy may allow of the customer.
CUSTOMER: Final = ("name", "email", "address")
# A longer text says no more, and an item has a largest size.
TEXT_LENGTH_MAX: Final = 200
# The fields that rules look at which are a part of it.
_PART_OF: Final = {
    "customer_name": "name",
    "customer_email": "email",
    **dict.fromkeys(("street", "city", "state", "zip"), "address"),
}


def shown(
    payment: Payment, rule_ids: Sequence[int], shows: Set[str], evidence: Evidence, find_card_numbers: FindCardNumbers
) -> Shown:
    """What is shown of a payment and of what these rules hit; `shows` are the names of CUSTOMER that policy allows."""
    try:
        hits = evidence.hits(payment, rule_ids)
    except ScoringError:
        # People decide without it, as they do without a score.
        hits = []
    address = payment.billing_address
    customer = {
        "name": payment.customer_name,
        "email": payment.customer_email,
        "address": ", ".join(filter(None, address)) if address else "",
    }
    texts = [text if part in shows else "" for part, text in customer.items()]
    texts += [hit.text if _PART_OF.get(hit.field) in (None, *shows) else "" for hit in hits]
    masked = mask_texts(texts, find_card_numbers)
    # Once more when cut: what is left of a longer run of digits may be a card number by itself.
    words = mask_texts([_cut(text) for text in masked[len(customer) :]], find_card_numbers)
    of_rules = zip(hits, words, strict=True)
    name, email, where = masked[: len(customer)]
    return Shown(name, email, where, tuple(hit._replace(text=text) for hit, text in of_rules))


def _cut(text: str) -> str:
    return text if len(text) <= TEXT_LENGTH_MAX else f"{text[: TEXT_LENGTH_MAX - 1]}\u2026"
