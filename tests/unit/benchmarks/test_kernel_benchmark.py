"""The kernels' benchmark without its measuring: it verifies what it would measure."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import kernels, sha_unit


def disabled() -> Any:
    """The plugin's fixture as `--benchmark-disable` leaves it: one call, no statistics."""

    def pedantic(call: Callable[[], object], *, setup: Callable[[], None], **_: int) -> object:
        setup()
        return call()

    return SimpleNamespace(pedantic=pedantic, stats=None, extra_info={})


def test_a_row_is_verified_where_measuring_is_switched_off() -> None:
    benchmark = disabled()
    work = kernels.Work(lambda: "right", 1, "right")
    kernels.compare(benchmark, work, {"base": work}, count=1)
    assert benchmark.extra_info == {}


@pytest.mark.parametrize("of", ["work", "base"])
def test_a_wrong_result_is_found_where_measuring_is_switched_off(of: str) -> None:
    right, wrong = kernels.Work(lambda: "right", 1, "right"), kernels.Work(lambda: "wrong", 1, "right")
    work, base = (wrong, right) if of == "work" else (right, wrong)
    with pytest.raises(AssertionError):
        kernels.compare(disabled(), work, {"base": base}, count=1)


def rows(one_chain: float, many_chains: float) -> dict[str, dict[str, Any]]:
    """A record in which the kernels take as many times what the SHA unit would allow."""
    times = {
        ("shani-1", "one"): one_chain,
        ("shani-4", "many"): many_chains,
        ("overhead score_batch 10", "bare kernel"): 1,
    }
    return {row: {"ratios": {base: (1 / value, 0.0, 0.0)}} for (row, base), value in times.items()}


@pytest.mark.parametrize(("one_chain", "many_chains", "ok"), [(1.04, 1.24, True), (1.06, 1.26, False)])
def test_a_kernel_is_held_against_what_the_sha_unit_allows(
    monkeypatch: pytest.MonkeyPatch, one_chain: float, many_chains: float, ok: bool
) -> None:
    monkeypatch.setattr(kernels, "import_cpu_ms", lambda: 0.0)
    monkeypatch.setattr(
        kernels,
        "LIMIT_BARS",
        {"one_chain_to_limit": ("shani-1", "one", 1.05), "many_chains_to_limit": ("shani-4", "many", 1.25)},
    )
    bars = {bar.name: bar for bar in kernels.bars(rows(one_chain, many_chains))}
    assert (bars["one_chain_to_limit"].ok, bars["many_chains_to_limit"].ok) == (ok, ok)
    assert not [name for name in bars if "hashlib" in name or "pure" in name]


def test_the_sha_unit_computes_rounds_of_sha256_in_all_of_its_chains() -> None:
    for name, count in sha_unit.CHAINS.items() if kernels.UNIT_KERNELS else ():
        ends = sha_unit.as_bytes([sha_unit.rounds(state, 4 * 50) for state in sha_unit.states(count)])
        assert sha_unit.chains(name, 50)() == ends
        assert sha_unit.chains(name, 51)() != ends


def test_the_rounds_that_the_sha_unit_is_verified_by_are_those_of_the_standard(monkeypatch: pytest.MonkeyPatch) -> None:
    """One block of FIPS 180-4, round by round with the schedule of "abc", ends in its published digest."""
    words = [0x61626380, *[0] * 14, 24]
    for i in range(16, 64):
        two, fifteen = words[i - 2], words[i - 15]
        small = [
            ((fifteen >> 7 | fifteen << 25) ^ (fifteen >> 18 | fifteen << 14)) & 0xFFFFFFFF ^ fifteen >> 3,
            ((two >> 17 | two << 15) ^ (two >> 19 | two << 13)) & 0xFFFFFFFF ^ two >> 10,
        ]
        words.append((words[i - 16] + small[0] + words[i - 7] + small[1]) & 0xFFFFFFFF)
    primes = [n for n in range(2, 312) if all(n % d for d in range(2, n))]
    fraction = [(_root(prime << 96, 3)) & 0xFFFFFFFF for prime in primes]
    state = start = [_root(prime << 64, 2) & 0xFFFFFFFF for prime in primes[:8]]
    for word, constant in zip(words, fraction, strict=True):
        monkeypatch.setattr(sha_unit, "_WORD_AND_CONSTANT", word + constant)
        state = sha_unit.rounds(state, 1)
    digest = "".join(f"{(one + other) & 0xFFFFFFFF:08x}" for one, other in zip(start, state, strict=True))
    assert digest == sha256(b"abc").hexdigest()


def _root(number: int, power: int) -> int:
    """The whole part of a root, by bisection."""
    low, high = 0, 1 << 64
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle**power <= number else (low, middle)
    return low
