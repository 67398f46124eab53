"""One avalanche through the local system: sent along its ramp, looked at while it comes down, waited for.

The rule: it begins with no environment and ends with nothing left to settle, or when its time is up; the audit says
what is left.
"""

from __future__ import annotations

import subprocess
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.avalanche.seen import Invocation, Moment, Payment, Round, quantile
from local import stream
from local.event_source_mapping import Batch
from local.evidence import QUEUE_COUNTS, Sent
from local.stream import RunError
from local.system import LocalSystem
from local.traffic import Message

_LOOK_SECONDS = 0.25
_PAUSE_SECONDS = 0.02
# SQS: as many messages as a batch of requests may have.
_BATCH = 10


def one_round(
    system: LocalSystem,
    gateway: subprocess.Popen[bytes],
    messages: Sequence[Message],
    due_seconds: Sequence[float],
    show: Callable[[Moment], None],
    *,
    seconds_max: float,
) -> tuple[Round, list[Sent]]:
    """Send each message when it is due, until all are settled or `seconds_max` is over; every look goes to `show`.

    Raises RunError where the gateway died, ServicesError where the services did.
    """
    for environment in system.environments():
        environment.kill()
    first = len(system.batches)
    begun_ms = time.time_ns() // 10**6
    moments: list[Moment] = []

    def look(seconds: float, sent: Sequence[Sent]) -> Moment:
        system.check()
        if gateway.poll() is not None:
            raise RunError(f"the payment gateway (pid {gateway.pid}) died under way with {gateway.returncode}")
        moments.append(_moment(system, seconds, begun_ms, sent, system.batches[first:]))
        show(moments[-1])
        return moments[-1]

    sqs, queue_url = system.clients["sqs"], system.resources.queue_url
    timing = Timing(due_seconds, begun_ms, look_seconds=_LOOK_SECONDS, seconds_max=seconds_max)
    sent = send_and_watch(sqs, queue_url, messages, timing, look)
    return round_of(sent, system.batches[first:], begun_ms, moments), sent


@dataclass(frozen=True)
class Timing:
    """When each message is due, from `begun_ms` since the epoch on; how often is looked, and when it is given up."""

    due_seconds: Sequence[float]
    begun_ms: int
    look_seconds: float
    seconds_max: float


def send_and_watch(
    sqs: Any,
    queue_url: str,
    messages: Sequence[Message],
    timing: Timing,
    look: Callable[[float, Sequence[Sent]], Moment],
) -> list[Sent]:
    """Send each message when it is due; looked at until a moment has all of them settled, or the time is up."""
    sent: list[Sent] = []
    looked_at = -timing.look_seconds
    while (now := time.time_ns() / 1e9 - timing.begun_ms / 1000) < timing.seconds_max:
        # The first look comes before the first message.
        is_time = now - looked_at >= timing.look_seconds
        if is_time:
            looked_at = now
            if look(now, sent).settled == len(messages):
                break
        due = messages[len(sent) : bisect_right(timing.due_seconds, now)][:_BATCH]
        if due:
            sent += stream.send(sqs, queue_url, due)
        elif not is_time:
            time.sleep(_PAUSE_SECONDS)
    return sent


def _moment(
    system: LocalSystem, seconds: float, begun_ms: int, sent: Sequence[Sent], batches: Sequence[Batch]
) -> Moment:
    depth = system.clients["sqs"].get_queue_attributes(
        QueueUrl=system.resources.queue_url, AttributeNames=list(QUEUE_COUNTS)
    )["Attributes"]
    settled = {name for batch in batches for name in set(batch.message_ids) - set(batch.failed)}
    oldest_ms = min((each.sent_ms for each in sent if each.message_id not in settled), default=None)
    states = system.pool.states() if system.pool is not None else Counter[str]()
    outcomes = [batch.outcome for batch in batches]
    return Moment(
        seconds=round(seconds, 3),
        sent=len(sent),
        settled=len(settled),
        visible=int(depth["ApproximateNumberOfMessages"]),
        in_flight=int(depth["ApproximateNumberOfMessagesNotVisible"]),
        oldest_seconds=0.0 if oldest_ms is None else round(seconds - (oldest_ms - begun_ms) / 1000, 3),
        starting=states["starting"],
        busy=states["busy"],
        idle=states["idle"],
        cold_share=sum(each.cold_start for each in outcomes) / len(outcomes) if outcomes else None,
        duration_p99_ms=quantile([each.duration_ms for each in outcomes], 0.99),
        with_init_p99_ms=quantile([each.duration_ms + (each.init_duration_ms or 0.0) for each in outcomes], 0.99),
    )


def round_of(sent: Sequence[Sent], batches: Sequence[Batch], begun_ms: int, moments: list[Moment]) -> Round:
    """What a round left behind, in seconds since `begun_ms`."""
    number_of = {each.message_id: each.message.number for each in sent}
    begun: dict[int, float] = {}
    settled: dict[int, float] = {}
    invocations = []
    for batch in batches:
        start, end = ((at_ms - begun_ms) / 1000 for at_ms in (batch.begun_ms, batch.ended_ms))
        numbers, failed = (
            tuple(number_of[name] for name in names if name in number_of) for names in (batch.message_ids, batch.failed)
        )
        invocations.append(
            Invocation(start, end, batch.outcome.init_duration_ms, batch.outcome.duration_ms, numbers, failed)
        )
        begun |= dict.fromkeys(numbers, start)
        settled |= dict.fromkeys(set(numbers) - set(failed), end)
    payments = [
        Payment(number, each.message.group, (each.sent_ms - begun_ms) / 1000, begun.get(number), settled.get(number))
        for each in sent
        for number in (each.message.number,)
    ]
    return Round(payments, sorted(invocations, key=lambda each: each.begun), moments)
