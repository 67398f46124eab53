"""Chooses the twin that scores and the hashing kernel under it, proves them right, and says what was chosen.

An explicit choice never falls back: a function that was sized for the compiled twin must not quietly run the slow one.
"""

import importlib
import os
from types import ModuleType
from typing import Protocol, cast

ENGINES = ("compiled", "pure")
CHOICES = ("auto", *ENGINES)

# SHA-256 over everything that `_self_test` computes; made by the pure twin, over hashlib.
SELF_TEST_DIGEST = "518dd25dc97f79fd10e1b8405a76ace78af623afcc8d3b7b98dc84867899bc94"
# As many messages as take every step down from the widest kernel: 16 + 2 + 1.
SELF_TEST_MESSAGES = 19


class KernelUnavailableError(RuntimeError):
    """The engine or kernel asked for does not exist here; the message says which do."""


class KernelSelfTestError(RuntimeError):
    """A kernel computed a wrong SHA-256 on this processor. Nothing may be scored with it."""


class Twin(Protocol):
    """What both twins offer of hashing."""

    def sha256_chain(self, message: bytes, rounds: int) -> bytes: ...
    def sha256_chains(self, messages: list[bytes], rounds: int) -> list[bytes]: ...
    def cold_start_work(self, operations: int, lanes: int = 16) -> bytes: ...


_asked = ("", "")
_chosen: dict[str, object] = {}
_twin: ModuleType | None = None


def load_kernel(requested: str = "", kernel: str = "") -> ModuleType:
    """Choose, test and return the twin, `scoring._compiled` or `scoring._pure`; the choice is the whole process's.

    `requested` is an engine, `auto` | `compiled` | `pure`; empty takes SCORING_ENGINE from the environment, else
    `auto`, which is the compiled twin where it was built. `kernel` names one hashing kernel ("shani-2") that is then
    used for every number of messages; empty takes SCORING_KERNEL, else `auto`: the fastest for each number.

    Raises KernelUnavailableError where the choice does not exist here, KernelSelfTestError where it computes wrong.
    """
    global _asked, _chosen, _twin
    engine = requested or os.environ.get("SCORING_ENGINE") or "auto"
    kernel = kernel or os.environ.get("SCORING_KERNEL") or "auto"
    if engine not in CHOICES:
        raise KernelUnavailableError(f"SCORING_ENGINE is {engine!r}: it must be one of {', '.join(CHOICES)}")
    compiled = None if engine == "pure" else _import_compiled(required=engine == "compiled" or kernel != "auto")
    if compiled is None:
        if kernel != "auto":
            raise KernelUnavailableError(
                f"SCORING_KERNEL is {kernel!r}, but the pure engine has no kernels: "
                "unset it, or set SCORING_ENGINE=compiled"
            )
        twin = importlib.import_module("scoring._pure")
        chosen: dict[str, object] = {"engine": "pure", "kernel": "auto", "instruction_set": "hashlib", "lanes": 1}
    else:
        if not compiled.select_kernel(kernel):
            known = kernel in compiled.kernels_known()
            raise KernelUnavailableError(
                f"SCORING_KERNEL is {kernel!r}, which {'this processor cannot run' if known else 'no build knows'}: "
                f"set it to one of auto, {', '.join(compiled.kernels_present())}"
            )
        instruction_set, lanes = compiled.selected_kernel()
        twin = compiled
        chosen = {"engine": "compiled", "kernel": kernel, "instruction_set": instruction_set, "lanes": lanes}
    _self_test(cast(Twin, twin), chosen)
    if _twin is None:
        _reselect_after_restore()
    _asked, _chosen, _twin = (requested, kernel), chosen, twin
    return twin


def describe() -> dict[str, object]:
    """What is in use: engine, kernel (`auto` or the forced one), instruction_set and lanes of the widest kernel."""
    if _twin is None:
        load_kernel()
    return dict(_chosen)


def reselect() -> None:
    """Choose and test again as at the last `load_kernel`, for a process that woke up on another processor."""
    load_kernel(*_asked)


def _import_compiled(required: bool) -> ModuleType | None:
    try:
        return importlib.import_module("scoring._compiled")
    except ModuleNotFoundError as error:
        if error.name != "scoring._compiled":
            raise
        if required:
            raise KernelUnavailableError(
                "the compiled engine is asked for, but scoring._compiled was not built: "
                "run `make setup`, or set SCORING_ENGINE=pure"
            ) from error
        return None


def _self_test(twin: Twin, chosen: dict[str, object]) -> None:
    """Hash with every kernel in use and compare with a constant: microseconds, against wrong money."""
    messages = [bytes([number]) * number * 7 for number in range(SELF_TEST_MESSAGES)]
    digests = twin.sha256_chains(messages, 3)
    for count in (1, 2, 3):
        digests += twin.sha256_chains(messages[:count], 2)
    digests.append(twin.cold_start_work(100, 16))
    digest = twin.sha256_chain(b"".join(digests), 0).hex()
    if digest != SELF_TEST_DIGEST:
        raise KernelSelfTestError(
            f"{chosen['engine']} engine, kernel {chosen['kernel']} ({chosen['instruction_set']}) computes a wrong "
            f"SHA-256 on this processor ({digest}): set SCORING_ENGINE=pure and report the processor"
        )


def _reselect_after_restore() -> None:
    """Under SnapStart a snapshot made on one processor wakes up on another ("Lambda SnapStart runtime hooks")."""
    if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
        hooks = importlib.import_module("snapshot_restore_py")
        hooks.register_after_restore(reselect)
