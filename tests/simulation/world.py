"""A virtual clock, seeded draws, and execution environments whose workers are greenlets that switch wherever a request
leaves them.

Every draw hashes its own name with the seed, so that one fault can be taken out of a run and the rest of it stays as
it was: that is what makes a failing history short.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from greenlet import getcurrent, greenlet

from tests.simulation.profile import drawn

if TYPE_CHECKING:
    from tests.simulation.releases import Release

EPOCH_MS = 1_700_000_000_000
WOKEN = "reconcile:"  # In front of the invocation in the owner that the reconcile function makes.

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE

Choice = TypeVar("Choice")

# The probability that a repeated request fails as the one before did.
_STAYS_BAD = 0.6


class Crashed(BaseException):
    """The environment is gone. No Exception, so that no handler in the code under test takes it for a failed call."""


class FailedRequestError(Exception):
    """A request without an answer; `fault` is why, as the sender cannot know."""

    def __init__(self, fault: str) -> None:
        super().__init__(fault)
        self.fault = fault


class RefusedError(FailedRequestError):
    """The other side refused the request; surely nothing took effect."""


class NoAnswerError(FailedRequestError):
    """No answer came in time; the request may have taken effect, or may yet do so."""


@dataclass(frozen=True)
class Cut:
    """What a shorter history keeps of a seed: message numbers and fault names; None keeps all."""

    messages: frozenset[int] | None = None
    faults: frozenset[str] | None = None


class World:
    def __init__(self, seed: int, cut: Cut, steps_max: int) -> None:
        self.seed = seed
        self.cut = cut
        self.steps_max = steps_max
        self.now = 0
        self.steps = 0
        self.faults_on = True
        # What a deployment in the middle of it all leaves of the largest amount (minor units), and left at any time; 0
        # without one.
        self.lowered_to = 0
        self.was_lowered_to = 0
        # When a restored table took the lost one's place; 0 as long as none did.
        self.restored_at = 0
        self.fired: list[str] = []
        self.numbers: list[int] = []
        self.payments = 0
        # For the record: how often each kind of thing was met, and the calls of payments without faults, by name.
        self.tally, self.calls = Counter[str](), Counter[str]()
        self.story: list[tuple[int, str]] = []
        self.violations: list[tuple[str, str]] = []
        self.invocations: list[Invocation] = []
        self._prefix = f"{seed}/".encode()
        self._counts: Counter[str] = Counter()
        self._events: list[tuple[int, int, Callable[[], object]]] = []
        self._order = 0
        self._hub = getcurrent()
        self.profile = drawn(self)
        # So short that messages, refunds and disputes come after what names people is gone.
        self.retention_ms = self.pick("retention", (MINUTE, 10 * MINUTE))

    # ---- draws ----
    def draw(self, name: str) -> float:
        """A number in [0, 1) that depends on the seed and the name alone, on every Python version."""
        digest = hashlib.blake2b(self._prefix + name.encode(), digest_size=7).digest()
        # 53 of the 56 bits: exactly what a double holds.
        return (int.from_bytes(digest, "big") >> 3) / (1 << 53)

    def draw_next(self, name: str) -> float:
        """As `draw`, another number each time it is asked under the same name."""
        self._counts[name] += 1
        return self.draw(f"{name}#{self._counts[name]}")

    def between(self, name: str, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return low + int(self.draw_next(name) * (high - low + 1))

    def pick(self, name: str, choices: Sequence[Choice]) -> Choice:
        return choices[int(self.draw_next(name) * len(choices))]

    def fault(self, name: str, menu: Sequence[tuple[str, float]]) -> str:
        """The fault that strikes here, "" for none. A run can be repeated with only some of its faults."""
        self._counts[name] += 1
        name = f"{name}#{self._counts[name]}"
        drawn = self.draw(name)
        if not self.faults_on:
            return ""
        for kind, probability in menu:
            drawn -= probability
            if drawn < 0:
                if self.cut.faults is not None and name not in self.cut.faults:
                    return ""
                self.fired.append(name)
                return kind
        return ""

    # ---- time ----
    def at(self, when: int, event: Callable[[], object]) -> None:
        self._order += 1
        heapq.heappush(self._events, (max(when, self.now), self._order, event))

    def run(self, until: int, quiet: Callable[[], bool] | None = None) -> None:
        """Play events up to a time, or until nothing is left to do and `quiet` says so."""
        while self._events and self._events[0][0] <= until and not self.violations:
            if quiet is not None and quiet():
                return
            self.now, _, event = heapq.heappop(self._events)
            self.steps += 1
            if self.steps > self.steps_max:
                self.violation("ends", f"the run did not come to rest within {self.steps_max} steps")
                return
            event()
        if not self.violations and (quiet is None or not quiet()):
            self.now = max(self.now, until)

    def tell(self, what: str) -> None:
        self.story.append((self.now, what))

    def violation(self, rule: str, what: str) -> None:
        """An audit rule that does not hold. Collected, as an exception would be taken for a failed payment."""
        self.tell(f"VIOLATION of `{rule}`: {what}")
        self.violations.append((rule, what))

    def history(self) -> list[str]:
        return [f"{when // 1000:>7}.{when % 1000:03d} s  {what}" for when, what in self.story]

    def digest(self) -> str:
        """SHA-256 over the whole history: the same seed must give the same on every Python version."""
        return hashlib.sha256("\n".join(self.history()).encode()).hexdigest()

    def end(self) -> None:
        for invocation in self.invocations:
            invocation.kill("")

    # ---- environments ----
    def start(self, invocation: Invocation, body: Callable[[], Any], done: Callable[[Any], None]) -> None:
        """Run `body` as a greenlet until it returns, raises or is killed; `done` gets its result, None when killed."""

        def main() -> None:
            try:
                result = body()
            except Crashed:
                result = None
            except Exception as error:  # noqa: BLE001 - whatever escapes the function is a finding
                self.violation("no unexpected errors", f"{invocation.name} raised {type(error).__name__}: {error}")
                result = None
            invocation.over = True
            self.at(self.now, lambda: done(result))

        invocation.started, invocation.faults_before = self.now, len(self.fired)
        invocation.body = self.greenlet(main, invocation.release)
        self.invocations.append(invocation)
        if invocation.lasts is not None:
            self.at(self.now + invocation.lasts, lambda: invocation.kill("is killed at its time-out"))
        invocation.body.switch()

    def greenlet(self, body: Callable[[], None], release: Release) -> greenlet:
        made = greenlet(body, parent=self._hub)
        # What the code knows that runs in it (releases.py).
        made.release = release
        return made

    def is_hub(self) -> bool:
        return getcurrent() is self._hub

    def switch_to_hub(self) -> None:
        self._hub.switch()


@dataclass(eq=False)
class Invocation:
    """One call of the function (or one reconcile run) in one environment, with that environment's clock."""

    world: World
    name: str
    release: Release
    skew: int = 0
    lasts: int | None = None
    charges: bool = True
    # Of the workflow's execution that this invocation runs; it owns what it claims by this name.
    arn: str = ""
    # The environment of the queue function that it runs in, "" for everything else.
    place: str = ""
    started: int = 0
    over: bool = False
    intent: str = ""
    faults_before: int = 0
    requests: Counter[str] = field(default_factory=Counter, repr=False)
    body: greenlet | None = field(default=None, repr=False)
    # Beside the body, while a batch is settled.
    workers: list[greenlet] = field(default_factory=list, repr=False)

    def __post_init__(self) -> None:
        # What it was deployed with: a deployment replaces every environment that is idle.
        self.lowered_to = self.world.lowered_to

    def owns(self, owner: str) -> bool:
        return owner == self.arn if self.arn else f"{owner}:".removeprefix(WOKEN).startswith(f"{self.name}:")

    def now_ms(self) -> int:
        self.require_alive()
        return EPOCH_MS + self.world.now + self.skew

    def remaining_ms(self) -> int:
        return self.started + self.lasts - self.world.now if self.lasts is not None else 10 * MINUTE

    def require_alive(self) -> None:
        """A port of an abandoned environment refuses everything, `finally` and `except` blocks included."""
        if self.over:
            raise Crashed

    def leaves(self, site: str) -> None:
        self.require_alive()
        self.requests[site] += 1

    def sleep(self, duration: int) -> None:
        self.require_alive()
        self._resume(getcurrent(), duration)
        self.world.switch_to_hub()
        self.require_alive()

    def _resume(self, sleeper: greenlet, after: int = 0) -> None:
        def resume() -> None:
            if not self.over:
                sleeper.switch()

        self.world.at(self.world.now + after, resume)

    def run_at_once(self, jobs: Sequence[Callable[[], None]], at_once: int) -> None:
        """Do the jobs in as many greenlets; returns when all have ended. A kill takes them all."""
        waiting, waits, raised = deque(jobs), getcurrent(), []

        def work() -> None:
            try:
                while waiting:
                    waiting.popleft()()
            except Crashed:
                return
            except Exception as error:  # noqa: BLE001 - for the caller, as from a thread
                raised.append(error)
            self.workers.remove(getcurrent())
            if not self.workers:
                self._resume(waits)

        self.workers = [self.world.greenlet(work, self.release) for _ in range(min(at_once, len(jobs)))]
        for worker in self.workers:
            self._resume(worker)
        if self.workers:
            self.world.switch_to_hub()
        self.require_alive()
        if raised:
            raise raised[0]

    def kill(self, why: str) -> None:
        if self.over:
            return
        self.over = True
        if why:
            self.world.tell(f"{self.name} {why}")
        # Who has not begun never will, and is false like who has ended.
        mine = [worker for worker in (self.body, *self.workers) if worker]
        for worker in mine:
            if worker is getcurrent():
                continue
            if self.world.is_hub():
                worker.throw(Crashed)
            else:
                # Who is thrown at goes on to the hub, and never comes back here.
                self.world.at(self.world.now, partial(worker.throw, Crashed))
        if getcurrent() in mine:
            raise Crashed

    def request(  # noqa: C901 - every way in which a request can fail, in the order of time
        self,
        site: str,
        what: str,
        effect: Callable[[], Any],
        *,
        deadline: int,
        latency: tuple[int, int],
        again: str = "",
    ) -> Any:
        """Send a request: it travels, takes effect and is answered, each of which can fail on its own.

        `effect` runs when and if the request arrives, whether or not its sender still lives; what it returns or raises
        is the answer, a `Pending` one comes later. `again` is the fault of the request that this one repeats: a bad
        connection stays bad for a while. Raises RefusedError or NoAnswerError (after `deadline` ms).
        """
        self.leaves(site)
        world, profile = self.world, self.world.profile
        fault = world.fault(f"{site}/{what}", [(again, _STAYS_BAD)] if again else profile.menu)
        label = f"{self.name} {site} {what}"
        if fault == "crash before":
            self.kill(f"crashes before {site} {what}")
        if fault == "pause":
            world.tell(f"{self.name} stalls before {site} {what}")
            self.sleep(world.between(f"pause/{site}", 500, 25_000))
        travel = world.between(f"latency/{site}", *latency)
        answers: list[tuple[Any, Exception | None]] = []

        def arrive() -> None:
            try:
                answers.append((effect(), None))
            except Exception as error:  # noqa: BLE001 - an answer is whatever the effect raises, for the sender
                answers.append((None, error))
            if fault == "crash after":
                self.kill(f"crashes once {site} {what} took effect")

        if fault == "crash in flight":
            world.at(world.now + travel, arrive)
            self.kill(f"crashes with {site} {what} on its way")
        if fault == "refused":
            world.tell(f"{label}: refused by a fault")
            self.sleep(travel)
            raise RefusedError(fault)
        if fault in ("dropped", "lost", "late"):
            if fault == "dropped":
                world.tell(f"{label}: lost on its way")
            else:
                late = world.between(f"late/{site}", 1_000, 60_000) if fault == "late" else travel
                world.tell(f"{label}: {'delayed on its way' if fault == 'late' else 'its answer will be lost'}")
                world.at(world.now + late, arrive)
            self.sleep(deadline)
            raise NoAnswerError(fault)
        sent = world.now
        world.at(sent + travel, arrive)
        self.sleep(travel)
        while not answers:
            # The arrival is an event of the same millisecond that comes after this one.
            self.sleep(0)
        answer, error = answers[0]
        if isinstance(answer, Pending):
            if answer.at + travel > sent + deadline:
                self.sleep(sent + deadline - world.now)
                raise NoAnswerError("slow")
            self.sleep(answer.at - world.now)
            answer, error = answer.result()
        self.sleep(travel)
        if error is not None:
            raise error
        return answer


@dataclass(eq=False)
class Environment:
    """An execution environment: its name, how far its clock is off (ms), and the one invocation under way in it."""

    name: str
    skew: int
    invocation: Invocation

    @property
    def release(self) -> Release:
        return self.invocation.release

    def now_ms(self) -> int:
        return self.invocation.now_ms()


@dataclass(frozen=True)
class Pending:
    """An answer that the other side has only at a later time, from `result()`, as (value, error)."""

    at: int
    result: Callable[[], tuple[Any, Exception | None]]
