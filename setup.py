"""Builds the compiled engine: one limited-API extension, one static library for each instruction set.

Everything else about the project is in pyproject.toml. `SCORING_EXTENSION=require` in the environment makes a failure
to build the extension an error; without it, the failure is a warning and the pure engine serves.
"""

import importlib.util
import os
import platform
import shlex
import shutil
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup

# The target's, not this machine's: a cross build names it in _PYTHON_HOST_PLATFORM.
PLATFORM = sysconfig.get_platform()
C = "scoring/c"
CFLAGS = ["-O3", "-ffp-contract=off", "-fvisibility=hidden", "-fPIC", "-g0", "-Wall", "-Wextra"]
# A function's place would follow from the code before it: a change elsewhere made screening 12 % slower.
CFLAGS += ["-falign-functions=64"]
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer", "-g"]

# Instruction set -> the flags that let the compiler use it, in its own library alone: a processor without it must never
# meet one of its instructions on the way to the choice.
INSTRUCTION_SETS: dict[str, list[str]] = {"portable": []}
if PLATFORM.endswith("x86_64"):
    INSTRUCTION_SETS |= {"shani": ["-msha", "-mssse3", "-msse4.1"], "avx512": ["-mavx512f"]}
elif PLATFORM.endswith(("aarch64", "arm64")):
    INSTRUCTION_SETS |= {"armv8": ["-mcpu=generic+sha2"]}


def c_compiler() -> str | None:
    """The command of the C compiler to use: CC, else the one that built this Python, else what the PATH has."""
    named = os.environ.get("CC")
    candidates = [named] if named else [sysconfig.get_config_var("CC") or "cc", "cc", "gcc", "clang"]
    return next((command for command in candidates if shutil.which(shlex.split(command)[0])), None)


def use_ziglang() -> None:
    """Compile with ziglang from PyPI, for the oldest processors of this architecture as any other compiler would."""
    print("no C compiler was found: the scoring extension is built with ziglang from PyPI", file=sys.stderr)
    zig = f"{shlex.quote(sys.executable)} -m ziglang"
    os.environ.update(CC=f"{zig} cc -mcpu=baseline", LDSHARED=f"{zig} cc -shared", AR=f"{zig} ar")


COMPILER = c_compiler()
if COMPILER is None and importlib.util.find_spec("ziglang"):
    use_ziglang()
elif COMPILER and not os.environ.get("CC") and sysconfig.get_config_var("CC") != COMPILER:
    os.environ.update(CC=COMPILER, LDSHARED=f"{COMPILER} -shared")
if PLATFORM.startswith("macosx"):
    # python.org's builds would compile for both architectures at once, which no instruction set's flags survive.
    os.environ.setdefault("ARCHFLAGS", f"-arch {platform.machine()}")

if os.environ.get("SCORING_SANITIZE"):
    CFLAGS = [*CFLAGS, *SANITIZE]

HEADERS = [path.as_posix() for path in sorted(Path(C).glob("*.h"))]
SCREENING = ["table", "hits", "view", "values", "grams", "automaton", "card_view", "cards"]
SOURCES = [path.as_posix() for path in sorted(Path(C).glob("*.c"))]


def library(name: str, flags: list[str]) -> tuple[str, dict[str, object]]:
    source = f"{C}/sha256{name}.c"
    return f"scoring_sha256{name}", {
        "sources": [source],
        "cflags": [*CFLAGS, *flags],
        "obj_deps": {source: [*HEADERS, "setup.py"]},
    }


setup(
    libraries=[library("", []), *(library(f"_{name}", flags) for name, flags in INSTRUCTION_SETS.items())],
    ext_modules=[
        Extension(
            "scoring._compiled",
            ["scoring/_compiled.pyx", *(f"{C}/{name}.c" for name in SCREENING)],
            include_dirs=[C],
            # The libraries' sources too: a new library alone would not be linked again.
            depends=[*HEADERS, *SOURCES, "setup.py"],
            extra_compile_args=[*CFLAGS, "-Wno-unused-parameter", "-Wno-missing-field-initializers"],
            extra_link_args=SANITIZE if os.environ.get("SCORING_SANITIZE") else [],
            define_macros=[("Py_LIMITED_API", "0x030b0000")],
            py_limited_api=True,
            optional=os.environ.get("SCORING_EXTENSION") != "require",
        )
    ],
    # Asked for by the first pass of a build, so that pip has it there in the second.
    setup_requires=[] if COMPILER or importlib.util.find_spec("ziglang") else ["ziglang>=0.13,<1"],
    options={"build": {"build_base": ".build"}, "bdist_wheel": {"py_limited_api": "cp311"}},
)
