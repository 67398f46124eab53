"""Several things at once in one environment: as many as were asked for, all of them ended when the caller goes on.

Invariant: what the workers share is looked at and changed by one of them at a time.
"""

from __future__ import annotations

import threading
import time
from types import FunctionType

import pytest

from handler.adapters.support.errors import AwsError
from handler.adapters.table import memory
from handler.adapters.workers import SharedBreaker, ThreadWorkers
from handler.domain.breaker import Breaker
from handler.domain.errors import GatewayNotReachedError
from handler.support import load_support


def test_as_many_jobs_run_at_once_as_there_are_workers():
    met = threading.Barrier(10, timeout=60)
    ThreadWorkers(10).run([met.wait] * 30)


@pytest.mark.parametrize("at_once", [1, 3])
def test_no_more_jobs_run_at_once_than_there_are_workers(at_once):
    under_way: list[int] = []
    most: list[int] = []

    def job() -> None:
        under_way.append(1)
        most.append(len(under_way))
        time.sleep(0.001)
        under_way.pop()

    ThreadWorkers(at_once).run([job] * 40)
    assert len(most) == 40
    assert max(most) <= at_once


def test_jobs_begin_in_their_order():
    begun: list[int] = []
    ThreadWorkers(1).run([lambda number=number: begun.append(number) for number in range(20)])  # type: ignore[misc]
    assert begun == list(range(20))


def test_threads_are_kept_from_one_batch_to_the_next_and_the_callers_is_one_of_them():
    workers = ThreadWorkers(5)
    threads: set[threading.Thread] = set()

    def job() -> None:
        met.wait()
        threads.add(threading.current_thread())

    for _ in range(10):
        met = threading.Barrier(5, timeout=60)
        workers.run([job] * 5)
    assert len(threads) == 5
    assert threading.current_thread() in threads


def test_one_job_alone_starts_no_thread():
    before = threading.active_count()
    used: list[threading.Thread] = []
    ThreadWorkers(10).run([lambda: used.append(threading.current_thread())])
    assert used == [threading.current_thread()]
    assert threading.active_count() == before


def test_what_a_job_raises_comes_once_all_jobs_have_ended_and_the_workers_go_on():
    workers, met, ended = ThreadWorkers(3), threading.Barrier(3, timeout=60), []

    def fails() -> None:
        met.wait()
        raise SystemExit(3)

    def ends() -> None:
        met.wait()
        time.sleep(0.01)
        ended.append(1)

    with pytest.raises(SystemExit, match="3"):
        workers.run([fails, ends, ends])
    assert len(ended) == 2
    workers.run([threading.Barrier(3, timeout=60).wait] * 3)


def test_each_method_of_the_breaker_is_for_one_worker_at_a_time():
    class Seen:
        entered = 0

        def __enter__(self) -> None:
            self.entered += 1

        def __exit__(self, *_: object) -> None:
            return

    public = {name for name, each in vars(Breaker).items() if isinstance(each, FunctionType) and name[0] != "_"}
    given = {"failed": ("p", GatewayNotReachedError("down")), "blames": ("p", GatewayNotReachedError("down"))}
    given["forget"] = ("p",)  # type: ignore[assignment]
    given["looked_in_vain"] = (GatewayNotReachedError("down"),)  # type: ignore[assignment]
    for name in public:
        breaker = SharedBreaker()
        breaker._lock = seen = Seen()  # type: ignore[assignment]
        getattr(breaker, name)(*given.get(name, ()))
        assert seen.entered, name


@pytest.mark.parametrize("name", ["lean", "standard"])
def test_of_threads_that_ask_for_a_client_at_once_all_get_the_same(name, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    get, got = load_support(name).create_clients("us-east-1", None), []
    ThreadWorkers(10).run([lambda: got.append(get("dynamodb"))] * 10)
    assert len(got) == 10
    assert len(set(map(id, got))) == 1


def test_of_writes_at_once_the_memorys_table_takes_one(monkeypatch):
    def slow(condition: str):
        def holds(item, names, values) -> bool:
            is_free = not item
            time.sleep(0.001)
            return is_free

        return holds

    monkeypatch.setattr(memory, "_compiled", slow)
    table, refused = memory.MemoryDynamoDb(), []

    def put() -> None:
        try:
            table.put_item(
                Item={"transaction_id": {"S": "txn-1"}},
                ConditionExpression="attribute_not_exists(transaction_id)",
                ExpressionAttributeNames={},
            )
        except AwsError as error:
            refused.append(error)

    ThreadWorkers(10).run([put] * 10)
    assert len(refused) == 9
