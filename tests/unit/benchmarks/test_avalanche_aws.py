"""The avalanche on AWS beforehand: which targets are refused, what a run costs at the most, and who agrees."""

from __future__ import annotations

import json
import subprocess
from decimal import Decimal
from typing import Any

import boto3
import pytest

from benchmarks.avalanche import aws, deployed, prediction
from benchmarks.avalanche.deployed import Function, RefusedError
from benchmarks.avalanche.parameters import ImpossibleParametersError, Traffic
from benchmarks.cost import read_prices
from local.installation import ROOT
from tests.support.avalanche import GOOD, QUEUE, outputs, target


def test_terraforms_outputs_say_where_and_how_many_at_once(tmp_path):
    found = target(tmp_path)
    assert (found.region, found.concurrency, found.account_concurrency) == ("eu-west-1", 100, 1000)
    reserved = target(tmp_path, concurrency={"account": 1000, "mapping": 100, "reserved": 40})
    assert reserved.concurrency == 40
    assert target(tmp_path, concurrency={"account": 10, "mapping": 100, "reserved": None}).concurrency == 10


@pytest.mark.parametrize("environment", ["prod", "production", "prod-eu", "eu-prod"])
def test_production_is_refused_before_anything_is_read(environment, tmp_path):
    with pytest.raises(RefusedError, match=f"{environment} is production's"):
        deployed.read_outputs(environment, tmp_path / "not-there.json")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"queue_url": QUEUE.format("prod")}, "is production's"),
        ({"table_name": "cloudcafe-payment-transactions-production"}, "is production's"),
        ({"function_name": "cloudcafe-payment-processor-prod"}, "is production's"),
        ({"concurrency": None}, "not those of this product's Terraform"),
        ({"concurrency": {"mapping": 100}}, "not those of this product's Terraform"),
        ({"queue_arn": "arn"}, "not those of this product's Terraform"),
        ({"queue_url": None}, "not those of this product's Terraform"),
        ({"concurrency": ..., "table_name": ...}, "no output table_name, concurrency for dev: `make apply"),
    ],
)
def test_outputs_of_production_or_of_nothing_are_refused(changes, says, tmp_path):
    with pytest.raises(RefusedError, match=says):
        target(tmp_path, **changes)


@pytest.mark.parametrize("text", ["", "[]", '{"queue_url": "plain"}', "not json"])
def test_what_is_no_output_of_terraform_is_refused(text, tmp_path):
    file = tmp_path / "outputs.json"
    file.write_text(text)
    with pytest.raises(RefusedError, match="terraform output -json"):
        deployed.read_outputs("dev", file)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(RefusedError, match="the outputs cannot be read"):
        deployed.read_outputs("dev", file)


@pytest.mark.parametrize("limit", ["much", "nan", "inf", "-1"])
def test_a_limit_is_an_amount(limit, capsys):
    with pytest.raises(SystemExit, match="2"):
        aws.main([f"--limit-usd={limit}"])
    assert f"{limit} is no amount of USD" in capsys.readouterr().err


def test_more_messages_than_this_machine_holds_are_refused(monkeypatch, capsys, tmp_path):
    found = target(tmp_path)
    monkeypatch.setattr(deployed, "read_outputs", lambda *_: found)
    monkeypatch.setattr(deployed, "check_target", lambda *_: Function(512, "arm64", GOOD))
    assert aws.main(["--messages", str(10**12), "--groups", "1"]) == 2
    assert "1,000,000,000,000 messages take some" in capsys.readouterr().err


def test_the_outputs_are_those_of_the_environments_state_wherever_that_is(tmp_path, monkeypatch):
    script = tmp_path / "build" / "state.py"
    script.parent.mkdir()
    monkeypatch.setattr(deployed, "ROOT", tmp_path)
    said = json.dumps(outputs("staging"))
    script.write_text(f"import sys\nprint({said!r} if sys.argv[2:] == ['staging', '--outputs'] else '{{}}')")
    assert deployed.read_outputs("staging").queue_url == QUEUE.format("staging")
    with pytest.raises(RefusedError, match=r"no output queue_url, .* for dev: `make apply ENVIRONMENT=dev`"):
        deployed.read_outputs("dev")
    script.write_text("import sys\nsys.exit('its bucket is not there: run `make bootstrap ENVIRONMENT=staging`')")
    with pytest.raises(RefusedError, match="run `make bootstrap ENVIRONMENT=staging`; or name a file"):
        deployed.read_outputs("staging")


def test_the_outputs_are_those_of_the_state_that_make_was_told(tmp_path, monkeypatch):
    script = tmp_path / "build" / "state.py"
    script.parent.mkdir()
    monkeypatch.setattr(deployed, "ROOT", tmp_path)
    script.write_text("import sys\nsys.exit(' '.join(sys.argv[1:]))")
    with pytest.raises(RefusedError, match="--environment stage --outputs --state local;"):
        deployed.read_outputs("stage", state="local")
    for state, given in (("", ""), ("STATE=local", "--state local")):
        command = ["make", "--no-print-directory", "--dry-run", "avalanche", "TARGET=aws", "ENVIRONMENT=stage", state]
        done = subprocess.run([word for word in command if word], cwd=ROOT, capture_output=True, text=True, check=True)
        last = done.stdout.splitlines()[-1]
        assert last.split("benchmarks ")[1].split() == f"avalanche-aws --environment stage {given}".split()


@pytest.mark.parametrize(("options", "installed"), [("--policies", False), ("--bars --quick", True)])
def test_the_peers_are_installed_for_the_bars_alone(options, installed):
    command = ["make", "--no-print-directory", "--dry-run", "-W", "benchmarks/avalanche/peers.lock"]
    command += ["avalanche-simulation", f"OPTIONS={options}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert ("--requirement benchmarks/avalanche/peers.lock" in done.stdout) == installed


class Functions:
    """The Lambda API's answers that a target is judged by; `versions` by number."""

    def __init__(
        self, versions: dict[str, dict[str, str]], weights: dict[str, float], state: str = "Enabled", **mapping: Any
    ) -> None:
        self.versions, self.weights, self.state, self.mapping = versions, weights, state, mapping

    def get_alias(self, FunctionName: str, Name: str) -> dict[str, Any]:
        assert Name == "live"
        routing = {"AdditionalVersionWeights": self.weights} if self.weights else {}
        return {"FunctionVersion": "1", "RoutingConfig": routing}

    def get_function_configuration(self, FunctionName: str, Qualifier: str) -> dict[str, Any]:
        return {
            "Version": Qualifier,
            "MemorySize": 512,
            "Architectures": ["arm64"],
            "Environment": {"Variables": self.versions[Qualifier]},
            "SnapStart": {"ApplyOn": "PublishedVersions" if self.mapping else "None"},
        }

    def get_paginator(self, name: str) -> Functions:
        assert name == "list_event_source_mappings"
        return self

    def paginate(self, FunctionName: str) -> list[dict[str, Any]]:
        assert FunctionName.endswith(":live")
        other = {"State": "Enabled", "EventSourceArn": "arn:aws:sqs:eu-west-1:000000000000:other.fifo"}
        mine = {"State": self.state, "EventSourceArn": outputs()["queue_arn"]["value"], **self.mapping}
        return [{"EventSourceMappings": [other]}, {"EventSourceMappings": [mine] if self.state else []}]


class Queues:
    def __init__(self, waiting: int = 0, in_flight: int = 0, delayed: int = 0) -> None:
        self.counts = (waiting, in_flight, delayed)

    def get_queue_attributes(self, QueueUrl: str, AttributeNames: list[str]) -> dict[str, Any]:
        return {"Attributes": {name: str(count) for name, count in zip(AttributeNames, self.counts, strict=True)}}


def test_a_function_with_the_simulated_gateway_behind_an_enabled_mapping_is_a_target(tmp_path):
    found = deployed.check_target(target(tmp_path), Functions({"1": GOOD, "2": GOOD}, {"2": 0.1}), Queues())
    assert (found.memory_size, found.architecture, found.variables["STRESS_MODE"]) == (512, "arm64", "cold_start")
    assert (found.snap_start, found.pollers) == (False, None)
    polled = Functions({"1": GOOD}, {}, ProvisionedPollerConfig={"MinimumPollers": 20, "MaximumPollers": 90})
    found = deployed.check_target(target(tmp_path), polled, Queues())
    assert (found.snap_start, found.pollers) == (True, (20, 90))


@pytest.mark.parametrize(
    "changes",
    [
        {"GATEWAY": "stripe"},
        {"GATEWAY": ""},
        {"GATEWAY_URL": "https://user:swordfish@gateway.example"},
        {"GATEWAY_SECRET_ARN": "arn:aws:secretsmanager:eu-west-1:000000000000:secret:swordfish"},
        {"ENVIRONMENT": "prod"},
        {"ENVIRONMENT": "test"},
        {"DYNAMODB_TABLE": "another"},
    ],
)
def test_a_version_behind_the_alias_that_might_charge_is_refused_whatever_its_share(changes, tmp_path):
    for versions, weights in (({"1": GOOD | changes}, {}), ({"1": GOOD, "2": GOOD | changes}, {"2": 0.01})):
        with pytest.raises(RefusedError) as refused:
            deployed.check_target(target(tmp_path), Functions(versions, weights), Queues())
        assert "swordfish" not in str(refused.value)


@pytest.mark.parametrize("state", ["Disabled", "Disabling", ""])
def test_a_queue_that_feeds_nobody_is_refused(state, tmp_path):
    with pytest.raises(RefusedError, match="make start ENVIRONMENT=dev"):
        deployed.check_target(target(tmp_path), Functions({"1": GOOD}, {}, state), Queues())


@pytest.mark.parametrize("counts", [(1, 0, 0), (0, 2, 0), (0, 0, 3)])
def test_a_queue_with_other_traffic_is_refused(counts, tmp_path):
    with pytest.raises(RefusedError, match=f"{sum(counts)} messages are on the queue"):
        deployed.check_target(target(tmp_path), Functions({"1": GOOD}, {}), Queues(*counts))


def test_an_estimate_is_counted_by_hand():
    # Requests 0.2/M, 0.5 s and 40 s for 1 in 100, of 0.5 GB; three requests of the queue; six write units, a read.
    prices = read_prices()
    found = deployed.estimate_usd(1000, 10, Function(512, "arm64", {}), prices)
    gb_seconds = Decimal("0.5") * (1000 * Decimal("0.5") + 10 * 40)
    logs = Decimal(1000 * 320 + 1000 * (560 + 750)) / 2**30 * Decimal("0.5")
    by_hand = (
        Decimal("0.0002")
        + gb_seconds * Decimal("0.0000133334")
        + 3000 * Decimal("0.0000005")
        + 6000 * Decimal("0.000000625")
        + 10 * Decimal("0.000000125")
        + logs
    )
    assert found == pytest.approx(by_hand, rel=Decimal("0.000001"))
    assert deployed.estimate_usd(1000, 10, Function(512, "x86_64", {}), prices) > found
    assert deployed.estimate_usd(2000, 10, Function(512, "arm64", {}), prices) > found


def test_without_an_answer_or_above_its_limit_nothing_is_sent(tmp_path, monkeypatch, capsys):
    function = Function(512, "arm64", GOOD)
    options = aws._options([])
    with pytest.raises(RefusedError, match="nobody can be asked here"):
        aws._agree(options, target(tmp_path), function, "000000000000")
    assert "at most $0.0" in capsys.readouterr().out
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda prompt: "yes")
    with pytest.raises(RefusedError, match="nobody agreed"):
        aws._agree(options, target(tmp_path), function, "000000000000")
    monkeypatch.setattr("builtins.input", lambda prompt: "dev")
    aws._agree(options, target(tmp_path), function, "000000000000")
    with pytest.raises(RefusedError, match="above the limit"):
        aws._agree(aws._options(["--limit-usd", "0.001", "--yes"]), target(tmp_path), function, "000000000000")
    capsys.readouterr()
    aws._agree(aws._options(["--yes"]), target(tmp_path), Function(512, "arm64", {**GOOD, "STRESS_MODE": "none"}), "0")
    assert "TF_ARGS='-var stress_mode=cold_start'` slows them" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["seconds-max", "metrics-seconds", "ramp-seconds"])
def test_times_are_numbers(option, capsys):
    with pytest.raises(SystemExit, match="2"):
        aws._options([f"--{option}=nan"])
    assert "nan is no number of seconds" in capsys.readouterr().err


def test_production_is_refused_before_any_client_is_made(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(boto3, "client", lambda *_, **__: pytest.fail("a client was made"))
    target(tmp_path)
    assert aws.main(["--outputs", str(tmp_path / "outputs.json"), "--environment", "production"]) == 2
    assert "refused, nothing was sent: production is production's" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("traffic", "outputs_changes", "rule"),
    [
        (Traffic(1000, 1001), {}, "1001 groups for 1000 messages"),
        (Traffic(1000, 10, ramp_seconds=-1), {}, "ramp_seconds is -1: time does not run backwards"),
        (
            Traffic(1000, 10),
            {"concurrency": {"account": 3000, "mapping": 2000, "reserved": None}},
            "maximum_concurrency 2000: its quota is 1 to 1000",
        ),
    ],
)
def test_what_is_impossible_is_refused_with_the_rule_that_it_breaks(traffic, outputs_changes, rule, tmp_path):
    with pytest.raises(ImpossibleParametersError, match=rule):
        prediction.parameters_of(target(tmp_path, **outputs_changes), Function(512, "arm64", GOOD), traffic)
