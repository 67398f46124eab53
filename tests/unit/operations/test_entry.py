"""`payments` where its installation lacks what it needs."""

from __future__ import annotations

import subprocess
import sys
import tomllib

import pytest

from local.installation import ROOT
from operations.entry import EXTRA

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# As an installation without the extra: nothing of these names is found.
WITHOUT = """
import importlib.util, sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names}: raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name in {names} else found(name, *more)
from {module} import {function}
sys.argv = ["payments", "--help"]
sys.exit({function}())
"""


@pytest.mark.parametrize("names", [("click",), EXTRA])
def test_an_installation_without_the_extra_is_told_what_to_install(names):
    module, _, function = PROJECT["scripts"]["payments"].partition(":")
    program = WITHOUT.format(names=names, module=module, function=function)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"payments: {', '.join(names)} is not installed, which the command needs and the functions do not: pip install "
        "'payment-processor[operations]'\n"
    )


def test_what_is_looked_for_is_the_extra_that_is_named():
    extra = PROJECT["optional-dependencies"]["operations"]
    assert sorted(EXTRA) == sorted(each.partition(">")[0] for each in extra)


def test_an_installation_with_the_extra_runs_the_command():
    program = WITHOUT.format(names=("nothing",), module="operations.entry", function="main")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout[:15]) == (0, "Usage: payments")
