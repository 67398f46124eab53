"""What the gateway tells of by itself: each event wakes a look at its reference, late, repeated and in any order.

The rule: an event comes again for as long as nobody could look, and what is looked at is what the gateway says by then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from handler.domain.claim import Work
from handler.domain.errors import RetryableError
from handler.domain.wake_up import WakeUp, wake
from tests.simulation.refund_traffic import has_refunds
from tests.simulation.world import MINUTE

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation


class WakeUps:
    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._world = simulation.world
        self._events = 0
        # By reference: the newest event that was delivered.
        self._newest: dict[str, int] = {}

    def plan(self, faulty_until: int) -> None:
        for index in range(3 if has_refunds(self._world) else 0):
            self._world.at(int(self._world.draw(f"acts/gives back/{index}") * faulty_until), self._gives_back)

    def _gives_back(self) -> None:
        """Somebody gives something back in the gateway's dashboard, of whatever was captured."""
        gateway = self._simulation.gateway
        captured = [gateway_ref for gateway_ref in gateway.intents if gateway.refunds.left(gateway_ref) > 1]
        if captured and self._world.fault("gives back", [("something", 0.5)]):
            gateway_ref = self._world.pick("gives back/which", captured)
            gateway.refunds.make(gateway_ref, gateway.refunds.left(gateway_ref) // 2)

    def told(self, gateway_ref: str) -> None:
        """The gateway tells of a reference, late, also twice at once, and again as long as nobody could look."""
        world = self._world
        self._events += 1
        event = self._events
        self._simulation.auditor.refunds.untold[gateway_ref] = world.now
        at = world.now + world.between(f"woken/{gateway_ref}/at", 10, 60_000)
        for delivery in range(world.between(f"woken/{gateway_ref}", 1, 2)):
            world.at(at, lambda delivery=delivery: self._delivered(gateway_ref, event, delivery))  # type: ignore[misc]
            # The second one at once, or later.
            at += world.between(
                f"woken/{gateway_ref}/again", 0, world.pick(f"woken/{gateway_ref}/within", (40, 60_000))
            )

    def _delivered(self, gateway_ref: str, event: int, delivery: int) -> None:
        tally, newest = self._world.tally, self._newest.get(gateway_ref, 0)
        tally["wake_ups"] += 1
        tally["wake_ups_repeated"] += delivery > 0
        tally["wake_ups_out_of_order"] += event < newest
        self._newest[gateway_ref] = max(event, newest)
        self._look(gateway_ref)

    def _look(self, gateway_ref: str) -> None:
        simulation, world = self._simulation, self._world
        environment = simulation.environment_of("k")
        invocation, began = environment.invocation, world.now
        # An event of a refund or a dispute does not name the payment; one of the intent does.
        names = world.draw_next(f"woken/{gateway_ref}/names") < 0.5
        wake_up = WakeUp(gateway_ref, simulation.gateway.intents[gateway_ref].payment_id if names else "")
        world.tell(f"{invocation.name}: looks at {gateway_ref}")

        def body() -> bool:
            work = Work(f"{invocation.name}:look", invocation.remaining_ms)
            if not invocation.release.gives_back:
                return False
            try:
                ports = simulation.ports(environment)
                decisions = simulation.engine.decisions(ports, environment)
                finding = wake(wake_up, simulation.restored(), ports, decisions, work)
            except RetryableError as error:
                world.tell(f"{invocation.name} has no answer ({error.reason_code})")
                return False
            if finding is not None:
                world.tell(f"{invocation.name} found {finding.transaction_id} {finding.outcome} {finding.detail}")
            return finding is None or finding.outcome != "unsettled"

        def done(ended: bool | None) -> None:
            refunds = simulation.auditor.refunds
            if ended:
                refunds.is_told(gateway_ref, began)
            if gateway_ref in refunds.untold:
                world.at(world.now + MINUTE, lambda: self._look(gateway_ref))

        world.start(invocation, body, done)
