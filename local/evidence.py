"""What a run left behind: queues, table, logs and the gateway's file, read once and at rest.

The rule: it shares no code with the handler, so that a fault in the handler cannot hide behind itself.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from boto3.dynamodb.types import TypeDeserializer

from local.faults import LateWrite
from local.traffic import Message

# Calls that the gateway answered 429, beside its faults.
ABOVE_THE_LIMIT = "calls_above_the_limit"
QUEUE_COUNTS = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


@dataclass(frozen=True)
class Sent:
    """A message and what the queue said when it took it; `sent_ms` is in milliseconds since the epoch."""

    message: Message
    message_id: str
    sequence_number: str
    sent_ms: int


@dataclass(frozen=True)
class Delivery:
    """One batch handed to the function: message ids, those that failed, and what ended it if not its answer."""

    message_ids: tuple[str, ...]
    failed: tuple[str, ...]
    error: str | None = None


@dataclass
class Evidence:
    """All that the checks look at."""

    environment: str
    sent: list[Sent]
    items: list[dict[str, Any]]
    rejected: list[dict[str, Any]]
    dead_lettered: list[dict[str, Any]]
    left_on_queue: int
    # None where somebody else's mapping delivered: then only the ends can be looked at.
    deliveries: list[Delivery] | None
    requests: list[dict[str, Any]] = field(default_factory=list)
    captures: list[dict[str, Any]] = field(default_factory=list)
    intents: list[dict[str, Any]] = field(default_factory=list)
    logs: Mapping[str, str] = field(default_factory=dict)
    late_writes: list[LateWrite] = field(default_factory=list)
    # Fault -> how often it was planned, and how often it struck.
    planned: Mapping[str, int] = field(default_factory=dict)
    struck: Mapping[str, int] = field(default_factory=dict)
    # Outcome events, in the order in which they were taken; None where nobody kept them.
    events: list[dict[str, Any]] | None = None
    # Payments whose workflow never began at first.
    lost_starts: Sequence[str] = ()
    # Refunds and disputes at the gateway as they stand now: Stripe's objects.
    given_back: list[dict[str, Any]] = field(default_factory=list)
    disputes: list[dict[str, Any]] = field(default_factory=list)
    # Each event that the gateway sent, and what was done in its dashboard, with the answer.
    gateway_events: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.payments = {item["payment_id"]: item for item in self.items if "#" not in item["transaction_id"]}
        self.conflicts = [item for item in self.items if "#conflict#" in item["transaction_id"]]
        self.refunds = {
            (item["payment_id"], item["refund_id"]): item
            for item in self.items
            if "#refund#" in item["transaction_id"] and "#conflict#" not in item["transaction_id"]
        }
        self.by_id: dict[str, list[Sent]] = defaultdict(list)
        for sent in self.sent:
            self.by_id[sent.message_id].append(sent)
        self.accepted = [sent[0] for sent in self.by_id.values()]
        self.copies: dict[tuple[str, str], int] = Counter(
            (sent.message.payment_id, sent.message.body) for sent in self.accepted
        )
        self.intents_of: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for intent in self.intents:
            self.intents_of[intent["payment_id"]].append(intent)

    def item_of(self, message: Message) -> dict[str, Any] | None:
        """The payment's item that a message is about, or the refund's."""
        if message.refund_id:
            return self.refunds.get((message.payment_id, message.refund_id))
        return self.payments.get(message.payment_id)

    @property
    def dropped(self) -> list[Sent]:
        """Messages that the queue took for repetitions: it answers with the id of the first."""
        return [again for sent in self.by_id.values() for again in sent[1:]]

    @property
    def duplicates(self) -> list[Sent]:
        """Messages that the function recognised: another message with the same content holds their item."""
        return [sent for sent in self.accepted if "duplicate" in ends(self, sent)]

    def told(self, message_id: str) -> str:
        """What the mapping says of a message's deliveries, for a sentence of evidence."""
        if self.deliveries is None:
            return "its deliveries were not ours"
        numbers = [n for n, each in enumerate(self.deliveries, 1) if message_id in each.message_ids]
        if not numbers:
            return "never delivered"
        last = self.deliveries[numbers[-1] - 1]
        end = "returned" if message_id in last.failed else "acknowledged"
        return f"delivered in batch {', '.join(map(str, numbers))}, finally {end}"


def ends(evidence: Evidence, sent: Sent) -> list[str]:
    """Every end that can be shown for an accepted message; right is exactly one."""
    found: list[str] = []
    item = evidence.item_of(sent.message)
    if item is not None and item.get("message_id") == sent.message_id:
        found.append(item["reason_code"] if sent.message.refund_id and item["status"] == "failed" else item["status"])
    superseded = {row["message_id"] for row in (item or {}).get("superseded", ())}
    if sent.message_id in superseded:
        found.append("rejected")
    found += [conflict["status"] for conflict in evidence.conflicts if conflict.get("message_id") == sent.message_id]
    originals = {copy["original_message_id"] for copy in evidence.rejected}
    if sent.message_id in originals:
        found.append("rejected_queue")
    if any(dead["message_id"] == sent.message_id for dead in evidence.dead_lettered):
        found.append("dead_lettered")
    if not found and item is not None:
        names = {item.get("message_id", ""), *superseded}
        holders = [holder for name in names for holder in evidence.by_id.get(name, [])]
        if any(holder.message.body == sent.message.body for holder in holders):
            found.append("duplicate")
    return found


def collect(
    clients: Mapping[str, Any],
    *,
    environment: str,
    sent: list[Sent],
    table: str,
    queue_url: str,
    rejected_queue_url: str,
    dead_letter_queue_url: str,
    deliveries: list[Delivery] | None,
    gateway_database: Path,
    logs: Mapping[str, str],
    late_writes: Sequence[LateWrite],
    planned: Mapping[str, int],
    struck: Mapping[str, int],
    events: Path | None = None,
    lost_starts: Sequence[str] = (),
    gateway_events: Sequence[dict[str, Any]] = (),
) -> Evidence:
    """Read everything once, at rest. The rejected and the dead-letter queue are drained."""
    attributes = clients["sqs"].get_queue_attributes(QueueUrl=queue_url, AttributeNames=["All"])["Attributes"]
    rows = _gateway_rows(gateway_database)
    return Evidence(
        environment=environment,
        sent=sent,
        items=_items(clients["dynamodb"], table),
        rejected=_drain(clients["sqs"], rejected_queue_url),
        dead_lettered=_drain(clients["sqs"], dead_letter_queue_url),
        left_on_queue=sum(int(attributes[name]) for name in QUEUE_COUNTS),
        deliveries=deliveries,
        requests=rows["requests"],
        captures=rows["captures"],
        intents=rows["intents"],
        logs=logs,
        late_writes=list(late_writes),
        planned=planned,
        struck=_struck(rows) | dict(struck),
        events=[json.loads(line) for line in events.read_text().splitlines()] if events is not None else None,
        lost_starts=lost_starts,
        given_back=_as_they_stand(rows["refunds"], rows["later_states"]),
        disputes=_as_they_stand(rows["disputes"], rows["later_states"]),
        gateway_events=list(gateway_events),
    )


def logs_of(directory: Path, logs: Any) -> dict[str, str]:
    """Every log of the run in this folder by name, ministack's own and its workers' included, and CloudWatch's."""
    # Each function numbers its environments from 1.
    files = {str(path.relative_to(directory)): path for path in sorted(directory.rglob("*.log"))}
    return {name: path.read_text(errors="replace") for name, path in files.items()} | cloudwatch_logs(logs)


def cloudwatch_logs(logs: Any) -> dict[str, str]:
    """All lines of every log group by its name."""
    groups = [
        group["logGroupName"]
        for page in logs.get_paginator("describe_log_groups").paginate()
        for group in page["logGroups"]
    ]
    lines = logs.get_paginator("filter_log_events")
    return {
        name: "\n".join(event["message"] for page in lines.paginate(logGroupName=name) for event in page["events"])
        for name in groups
    }


def _items(dynamodb: Any, table: str) -> list[dict[str, Any]]:
    deserialize = TypeDeserializer().deserialize
    pages = dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
    return [
        {name: deserialize(value) for name, value in item.items()} for page in pages for item in page.get("Items", [])
    ]


def _drain(sqs: Any, queue_url: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        messages = sqs.receive_message(
            QueueUrl=queue_url,
            MaxNumberOfMessages=10,
            WaitTimeSeconds=0,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        ).get("Messages", [])
        if not messages:
            return found
        for message in messages:
            attributes = {
                name: value.get("StringValue") for name, value in message.get("MessageAttributes", {}).items()
            }
            found.append(
                {
                    "message_id": message["MessageId"],
                    "body": message["Body"],
                    "message_group_id": message["Attributes"].get("MessageGroupId"),
                    "sent_ms": int(message["Attributes"].get("SentTimestamp", 0)),
                    "original_message_id": attributes.get("original_message_id"),
                    "reason_code": attributes.get("reason_code"),
                }
            )
            # A FIFO queue gives nothing more of a group while one of it is in flight.
            sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])


def _struck(rows: Mapping[str, list[dict[str, Any]]]) -> dict[str, int]:
    """Faults at the gateway, and how often each happened."""
    found = dict(Counter(f"{row['call']}.{row['fault']}" for row in rows["requests"] if row["fault"]))
    above = len(rows[ABOVE_THE_LIMIT])
    return found | ({ABOVE_THE_LIMIT: above} if above else {})


def _as_they_stand(rows: Sequence[dict[str, Any]], later: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    found = {document["id"]: document for document in (json.loads(row["document"]) for row in rows)}
    for row in later:
        if row["of"] in found:
            found[row["of"]]["status"] = row["status"]
    return list(found.values())


def _gateway_rows(database: Path) -> dict[str, list[dict[str, Any]]]:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as file:
        file.row_factory = sqlite3.Row
        return {
            name: [dict(row) for row in file.execute(f"SELECT * FROM {name} ORDER BY rowid")]
            for name in ("requests", "captures", "intents", "refunds", "disputes", "later_states", ABOVE_THE_LIMIT)
        }
