"""The events function: nothing is lost, one payment's events keep their order, and nothing holds the others up."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from handler.adapters.events.stream import TableStream
from handler.adapters.events.targets import BusEvents, SnsEvents, SqsEvents, choose_target
from handler.adapters.support.errors import AwsError
from handler.adapters.table.expressions import to_attributes
from handler.domain.errors import ConfigurationError
from handler.domain.item import from_stored
from handler.domain.outcome_delivery import EventTargetError, Refusal, deliver
from handler.domain.outcome_event import outcome_event
from handler.event_composition import compose_target
from handler.events_function import EventsFunction
from handler.settings import read_event_target
from tests.support.aws import stubbed
from tests.support.payments import ListNotifier, whole_item

QUEUE = "https://sqs.us-east-1.amazonaws.com/123456789012/events.fifo"
TOPIC = "arn:aws:sns:us-east-1:123456789012:events.fifo"
BUS = "arn:aws:events:us-east-1:123456789012:event-bus/orders"


class Target:
    """Takes what it is not told to refuse: `refuses` by payment id, `fails` by the number of the call."""

    def __init__(self, refuses=(), fails=(), for_good=False):
        self.refuses, self.fails, self.for_good = refuses, fails, for_good
        self.calls = []

    def send(self, events, /):
        self.calls.append([event.payment_id for event in events])
        if len(self.calls) in self.fails:
            raise EventTargetError("no answer")
        return [Refusal(e.event_id, self.for_good, "why") for e in events if e.payment_id in self.refuses]


class Context:
    def __init__(self, *remaining):
        self._remaining = list(remaining)

    def get_remaining_time_in_millis(self):
        return self._remaining.pop(0) if self._remaining else 60_000


def stored(payment_id, status="completed", **attributes):
    return whole_item({}, transaction_id=f"txn-{payment_id}", payment_id=payment_id, status=status, **attributes)


def event(payment_id, status="completed", **attributes):
    return outcome_event(from_stored(stored(payment_id, status, **attributes)), "dev")


def record(number, item):
    key = to_attributes({"transaction_id": item["transaction_id"]})
    return {"dynamodb": {"Keys": key, "NewImage": to_attributes(item), "SequenceNumber": str(number)}}


def handled(target, items, context=None):
    notifier = ListNotifier()
    function = EventsFunction("dev", target, notifier)
    answer = function({"Records": [record(n, item) for n, item in enumerate(items)]}, context or Context())
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]], notifier.alarms


def test_a_batch_whose_events_are_taken_is_done():
    target = Target()
    assert handled(target, [stored("a"), stored("b"), whole_item({})]) == ([], [])
    assert target.calls == [["a", "b"]]


def test_two_events_of_one_payment_in_one_batch_go_one_after_the_other():
    target = Target()
    assert handled(target, [stored("a", "parked"), stored("b"), stored("a", park_no=1)]) == ([], [])
    assert target.calls == [["a", "b"], ["a"]]


def test_after_an_event_that_was_not_taken_none_of_its_payment_goes_and_others_do():
    target = Target(refuses=("a",))
    failed, alarms = handled(target, [stored("b"), stored("a", "parked"), stored("a", park_no=1), stored("c")])
    assert target.calls == [["b", "a", "c"]]
    assert (failed, alarms) == (["1"], [])


def test_from_the_first_event_of_a_call_that_failed_all_come_again():
    items = [stored(f"p{n}") for n in range(25)]
    target = Target(fails=(2,))
    assert handled(target, items)[0] == ["10"]
    assert [len(call) for call in target.calls] == [10, 10]


def test_without_time_for_a_call_its_events_come_again():
    items = [stored(f"p{n}") for n in range(11)]
    target = Target()
    assert handled(target, items, Context(60_000, 7_999))[0] == ["10"]
    assert len(target.calls) == 1


def test_an_event_that_is_refused_for_good_is_an_alarm_and_holds_nobody_up():
    failed, alarms = handled(Target(refuses=("a",), for_good=True), [stored("a"), stored("b")])
    assert failed == []
    assert alarms == [("outcome_event_refused", "txn-a", "why")]


@pytest.mark.parametrize(
    "item",
    [
        {n: v for n, v in stored("a").items() if n != "gateway_ref"},
        stored("a") | {"status": "refunded"},
        stored("a", order_id="o" * 30_000),
    ],
    ids=("damaged", "of newer code", "too large"),
)
def test_an_item_of_which_no_event_can_be_made_is_an_alarm_and_holds_nobody_up(item):
    target = Target()
    failed, alarms = handled(target, [item, stored("b")])
    assert (failed, target.calls) == ([], [["b"]])
    assert [alarm[:2] for alarm in alarms] == [("outcome_event_not_made", "txn-a")]


def test_the_places_that_come_again_are_in_order():
    events = [event("a", "parked"), event("b"), event("a", park_no=1)]
    assert deliver(events, Target(refuses=("a",)), ListNotifier()) == [0, 2]


# ---- targets ----
def entry(told, text):
    return {
        "Id": "0",
        text: told.text,
        "MessageGroupId": "a",
        "MessageDeduplicationId": told.event_id,
        "MessageAttributes": {
            "schema_version": {"DataType": "String", "StringValue": "1"},
            "kind": {"DataType": "String", "StringValue": "payment"},
            "status": {"DataType": "String", "StringValue": "completed"},
        },
    }


def test_a_queue_gets_a_payments_events_in_its_group_under_their_ids():
    told = event("a")
    with stubbed("standard", "sqs") as (client, stubber):
        stubber.add_response(
            "send_message_batch",
            {"Successful": [], "Failed": [{"Id": "0", "SenderFault": True, "Code": "InvalidMessageContents"}]},
            {"QueueUrl": QUEUE, "Entries": [entry(told, "MessageBody")]},
        )
        assert SqsEvents(client, QUEUE).send([told]) == [Refusal(told.event_id, True, "InvalidMessageContents ")]


@pytest.mark.parametrize("code", ["RequestThrottled", "ThrottlingException", "KMS.DisabledException", "AccessDenied"])
def test_what_is_called_the_senders_fault_and_says_nothing_of_the_event_comes_again(code):
    failed = [{"Id": "0", "SenderFault": True, "Code": code, "Message": "too fast"}]
    client = SimpleNamespace(send_message_batch=lambda **_: {"Successful": [], "Failed": failed})
    events, notifier = [event("a", "parked"), event("a", park_no=1)], ListNotifier()
    # The later one of the payment neither goes on its own, nor is anything dropped.
    assert deliver(events, SqsEvents(client, QUEUE), notifier) == [0, 1]
    assert notifier.alarms == []


def test_a_topic_gets_the_same():
    told = event("a")
    with stubbed("standard", "sns") as (client, stubber):
        failed = {"Id": "0", "SenderFault": False, "Code": "Throttled", "Message": "later"}
        stubber.add_response(
            "publish_batch",
            {"Successful": [], "Failed": [failed]},
            {"TopicArn": TOPIC, "PublishBatchRequestEntries": [entry(told, "Message")]},
        )
        assert SnsEvents(client, TOPIC).send([told]) == [Refusal(told.event_id, False, "Throttled later")]


def test_a_bus_gets_events_by_source_and_detail_type():
    told = [event("a"), event("b"), event("c")]
    with stubbed("standard", "events") as (client, stubber):
        answers = [
            {"EventId": "1"},
            {"ErrorCode": "InternalFailure", "ErrorMessage": "later"},
            {"ErrorCode": "MalformedDetail", "ErrorMessage": "never"},
        ]
        entries = [
            {
                "EventBusName": BUS,
                "Source": "cloudcafe.payments",
                "DetailType": "payment outcome 1",
                "Detail": each.text,
            }
            for each in told
        ]
        stubber.add_response("put_events", {"FailedEntryCount": 2, "Entries": answers}, {"Entries": entries})
        refused = BusEvents(client, BUS).send(told)
    assert [(each.event_id, each.is_for_good) for each in refused] == [
        (told[1].event_id, False),
        (told[2].event_id, True),
    ]


@pytest.mark.parametrize(
    ("service", "operation", "make"),
    [
        ("sqs", "send_message_batch", lambda client: SqsEvents(client, QUEUE)),
        ("sns", "publish_batch", lambda client: SnsEvents(client, TOPIC)),
        ("events", "put_events", lambda client: BusEvents(client, BUS)),
    ],
)
def test_a_target_that_refuses_the_whole_call_took_nothing_that_is_known(service, operation, make):
    with stubbed("standard", service) as (client, stubber):
        stubber.add_client_error(operation, "AccessDeniedException")
        with pytest.raises(EventTargetError, match="AccessDenied"):
            make(client).send([event("a")])


@pytest.mark.parametrize(("target", "service"), [(QUEUE, "sqs"), (TOPIC, "sns"), (BUS, "events")])
def test_the_setting_names_the_target(target, service):
    asked: list[str] = []
    choose_target(asked.append, read_event_target({"EVENT_TARGET": target}))
    assert asked == [service]


@pytest.mark.parametrize(
    "target",
    [
        QUEUE.removesuffix(".fifo"),
        TOPIC.removesuffix(".fifo"),
        "arn:aws:events:us-east-1:123456789012:rule/orders",
        "arn:aws:sqs:us-east-1:123456789012:events.fifo",
    ],
)
def test_a_target_without_order_or_of_another_service_is_refused(target):
    with pytest.raises(ConfigurationError, match="EVENT_TARGET"):
        read_event_target({"EVENT_TARGET": target})


def test_a_function_without_a_target_does_not_start():
    with pytest.raises(ConfigurationError, match="EVENT_TARGET is not set"):
        compose_target({})


# ---- the stream ----
class Streams:
    """GetRecords and the rest over shards of (parent, pages); a page is a list of numbers, or an error's code."""

    def __init__(self, shards, closed=()):
        self.shards, self.closed, self.asked = shards, closed, []

    def describe_stream(self, **request):
        names = list(self.shards)
        at = names.index(request["ExclusiveStartShardId"]) + 1 if "ExclusiveStartShardId" in request else 0
        name = names[at]
        parent = self.shards[name][0]
        shard = {"ShardId": name, "SequenceNumberRange": {}, **({"ParentShardId": parent} if parent else {})}
        if name in self.closed:
            shard["SequenceNumberRange"] = {"EndingSequenceNumber": "9"}
        more = {"LastEvaluatedShardId": name} if name != names[-1] else {}
        return {"StreamDescription": {"Shards": [shard], **more}}

    def get_shard_iterator(self, **request):
        self.asked.append((request["ShardId"], request["ShardIteratorType"], request.get("SequenceNumber", "")))
        return {"ShardIterator": request["ShardId"]}

    def get_records(self, *, ShardIterator):
        pages = self.shards[ShardIterator][1]
        page = pages.pop(0)
        if isinstance(page, str):
            raise AwsError("GetRecords", page, "")
        records = [{"dynamodb": {"SequenceNumber": str(number)}} for number in page]
        return {"Records": records, **({"NextShardIterator": ShardIterator} if pages else {})}


def numbers(stream):
    return [int(record["dynamodb"]["SequenceNumber"]) for record in stream.read()]


def test_what_follows_in_a_shard_is_read_behind_what_it_follows():
    streams = Streams({"child": ("parent", [[3], []]), "parent": ("", [[1], [2]])})
    stream = TableStream(streams, "arn", from_start=True)
    assert [numbers(stream) for _ in range(3)] == [[1], [2], [3]]
    assert [each[1] for each in streams.asked] == ["TRIM_HORIZON"] * 2


def test_a_stream_is_read_from_now_on_and_its_new_shards_from_their_beginning():
    streams = Streams({"old": ("", []), "now": ("old", [[1]])}, closed=("old",))
    stream = TableStream(streams, "arn")
    assert numbers(stream) == [1]
    streams.shards["next"] = ("now", [[2], []])
    assert numbers(stream) == [2]
    assert streams.asked == [("now", "LATEST", ""), ("next", "TRIM_HORIZON", "")]


def test_an_iterator_that_expired_is_made_anew_behind_what_was_read():
    streams = Streams({"now": ("", [[7], "ExpiredIteratorException", [8], []])})
    stream = TableStream(streams, "arn")
    assert [numbers(stream) for _ in range(3)] == [[7], [], [8]]
    assert streams.asked[-1] == ("now", "AFTER_SEQUENCE_NUMBER", "7")


def test_records_that_were_lost_are_an_error():
    stream = TableStream(Streams({"now": ("", ["TrimmedDataAccessException"])}), "arn", from_start=True)
    with pytest.raises(AwsError, match="Trimmed"):
        stream.read()
