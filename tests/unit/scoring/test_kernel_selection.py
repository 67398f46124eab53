"""Choosing engine and kernel: what is asked for is what runs, or an error; and what computes wrong never runs."""

import hashlib
import importlib
import inspect
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from scoring import _compiled, _pure, kernel


@pytest.fixture(autouse=True)
def _fresh_choice(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("SCORING_ENGINE", "SCORING_KERNEL", "AWS_LAMBDA_INITIALIZATION_TYPE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(kernel, "_engine", None)
    yield
    monkeypatch.undo()
    kernel.load_engine("auto", "auto")


def without_extension(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_built(name: str) -> ModuleType:
        if name == "scoring._compiled":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return importlib.import_module(name)

    monkeypatch.setattr(kernel, "importlib", SimpleNamespace(import_module=not_built))


def test_the_compiled_engine_is_built_and_chosen() -> None:
    assert kernel.load_engine() is _compiled
    described = kernel.describe()
    assert described["engine"] == "compiled"
    assert described["kernel"] == "auto"
    widest = _compiled.kernels_present()[0]
    assert f"{described['instruction_set']}-{described['lanes']}" == widest


@pytest.mark.parametrize("name", _compiled.kernels_present())
def test_a_forced_kernel_is_used_and_reported(name: str) -> None:
    kernel.load_engine("compiled", name)
    described = kernel.describe()
    assert (described["kernel"], f"{described['instruction_set']}-{described['lanes']}") == (name, name)


def test_engine_and_kernel_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCORING_ENGINE", "compiled")
    monkeypatch.setenv("SCORING_KERNEL", "portable-1")
    kernel.load_engine()
    assert kernel.describe()["instruction_set"] == "portable"
    monkeypatch.setenv("SCORING_ENGINE", "pure")
    monkeypatch.delenv("SCORING_KERNEL")
    assert kernel.load_engine() is _pure
    assert kernel.describe() == {"engine": "pure", "kernel": "auto", "instruction_set": "hashlib", "lanes": 1}


def test_an_argument_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCORING_ENGINE", "pure")
    assert kernel.load_engine("auto") is _compiled


def test_a_kernel_that_the_processor_lacks_is_an_error() -> None:
    absent = next(name for name in _compiled.kernels_known() if name not in _compiled.kernels_present())
    with pytest.raises(kernel.EngineUnavailableError, match=f"{absent}.*this processor cannot run.*portable-1"):
        kernel.load_engine("compiled", absent)


def test_a_misspelt_kernel_is_an_error() -> None:
    with pytest.raises(kernel.EngineUnavailableError, match="'shani2', which no build knows: set it to one of auto,"):
        kernel.load_engine("auto", "shani2")


def test_a_misspelt_engine_is_an_error() -> None:
    with pytest.raises(kernel.EngineUnavailableError, match="SCORING_ENGINE is 'fast': it must be one of auto,"):
        kernel.load_engine("fast")


def test_a_kernel_for_the_pure_engine_is_an_error() -> None:
    with pytest.raises(kernel.EngineUnavailableError, match="the pure engine has no kernels"):
        kernel.load_engine("pure", "portable-1")


def test_compiled_never_falls_back(monkeypatch: pytest.MonkeyPatch) -> None:
    without_extension(monkeypatch)
    with pytest.raises(kernel.EngineUnavailableError, match="was not built: run `make setup`"):
        kernel.load_engine("compiled")
    with pytest.raises(kernel.EngineUnavailableError, match="was not built: run `make setup`"):
        kernel.load_engine("auto", "portable-1")


def test_auto_takes_the_pure_engine_where_nothing_was_built(monkeypatch: pytest.MonkeyPatch) -> None:
    without_extension(monkeypatch)
    assert kernel.load_engine() is _pure
    assert kernel.describe()["engine"] == "pure"


def test_a_damaged_extension_is_an_error_and_not_the_pure_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(name: str) -> ModuleType:
        raise ImportError(f"{name}: file too short")

    monkeypatch.setattr(kernel, "importlib", SimpleNamespace(import_module=damaged))
    with pytest.raises(ImportError, match="file too short"):
        kernel.load_engine()


def test_what_stands_in_for_inspect_is_equal_to_it_where_the_extension_looks() -> None:
    assert {name: getattr(inspect, name) for name in kernel.CODE_FLAGS} == kernel.CODE_FLAGS


def test_the_extension_is_imported_without_inspect_and_leaves_no_stand_in() -> None:
    program = (
        "import sys; from scoring import kernel; assert 'inspect' not in sys.modules\n"
        "engine = kernel.load_engine('compiled'); assert 'inspect' not in sys.modules\n"
        "import inspect; assert inspect.iscoroutinefunction and inspect.signature(engine.score_batch)\n"
        "print(engine.kernels_known.__code__.co_flags)"
    )
    done = subprocess.run([sys.executable, "-S", "-c", program], capture_output=True, text=True, check=True)
    # The flags that the extension was given are in its functions: this one is optimized, with locals of its own.
    assert int(done.stdout) & 3 == 3


def test_inspect_stays_as_it_is_where_it_was_imported_before(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []

    def importing(name: str) -> ModuleType:
        seen.append(sys.modules["inspect"])
        return importlib.import_module(name)

    monkeypatch.setattr(kernel, "importlib", SimpleNamespace(import_module=importing))
    kernel.load_engine("compiled")
    assert sys.modules["inspect"] is inspect
    assert all(each is inspect for each in seen)


def test_no_stand_in_is_left_by_an_extension_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    without_extension(monkeypatch)
    monkeypatch.delitem(sys.modules, "inspect")
    kernel.load_engine("auto")
    assert "inspect" not in sys.modules


@pytest.mark.parametrize("function", ["sha256_chain", "sha256_chains", "cold_start_work"])
def test_a_engine_that_computes_wrong_is_refused(monkeypatch: pytest.MonkeyPatch, function: str) -> None:
    def flipped(digest: bytes) -> bytes:
        return bytes([digest[0] ^ 1]) + digest[1:]

    def wrong(*arguments: object) -> object:
        right = getattr(_compiled, function)(*arguments)
        return [*right[:-1], flipped(right[-1])] if isinstance(right, list) else flipped(right)

    engine = SimpleNamespace(**{name: getattr(_compiled, name) for name in dir(_compiled) if not name.startswith("__")})
    setattr(engine, function, wrong)
    monkeypatch.setattr(kernel, "importlib", SimpleNamespace(import_module=lambda name: engine))
    with pytest.raises(kernel.EngineSelfTestError, match="computes a wrong SHA-256 on this processor"):
        kernel.load_engine("compiled")


def test_a_restored_snapshot_chooses_and_tests_again(monkeypatch: pytest.MonkeyPatch) -> None:
    hooks = importlib.import_module("snapshot_restore_py")
    registered: list[object] = []
    monkeypatch.setattr(hooks, "register_after_restore", registered.append)
    monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "snap-start")
    kernel.load_engine("compiled", "portable-1")
    kernel.load_engine("compiled", "portable-1")
    assert registered == [kernel.reselect]

    monkeypatch.setattr(kernel, "SELF_TEST_DIGEST", "another processor's")
    with pytest.raises(kernel.EngineSelfTestError):
        kernel.reselect()
    monkeypatch.undo()
    _compiled.select_kernel("auto")
    kernel.reselect()
    assert _compiled.selected_kernel() == ("portable", 1)


def test_outside_snap_start_nothing_is_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    hooks = importlib.import_module("snapshot_restore_py")
    monkeypatch.setattr(hooks, "register_after_restore", lambda hook: pytest.fail("registered"))
    monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")
    kernel.load_engine()


def test_hashing_compiled_imports_neither_numpy_nor_ctypes_nor_hashlib() -> None:
    code = (
        "import sys; from scoring.kernel import load_engine; load_engine('compiled').cold_start_work(100);"
        "print(sorted({'numpy', 'ctypes', 'hashlib', '_hashlib', 'scoring._pure'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# Every kernel by name, then all of them; the digest shows that what was chosen is still in one piece.
TRY_ALL = """
#include <stdio.h>

int main(void)
{
    const struct sha256_kernel *kernels;
    const size_t count = sha256_kernels(&kernels);
    for (size_t i = 0; i <= count; i++) {
        const char *name = i < count ? kernels[i].name : "auto";
        const struct sha256_message messages[] = {{(const uint8_t *)"abc", 3}, {(const uint8_t *)"abc", 3}};
        uint8_t digests[64];
        if (sha256_select(name))
            return 1;
        sha256_messages(NULL, 0, messages, 2, 1, digests);
        printf("%s ", name);
        for (int at = 0; at < 64; at++)
            printf("%02x", digests[at]);
        printf("\\n");
    }
    return 0;
}
"""


def test_kernels_beyond_those_of_today_have_room(tmp_path: Path) -> None:
    c = Path(__file__).parents[3] / "scoring" / "c"
    # The same on every processor: without the kernels that only some have.
    source = (c / "sha256.c").read_text().replace("__x86_64__", "NONE_OF_THESE").replace("__aarch64__", "NOR_THESE")
    names = [f"more-{number}" for number in range(8)]
    rows = [f'{{0, {{"{name}", "more", 1, 2, sha256_portable_chain_1, NULL}}}},' for name in names]
    assert source.count("} built[] = {") == 1
    source = source.replace("} built[] = {", "\n".join(["} built[] = {", *rows]))
    (tmp_path / "sha256.c").write_text(source + TRY_ALL)
    command = [sys.executable, "-m", "ziglang", "cc", "-O1", "-fsanitize=bounds,object-size", f"-I{c}"]
    command += [f"-fsanitize-trap={check}" for check in ("bounds", "object-size")]
    # A library that a sanitized test run preloads is not the compiler's.
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    sources = [str(tmp_path / "sha256.c"), str(c / "sha256_portable.c")]
    subprocess.run([*command, *sources, "-o", str(tmp_path / "try-all")], check=True, env=environment)
    done = subprocess.run([tmp_path / "try-all"], check=True, env=environment, capture_output=True, text=True)
    digest = hashlib.sha256(hashlib.sha256(b"abc").digest()).hexdigest()
    assert done.stdout.splitlines() == [f"{name} {digest * 2}" for name in (*names, "portable-1", "auto")]
