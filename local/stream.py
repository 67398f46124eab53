"""A run's stream: it is sent, people decide on what waits for them, and it is waited for until nothing is left.

The rule: what cannot go on says what died, instead of what the next call noticed.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from local import traffic
from local.approvals.mail import Link
from local.approvals.workflow import Approvals
from local.evidence import QUEUE_COUNTS, Sent
from local.system import LocalSystem


class RunError(RuntimeError):
    """The run cannot go on; the message says what happened, to what, and what to do."""


@contextmanager
def services_watched(system: LocalSystem) -> Iterator[None]:
    """A call that failed because the services died says so, with what was lost, instead of what the call noticed."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        # The death of the process is noticed by a thread of its own, perhaps a moment after the connection's.
        for _ in range(20):
            system.check()
            time.sleep(0.1)
        raise RunError(f"the loopback AWS services refused a call: {error}") from error


def send(sqs: Any, queue_url: str, messages: Sequence[traffic.Message]) -> list[Sent]:
    """Send in order, ten at a time; what the queue drops it answers with the first message's id. Raises RunError."""
    sent: list[Sent] = []
    for start in range(0, len(messages), 10):
        part = messages[start : start + 10]
        now_ms = time.time_ns() // 1_000_000
        answer = sqs.send_message_batch(QueueUrl=queue_url, Entries=[_entry(message) for message in part])
        if answer.get("Failed"):
            raise RunError(f"the queue refused messages: {answer['Failed']}")
        taken = {entry["Id"]: entry for entry in answer["Successful"]}
        for message in part:
            entry = taken[str(message.number)]
            sent.append(Sent(message, entry["MessageId"], entry["SequenceNumber"], now_ms))
    return sent


def _entry(message: traffic.Message) -> dict[str, str]:
    entry = {"Id": str(message.number), "MessageBody": message.body, "MessageGroupId": message.group}
    return entry | ({"MessageDeduplicationId": message.deduplication_id} if message.deduplication_id else {})


def wait(
    system: LocalSystem,
    gateway: subprocess.Popen[bytes],
    sent: Sequence[Sent],
    approver: Approver,
    late: Late,
    *,
    console: Console,
    seconds_max: int,
) -> None:
    """Until nothing is left on a queue, with a person or to do; what is left when the time is up, the audit says."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("messages settled", total=None)
        deadline = time.monotonic() + seconds_max
        while time.monotonic() < deadline:
            system.check()
            if gateway.poll() is not None:
                raise RunError(
                    f"the payment gateway (pid {gateway.pid}) died under way with {gateway.returncode}; what it "
                    f"captured stands in {system.directory / 'gateway.sqlite'}. Run it again."
                )
            left = _left(system, system.resources.queue_url)
            total = len({each.message_id for each in sent})
            progress.update(task, total=total, completed=total - left)
            approver.decide()
            is_quiet = left == 0 and not (system.mapping and system.mapping.in_flight)
            is_quiet = is_quiet and not any(_left(system, queue_url) for queue_url in late.queue_urls)
            if is_quiet and not late.go_on() and not _waiting(system):
                return
            time.sleep(0.1)


class Late(Protocol):
    """What is done once the stream is settled, while people still decide."""

    @property
    def queue_urls(self) -> Sequence[str]:
        """Where nothing may be left before more is done, beside the payment queue."""

    def go_on(self) -> bool:
        """Do a part; False where nothing is left to do."""


class Approver:
    """Who decides on the risky payments, by the links in the mail; some are left until they expire."""

    def __init__(self, approvals: Approvals, messages: Sequence[traffic.Message]) -> None:
        self._approvals = approvals
        self._decisions = {f"txn-{each.payment_id}": each.decision for each in messages if each.kind == "risky"}
        self._links: list[Link] = []

    def decide(self) -> None:
        """Decide on all that came; a decision that did not get through is sent again the next time."""
        self._links += [link for link in self._approvals.mail() if self._decisions.get(link.transaction_id)]
        self._links = [link for link in self._links if not self._sent(link)]

    def _sent(self, link: Link) -> bool:
        return self._approvals.decide(link, self._decisions[link.transaction_id], "decided by this run") < 500


def _waiting(system: LocalSystem) -> int:
    """How many payments are with the approval workflow, and refunds with the gateway or with reconcile."""
    # A page of a scan ends at 1 MB, whatever its filter leaves.
    scan = system.clients["dynamodb"].get_paginator("scan")
    pages = scan.paginate(
        TableName=system.names.table,
        Select="COUNT",
        FilterExpression=(
            "(attribute_exists(approval_name) AND #status IN (:asks, :processing))"
            " OR (attribute_exists(refund_id) AND #status IN (:waiting, :pending))"
        ),
        ExpressionAttributeNames={"#status": "status"},
        ExpressionAttributeValues={
            ":asks": {"S": "pending_approval"},
            ":processing": {"S": "processing"},
            ":waiting": {"S": "waiting"},
            ":pending": {"S": "pending"},
        },
    )
    return sum(int(page["Count"]) for page in pages)


def _left(system: LocalSystem, queue_url: str) -> int:
    attributes = system.clients["sqs"].get_queue_attributes(QueueUrl=queue_url, AttributeNames=list(QUEUE_COUNTS))[
        "Attributes"
    ]
    return sum(int(attributes[name]) for name in QUEUE_COUNTS)
