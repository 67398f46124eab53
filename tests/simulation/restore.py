"""A table that is lost and restored to an earlier time, while queue, gateway and senders go on.

As docs/restore.md has it: payments are stopped first, executions too, and what starts again has the mode. The senders
send again what they had sent, soon or when the gateway has forgotten its keys.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tests.simulation.world import HOUR, MINUTE, SECOND

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation
    from tests.simulation.traffic import Sent


@dataclass(frozen=True)
class Plan:
    """The time that the table is restored to, and when it is lost."""

    point: int
    lost: int


class Restore:
    """At most one in a seed; `over_at` is when the last message was sent again, 0 without one."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._put_back: Callable[[], None] = lambda: None
        self.over_at = 0

    def plan(self) -> Plan | None:
        world = self._simulation.world
        if not world.fault("restore", [("restored", world.profile.restore)]):
            return None
        point = int(world.draw("restore/point") * world.pick("restore/within", (10 * SECOND, MINUTE, 30 * MINUTE)))
        after = world.pick("restore/after", (5 * SECOND, MINUTE, 30 * MINUTE, 3 * HOUR))
        plan = Plan(point, point + 1 + int(world.draw("restore/lost") * after))
        world.at(plan.point, self._back_up)
        world.at(plan.lost, self._restore)
        return plan

    def _back_up(self) -> None:
        table, auditor = self._simulation.table.backup(), self._simulation.auditor.backup()
        self._simulation.world.tell("operator: the table will be restored to this time")

        def put_back() -> None:
            auditor()
            table()

        self._put_back = put_back

    def _restore(self) -> None:
        simulation = self._simulation
        world, auditor = simulation.world, simulation.auditor
        world.tell("operator: payments and executions are stopped, and the table is restored")
        for invocation in list(world.invocations):
            invocation.kill("")
        simulation.engine.stop_all()
        world.restored_at, world.lowered_to = world.now, 0
        simulation.alias.restored()
        simulation.replace_environments()
        self._put_back()
        # A retry's message is for a parking that the restored table does not know: its payment is sent again anyway.
        simulation.queue.purge(lambda message: message.sent.retry > 0)
        queued = {message.message_id for message in (*simulation.queue.messages(), *simulation.queue.dead)}
        again = [sent for sent in auditor.lose(queued) if not sent.is_unusable]
        executed = [sent for sent in simulation.sent if sent.direct and sent.at <= world.now and not sent.is_unusable]
        again += [replace(sent, direct=f"{sent.direct}-again") for sent in executed]
        begin = world.now + world.pick("restore/again", (MINUTE, 2 * HOUR, 25 * HOUR))
        spread = world.pick("restore/spread", (0, 5 * SECOND, 5 * MINUTE))
        for number, sent in enumerate(again):
            at = begin + number + int(world.draw(f"restore/{number}") * spread)
            self.over_at = max(self.over_at, at)
            world.at(at, lambda sent=sent: self._send(sent))  # type: ignore[misc]

    def _send(self, sent: Sent) -> None:
        self._simulation.world.tell(f"sender: {sent.name} once more")
        self._simulation.send(sent)
