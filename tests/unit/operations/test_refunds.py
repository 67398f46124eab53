"""Refunds from the command line: what is sent is a refund to the function, and what is shown is its item."""

from __future__ import annotations

from typing import Any

import pytest

from handler.domain.errors import ApprovalRefusedError, GatewayRefusedError
from handler.domain.payment import Message
from operations.refunds import find_refund, refund_lines, send_refund
from tests.support.payments import send
from tests.support.refunds import RefundWorld, completed


class Queue:
    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def send_message(self, **request: Any) -> dict[str, str]:
        self.sent.append(request)
        return {"MessageId": f"m-{len(self.sent)}"}


def deliver(world: RefundWorld, queue: Queue) -> str:
    request = queue.sent[-1]
    return send(world, Message("m-r", request["MessageBody"], request["MessageGroupId"], "7"), owner="r:m-r")


@pytest.mark.parametrize(("amount", "given"), [("", 2599), ("10", 1000), ("0.01", 1)])
def test_what_is_sent_is_a_refund_over_the_amount_or_all_of_the_payment_behind_it_in_its_group(amount, given):
    world, queue = completed(), Queue()
    assert send_refund(queue, "url", world.stored(), "r-1", amount) == "m-1"
    assert (queue.sent[0]["QueueUrl"], queue.sent[0]["MessageGroupId"]) == ("url", "group-1")
    assert deliver(world, queue) == "refunded"
    assert world.gateway.given_back() == given


def test_a_refund_is_shown_with_its_states_and_why_it_failed():
    world, queue = completed(), Queue()
    world.gateway.answers["refund"] = [GatewayRefusedError("400", "charge_disputed")]
    send_refund(queue, "url", world.stored(), "r-1")
    assert deliver(world, queue) == "failed"
    told = "\n".join(refund_lines(find_refund(world.ports.log.refunds(), "pay-abc123", "r-1")))
    for said in ("txn-pay-abc123#refund#r-1", "25.99 USD", "The gateway refuses the refund", "charge_disputed"):
        assert said in told
    assert "refunded      " not in told


def test_a_refund_that_is_not_there_is_refused():
    world = completed()
    with pytest.raises(ApprovalRefusedError, match="pay-abc123 has no refund r-9"):
        find_refund(world.ports.log.refunds(), "pay-abc123", "r-9")
