"""What scripts call the things of an environment: as Terraform's outputs say, whatever that is."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from benchmarks.coldstart import aws
from tests.support.build_scripts import ROOT, load
from tests.support.functions import Alarms, Functions

stop = load("stop")
packager_live = load("packager.live")
environments = load("packager.environment")
names = load("packager.names")

# Nothing of these can be built from the environment's name.
FUNCTIONS = {"queue": "a-queue", "workflow": "a-workflow", "page": "a-page", "reconcile": "a-reconcile"}
OUTPUTS = json.dumps(
    {
        "names": {
            "value": {
                "functions": FUNCTIONS,
                "alarms": {alarm: f"an-alarm-{alarm}" for alarms in names.ALARMS.values() for alarm in alarms},
                "schedule": "a-schedule",
                "table": "a-table",
            }
        },
        "benchmark_function_names": {"value": {"pure-128": "b-cloudcafe-payment-processor-dev-bench-pure-128"}},
    }
)


class Asked(Alarms):
    def describe_alarms(self, AlarmNames: list[str], **more: object) -> dict[str, list[dict[str, str]]]:
        self.names = AlarmNames
        return {"MetricAlarms": [{"AlarmName": name, "StateValue": "OK"} for name in AlarmNames]}


@pytest.mark.parametrize("role", FUNCTIONS)
def test_live_moves_on_the_function_that_terraform_names_and_asks_its_alarms(role: str) -> None:
    functions = Functions({name: [{"Description": "Reads canonical text 1."}] * 2 for name in FUNCTIONS.values()})
    alarms = Asked()
    environment = environments.Environment("dev", functions, alarms, names=names.names_of("dev", OUTPUTS))
    assert environment.roll_back(role, "1") == ("2", "1")
    assert functions.aliases[FUNCTIONS[role], "live"]["FunctionVersion"] == "1"
    environment.live(role).prove_if_quiet()
    assert alarms.names == [f"an-alarm-{alarm}" for alarm in names.ALARMS[role]]


def test_what_terraform_never_named_is_called_as_before_there_was_a_prefix() -> None:
    found = names.names_of("dev")
    assert found == names.names_of("dev", "{}") == names.names_of("dev", '{"table_name": {"value": "older"}}')
    assert found.functions == {
        "queue": "cloudcafe-payment-processor-dev",
        "workflow": "payment-processor-dev",
        "page": "payment-processor-dev-page",
        "reconcile": "payment-processor-dev-reconcile",
    }
    assert found.alarms_of("queue")[0] == "cloudcafe-payment-processor-dev-errors"
    assert found.alarms_of("page") == ["payment-processor-dev-page-errors"]
    assert (found.schedule, found.table) == ("payment-processor-dev-reconcile", "cloudcafe-payment-transactions-dev")


def test_stop_works_on_what_terraform_names() -> None:
    found = names.names_of("dev", OUTPUTS)
    switch = stop.Switch(found, None, None)
    assert (switch._aliases["queue_mapping"], switch._schedule) == ("a-queue:live", "a-schedule")
    variables = stop._variables("dev", found, {})
    assert (variables["DYNAMODB_TABLE"], variables["APPROVAL_FUNCTION_ARN"]) == ("a-table", "a-workflow:live")


class Lambda:
    def get_function_configuration(self, FunctionName: str) -> dict[str, object]:
        variables = {"ENVIRONMENT": "dev", "GATEWAY": "simulated"}
        return {"FunctionName": FunctionName, "MemorySize": 128, "Environment": {"Variables": variables}}

    @property
    def meta(self) -> Lambda:
        return self

    endpoint_url = ""


def test_the_lab_measures_what_terraform_names_and_nothing_of_another_environment() -> None:
    [target] = aws.targets(Lambda(), None, "dev", OUTPUTS)
    assert (target.name, target.engine) == ("b-cloudcafe-payment-processor-dev-bench-pure-128", "pure")
    with pytest.raises(aws.RefusedError, match="is not of environment staging"):
        aws.targets(Lambda(), None, "staging", OUTPUTS)
    with pytest.raises(aws.RefusedError, match="is never measured"):
        aws.targets(Lambda(), None, "prod", OUTPUTS)


@pytest.mark.parametrize("target", ["stop", "start", "rollback", "move", "benchmark-aws", "plan", "apply"])
def test_make_gives_the_outputs_of_the_environments_state_to_every_script_that_finds_by_name(
    target: str, tmp_path: Path
) -> None:
    command = ["make", "--no-print-directory", "--dry-run", target, "ENVIRONMENT=stage"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    line = done.stdout.replace("\\\n", "").splitlines()[-1]
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    # Stands for the scripts; what build/state.py prints is given.
    python.write_text(
        '#!/bin/bash\nif [ "$1" = build/state.py ]; then\n  [ "${*: -1}" != --outputs ] || eval "$SAID"\n'
        'else printf "%s\\n" "$@" >called; fi\n'
    )
    python.chmod(0o755)

    def called(said: str) -> list[str] | None:
        (tmp_path / "called").unlink(missing_ok=True)
        environment = {"PATH": "/usr/bin:/bin", "SAID": said}
        subprocess.run(["bash", "-c", line], cwd=tmp_path, env=environment, capture_output=True, check=False)
        return (tmp_path / "called").read_text().splitlines() if (tmp_path / "called").exists() else None

    given = called('echo "$*"')
    assert given is not None
    assert given[given.index("--environment") + 1] == "stage"
    assert given[given.index("--outputs") + 1].startswith("build/state.py --environment stage")
    # Other names than those that the state cannot tell would be another environment's.
    assert called("exit 1") is None


@pytest.mark.parametrize("target", ["stop", "start", "rollback", "move"])
def test_a_state_that_is_kept_elsewhere_is_asked_as_make_is_told(target: str) -> None:
    own = "OUTPUTS=terraform -chdir=mine output -json"
    command = ["make", "--no-print-directory", "--dry-run", target, "ENVIRONMENT=stage", own]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    line = done.stdout.replace("\\\n", "").splitlines()[-1]
    assert line.startswith("outputs=$(terraform -chdir=mine output -json) && ")
    assert "build/state.py" not in line
