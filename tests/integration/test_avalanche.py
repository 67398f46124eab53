"""The avalanche through the real local system: few messages, a light stress, the same audit as a full one."""

from __future__ import annotations

import json
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from benchmarks.avalanche import live
from local.installation import BUILD
from local.system import host_package

STRESS = ("--stress-operations", "1000", "--stress-delay-seconds", "0.2")


@pytest.fixture(scope="module")
def package() -> str:
    return str(host_package(BUILD / "tests" / "package"))


def test_an_avalanche_starts_cold_grows_to_its_maximum_and_passes_its_audit(package: str) -> None:
    size = ("--messages", "60", "--groups", "6,1", "--concurrency", "2", "--ramp-seconds", "0")
    with redirect_stdout(StringIO()) as output:
        code = live.main([*size, *STRESS, "--package", package])
    said = output.getvalue()
    assert code == 0, said
    assert "all 18 checks passed" in said
    record = json.loads(Path(said.rpartition("record: ")[2].strip()).read_text())
    many, one = record["rounds"]
    # Each round begins with no environment; one group never has two batches under way.
    assert [(found["groups"], found["figures"]["concurrency"]) for found in (many, one)] == [(6, 2), (1, 1)]
    assert [found["figures"]["cold_invocations"] for found in (many, one)] == [2, 1]
    for found in (many, one):
        assert found["figures"]["settled"] == 60
        assert found["moments"][0]["starting"] + found["moments"][0]["busy"] + found["moments"][0]["idle"] == 0
        assert max(moment["starting"] for moment in found["moments"]) >= 1
        assert found["moments"][-1]["settled"] == 60
        # The stress is in each init.
        assert all(each["init_ms"] is None or each["init_ms"] >= 200 for each in found["invocations"])
