"""The payment gateways by name: each can be chosen, and only the chosen one is paid for."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from handler.adapters.gateways.registry import GATEWAYS

ROOT = Path(__file__).parents[3]

# What each needs beside its name.
VARIABLES = {"simulated": {}, "http": {"GATEWAY_URL": "https://gateway.example"}}


@pytest.mark.parametrize("name", GATEWAYS)
def test_init_imports_the_chosen_gateway_and_no_other(name):
    snippet = f"""
import sys
from handler.queue_function import create
create({{"SCORING_ENGINE": "pure", "GATEWAY": {name!r}, **{VARIABLES[name]!r}}})
print(*(module for module in sys.modules if module.startswith("handler.adapters.gateways.")))
"""
    done = subprocess.run([sys.executable, "-c", snippet], capture_output=True, text=True, cwd=ROOT, check=True)
    imported = set(done.stdout.splitlines()[-1].split())
    shared = ("registry", "deadline_connection")
    assert imported - {f"handler.adapters.gateways.{module}" for module in shared} == {
        f"handler.adapters.gateways.{name}"
    }


def test_terraform_takes_the_same_gateways_at_plan():
    block = re.search(
        r'^variable "gateway" \{\n(.*?)^\}', (ROOT / "terraform" / "variables.tf").read_text(), re.DOTALL | re.MULTILINE
    )
    assert block
    named = re.search(r"contains\(\[([^\]]*)\], var\.gateway\)", block.group(1))
    assert named
    assert re.findall(r'"(\w+)"', named.group(1)) == list(GATEWAYS)
