"""Real samples: a fresh runtime process, the table behind TLS, a verified item; and samples that lie or fail."""

from __future__ import annotations

import sys

import pytest

from benchmarks.coldstart import profile_payment
from benchmarks.coldstart.packages import Built, build
from benchmarks.coldstart.plan import shipped
from benchmarks.coldstart.profile_init import REST, profile
from benchmarks.coldstart.sample import Cell, LabError
from benchmarks.coldstart.sampling import Lab

LIAR = """
def lambda_handler(event, context):
    body = {"processed": len(event["Records"]), "failed": 0}
    return {"statusCode": 200, "body": body, "batchItemFailures": []}
"""


@pytest.fixture(scope="module")
def lab():
    with Lab(sys.executable, None, gateway_ms=30, table_ms=2) as lab:
        yield lab


@pytest.mark.parametrize("engine", ["compiled", "pure"])
@pytest.mark.parametrize("support", shipped().supports)
def test_a_sample_of_the_packaged_function_shows_its_init_and_invocations(lab, engine, support):
    cell = Cell(engine, engine, "packaged", support=support)
    sample = lab.sample(cell, build("packaged", engine, sys.executable, support), warm=2)
    assert sample.error == ""
    assert sample.init_cpu_ms > 0
    assert len(sample.warm_ms) == 2
    assert sample.scoring["engine"] == engine
    assert not sample.init_timed_out
    assert sample.captures == 3


def test_what_one_would_write_charges_and_records_every_message_of_a_batch_once(lab):
    cell = Cell("usual", "compiled", "usual", messages=10, groups=10, waits=True)
    sample = lab.sample(cell, build("usual", "compiled", sys.executable), warm=1)
    assert sample.error == ""
    assert sample.captures == 20
    # One call of the gateway and three of the table a payment, each of which takes its time.
    assert sample.warm_ms[0] > 10 * (30 + 3 * 2)


def test_ten_messages_are_ten_payments_in_as_many_groups(lab):
    cell = Cell("ten", "compiled", "packaged", support=shipped().support, messages=10, groups=10)
    sample = lab.sample(cell, build("packaged", "compiled", sys.executable), warm=1)
    assert (sample.error, sample.captures) == ("", 20)


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


def test_a_payment_that_was_captured_twice_or_never_is_an_error(lab, monkeypatch):
    read = lab.services._read

    def captured(number):
        def changed(url):
            found = read(url)
            return {**found, "captures": found["captures"] * number} if "/_log" in url else found

        return changed

    for number in (0, 2):
        monkeypatch.setattr(lab.services, "_read", captured(number))
        cell = Cell("captured", "compiled", "packaged", support=shipped().support)
        sample = lab.sample(cell, build("packaged", "compiled", sys.executable), warm=0)
        assert "captured were" in sample.error
        assert sample.first_invocation_ms is None


def test_the_profile_names_what_init_imports_and_the_rest(lab):
    packages = {one["name"]: one["cpu_ms"] for one in profile(lab, sys.executable, runs=1)}
    assert packages["handler"] > 0
    assert REST in packages


@pytest.fixture
def few_payments(monkeypatch):
    monkeypatch.setattr(profile_payment, "_PAYMENTS", 3)
    monkeypatch.setattr(profile_payment, "_BEFORE", 1)


@pytest.mark.usefixtures("few_payments")
def test_the_steps_of_a_warm_payment_are_measured_each(lab):
    steps = {one["name"]: one["cpu_ms"] for one in profile_payment.profile(lab, sys.executable, runs=1)}
    assert steps.keys() == {*profile_payment.STEPS, profile_payment.REST}
    assert all(cpu_ms > 0 for cpu_ms in steps.values())
    assert list(steps.values()) == sorted(steps.values(), reverse=True)


@pytest.mark.usefixtures("few_payments")
def test_a_step_that_no_payment_takes_is_an_error_and_no_row(lab, monkeypatch):
    unused = {"refunds": ("handler.adapters.gateways.stripe:StripeGateway.refund",)}
    monkeypatch.setattr(profile_payment, "STEPS", profile_payment.STEPS | unused)
    with pytest.raises(LabError, match="no payment takes: refunds"):
        profile_payment.profile(lab, sys.executable, runs=1)
