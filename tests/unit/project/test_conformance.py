"""`make conformance-aws`: what it refuses, what it asks, what it writes down, and that it leaves nothing.

Held here without Terraform or AWS; tests/conformance/check_loopback.py plays the way itself on the loopback services.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import ClientError, NoRegionError

from local.terraform import TerraformError
from tests.conformance import __main__ as command
from tests.conformance import names, record, refusals, system
from tests.conformance.record import RECORD, RESULTS, Calls, Record, Step
from tests.conformance.steps import STEPS
from tests.support.conformance import ACCOUNT, System, planned

DOCUMENT = Path(__file__).parents[3] / "docs" / "terraform.md"
NEVER = "**Nothing here has been applied to a real account.**"


@pytest.fixture(autouse=True)
def somewhere(monkeypatch, tmp_path):
    """No folder of the checkout, whatever a test runs into, and a Terraform that is there."""
    monkeypatch.setattr(command, "RECORD", tmp_path / "account.json")
    monkeypatch.setattr(system, "FOLDER", tmp_path / "conformance")
    monkeypatch.setattr(command, "check_installed", lambda: None)
    monkeypatch.setattr(System, "instances", [])


def step(name: str, play: Any = lambda system: ("as it should", True), **more: Any) -> Step:
    return Step(name, "asked", "expected", play, **more)


def applies(system: System) -> tuple[str, bool]:
    system.apply()
    return "applied", True


def raises(error: BaseException) -> Any:
    def play(system: System) -> tuple[str, bool]:
        raise error

    return play


APPLY = step("first apply", applies)


def run(tmp_path: Path, *arguments: str, steps: tuple[Step, ...] = (APPLY,), **more: Any) -> tuple[int, dict[str, Any]]:
    """The command's status and its record, where it wrote one."""
    path = tmp_path / "record.json"
    given = ["--environment", "sandbox", "--record", str(path), *(arguments or ["--yes"])]
    code = command.main(given, steps=steps, make_system=System, **more)
    return code, json.loads(path.read_text()) if path.exists() else {}


# ---- refusals ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["prod", "production", "prod-eu", "preprod", "live", "live-eu", "dev"])
def test_production_and_what_others_have_by_default_are_refused_by_name_before_anything_starts(name, capsys):
    assert command.main(["--environment", name, "--yes"], make_system=System) == 2
    assert "on one of its own, ENVIRONMENT=sandbox" in capsys.readouterr().err
    assert System.instances == []


def test_a_name_with_such_a_syllable_alone_is_taken():
    for name in ("sandbox", "delivery", "olive"):
        refusals.check_name(name)


@pytest.mark.parametrize(
    "variables",
    [
        {"gateway": "stripe"},
        {"gateway_url": "https://gateway.example.com"},
        {"gateway_secret_arn": "arn:aws:secretsmanager:us-east-1:123456789012:secret:key"},
        {"gateway_mode": "test"},
    ],
)
def test_a_real_gateway_in_the_plan_is_refused(tmp_path, monkeypatch, capsys, variables):
    monkeypatch.setattr(System, "plan", planned(**variables))
    assert run(tmp_path) == (2, {})
    assert "a proof moves no money" in capsys.readouterr().err
    assert not system.folder_of("sandbox").exists()


def test_a_plan_that_changes_what_is_there_is_refused(tmp_path, monkeypatch, capsys):
    plan = planned()
    plan["resource_changes"][1]["change"]["actions"] = ["update"]
    monkeypatch.setattr(System, "plan", plan)
    assert run(tmp_path) == (2, {})
    assert "aws_dynamodb_table.this[1], which is there already" in capsys.readouterr().err


# The workflow's function stays behind a stack that went under protection, and no state tells of it.
@pytest.mark.parametrize(
    "name", ["payments-sandbox.fifo", "transactions-sandbox", "workflow-sandbox", "throttles-sandbox", "inbox-sandbox"]
)
def test_an_environment_that_is_there_already_is_refused_and_left_alone(tmp_path, monkeypatch, capsys, name):
    monkeypatch.setattr(System, "others", {name})
    assert run(tmp_path) == (2, {})
    assert f"is there already, and is not of this command: {name}" in capsys.readouterr().err
    assert System.instances[0].names == {name}
    assert System.instances[0].did == []


def test_what_may_not_be_asked_is_not_taken_for_missing():
    class Refusing:
        def describe_table(self, TableName):
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "DescribeTable")

    with pytest.raises(ClientError):
        names.there({"dynamodb": Refusing()}, {("aws_dynamodb_table", "transactions-sandbox")})


def test_the_accounts_root_user_is_refused():
    refusals.check_caller(f"arn:aws:sts::{ACCOUNT}:assumed-role/admin/me")
    with pytest.raises(refusals.RefusedError, match="root user"):
        refusals.check_caller(f"arn:aws:iam::{ACCOUNT}:root")


# ---- what it costs, and who agrees ------------------------------------------------------------------------------


def test_the_estimate_is_said_in_parts_that_make_its_sum_before_somebody_is_asked(tmp_path, capsys):
    said: list[str] = []

    def ask(question: str) -> str:
        said.append(capsys.readouterr().out)
        return "sandbox"

    code, found = run(tmp_path, "--memory-sizes", "256,1024", ask=ask)
    assert code == 0
    amounts = [float(amount) for amount in re.findall(r"^  \$ *([\d.]+)  ", said[0], re.MULTILINE)]
    assert len(amounts) > 5
    assert sum(amounts[:-1]) == pytest.approx(amounts[-1], abs=0.001)
    assert 0 < found["estimate_usd"] < 5
    assert "2 alarms" in said[0]
    assert f"account {ACCOUNT}, region us-east-1" in said[0]


@pytest.mark.parametrize("answer", ["", "yes", "prod"])
def test_without_the_environments_name_nothing_is_made(tmp_path, capsys, answer):
    assert run(tmp_path, "--memory-sizes", "256", ask=lambda question: answer) == (2, {})
    assert "not agreed to" in capsys.readouterr().err
    assert System.instances[0].did == []


def test_a_script_that_cannot_answer_is_told_of_yes(tmp_path, capsys):
    def ask(question: str) -> str:
        raise EOFError

    assert run(tmp_path, "--memory-sizes", "256", ask=ask)[0] == 2
    assert "--yes" in capsys.readouterr().err


# ---- it leaves nothing ------------------------------------------------------------------------------------------


def test_after_a_step_that_raises_everything_is_removed_and_the_rest_is_not_played(tmp_path, capsys):
    steps = (APPLY, step("broken", raises(RuntimeError(f"no such thing in {ACCOUNT}"))), step("after"))
    code, found = run(tmp_path, steps=steps)
    assert code == 1
    assert [each["result"] for each in found["steps"]] == ["ok", "failed", "not played"]
    assert found["steps"][1]["answered"] == "RuntimeError: no such thing in <account>"
    assert found["steps"][2]["answered"] == "the way ended before it"
    made = System.instances[0]
    assert made.did == ["settle", "publish false", "destroy"]
    assert (made.names, made.state) == (set(), {})
    assert found["removed"]
    assert not system.folder_of("sandbox").exists()
    assert "not as the docs say: broken" in capsys.readouterr().err


def test_a_question_that_fails_is_an_answer_and_the_way_goes_on(tmp_path):
    def refused(system: System) -> tuple[str, bool]:
        system.variables["provisioned_concurrency"] = "1"
        raise RuntimeError("no")

    code, found = run(tmp_path, steps=(APPLY, step("asked", refused, question=True), step("after")))
    assert (code, [each["result"] for each in found["steps"]]) == (1, ["ok", "failed", "ok"])
    # No plan after it has what was refused.
    assert "provisioned_concurrency" not in System.instances[0].variables


def test_an_answer_that_differs_is_kept_and_the_way_goes_on(tmp_path):
    code, found = run(tmp_path, steps=(APPLY, step("asked", lambda system: ("otherwise", False)), step("after")))
    assert (code, found["differs"]) == (1, ["asked"])
    assert [each["result"] for each in found["steps"]] == ["ok", "differs", "ok"]


def test_an_interrupt_ends_what_runs_and_removes_everything(tmp_path):
    steps = (APPLY, step("long", raises(KeyboardInterrupt())), step("after"))
    code, found = run(tmp_path, steps=steps)
    assert code == 130
    assert [each["result"] for each in found["steps"]] == ["ok", "failed", "not played"]
    assert System.instances[0].did == ["settle", "publish false", "destroy"]
    assert System.instances[0].names == set()


def test_what_could_not_be_removed_is_said_with_the_line_that_does(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(System, "stuck", {"transactions-sandbox"})
    code, found = run(tmp_path)
    assert (code, found["removed"]) == (1, False)
    # Past what the whole apply fails on, too.
    targets = "module.transaction_table module.code_bucket module.export_bucket"
    assert System.instances[0].did == ["settle", "publish false", f"publish false {targets}", "destroy"]
    said = capsys.readouterr().err
    assert "AWS refuses it" in said
    assert "aws dynamodb delete-table --table-name transactions-sandbox" in said
    assert "make conformance-aws ENVIRONMENT=sandbox OPTIONS=--clean" in said
    # Its state is what the next try needs.
    assert system.folder_of("sandbox").exists()


def test_what_a_cut_off_run_has_left_is_removed_by_clean_and_refused_without(tmp_path, capsys):
    assert run(tmp_path, "--clean")[0] == 2
    assert "no run of environment sandbox was cut off" in capsys.readouterr().err
    system.folder_of("sandbox").mkdir(parents=True)
    assert run(tmp_path)[0] == 2
    assert "OPTIONS=--clean" in capsys.readouterr().err
    assert System.instances == []

    class CutOff(System):
        def __init__(self, environment: str, **given: Any) -> None:
            super().__init__(environment, **given)
            self.apply()

    assert command.main(["--environment", "sandbox", "--clean"], make_system=CutOff) == 0
    assert System.instances[0].did == ["settle", "publish false", "destroy"]
    assert not system.folder_of("sandbox").exists()


@pytest.mark.parametrize("error", [NoRegionError(), TerraformError("no provider"), KeyboardInterrupt()])
def test_a_system_that_could_not_be_made_leaves_no_folder_that_looks_like_a_run(error, capsys):
    class Unmade(System):
        def __init__(self, environment: str, **given: Any) -> None:
            super().__init__(environment, **given)
            raise error

    given = ["--environment", "sandbox", "--yes"]
    if isinstance(error, KeyboardInterrupt):
        with pytest.raises(KeyboardInterrupt):
            command.main(given, make_system=Unmade)
    else:
        assert command.main(given, make_system=Unmade) == 2
        assert f"refused: {error}" in capsys.readouterr().err
    assert not system.folder_of("sandbox").exists()
    # What a run has left stays.
    system.folder_of("sandbox").mkdir(parents=True)
    with suppress(KeyboardInterrupt):
        command.main([*given, "--clean"], make_system=Unmade)
    assert system.folder_of("sandbox").exists()


@pytest.mark.parametrize(("region", "account"), [("eu-west-1", ACCOUNT), ("us-east-1", "999999999999")])
def test_what_is_left_elsewhere_is_not_looked_for_here_and_taken_for_removed(region, account, capsys):
    system.folder_of("sandbox").mkdir(parents=True)

    class Elsewhere(System):
        def __init__(self, environment: str, **given: Any) -> None:
            super().__init__(environment, **given)
            self.state = {
                "role": {"type": "aws_iam_role", "arn": f"arn:aws:iam::{account}:role/payments"},
                "table": {"type": "aws_dynamodb_table", "arn": f"arn:aws:dynamodb:{region}:{account}:table/payments"},
            }

    assert command.main(["--environment", "sandbox", "--clean"], make_system=Elsewhere) == 2
    assert f"is of account {account} in region {region}" in capsys.readouterr().err
    assert System.instances[0].did == []
    assert system.folder_of("sandbox").exists()


# ---- the record -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (f"arn:aws:sqs:us-east-1:{ACCOUNT}:payments", "arn:aws:sqs:us-east-1:<account>:payments"),
        (f"cloudcafe-code-sandbox-{ACCOUNT}-us-east-1", "cloudcafe-code-sandbox-<account>-us-east-1"),
        (f"User: arn:aws:iam::{ACCOUNT}:user/teams/alice is not", "User: <caller> is not"),
        (f'"arn:aws:sts::{ACCOUNT}:assumed-role/admin/alice@example.com"', '"<caller>"'),
        (f"arn:aws:iam::{ACCOUNT}:role/payments", "arn:aws:iam::<account>:role/payments"),
        ("AKIAIOSFODNN7EXAMPLE", "<key id>"),
        ("https://page/approvals?t=abc.DEF-1_2~3%3D", "https://page/approvals?t=<token>"),
        # A time in milliseconds is no account.
        ("1764331200000", "1764331200000"),
    ],
)
def test_nothing_in_a_record_names_an_account_a_caller_or_a_link(text, kept):
    assert record.masked(text) == kept


def operation(service: str, name: str) -> SimpleNamespace:
    """What botocore's event has of an operation."""
    return SimpleNamespace(name=name, service_model=SimpleNamespace(service_name=service))


def test_a_record_has_of_every_step_what_was_asked_what_came_and_how_long_it_took(tmp_path, capsys):
    def asks(system: System) -> tuple[str, bool]:
        model = operation("lambda", "UpdateAlias")
        refused = {"Error": {"Code": "InvalidParameterValueException", "Message": f"of {ACCOUNT}: no weights"}}
        for parsed, status in (({}, 200), ({}, 200), (refused, 400)):
            system.calls._answered(http_response=SimpleNamespace(status_code=status), parsed=parsed, model=model)
        return "refused", False

    code, found = run(tmp_path, steps=(APPLY, step("weights", asks, question=True)))
    assert code == 1
    facts = {"target", "at", "region", "environment", "memory_sizes", "estimate", "removed", "steps", "differs"}
    assert facts <= set(found)
    assert found["target"] == "aws"
    for each in found["steps"]:
        assert set(each) == {"step", "asked", "expected", "answered", "calls", "result", "seconds"}
        assert each["result"] in RESULTS
    call = {"call": "lambda:UpdateAlias", "status": 200, "code": "", "message": "", "times": 2}
    error = {"status": 400, "code": "InvalidParameterValueException", "message": "of <account>: no weights", "times": 1}
    assert found["steps"][1]["calls"] == [call, {**call, **error}]
    assert ACCOUNT not in (tmp_path / "record.json").read_text()
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("differs "))
    assert re.search(r"weights +asked +400 InvalidParameterValueException: refused$", line)


def test_what_a_session_hears_is_taken_once():
    calls, session = Calls(), botocore.session.Session()
    calls.hear(session)
    parsed = {"Error": {"Code": "AccessDenied", "Message": "no"}}
    # As a client of the session does it.
    session.get_component("event_emitter").emit(
        "after-call.lambda.GetAlias",
        http_response=SimpleNamespace(status_code=403),
        parsed=parsed,
        model=operation("lambda", "GetAlias"),
    )
    heard = {"call": "lambda:GetAlias", "status": 403, "code": "AccessDenied", "message": "no", "times": 1}
    assert calls.take() == [heard]
    assert calls.take() == []


def test_on_this_machine_what_the_emulator_lacks_is_said_and_not_played(tmp_path, monkeypatch):
    monkeypatch.setattr(System, "loopback", True)
    steps = (APPLY, step("alarm", raises(AssertionError()), not_here="it has no alarms"))
    code, found = run(tmp_path, steps=steps)
    assert (code, found["target"]) == (0, "loopback")
    assert [(each["result"], each["answered"]) for each in found["steps"][1:]] == [("not played", "it has no alarms")]


def test_an_account_plays_what_the_emulator_lacks(tmp_path):
    _, found = run(tmp_path, steps=(APPLY, step("alarm", not_here="it has no alarms")))
    assert found["steps"][1]["result"] == "ok"


def test_every_question_is_one_that_the_emulator_cannot_answer_and_has_its_line_in_the_docs():
    listed = DOCUMENT.read_text().partition("\n## Proof on an account\n")[2].partition("\n## ")[0]
    asked = [each for each in STEPS if each.question]
    assert len(asked) >= 10
    for each in asked:
        assert each.not_here, each.name
        assert f"| {each.name} | {each.asked} | {each.expected} |" in listed, each.name
    assert len({each.name for each in STEPS}) == len(STEPS)


def test_the_docs_say_that_nothing_was_applied_until_a_record_of_an_account_is_committed():
    text = " ".join(DOCUMENT.read_text().split())
    if RECORD.exists():
        assert json.loads(RECORD.read_text())["target"] == "aws"
    assert (NEVER in text) != RECORD.exists()
    assert ("(../tests/conformance/record.json)" in text) == RECORD.exists()


def test_a_records_text_is_what_the_table_shows_in_short(tmp_path):
    found = Record({}, Calls(), say=lambda line: None)
    found.play(step("long", lambda system: ("word " * 1000, True)), None)
    assert len(found.steps[0]["answered"]) <= 1200
    assert max(map(len, found.table().splitlines())) < 250
