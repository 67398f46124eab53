"""What the ARMv8 kernel is compiled to, for processors that are not here: its instructions, none missing, none spilt.

Whether they compute right is shown where they are executed: `make test-arm64` runs the vectors under qemu.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
CHAINS = {"sha256_armv8_chain_1": 1, "sha256_armv8_chain_2": 2}


@pytest.fixture(scope="module")
def assembly(tmp_path_factory: pytest.TempPathFactory) -> str:
    output = tmp_path_factory.mktemp("armv8") / "sha256_armv8.s"
    flags = ["-O3", "-ffp-contract=off", "-mcpu=generic+sha2"]
    assert f'"{flags[2]}"' in (ROOT / "setup.py").read_text(), "this test compiles with other flags than the build"
    command = [sys.executable, "-m", "ziglang", "cc", "-target", "aarch64-linux-gnu.2.17", *flags, "-g0", "-S"]
    subprocess.run(
        [*command, str(ROOT / "scoring/c/sha256_armv8.c"), "-o", str(output)], check=True, capture_output=True
    )
    return output.read_text()


def function(assembly: str, name: str) -> list[str]:
    """The function's instructions, one `mnemonic operands` each."""
    body = re.search(rf"^{name}:.*?^\s*\.size\s+{name},", assembly, re.DOTALL | re.MULTILINE)
    assert body, f"{name} is not in the assembly"
    return [re.sub(r"\s+", " ", line.split("//")[0]).strip() for line in body[0].splitlines() if line.startswith("\t")]


def count(instructions: list[str], mnemonic: str) -> int:
    return sum(line.startswith(f"{mnemonic} ") for line in instructions)


@pytest.mark.parametrize("name", CHAINS)
def test_a_block_takes_sixteen_hash_instructions_of_each_kind_a_chain(assembly: str, name: str) -> None:
    instructions, chains = function(assembly, name), CHAINS[name]
    assert count(instructions, "sha256h") == 16 * chains
    assert count(instructions, "sha256h2") == 16 * chains
    # Twelve groups of words are scheduled; the first half of one of them is constant.
    assert count(instructions, "sha256su1") == 12 * chains
    assert count(instructions, "sha256su0") in (11 * chains, 12 * chains)


@pytest.mark.parametrize("name", CHAINS)
def test_nothing_is_spilt_between_rounds(assembly: str, name: str) -> None:
    instructions = function(assembly, name)
    hashing = [i for i, line in enumerate(instructions) if line.startswith("sha256h")]
    rounds = instructions[hashing[0] : hashing[-1] + 1]
    assert not [line for line in rounds if "[sp" in line]
    assert not [line for line in rounds if re.match(r"(st[rp]|bl)\b", line)]


def test_rounds_are_one_loop_without_a_call(assembly: str) -> None:
    for name in CHAINS:
        assert not [line for line in function(assembly, name) if re.match(r"(bl|blr)\b", line)]
