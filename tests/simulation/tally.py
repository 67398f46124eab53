"""What a history met, counted: what came after charges, wake-ups, outcome events, and a payment's own calls.

The rule: a call is counted as a payment's own only where nothing failed beside it, so that a number of calls is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from tests.simulation.refund_traffic import has_refunds

if TYPE_CHECKING:
    from tests.simulation.queue import Message
    from tests.simulation.simulation import Simulation
    from tests.simulation.world import Invocation

# Of histories in which every rule holds, in the order of the record.
KINDS: Final = (
    "seeds_with_refunds",
    "refunds_asked",
    "refunds_made",
    "refunds_made_at_the_gateway",
    "refunds_returned_by_the_bank",
    "disputes",
    "debits_settled_later",
    "webhooks_delivered",
    "webhooks_repeated",
    "webhooks_out_of_order",
    "events_that_are_not_ours",
    "outcome_events",
    "payments_without_faults",
)
# Of those that fail.
DIFFERENCES: Final = "events_other_than_items"
# "The queue function" in docs/protocol.md: claim, prepare, store gateway reference, charge, record.
CALLS_OF_A_PAYMENT: Final = 5


def count_history(simulation: Simulation) -> None:
    """What came after the charges of a history that is over."""
    world, gateway = simulation.world, simulation.gateway
    given = list(gateway.refunds.given.values())
    asked = {sent.refund.key for sent in simulation.sent if sent.refund is not None and sent.refund.is_valid}
    world.tally.update(
        seeds_with_refunds=int(has_refunds(world)),
        refunds_asked=len(asked),
        refunds_made=sum(each.refund_id != "" for each in given),
        refunds_made_at_the_gateway=sum(each.refund_id == "" for each in given),
        refunds_returned_by_the_bank=sum(each.was_refunded and each.state == "failed" for each in given),
        disputes=sum(len(gateway.later.disputes(gateway_ref)) for gateway_ref in gateway.intents),
        debits_settled_later=sum(intent.ended_at > 0 for intent in gateway.intents.values()),
    )


def count_calls(simulation: Simulation, invocation: Invocation, batch: Sequence[Message]) -> None:
    """The calls of an invocation of the queue function, if it charged each of its messages' payments without a fault.

    By name, to the table, the gateway and queues, prepares sent ahead too; receiving and deleting are not its own.
    """
    world = simulation.world
    if world.restored_at or len(world.fired) > invocation.faults_before:
        return
    for message in batch:
        item = simulation.table.item(f"txn-{message.sent.payment_id}") or {}
        is_charged = item.get("status") == "completed" and item["attempt"] == 1 and message.sent.refund is None
        if not is_charged or item["owner"] != f"{invocation.name}:{message.message_id}":
            return
        if simulation.gateway.intents[item["gateway_ref"]].was_asked:
            return
    world.tally["payments_without_faults"] += len(batch)
    world.calls.update(invocation.requests)
