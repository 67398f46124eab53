"""Chooses the engine that scores and the hashing kernel under it, proves them right, and says what was chosen.

An explicit choice never falls back: a function sized for the compiled engine must not quietly run the slow one.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from typing import Protocol

    from scoring.model import Payment, Score
    from scoring.table import Table
else:
    # Nobody looks at a protocol while the code runs.
    Protocol = object

ENGINES = ("compiled", "pure")
CHOICES = ("auto", *ENGINES)

# SHA-256 over everything that `_self_test` computes; made by the pure engine, over hashlib.
SELF_TEST_DIGEST = "518dd25dc97f79fd10e1b8405a76ace78af623afcc8d3b7b98dc84867899bc94"
# More than the widest kernel's lanes, with a rest that the next kernel fills up; fewer messages are hashed beside.
SELF_TEST_MESSAGES = 19

# All that a limited-API extension of Cython's takes from `inspect`, which brings `ast` and `dis` and takes 11 CPU-ms.
CODE_FLAGS = {
    "CO_OPTIMIZED": 0x1,
    "CO_NEWLOCALS": 0x2,
    "CO_VARARGS": 0x4,
    "CO_VARKEYWORDS": 0x8,
    "CO_GENERATOR": 0x20,
    "CO_COROUTINE": 0x80,
    "CO_ASYNC_GENERATOR": 0x200,
}


class EngineUnavailableError(RuntimeError):
    """The engine, or the kernel asked for in it, does not exist here; the message says which do."""


class EngineSelfTestError(RuntimeError):
    """An engine computed a wrong SHA-256 on this processor. Nothing may be scored with it."""


class Engine(Protocol):
    """All of scoring, as both modules offer it; `scoring._pure` says what each function returns and raises."""

    def sha256_chain(self, message: bytes, rounds: int) -> bytes: ...
    def sha256_chains(self, messages: Iterable[bytes], rounds: int) -> list[bytes]: ...
    def cold_start_work(self, operations: int, lanes: int = 16) -> bytes: ...
    def screen(self, table: Table, fields: Sequence[Sequence[str | bytes]]) -> list[tuple[tuple[int, ...], ...]]: ...
    def find_card_numbers(self, fields: Iterable[str | bytes]) -> list[list[tuple[int, int]]]: ...
    def score_batch(
        self, table: Table, payments: Sequence[Payment], *, iterations: int, pepper: bytes
    ) -> list[Score]: ...


_asked = ("", "")
_chosen: dict[str, object] = {}
_engine: Engine | None = None


def load_engine(requested: str = "", kernel: str = "") -> Engine:
    """Choose, test and return the engine, `scoring._compiled` or `scoring._pure`; the choice is the whole process's.

    `requested` is an engine, `auto` | `compiled` | `pure`; empty takes SCORING_ENGINE from the environment, else
    `auto`, which is the compiled engine where it was built. `kernel` names one hashing kernel ("shani-2") that is then
    used for every number of messages; empty takes SCORING_KERNEL, else `auto`: the fastest for each number.

    Raises EngineUnavailableError where the choice does not exist here, EngineSelfTestError where it computes wrong.
    """
    global _asked, _chosen, _engine
    name = requested or os.environ.get("SCORING_ENGINE") or "auto"
    kernel = kernel or os.environ.get("SCORING_KERNEL") or "auto"
    if name not in CHOICES:
        raise EngineUnavailableError(f"SCORING_ENGINE is {name!r}: it must be one of {', '.join(CHOICES)}")
    compiled = None if name == "pure" else _import_compiled(required=name == "compiled" or kernel != "auto")
    if compiled is None:
        if kernel != "auto":
            raise EngineUnavailableError(
                f"SCORING_KERNEL is {kernel!r}, but the pure engine has no kernels: "
                "unset it, or set SCORING_ENGINE=compiled"
            )
        module = importlib.import_module("scoring._pure")
        chosen: dict[str, object] = {"engine": "pure", "kernel": "auto", "instruction_set": "hashlib", "lanes": 1}
    else:
        if not compiled.select_kernel(kernel):
            known = kernel in compiled.kernels_known()
            raise EngineUnavailableError(
                f"SCORING_KERNEL is {kernel!r}, which {'this processor cannot run' if known else 'no build knows'}: "
                f"set it to one of auto, {', '.join(compiled.kernels_present())}"
            )
        instruction_set, lanes = compiled.selected_kernel()
        module = compiled
        chosen = {"engine": "compiled", "kernel": kernel, "instruction_set": instruction_set, "lanes": lanes}
    engine = cast(Engine, module)
    _self_test(engine, chosen)
    if _engine is None:
        _reselect_after_restore()
    _asked, _chosen, _engine = (requested, kernel), chosen, engine
    return engine


def describe() -> dict[str, object]:
    """What is in use: engine, kernel (`auto` or the forced one), instruction_set and lanes of the widest kernel."""
    if _engine is None:
        load_engine()
    return dict(_chosen)


def reselect() -> None:
    """Choose and test again as at the last `load_engine`, for a process that woke up on another processor."""
    load_engine(*_asked)


def _import_compiled(required: bool) -> ModuleType | None:
    # In the place of `inspect` for this one import alone. What the extension imports of ours is there already.
    importlib.import_module("scoring.cards")
    importlib.import_module("scoring.model")
    stands_in = "inspect" not in sys.modules
    if stands_in:
        sys.modules["inspect"] = ModuleType("inspect")
        vars(sys.modules["inspect"]).update(CODE_FLAGS)
    try:
        return importlib.import_module("scoring._compiled")
    except ModuleNotFoundError as error:
        if error.name != "scoring._compiled":
            raise
        if required:
            raise EngineUnavailableError(
                "the compiled engine is asked for, but scoring._compiled was not built: "
                "run `make setup`, or set SCORING_ENGINE=pure"
            ) from error
        return None
    finally:
        if stands_in:
            del sys.modules["inspect"]


def _self_test(engine: Engine, chosen: dict[str, object]) -> None:
    """Hash with every kernel in use and compare with a constant: microseconds, against wrong money."""
    messages = [bytes([number]) * number * 7 for number in range(SELF_TEST_MESSAGES)]
    digests = engine.sha256_chains(messages, 3)
    for count in (1, 2, 3):
        digests += engine.sha256_chains(messages[:count], 2)
    digests.append(engine.cold_start_work(100, 16))
    digest = engine.sha256_chain(b"".join(digests), 0).hex()
    if digest != SELF_TEST_DIGEST:
        raise EngineSelfTestError(
            f"{chosen['engine']} engine, kernel {chosen['kernel']} ({chosen['instruction_set']}) computes a wrong "
            f"SHA-256 on this processor ({digest}): set SCORING_ENGINE=pure and report the processor"
        )


def _reselect_after_restore() -> None:
    """Under SnapStart a snapshot made on one processor wakes up on another ("Lambda SnapStart runtime hooks")."""
    if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
        hooks = importlib.import_module("snapshot_restore_py")
        hooks.register_after_restore(reselect)
