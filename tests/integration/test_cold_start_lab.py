"""Real samples: a fresh runtime process, the table behind TLS, a verified item; and samples that lie or fail."""

from __future__ import annotations

import sys

import pytest

from benchmarks.coldstart.packages import Built, build
from benchmarks.coldstart.profile_init import profile
from benchmarks.coldstart.sampling import Cell, Lab

LIAR = """
def lambda_handler(event, context):
    body = {"processed": len(event["Records"]), "failed": 0}
    return {"statusCode": 200, "body": body, "batchItemFailures": []}
"""


@pytest.fixture(scope="module")
def lab():
    with Lab(sys.executable, None) as lab:
        yield lab


@pytest.mark.parametrize("engine", ["compiled", "pure"])
def test_a_sample_of_the_packaged_function_shows_its_init_and_invocations(lab, engine):
    sample = lab.sample(Cell(engine, engine, "packaged"), build("packaged", engine, sys.executable), warm=2)
    assert sample.error == ""
    assert sample.init_cpu_ms > 0
    assert len(sample.warm_ms) == 2
    assert sample.scoring["engine"] == engine
    assert not sample.init_timed_out


def test_an_init_beyond_the_limit_is_ended_as_lambda_does(lab, tmp_path):
    (tmp_path / "slow.py").write_text("import time\ntime.sleep(60)\n")
    sample = lab.sample(Cell("slow", "pure", "empty"), Built(tmp_path, "slow.lambda_handler"))
    assert sample.init_timed_out
    assert sample.first_invocation_ms is None


def test_a_response_without_an_item_behind_it_is_an_error_and_no_figure(lab, tmp_path):
    (tmp_path / "liar.py").write_text(LIAR)
    sample = lab.sample(Cell("liar", "pure", "packaged"), Built(tmp_path, "liar.lambda_handler"))
    assert "is stored as None" in sample.error
    assert sample.first_invocation_ms is None


def test_a_function_that_fails_in_init_is_an_error(lab, tmp_path):
    (tmp_path / "broken.py").write_text("raise RuntimeError('no settings')\n")
    sample = lab.sample(Cell("broken", "pure", "packaged"), Built(tmp_path, "broken.lambda_handler"))
    assert "ended in init" in sample.error
    assert "no settings" in sample.error


def test_the_profile_names_the_steps_of_init(lab):
    built = build("packaged", "compiled", sys.executable)
    steps = profile(lab.runtime_python, built, lab.endpoint, lab.trusted(built), runs=1)
    assert {"import botocore.session", "one read over TLS"} <= {step["name"] for step in steps}
