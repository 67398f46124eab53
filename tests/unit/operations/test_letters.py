"""Redriving dead letters over a FIFO queue in memory, which hides a group while one of its messages is in flight."""

from __future__ import annotations

import pytest

from operations.letters import DeadLetters, Letter, redrive
from tests.support.fifo import DEAD, PAYMENTS, Fifo


def person(queue: Fifo) -> DeadLetters:
    return DeadLetters(queue, DEAD, lambda: queue.at)


def settled(group: str, letters: list[Letter]) -> None:
    """Its payments are settled at once."""


def bodies(queue: Fifo) -> list[str]:
    return [body for _, body, _ in queue.sent]


def test_looking_shows_the_first_ten_of_each_group_and_takes_nothing():
    queue = Fifo(a=[f"a{number}" for number in range(12)], b=["b0"])
    for _ in range(2):
        assert [each.body for each in person(queue).look()] == [f"a{number}" for number in range(10)] + ["b0"]
    assert person(queue).count() == (13, 0)


def test_a_group_is_sent_to_its_end_before_the_next_one_and_after_it_is_quiet():
    queue = Fifo(a=[f"a{number}" for number in range(12)], b=["b0", "b1"])
    quiet: list[tuple[str, int]] = []
    list(redrive(person(queue), ["b", "a"], PAYMENTS, lambda group, sent: quiet.append((group, len(queue.sent)))))
    assert bodies(queue) == ["b0", "b1", *(f"a{number}" for number in range(12))]
    assert quiet == [("b", 2), ("a", 14)]
    assert queue.messages == []


def test_a_group_that_is_not_quiet_leaves_the_next_ones_where_they_are():
    queue = Fifo(a=["a0"], b=["b0"])

    def never(group: str, letters: list[Letter]) -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        list(redrive(person(queue), ["a", "b"], PAYMENTS, never))
    assert bodies(queue) == ["a0"]
    assert [each["body"] for each in queue.messages] == ["b0"]


def test_what_an_interrupted_redrive_left_is_there_at_once_and_goes_on_in_its_order():
    queue = Fifo(a=["a0", "a1", "a2"])
    queue.fails_at = "a1"
    letters = person(queue)
    with pytest.raises(KeyboardInterrupt):
        list(redrive(letters, ["a"], PAYMENTS, settled))
    letters.release()
    assert person(queue).count() == (2, 0)
    queue.fails_at = ""
    list(redrive(person(queue), ["a"], PAYMENTS, settled))
    assert bodies(queue) == ["a0", "a1", "a2"]


def test_a_letter_that_is_sent_twice_has_the_same_deduplication_id_and_two_alike_have_not():
    """As where somebody stopped between sending and deleting it."""
    queue = Fifo(a=["same", "same"])
    first, second = person(queue).look()
    (again, _) = person(queue).look()
    assert first.deduplication_id == again.deduplication_id != second.deduplication_id
    assert len(first.deduplication_id) <= 128


def test_of_two_people_one_has_a_group_and_the_other_the_next_one():
    queue = Fifo(a=["a0", "a1"], b=["b0", "b1"])
    one = redrive(person(queue), ["a", "b"], PAYMENTS, settled)
    other = redrive(person(queue), ["a", "b"], PAYMENTS, settled)
    assert next(one).body == "a0"
    # `a` is in the first one's hands.
    assert next(other).body == "b0"
    assert [each.body for each in one] == ["a1"]
    assert [each.body for each in other] == ["b1"]
    assert bodies(queue) == ["a0", "b0", "a1", "b1"]


def test_what_was_held_too_long_is_received_anew_and_never_taken_for_an_empty_group():
    queue = Fifo(a=["a0"], b=["b0"])
    letters = person(queue)
    # `a` is received on the way to `b`, and a minute passes before its turn.
    assert [each.body for each in letters.next_of("b")] == ["b0"]
    queue.at += 61
    assert [each.body for each in letters.next_of("a")] == ["a0"]
    assert queue.at < queue.messages[0]["hidden_until"] == 181
