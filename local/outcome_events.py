"""Outcome events of the local system: the table's stream through the shipped function, to a queue and a file.

The rule it keeps: an event is in the file once the queue has taken it, and everything is told before `stop` returns.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from handler.adapters.events.stream import TableStream
from handler.adapters.events.targets import SqsEvents
from handler.domain.outcome_delivery import EventTarget, Refusal
from handler.domain.outcome_event import OutcomeEvent
from handler.events_function import EventsFunction
from local import threads
from local.resources import Names, make_queue

_BATCH: Final = 100
_PAUSE_SECONDS: Final = 1.0


class OutcomeEvents:
    """A thread that tells what the table's stream says, from its beginning, in batches as Lambda's mapping does."""

    def __init__(
        self,
        streams: Any,
        stream_arn: str,
        sqs: Any,
        queue_url: str,
        *,
        environment: str,
        file: Path,
        told: Callable[[str, str], None],
        problem: Callable[[str], None],
    ) -> None:
        """`told` gets payment id and status of each event that was told, `problem` an error, from this thread."""
        self.file = file
        self._problem = problem
        self._stream = TableStream(streams, stream_arn, from_start=True)
        self._function = EventsFunction(environment, _Kept(SqsEvents(sqs, queue_url), file, told), self)
        self._stopping = threading.Event()
        file.touch()
        self._thread = threads.start("outcome events", self._run, problem)

    def stop(self) -> None:
        """Tell what is left, and end."""
        self._stopping.set()
        self._thread.join(timeout=30)

    def get_remaining_time_in_millis(self) -> int:
        """As Lambda's context: here no time-out ends a batch."""
        return 60_000

    def alarm(self, reason_code: str, transaction_id: str, detail: str) -> None:
        self._problem(f"outcome events: {reason_code} {transaction_id}: {detail}")

    def _run(self) -> None:
        left: list[dict[str, Any]] = []
        while True:
            is_last = self._stopping.is_set()
            found = self._stream.read()
            left += found
            while left:
                failures = self._function({"Records": left[:_BATCH]}, self)["batchItemFailures"]
                numbers = [record["dynamodb"]["SequenceNumber"] for record in left[:_BATCH]]
                left = left[numbers.index(failures[0]["itemIdentifier"]) if failures else len(numbers) :]
            if is_last and not found:
                return
            self._stopping.wait(0 if found else _PAUSE_SECONDS)


def start(
    clients: Mapping[str, Any],
    streams: Any,
    names: Names,
    directory: Path,
    *,
    told: Callable[[str, str], None],
    problem: Callable[[str], None],
) -> OutcomeEvents:
    """Make the queue of events where there is none, and begin to tell."""
    queue_url, _ = make_queue(clients["sqs"], names.events_queue, {})
    return OutcomeEvents(
        streams,
        clients["dynamodb"].describe_table(TableName=names.table)["Table"]["LatestStreamArn"],
        clients["sqs"],
        queue_url,
        environment=names.environment,
        file=directory / "events.jsonl",
        told=told,
        problem=problem,
    )


class _Kept:
    """`EventTarget`: another one, and a file with a line for each event that it took."""

    def __init__(self, target: EventTarget, file: Path, told: Callable[[str, str], None]) -> None:
        self._target = target
        self._file = file
        self._told = told

    def send(self, events: Sequence[OutcomeEvent], /) -> list[Refusal]:
        refused = self._target.send(events)
        names = {refusal.event_id for refusal in refused}
        taken = [event for event in events if event.event_id not in names]
        with self._file.open("a") as file:
            file.writelines(f"{event.text}\n" for event in taken)
        for event in taken:
            self._told(event.payment_id, event.status)
        return refused
