"""The local system's events: what the stream says is in the queue and in the file before it has stopped."""

from __future__ import annotations

import json

from botocore.exceptions import EndpointConnectionError

from handler.adapters.table.expressions import to_attributes
from local.outcome_events import OutcomeEvents
from tests.support.payments import whole_item


class Streams:
    """A stream of one shard, a page a call."""

    def __init__(self, pages):
        self.pages = pages

    def describe_stream(self, **_):
        return {"StreamDescription": {"Shards": [{"ShardId": "s", "SequenceNumberRange": {}}]}}

    def get_shard_iterator(self, **_):
        return {"ShardIterator": "i"}

    def get_records(self, **_):
        return {"Records": self.pages.pop(0) if self.pages else [], "NextShardIterator": "i"}


class Sqs:
    def __init__(self, failures=0):
        self.taken, self.failures = [], failures

    def send_message_batch(self, *, QueueUrl, Entries):
        self.failures -= 1
        failed = [{"Id": each["Id"], "SenderFault": False, "Code": "later"} for each in Entries]
        if self.failures >= 0:
            return {"Successful": [], "Failed": failed}
        self.taken += [json.loads(each["MessageBody"]) for each in Entries]
        return {"Successful": Entries}


def record(number, payment_id):
    item = whole_item({}, status="completed", payment_id=payment_id, transaction_id=f"txn-{payment_id}")
    return {"dynamodb": {"NewImage": to_attributes(item), "SequenceNumber": str(number)}}


def events_of(streams, sqs, folder, problems, told=None):
    return OutcomeEvents(
        streams,
        "arn",
        sqs,
        "queue",
        environment="dev",
        file=folder / "events.jsonl",
        told=lambda payment_id, status: (told if told is not None else []).append((payment_id, status)),
        problem=problems.append,
    )


def test_all_that_the_stream_says_is_told_before_it_stops(tmp_path):
    problems: list[str] = []
    heard: list[tuple[str, str]] = []
    sqs = Sqs(failures=1)
    events = events_of(Streams([[record(1, "a"), record(2, "b")], [record(3, "c")]]), sqs, tmp_path, problems, heard)
    events.stop()
    told = [json.loads(line) for line in events.file.read_text().splitlines()]
    assert [event["payment_id"] for event in told] == ["a", "b", "c"]
    assert sqs.taken == told
    assert heard == [(name, "completed") for name in "abc"]
    assert problems == []


def test_what_ends_it_is_told_to_its_owner(tmp_path):
    problems: list[str] = []
    streams = Streams([])
    streams.describe_stream = lambda **_: (_ for _ in ()).throw(EndpointConnectionError(endpoint_url="http://x"))
    events_of(streams, Sqs(), tmp_path, problems).stop()
    assert len(problems) == 1
    assert "outcome events" in problems[0]
