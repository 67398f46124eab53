"""Reading is bounded: by a body's size before it is parsed, and by the clock while texts are searched."""

from __future__ import annotations

import hashlib
import io
import json
import tracemalloc
from collections.abc import Sequence

import pytest

from handler.adapters.memory_queues import MemorySourceQueue
from handler.domain.errors import ReadingTooSlowError
from handler.domain.payment import Message
from handler.domain.process import read, settle
from handler.domain.reading import bounded_copy
from handler.domain.rules import BODY_BYTES_MAX, Rules
from handler.domain.times import Times
from handler.domain.validate import validate
from scoring import _pure
from tests.support.payments import CARD, World, body, message, record, work
from tests.support.queue_function import Context, batch, create_function

LARGE = body(payment_id="pay-large", metadata="x" * 20_000)
SLOW = body(payment_id="pay-slow", metadata=["slow"] * 3_000)


class SlowSearch:
    """An engine's search that takes `ms` for each text that says so, on a clock of its own."""

    def __init__(self, ms: int) -> None:
        self.remaining = 30_000
        self._ms = ms

    def __call__(self, texts: Sequence[str], /) -> list[list[tuple[int, int]]]:
        self.remaining -= self._ms * sum(text == "slow" for text in texts)
        return _pure.find_card_numbers(texts)

    def remaining_ms(self) -> int:
        return self.remaining


def settle_batch(world: World, search: SlowSearch, *messages: Message) -> list[str]:
    """What became of each message's reading: its payment id, or the reason code it goes back for."""
    readings = read(messages, world.rules, world.ports._replace(find_card_numbers=search), search.remaining_ms)
    return [getattr(reading.assessment, "reason_code", reading.validation.payment_id) for reading in readings]


def test_a_message_that_is_too_slow_goes_back_alone_and_the_others_are_read():
    search = SlowSearch(ms=2)
    slow = message(SLOW, "m-1", "slow-group")
    large = [message(LARGE, f"m-{number}", f"group-{number}") for number in range(2, 5)]
    found = settle_batch(World(), search, slow, *large)
    assert found == ["reading_too_slow", "pay-large", "pay-large", "pay-large"]
    # Half of a sixth of 30 s, and what one look at the clock may miss.
    assert 30_000 - search.remaining < 2_500 + 2_100


def test_after_the_batch_has_had_its_time_the_rest_goes_back_without_blame():
    search = SlowSearch(ms=2)
    slow = [message(SLOW, f"m-{number}", f"group-{number}") for number in range(1, 9)]
    found = settle_batch(World(), search, *slow)
    assert found == ["reading_too_slow"] * 2 + ["not_enough_time"] * 6
    assert search.remaining >= World().rules.times.least_remaining_ms


def test_the_smallest_messages_are_read_before_others_can_take_their_time():
    search = SlowSearch(ms=2)
    slow = [message(SLOW, f"m-{number}", f"group-{number}") for number in range(1, 9)]
    *_, last = settle_batch(World(), search, *slow, message(LARGE, "m-9", "group-9"))
    assert last == "pay-large"


def test_a_small_batch_is_searched_at_once():
    world, calls = World(), []

    def search(texts: Sequence[str], /) -> list[list[tuple[int, int]]]:
        calls.append(len(texts))
        return _pure.find_card_numbers(texts)

    messages = [message(message_id=f"m-{number}", group="") for number in range(10)]
    read(messages, world.rules, world.ports._replace(find_card_numbers=search), lambda: 30_000)
    # All texts at once, and all ids at once.
    assert len(calls) == 2


@pytest.mark.parametrize("times", [Times(), Times(2, 12, 1 / 3, 1 / 3, 1 / 3), Times(11, 180), Times(900, 5400)])
def test_whatever_the_times_are_reading_leaves_enough_for_a_claim(times):
    assert times.check() is None
    assert 0 < 1500 * times.reading_seconds < 1000 * times.function_timeout_seconds - times.least_remaining_ms


@pytest.mark.parametrize(("receives", "ends"), [(1, False), (4, False), (5, True)])
def test_a_message_that_is_never_read_in_time_ends_in_the_rejected_queue(receives, ends):
    world, search = World(), SlowSearch(ms=2)
    messages = [message(SLOW)._replace(receives=receives), message(LARGE, "m-2")]
    ports = world.ports._replace(find_card_numbers=search)
    reading, _ = read(messages, world.rules, ports, search.remaining_ms)
    if not ends:
        with pytest.raises(ReadingTooSlowError):
            settle(reading, world.rules, ports, work())
        assert not world.rejected.messages
        return
    assert settle(reading, world.rules, ports, work()) == "unusable"
    [(_, copy, reason)] = world.rejected.messages
    assert reason == "reading_too_slow"
    assert json.loads(copy)["sha256"] == hashlib.sha256(SLOW.encode()).hexdigest()


@pytest.mark.parametrize("letter", ["x", "é", "€", "😀"])
def test_a_body_is_measured_in_bytes_of_utf_8(letter):
    empty = '{"payment_id":"pay-1","metadata":""}'
    room, width = BODY_BYTES_MAX - len(empty), len(letter.encode())
    filling = letter * (room // width) + "x" * (room % width)
    largest = empty.replace('""', f'"{filling}"')
    assert len(largest.encode()) == BODY_BYTES_MAX
    world = World()
    fits, exceeds = (
        read([Message("m-1", text)], world.rules, world.ports, lambda: 30_000)[0].validation
        for text in (largest, largest.replace("xx", "xxx", 1) if "xx" in largest else largest + " ")
    )
    assert fits.payment_id == "pay-1"
    assert [fault.reason_code for fault in exceeds.faults] == ["message_too_large"]


def test_the_largest_valid_payment_is_far_below_the_largest_body():
    from handler.domain.canonical import ADDRESS_TEXTS, REQUIRED_TEXTS, VERSIONS

    lengths = {"payment_id": 48, **REQUIRED_TEXTS, **VERSIONS[2].optional_texts}
    texts = {name: "€" * length for name, length in lengths.items()}
    texts |= {"payment_id": "p" * 48, "payment_method": "m" * 32}
    address = {name: "€" * length for name, length in ADDRESS_TEXTS.items()}
    text = json.dumps({**texts, "amount": 1, "billing_address": address}, ensure_ascii=True)
    payment = validate(json.loads(text, parse_int=lambda _: _number()), Rules().limits, 2).payment
    assert payment is not None
    assert 2 * len(text) < BODY_BYTES_MAX


def _number():
    from handler.domain.parse import NumberText

    return NumberText("1")


def test_a_body_that_is_too_large_is_rejected_unread_and_a_masked_beginning_is_kept(monkeypatch):
    monkeypatch.setattr("handler.domain.reading.parse", lambda _: pytest.fail("it was parsed"))
    text = json.dumps({"payment_id": "pay-1", "note": f"card {CARD}, cvv: 123", "more": "x" * 250_000})
    world = World()
    function = create_function(world, MemorySourceQueue(), io.StringIO(), world.rules)
    response = function(batch(record(text)), Context())
    assert (response["body"]["failed"], response["batchItemFailures"]) == (1, [])
    [(kept, copy, reason)] = world.rejected.messages
    assert (reason, kept.body) == ("message_too_large", copy)
    document = json.loads(copy)
    assert (document["bytes"], document["sha256"]) == (len(text), hashlib.sha256(text.encode()).hexdigest())
    assert document["head"].startswith('{"payment_id": "pay-1", "note": "card ************1111, cvv: [removed]')
    assert len(copy) < 10_000


@pytest.mark.parametrize("spelling", [CARD, "4111 1111 1111 1111", "".join(f"\\u003{digit}" for digit in CARD)])
def test_no_beginning_of_a_card_number_is_kept_where_the_copy_is_cut(spelling):
    for before in range(3_500, 4_100):
        head = json.loads(bounded_copy(f"{'x' * before} {spelling} {'x' * 200_000}", _pure.find_card_numbers))["head"]
        assert CARD[:8] not in head.replace(" ", "")


def test_nine_of_the_largest_messages_of_a_queue_take_little_memory():
    world = World()
    function = create_function(world, MemorySourceQueue(), io.StringIO(), world.rules)
    records = [
        record(
            json.dumps({"payment_id": f"pay-{number}", "cards": [CARD] * 14_000})[:262_144], f"m-{number}", f"g{number}"
        )
        for number in range(9)
    ]
    event = batch(*records, record(body(), "m-9", "good"))
    tracemalloc.start()
    try:
        response = function(event, Context())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (response["body"]["processed"], response["body"]["failed"]) == (1, 9)
    # Beside the event itself, which has 2.4 MB: one body in UTF-8 at a time, and nine copies.
    assert peak < 2_000_000
