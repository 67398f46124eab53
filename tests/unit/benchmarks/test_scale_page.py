"""The figures of docs/scale.md are the newest record's, and what it says to set is there."""

from __future__ import annotations

import json
import re
from pathlib import Path

from benchmarks.avalanche import scale
from benchmarks.avalanche.rules import ENVIRONMENTS, ON_DEMAND_WRITE_UNITS, SECOND, mapping_growth
from benchmarks.cost import INDEX_WRITES, ITEM_WRITES
from benchmarks.measure import RECORDS
from handler.domain.states import OPEN_SHARDS

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "scale.md").read_text()


def test_the_pages_table_is_the_newest_records() -> None:
    record = scale.newest()
    assert scale.table(record["rows"]) in PAGE
    assert [(row["payments"], row["name"]) for row in record["rows"]] == [
        (step.payments, step.name) for step in scale.STEPS
    ]


def test_the_record_is_what_the_simulator_says_today() -> None:
    few = [step for step in scale.STEPS if step.payments == 10_000]
    record = scale.newest()
    labs = [json.loads(path.read_text()) for path in RECORDS.glob("*/coldstart.json")]
    [lab] = [one for one in labs if one["at"] == record["lab"]]
    found = list(scale.measure(lab, record["seed"], few))
    assert scale.table(found) == scale.table(record["rows"][: len(few)])


def test_every_variable_the_page_sets_is_terraforms() -> None:
    variables = set(re.findall(r'^variable "(\w+)"', (ROOT / "terraform" / "variables.tf").read_text(), re.MULTILINE))
    named = set(re.findall(r"`(\w+(?:_\w+)+)(?: = [^`]+)?`", PAGE)) - {"write_min", "OPEN_SHARDS"}
    assert named
    assert named - variables == {name for name in named if name.startswith("write_min")}


def test_the_pages_arithmetic_is_the_codes() -> None:
    a_minute = OPEN_SHARDS * 1_000 // INDEX_WRITES * 60
    assert f"{a_minute:,} payments a minute, and a throttled index" in PAGE
    assert (ITEM_WRITES, INDEX_WRITES) == (3, 2)
    for payments in (100_000, 1_000_000):
        assert f"{-(-payments * ITEM_WRITES // 60):,}" in PAGE
        assert f"{-(-payments * 2 // 60):,} calls a second" in PAGE
    assert f"After the first minute it has {mapping_growth().at(60 * SECOND)}" in PAGE
    assert f"takes {ON_DEMAND_WRITE_UNITS:,} a second" in PAGE
    assert f"{ENVIRONMENTS:,} new\nenvironments" in PAGE


def test_every_quota_names_its_page() -> None:
    limits = PAGE.partition("## In the order")[2].partition("## What changes")[0]
    for paragraph in re.split(r"\n(?=\*\*)", limits)[1:]:
        assert "](https://docs." in paragraph, paragraph.splitlines()[0]
