"""Payments that keep failing, and what operators work with, in memory: for the tests of parking and of its command."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from handler.adapters.table.parking_log import DynamoDbParkingLog
from handler.domain.approval.ports import Decisions
from handler.domain.errors import GatewayAnswerError, RetryableError
from handler.domain.item import Item
from handler.domain.payment import Message
from handler.domain.ports import PaymentGateway
from handler.domain.process import settle
from tests.support.payments import ScriptedGateway, World, message, reading, work


class Queue:
    """`RetryQueue`: keeps what it is sent, or refuses it once."""

    def __init__(self, error: Exception | None = None) -> None:
        self.sent: list[tuple[str, str]] = []
        self.error = error

    def send(self, item: Item, deduplication_id: str) -> None:
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        self.sent.append((item.request, deduplication_id))


class Executions:
    def __init__(self, closed: bool = True) -> None:
        self.closed = closed

    def is_closed(self, execution_arn: str) -> bool:
        return self.closed


def decisions(world: World, closed: bool = True) -> Decisions:
    log = DynamoDbParkingLog(world.dynamodb, "transactions")
    nobody: Any = None
    ports = world.ports
    return Decisions(log, nobody, Executions(closed), world.approvals, world.clock, ports.find_card_numbers, "dev")


def send(world: World, sent: Message | None = None, owner: str = "req-1:m-1") -> str:
    """One delivery, a second after the one before; "returned" where the message has to come again."""
    world.clock.ms += 1000
    found = sent or message()
    try:
        return settle(reading(world, found), world.rules, world.ports, work(owner))
    except RetryableError:
        return "returned"


def failing(call: str, make: Callable[[str], Exception] = GatewayAnswerError, **scripts: list[Any]) -> World:
    return World(gateway=ScriptedGateway(**{call: [make("500")] * 99}, **scripts))


def parked(call: str = "prepare") -> World:
    world = failing(call)
    # After a charge that cannot be read its status is asked: as good as the charge.
    world.gateway.scripts["status"] = [GatewayAnswerError("500")] * 99
    assert [send(world, owner=f"r-{number}:m-1") for number in range(5)] == ["returned"] * 4 + ["parked"]
    world.gateway.scripts.clear()
    return world


def unasked() -> PaymentGateway:
    raise AssertionError("the gateway is not needed")
