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


def test_what_the_page_sets_is_played_and_no_plan_refuses_it() -> None:
    rows = [
        row.split(" | ") for row in PAGE.partition("## What changes in Terraform")[2].splitlines() if row[2:3] == "1"
    ]
    assert [row[0] for row in rows] == ["| 10,000", "| 100,000", "| 1,000,000"]
    for payments, to_set, to_ask in rows:
        numbers = {name: int(value) for name, value in re.findall(r"`(\w+) = (\d+)`", to_set)}
        pollers = re.search(r"`provisioned_pollers = \{ min = (\d+), max = (\d+) \}`", to_set)
        executions = 10 * int(pollers[2]) if pollers else numbers["maximum_concurrency"]
        # As the validation of gateway_calls_per_second in terraform/variables.tf.
        assert executions * numbers["group_concurrency"] <= 0.3 * numbers["gateway_calls_per_second"], payments
        assert f"{numbers['gateway_calls_per_second']:,} calls a second" in to_ask
        assert [
            step.name
            for step in scale.STEPS
            if f"| {step.payments:,}" == payments
            and step.pollers == (pollers and (int(pollers[1]), int(pollers[2])))
            and (bool(pollers) or step.maximum_concurrency == executions)
            and step.group_concurrency == numbers["group_concurrency"]
            and step.gateway_calls == numbers["gateway_calls_per_second"]
            and step.account_concurrency == numbers.get("account_concurrency", 1_000)
            # An on-demand table takes at once what it was given before it became one.
            and 2 * step.table_peak == numbers.get("write_min", 0)
        ], payments
    for step in scale.STEPS:
        if step.pollers and step.group_concurrency == 10:
            assert f"{-(-step.pollers[1] * 10 * 10 * 10 // 3):,}" in PAGE, step.name


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
