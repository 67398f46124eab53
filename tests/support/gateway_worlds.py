"""A payment gateway simulator over HTTP, and every adapter that must keep the port against it, in its own dialect."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from handler.adapters.gateways.stripe import StripeGateway
from handler.domain.payment import Payment
from local.gateway.payments import API_KEY, Gateway
from local.gateway.server import GatewayServer

PAYMENT = Payment(
    payment_id="pay-1",
    order_id="ord-1",
    customer_id="cust-1",
    amount_minor=2599,
    currency="USD",
    payment_method="credit_card",
    payment_token="pm_card_visa",
)
Adapter = StripeGateway
# The adapters over HTTP by their names in the handler's registry: each takes the simulator's URL, a deadline, and what
# reads its API key, if it has one.
ADAPTERS: dict[str, Callable[[str, float, Callable[[], str]], Adapter]] = {
    "stripe": lambda url, deadline, read_key: StripeGateway(
        read_key, mode="test", environment="dev", url=url, deadline_seconds=deadline
    ),
}
# LONG is enough for a loaded machine. SHORT is for calls whose answer never comes, and then for no more than sending
# the request: the connection stands already.
LONG, SHORT = 30.0, 0.5
NO_ANSWER = ("timeout_before", "timeout_after", "delay")


class World:
    """A gateway simulator on a free port, and the clock that it reads."""

    def __init__(self, database: Path, name: str) -> None:
        self._name = name
        self.api_key = API_KEY
        self.now_ms = 1_700_000_000_000
        self.gateway = Gateway(database, key_lifetime_seconds=86_400, clock=lambda: self.now_ms)
        self.server = GatewayServer(self.gateway)
        self.server.start("gateway")
        self._adapters: list[Adapter] = []

    def adapter(self) -> Adapter:
        self._adapters.append(self.made(self.server.url))
        return self._adapters[-1]

    def made(self, url: str) -> Adapter:
        return ADAPTERS[self._name](url, LONG, lambda: self.api_key)

    def fault(self, call: str, fault: str, times: int = 1, seconds: float = 1.0) -> None:
        self.gateway.order_fault(
            {"payment_id": "pay-1", "call": call, "fault": fault, "times": times, "seconds": seconds}
        )

    def in_dashboard(self, kind: str, **order: object) -> str:
        """The name of what somebody made, or changed, at the gateway itself."""
        return str(self.gateway.in_dashboard(kind, {"payment_id": "pay-1", **order})["id"])

    @contextmanager
    def struck(self, gateway: Adapter, fault: str) -> Iterator[None]:
        """For one call that meets `fault`: left once it is at the gateway, whenever the caller gave up."""
        calls = len(self.calls())
        gateway.connection.deadline_seconds = SHORT if fault in NO_ANSWER else LONG
        try:
            yield
        finally:
            gateway.connection.deadline_seconds = LONG
            until(lambda: len(self.calls()) > calls)

    def captures(self) -> list[tuple[str, int, str]]:
        return [(row["payment_id"], row["amount"], row["currency"]) for row in self.gateway.log()["captures"]]

    def refunds(self) -> list[int]:
        return [row["amount"] for row in self.gateway.log()["refunds"]]

    def calls(self) -> list[str]:
        return [row["call"] for row in self.gateway.log()["requests"]]

    def close(self) -> None:
        for adapter in self._adapters:
            adapter.close()
        self.server.stop()
        self.gateway.close()


def until(condition: Callable[[], object]) -> None:
    """Wait for the gateway; the bound is for a broken test only."""
    deadline = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
