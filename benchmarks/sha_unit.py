"""What this processor's SHA unit can do at most, in the same process as the kernels that are held against it.

The rule: a limit is the unit's round instructions alone, in dependent or in independent chains, and its output is
verified like everybody's. Built from sha_unit.c when it is first asked for; not in any package.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from local.installation import BUILD

SOURCE = Path(__file__).with_name("sha_unit.c")
CHAINS = {"one_chain": 1, "six_chains": 6}
# A hash of 32 bytes is one block of 64 rounds.
GROUPS_A_HASH = 16
CYCLES_A_STEP = 16
_FLAGS = {"x86_64": ["-msha", "-msse4.1"], "aarch64": ["-march=armv8-a+crypto"], "arm64": []}
_WORD_AND_CONSTANT = 0x428A2F98
_MASK = 0xFFFFFFFF


def states(chains: int) -> list[list[int]]:
    """Where the chains start: eight words each, all different."""
    return [[(lane + 1) * 0x9E3779B9 * (word + 1) & _MASK for word in range(8)] for lane in range(chains)]


def rounds(state: list[int], count: int) -> list[int]:
    """`count` rounds of SHA-256 (FIPS 180-4, 6.2.2) with one word and constant in all: what the unit must compute."""
    a, b, c, d, e, f, g, h = state
    for _ in range(count):
        sigma = (e >> 6 | e << 26) ^ (e >> 11 | e << 21) ^ (e >> 25 | e << 7)
        one = h + (sigma & _MASK) + ((e & f) ^ (~e & g)) + _WORD_AND_CONSTANT
        sigma = (a >> 2 | a << 30) ^ (a >> 13 | a << 19) ^ (a >> 22 | a << 10)
        other = (sigma & _MASK) + ((a & b) ^ (a & c) ^ (b & c))
        a, b, c, d, e, f, g, h = (one + other) & _MASK, a, b, c, (d + one) & _MASK, e, f, g
    return [a, b, c, d, e, f, g, h]


def as_bytes(ends: list[list[int]]) -> bytes:
    """States as the unit leaves them in memory."""
    return bytes((ctypes.c_uint32 * (8 * len(ends)))(*(word for end in ends for word in end)))


def chains(name: str, groups: int) -> Callable[[], bytes]:
    """A call that does `groups` times four rounds in the chains of `name`, and returns their ends as bytes."""
    start = as_bytes(states(CHAINS[name]))
    memory = ctypes.create_string_buffer(len(start))
    rounds_of, count = getattr(_library(), name), ctypes.c_uint64(groups)

    def call() -> bytes:
        ctypes.memmove(memory, start, len(start))
        rounds_of(memory, count)
        return memory.raw

    return call


def cycles(steps: int) -> int:
    """CYCLES_A_STEP x `steps` instructions of one cycle, one after another; returns what it was given, 1."""
    return int(_library().cycles(ctypes.c_uint64(1), ctypes.c_uint64(0), ctypes.c_uint64(steps)))


@functools.cache
def _library() -> ctypes.CDLL:
    compiler = next(
        (shlex.split(one) for one in (os.environ.get("CC", ""), "cc", "gcc", "clang") if one and shutil.which(one)),
        [sys.executable, "-m", "ziglang", "cc"],
    )
    command = [*compiler, "-O3", "-fPIC", "-shared", *_FLAGS.get(platform.machine(), [])]
    made = hashlib.sha256(SOURCE.read_bytes() + repr(command).encode()).hexdigest()[:16]
    library = BUILD / f"sha_unit-{made}.so"
    if not library.exists():
        library.parent.mkdir(parents=True, exist_ok=True)
        partial = library.with_suffix(f".{os.getpid()}")
        subprocess.run([*command, str(SOURCE), "-o", str(partial)], check=True)
        partial.replace(library)
    loaded = ctypes.CDLL(str(library))
    loaded.cycles.restype = ctypes.c_uint64
    return loaded
