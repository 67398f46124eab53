"""What came after a charge, into the item: what was given back and what was disputed, whoever did it.

Protocol, "After the charge". The rule it keeps: no state changes because of it, and nothing follows from a list that
cannot be all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from handler.domain.approval.ports import LaterLog
from handler.domain.charge import settled
from handler.domain.errors import GatewayAnswerError, OwnershipLostError
from handler.domain.item import Item
from handler.domain.payment import Dispute, DisputeSeen, GatewayResult, Refund, RefundSeen
from handler.domain.ports import Clock, Ports

Later = Literal["contradicted", "refunded", "disputed"]


def look_again(
    item: Item,
    ports: Ports,
    log: LaterLog,
    require_time: Callable[[], None],
    see_refunds: Callable[[list[Refund]], None],
) -> list[Later]:
    """Ask what came after the charge of a payment that ended, and write what is new; what was found, if anything.

    `item` was read before; `require_time` is asked before each further call of the gateway. `see_refunds` is given the
    gateway's refunds before anything is written here: of two looks at once one is refused that, and ends. Calling again
    is safe, in any order. Raises the retryable errors of gateway and log, GatewayAnswerError for what cannot be all,
    and OwnershipLostError where another look was quicker.
    """
    if item.final_status is None or not item.gateway_ref:
        return []
    gateway = ports.gateway
    result = gateway.status(item.gateway_ref)
    if (result.state == "approved") != (item.status == "completed"):
        ports.notifier.alarm(
            "outcome_contradicts_record",
            item.transaction_id,
            f"recorded {item.status} for {item.gateway_ref}, gateway says {result.state}",
        )
        return ["contradicted"]
    if item.status != "completed":
        return []
    result = settled(result, item.amount_minor, item.currency)
    require_time()
    refunds = gateway.refunds(item.gateway_ref)
    see_refunds(refunds)
    _require_all(item, [row.refund_ref for row in item.refunded], [each.refund_ref for each in refunds])
    _require_amounts(item, result, refunds)
    disputes: list[Dispute] = []
    if result.disputed or item.disputed:
        require_time()
        disputes = gateway.disputes(item.gateway_ref)
    _require_all(item, [row.dispute_ref for row in item.disputed], [each.dispute_ref for each in disputes])
    return _record(item, refunds, disputes, ports.clock, log)


def _record(
    item: Item, refunds: Sequence[Refund], disputes: Sequence[Dispute], clock: Clock, log: LaterLog
) -> list[Later]:
    found: list[Later] = []
    now = clock.now_ms()
    refunded, disputed = _refunds_seen(item, refunds, now), _disputes_seen(item, disputes, now)
    if refunded != item.refunded:
        refused = log.record_refunded(
            item.transaction_id,
            gateway_ref=item.gateway_ref,
            later_no_seen=item.later_no,
            refunded=refunded,
            now=clock.now_ms(),
        )
        # Refused by the very item that it wrote: the answer was lost and the client sent it again.
        if refused is not None and refused.refunded != refunded:
            raise _overtaken(item)
        found.append("refunded")
    if disputed != item.disputed:
        seen = item.later_no + len(found)
        refused = log.record_disputed(
            item.transaction_id, gateway_ref=item.gateway_ref, later_no_seen=seen, disputed=disputed, now=clock.now_ms()
        )
        if refused is not None and refused.disputed != disputed:
            raise _overtaken(item)
        found.append("disputed")
    return found


def _require_all(item: Item, known: Sequence[str], listed: Sequence[str]) -> None:
    if missing := set(known) - set(listed):
        raise GatewayAnswerError(f"the gateway's list for {item.gateway_ref} lacks {', '.join(sorted(missing))}")


def _require_amounts(item: Item, result: GatewayResult, refunds: Sequence[Refund]) -> None:
    """`result` was asked for first: what was given back then is in the list, unless it failed in between."""
    given_back = sum(refund.amount_minor for refund in refunds if refund.state != "failed")
    if not result.refunded_minor <= given_back <= item.amount_minor:
        raise GatewayAnswerError(
            f"the gateway lists {given_back} as given back of {item.gateway_ref}, and says that it is "
            f"{result.refunded_minor} of {item.amount_minor}"
        )
    if any(refund.currency != item.currency for refund in refunds):
        raise GatewayAnswerError(f"the gateway lists refunds of {item.gateway_ref} in other than {item.currency}")


def _refunds_seen(item: Item, refunds: Sequence[Refund], now: int) -> tuple[RefundSeen, ...]:
    last = {row.refund_ref: (row.state, row.amount_minor) for row in item.refunded}
    new = (
        RefundSeen(each.refund_ref, each.refund_id, each.state, each.amount_minor, each.created_at, now)
        for each in refunds
        if last.get(each.refund_ref) != (each.state, each.amount_minor)
    )
    return (*item.refunded, *new)


def _disputes_seen(item: Item, disputes: Sequence[Dispute], now: int) -> tuple[DisputeSeen, ...]:
    last = {row.dispute_ref: (row.state, row.amount_minor, row.currency) for row in item.disputed}
    new = (
        DisputeSeen(*each, now)
        for each in disputes
        if last.get(each.dispute_ref) != (each.state, each.amount_minor, each.currency)
    )
    return (*item.disputed, *new)


def _overtaken(item: Item) -> OwnershipLostError:
    return OwnershipLostError(f"another look at {item.transaction_id} was quicker")
