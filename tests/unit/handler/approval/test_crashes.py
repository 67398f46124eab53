"""A workflow whose process dies at any point, by seed: no capture and no record is repeated."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from handler.domain.errors import RetryableError
from handler.workflow import Workflow
from tests.support.approvals import RISKY, ApprovalWorld, running, status, until
from tests.support.payments import KEY, body


class CrashedError(RetryableError):
    """The process is gone: the step's body runs again from its start."""


class Chaos:
    """Ends a step's body before or after any call of a port; until its next start nothing works, as after a crash."""

    def __init__(self, seed: int, rate: float) -> None:
        self.random = random.Random(seed)
        self.rate = rate
        self.crashes = 0
        self.dead = False

    def strike(self) -> None:
        if self.dead or (self.crashes < 8 and self.random.random() < self.rate):
            self.crashes += not self.dead
            self.dead = True
            raise CrashedError("crashed")

    def around(self, port: Any) -> Any:
        chaos = self

        class Port:
            def __getattr__(self, name: str) -> Any:
                def call(*arguments: Any, **keywords: Any) -> Any:
                    chaos.strike()
                    answer = getattr(port, name)(*arguments, **keywords)
                    chaos.strike()
                    return answer

                return call

        return Port()


class Reviving:
    """A durable context whose step bodies start a new life, and may crash between their end and their checkpoint."""

    def __init__(self, context: Any, chaos: Chaos) -> None:
        self.__dict__.update(context=context, chaos=chaos)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.context, name)

    def _alive(self, function: Any) -> Any:
        def body(*arguments: Any) -> Any:
            self.chaos.dead = False
            answer = function(*arguments)
            self.chaos.strike()
            return answer

        return body

    def step(self, function: Any, *arguments: Any) -> Any:
        return self.context.step(self._alive(function), *arguments)

    def wait_for_callback(self, submitter: Any, *arguments: Any) -> Any:
        return self.context.wait_for_callback(self._alive(submitter), *arguments)


def crashing(world: ApprovalWorld, chaos: Chaos) -> Workflow:
    ports = world.approval_ports
    log = chaos.around(ports.log)
    payments = ports.payments._replace(log=log, gateway=chaos.around(world.gateway))
    workflow = Workflow(
        world.approval_rules, replace(ports, payments=payments, log=log, notices=chaos.around(world.notices))
    )

    class CrashingWorkflow(Workflow):
        def run(self, context):
            return workflow.run(Reviving(context, chaos))

    return CrashingWorkflow(workflow.rules, workflow.ports, world.workflow.jitter)


def crash_faults(seed: int) -> list[str]:
    """One execution that crashes at seeded points: what is wrong with its end, nothing if it is right."""
    world = ApprovalWorld()
    chaos = Chaos(seed, rate=0.12)
    decision = ("none", "approve", "reject")[seed % 3]
    with running(crashing(world, chaos)) as runner:
        arn = runner.start(body() if decision == "none" else RISKY)
        if decision != "none":
            until(lambda: KEY in world.dynamodb.items and "callback_id" in world.item())
            world.decide(decision)
            runner.engine.send_callback_success(world.item()["callback_id"], b"{}")
        ended = status(runner.result(arn))
    expected = {"none": "completed", "approve": "completed", "reject": "rejected"}[decision]
    item = world.item()
    checks = {
        "outcome": (ended, item["status"]) == (expected, expected),
        "captures": list(world.gateway.captures.values()) == ([] if decision == "reject" else [item["amount_minor"]]),
        "one reference": len(world.gateway.references) <= 1,
        "told": world.notices.told.count((KEY, expected)) >= 1,
        "no alarm": world.notifier.alarms == [],
        "recorded once": world.dynamodb.finals.get(KEY) == 1,
    }
    return [f"seed {seed}, {chaos.crashes} crashes: {name}" for name, right in checks.items() if not right]


def test_crashes_at_any_point_repeat_no_capture_and_no_record():
    # Each run mostly waits for its engine's timers.
    with ThreadPoolExecutor(20) as pool:
        found = [fault for faults in pool.map(crash_faults, range(200)) for fault in faults]
    assert found == []
