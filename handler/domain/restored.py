"""After the table was restored: what the gateway has of a payment whose item says nothing of it.

Protocol, "A restored table". The rule it keeps: the gateway's search names references and decides nothing; the state of
each is asked by reference, and that there is none counts for what was there long before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from handler.domain.errors import FoundOtherContentError, RestoreTooRecentError
from handler.domain.item import Item
from handler.domain.payment import GatewayResult, Payment
from handler.domain.ports import Clock, Notifier, PaymentGateway
from handler.domain.rules import Rules
from handler.domain.typed import NamedTuple

# Stripe's search is "up to an hour behind during outages" ("Search PaymentIntents"), and no call is on its way so long.
FOUND_AFTER_MS: Final = 60 * 60 * 1000
# Which of several references is the payment's. What ended has ended: one that nobody charged comes last.
_ORDER: Final = ("approved", "in_progress", "requires_action", "declined", "cancelled", "prepared")
# What was charged, or may be: over another amount, another payment had the id.
_CHARGED: Final = ("approved", "in_progress", "requires_action", "declined")


class Found(NamedTuple):
    """A payment's reference, and what the gateway says of it."""

    gateway_ref: str
    result: GatewayResult


class LookUp(NamedTuple):
    """What a look-up works with: `gateway` is called when it is asked, `require_time` before each call."""

    rules: Rules
    gateway: Callable[[], PaymentGateway]
    clock: Clock
    notifier: Notifier
    require_time: Callable[[], None]


def find(payment: Payment | Item, look_up: LookUp) -> Found | None:
    """What the gateway has of a payment whose item has no reference; None where it has nothing. Only while restored.

    Raises RestoreTooRecentError while a search may still lack what was charged before, FoundOtherContentError where
    the payment's id was charged over another amount, and the errors of the gateway's `find` and `status`.
    """
    rules, name = look_up.rules, payment.transaction_id
    if not rules.restored_at_ms:
        return None
    if look_up.clock.now_ms() < rules.restored_at_ms + FOUND_AFTER_MS:
        raise RestoreTooRecentError(f"{name} may have been charged before the restore, and cannot be looked for yet")
    found = _all_of(payment.payment_id, look_up)
    captured = [each.gateway_ref for each in found if each.result.state == "approved"]
    if len(captured) > 1:
        look_up.notifier.alarm("captured_twice", name, f"the gateway captured {name} under {', '.join(captured)}")
    asked = (payment.amount_minor, payment.currency)
    own = [each for each in found if (each.result.amount_minor, each.result.currency) == asked]
    others = [each for each in found if each not in own and each.result.state in _CHARGED]
    first = min(own, key=lambda each: _ORDER.index(each.result.state), default=None)
    if others and (first is None or first.result.state != "approved"):
        said = others[0].result
        raise FoundOtherContentError(
            f"{others[0].gateway_ref} of {name} is {said.state} over {said.amount_minor} {said.currency}, the payment "
            f"is {payment.amount_minor} {payment.currency}, in minor units: it is another payment"
        )
    return first


def _all_of(payment_id: str, look_up: LookUp) -> list[Found]:
    gateway = look_up.gateway()
    look_up.require_time()
    found = []
    for gateway_ref in gateway.find(payment_id):
        look_up.require_time()
        found.append(Found(gateway_ref, gateway.status(gateway_ref)))
    return found
