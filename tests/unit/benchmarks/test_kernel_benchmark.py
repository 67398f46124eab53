"""The kernels' benchmark without its measuring: it verifies what it would measure."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import kernels


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
