"""The gateway's refunds: each takes effect at once or after days, may be returned by its bank, and is told by a list.

As of the charges, the first whole answer of a key is given again for a day, failures too. What somebody gives back in
the gateway's own dashboard has no id of ours, and leaves less for others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from handler.domain.errors import ChargeFailedError, GatewayRefusedError, RetryableError
from handler.domain.payment import Refund
from tests.simulation.world import EPOCH_MS, HOUR, MINUTE, SECOND, Invocation, World

if TYPE_CHECKING:
    from tests.simulation.gateway import Intent

_KEY_KEPT_MS = 24 * HOUR


class Observer(Protocol):
    """What the auditor wants to know of refunds; each is told when it happens."""

    def called(self, invocation: Invocation, gateway_ref: str, refund_id: str, key: str) -> None: ...

    def listed(self, invocation: Invocation, gateway_ref: str, refund_ids: set[str]) -> None: ...

    def made(self, given: Given) -> None: ...


@dataclass(eq=False)
class Given:
    """One refund at the gateway; `refund_id` is "" where somebody made it in the dashboard."""

    refund_ref: str
    refund_id: str
    gateway_ref: str
    payment_id: str
    amount_minor: int
    currency: str
    created_at: int
    state: str = "pending"
    was_refunded: bool = False

    def result(self) -> Refund:
        return Refund(
            self.refund_ref,
            self.refund_id,
            self.state,  # type: ignore[arg-type]
            self.amount_minor,
            self.currency,
            EPOCH_MS + self.created_at,
        )


@dataclass(eq=False)
class _Kept:
    at: int
    request: object
    outcome: Refund | str


class Refunds:
    def __init__(self, world: World, intents: Mapping[str, Intent], observer: Observer) -> None:
        self.world = world
        self.observer = observer
        self.given: dict[str, Given] = {}
        # Told of each reference at which a refund came to another state by itself.
        self.woken: Callable[[str], None] = lambda gateway_ref: None
        self._intents = intents
        self._keys: dict[str, _Kept] = {}
        # Where clocks agree, what is read long after the last call is protection enough.
        short = world.profile.clocks_agree and world.draw("refunds/key kept") < 0.3
        self._key_kept_ms = 20 * SECOND if short else _KEY_KEPT_MS
        # Often enough that every seed with refunds meets what few calls would.
        self._fails = world.pick("refunds/fails", (0.0, 0.1, 0.4))
        self.list_ends_early = world.pick("refunds/list ends early", (0.0, 0.0, 0.1))

    def left(self, gateway_ref: str) -> int:
        intent = self._intents[gateway_ref]
        gone = sum(each.amount_minor for each in self._of(gateway_ref) if each.state != "failed")
        return intent.amount_minor * intent.captures - gone

    def give(self, gateway_ref: str, amount_minor: int, currency: str, refund_id: str, key: str) -> Refund:
        request = (gateway_ref, amount_minor, currency, refund_id)
        kept = self._keys.get(key)
        if kept is not None and self.world.now - kept.at < self._key_kept_ms:
            if kept.request != request:
                raise GatewayRefusedError("idempotency_error: the key was used with other parameters")
            return _answer(kept.outcome)
        kept = self._keys[key] = _Kept(self.world.now, request, self._outcome(gateway_ref, amount_minor, refund_id))
        return _answer(kept.outcome)

    def _outcome(self, gateway_ref: str, amount_minor: int, refund_id: str) -> Refund | str:
        world, name = self.world, f"refund/{gateway_ref}/{refund_id}"
        if amount_minor > self.left(gateway_ref):
            world.tell(f"gateway: the refund {refund_id} of {gateway_ref} is more than is left, and refused")
            return "refused"
        fault = world.fault(name, [("500", self._fails)])
        if fault:
            world.tell(f"gateway: the refund {refund_id} of {gateway_ref} is answered by a stored 500")
        if fault and world.draw_next(f"{name}/500") < 0.5:
            return fault
        given = self.make(gateway_ref, amount_minor, refund_id)
        return fault or given.result()

    def make(self, gateway_ref: str, amount_minor: int, refund_id: str = "") -> Given:
        world, intent = self.world, self._intents[gateway_ref]
        number = len(self.given) + 1
        given = Given(
            f"re_{number}", refund_id, gateway_ref, intent.payment_id, amount_minor, intent.currency, world.now
        )
        self.given[given.refund_ref] = given
        who = refund_id or "somebody in the dashboard"
        world.tell(f"gateway: {given.refund_ref} gives {amount_minor} of {gateway_ref} back, for {who}")
        self.observer.made(given)
        how = world.draw(f"refund/{number}/how")
        if how < 0.5:
            self._becomes(given, "refunded")
        elif how < 0.6:
            self._becomes(given, "failed")
        else:
            minutes = world.between(f"refund/{number}/takes", 1, world.pick(f"refund/{number}/most", (10, 40 * 60)))
            state = "failed" if how < 0.7 else "refunded"
            world.at(world.now + minutes * MINUTE, lambda: self._later(given, state))
        return given

    def _becomes(self, given: Given, state: str) -> None:
        world, name = self.world, f"refund/{given.refund_ref}/returned"
        given.state, given.was_refunded = state, given.was_refunded or state == "refunded"
        if state == "refunded" and world.draw(name) < 0.3:
            minutes = world.between(name, 1, world.pick(f"{name}/most", (10, 30 * 60)))
            world.at(world.now + minutes * MINUTE, lambda: self._later(given, "failed"))

    def _later(self, given: Given, state: str) -> None:
        self._becomes(given, state)
        self.world.tell(f"gateway: {given.refund_ref} of {given.payment_id} is {state} at last")
        self.woken(given.gateway_ref)

    def listed(self, gateway_ref: str) -> list[Refund]:
        return [each.result() for each in self._of(gateway_ref)]

    def is_left_behind(self, gateway_ref: str, refund_id: str, give: Callable[[], object]) -> bool:
        """Whether a refund is answered with a 503 while it is still on its way, and arrives up to a minute later."""
        world, name = self.world, f"left behind/{gateway_ref}/{refund_id}"
        if not world.fault(name, [("late", self._fails / 2)]):
            return False
        world.tell(f"gateway: the refund {refund_id} of {gateway_ref} is answered by a 503 and goes on")

        def arrive() -> None:
            with suppress(RetryableError):
                give()

        world.at(world.now + world.between(name, 100, 60_000), arrive)
        return True

    def _of(self, gateway_ref: str) -> list[Given]:
        return [each for each in self.given.values() if each.gateway_ref == gateway_ref]


def _answer(outcome: Refund | str) -> Refund:
    if isinstance(outcome, Refund):
        return outcome
    if outcome == "refused":
        raise GatewayRefusedError("400", "charge_already_refunded")
    raise ChargeFailedError("500")
