"""Numbers and names that must be equal although one place cannot read the other: Terraform's, and scoring's, a leaf."""

from __future__ import annotations

import re
from typing import get_args

import pytest

from benchmarks import card_ids
from benchmarks.coldstart import packages, plan
from handler.domain import errors, score
from handler.domain.rules import PRODUCTION
from handler.settings import SETTINGS, read_settings
from local import system
from scoring import model
from scoring.kernel import CHOICES, ENGINES
from tests.support import aws
from tests.support.build_scripts import ROOT, load


def terraform(pattern: str) -> list[str]:
    """What a pattern finds in Terraform's own files."""
    paths = sorted((ROOT / "terraform").rglob("*.tf")) + sorted((ROOT / "terraform" / "environments").glob("*.tfvars"))
    return [
        found for path in paths if ".terraform" not in path.parts for found in re.findall(pattern, path.read_text())
    ]


def names(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r'"(\w+)"', text))


def test_the_domain_reads_risks_on_the_scale_that_scoring_writes_them_on():
    assert (score.RISK_SCALE, score.APPROVAL_RISK) == (model.FULL, model.REVIEW_RISK)


def test_every_list_of_supports_is_the_same():
    (allowed,) = (setting.kind.choices for setting in SETTINGS if setting.name == "SUPPORT")
    assert tuple(allowed) == system.SUPPORTS == aws.SUPPORTS == load("packager.functions").SUPPORTS
    assert [set(names(found)) for found in terraform(r'\[((?:"\w+", )*"lean"(?:, "\w+")*)\]')] == [set(allowed)]


def test_every_list_of_engines_is_the_same():
    assert load("packager.functions").ENGINES == ENGINES
    assert get_args(packages.EngineName) == ENGINES
    assert set(card_ids.ENGINES) == set(ENGINES)
    assert set(plan.STRESS_SECONDS) == set(ENGINES)
    lists = [names(found) for found in terraform(r'\[((?:"\w+", )*"pure"(?:, "\w+")*)\]')]
    assert CHOICES in lists
    assert set(lists) == {CHOICES, ENGINES}


def test_the_setting_takes_every_engine_and_no_other():
    for engine in CHOICES:
        assert read_settings({"SCORING_ENGINE": engine}).scoring_engine == engine
    with pytest.raises(errors.ConfigurationError) as refused:
        read_settings({"SCORING_ENGINE": "fastest"})
    assert set(CHOICES) <= set(re.findall(r"\w+", str(refused.value).partition("allowed: ")[2]))


def test_every_list_of_production_environments_is_the_same():
    assert {names(found) for found in terraform(r'\[("prod"[^\]]*)\]')} == {PRODUCTION}


def test_the_lab_on_aws_has_the_memory_sizes_of_the_lab_here():
    [sizes] = terraform(r"(?m)^benchmark_memory_sizes += \[(.*)\]$")
    assert tuple(map(int, sizes.split(", "))) == plan.MEMORY_SIZES


# Each of these is compared with its original above, or is it.
KNOWN = {
    "benchmarks/coldstart/packages.py",
    "build/packager/functions.py",
    "handler/domain/rules.py",
    "scoring/kernel.py",
}


def test_nobody_else_writes_such_a_list():
    lists = re.compile(r'"compiled", "pure"|"pure", "compiled"|"prod", "production"')
    paths = [
        path
        for folder in ("benchmarks", "build", "handler", "local", "operations", "scoring")
        for path in (ROOT / folder).rglob("*.py")
    ]
    written = {path.relative_to(ROOT).as_posix() for path in paths if lists.search(path.read_text())}
    assert written - KNOWN == set()
