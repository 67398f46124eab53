"""The engines return the same for any input, with every kernel of this processor."""

from hashlib import sha256

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scoring import _compiled, _pure
from scoring.kernel import load_engine
from scoring.model import Payment
from scoring.table import BUILT_IN, open_table
from tests.support.engines import HASHING

COMPILED = [kernel for engine, kernel in HASHING if engine == "compiled"]
MESSAGES = st.lists(st.binary(max_size=300), max_size=40)


@pytest.fixture(params=COMPILED, autouse=True, scope="module")
def _kernel(request: pytest.FixtureRequest):
    load_engine("compiled", request.param)
    yield
    load_engine("auto", "auto")


@given(message=st.binary(max_size=300), rounds=st.integers(0, 20))
@example(message=b"", rounds=0)
@example(message=bytes(1_000_000), rounds=1)
@example(message=bytes(55), rounds=1)
@example(message=bytes(56), rounds=1)
@example(message=bytes(64), rounds=1)
def test_one_chain(message: bytes, rounds: int) -> None:
    assert _compiled.sha256_chain(message, rounds) == _pure.sha256_chain(message, rounds)


@given(messages=MESSAGES, rounds=st.integers(0, 5))
def test_many_chains(messages: list[bytes], rounds: int) -> None:
    assert _compiled.sha256_chains(messages, rounds) == _pure.sha256_chains(messages, rounds)


@given(message=st.binary(max_size=300), start=st.integers(0, 70))
def test_a_view_into_a_buffer_at_any_address(message: bytes, start: int) -> None:
    view = memoryview(bytes(start) + message)[start:]
    assert _compiled.sha256_chain(view, 0) == sha256(message).digest()


@given(operations=st.integers(0, 500), lanes=st.integers(1, 50))
def test_cold_start_work(operations: int, lanes: int) -> None:
    assert _compiled.cold_start_work(operations, lanes) == _pure.cold_start_work(operations, lanes)


@given(
    payments=st.lists(
        st.builds(
            Payment,
            identity=st.binary(max_size=200),
            amount_minor=st.one_of(st.integers(1, 10**6), st.integers(1, 10**30)),
            fields=st.lists(
                st.one_of(st.text(max_size=20), st.sampled_from(["gift card", "a@mailinator.com"])),
                min_size=10,
                max_size=10,
            ).map(tuple),
        ),
        max_size=20,
    ),
    iterations=st.integers(0, 5),
    pepper=st.binary(max_size=40),
)
def test_scores(payments: list[Payment], iterations: int, pepper: bytes) -> None:
    table = open_table(BUILT_IN)
    assert _compiled.score_batch(table, payments, iterations=iterations, pepper=pepper) == _pure.score_batch(
        table, payments, iterations=iterations, pepper=pepper
    )
