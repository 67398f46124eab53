"""For any batch, failures and number of workers: each group keeps its order, and comes back from a failure on."""

from __future__ import annotations

import threading
from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from handler.adapters.workers import ThreadWorkers
from handler.batch import settle_groups
from tests.support.payments import message

# A thread is kept for the process's life: one set of workers for all examples.
WORKERS = {at_once: ThreadWorkers(at_once) for at_once in (1, 2, 3, 10)}


@given(
    st.lists(st.tuples(st.sampled_from("abcde"), st.booleans() | st.just(True)), max_size=10),
    st.sampled_from(sorted(WORKERS)),
    st.booleans(),
)
def test_groups_keep_their_order_and_come_back_from_their_first_failure_on(batch, at_once, asks_alone):
    messages = [message(message_id=f"m-{place}", group=group) for place, (group, _) in enumerate(batch)]
    tried: dict[str, list[int]] = defaultdict(list)
    at_work: dict[str, threading.Lock] = defaultdict(threading.Lock)

    def settle(place: int) -> None:
        group, is_sound = batch[place]
        assert at_work[group].acquire(blocking=False)
        try:
            tried[group].append(place)
            if not is_sound:
                raise ValueError
        finally:
            at_work[group].release()

    returned = settle_groups(messages, settle, WORKERS[at_once], lambda: asks_alone)

    expected: list[int] = []
    for name in sorted({group for group, _ in batch}):
        places = [place for place, (group, _) in enumerate(batch) if group == name]
        failed = next((place for place in places if not batch[place][1]), len(batch))
        assert tried[name] == [place for place in places if place <= failed]
        expected += [place for place in places if place >= failed]
    assert returned == sorted(expected)
