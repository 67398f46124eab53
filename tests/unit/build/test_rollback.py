"""`make rollback` and what versions were published to write: the alias goes back only to code that reads all of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from handler.domain.canonical import VERSIONS
from tests.support.build_scripts import ROOT, load
from tests.support.functions import Alarms, Functions

published = load("packager.published")
packager_live = load("packager.live")
environments = load("packager.environment")
names = load("packager.names")
rollback = load("rollback")
deploy = load("deploy")

QUEUE, WORKFLOW = "cloudcafe-payment-processor-dev", "payment-processor-dev"
DESCRIPTION = "Validates, scores, charges and records payments of one FIFO queue."


def configuration(reads: list[int] | None, writes: int | None) -> dict[str, Any]:
    variables = {} if writes is None else {"CANONICAL_VERSION_WRITTEN": str(writes)}
    said = DESCRIPTION if reads is None else f"{DESCRIPTION} {published.description(reads)}"
    return {"Description": said, "Environment": {"Variables": variables}}


# 0.1, which says nothing; code that reads both and writes the first; the same, writing the second.
OLD, READER, WRITER = (None, None), ([1, 2], 1), ([1, 2], 2)


def functions_of(*versions: tuple[list[int] | None, int | None], **more: Any) -> Functions:
    """`live` at the newest version of the queue function; each of the earlier ones has proved itself."""
    found = Functions({QUEUE: [configuration(*one) for one in versions], **more})
    earlier = [str(number) for number in range(len(versions) - 1, 0, -1)]
    if earlier:
        said = f"Before it: {', '.join(earlier[1:])}." if earlier[1:] else ""
        found.aliases[QUEUE, "proven"] = {"FunctionVersion": earlier[0], "Description": said}
    return found


def roll_back(functions: Functions, version: str | None = None, role: str = "queue") -> tuple[str, str]:
    moved: tuple[str, str] = environments.Environment("dev", functions, Alarms()).roll_back(role, version)
    return moved


@pytest.mark.parametrize("versions", [(OLD, OLD), (OLD, READER), (READER, WRITER), (OLD, READER, WRITER)])
def test_live_goes_back_to_code_that_reads_what_was_written(versions):
    functions = functions_of(*versions)
    before = len(versions)
    assert roll_back(functions) == (str(before), str(before - 1))
    alias = functions.aliases[QUEUE, "live"]
    assert (alias["FunctionVersion"], alias["RoutingConfig"]["AdditionalVersionWeights"]) == (str(before - 1), {})


def test_a_canary_under_way_loses_its_share_and_what_has_the_rest_has_it_all():
    functions = functions_of(READER, READER, READER)
    functions.aliases[QUEUE, "live"] = {
        "FunctionVersion": "2",
        "RoutingConfig": {"AdditionalVersionWeights": {"3": 0.1}},
    }
    for version in ("2", "3"):
        functions.provisioned[QUEUE, version] = {"RequestedProvisionedConcurrentExecutions": 20}
    assert roll_back(functions) == ("3", "2")
    assert functions.calls == [("live", "2", {}), ("returned", "3"), ("release", "3")]
    assert "live stays at version 2, as 3 came back" in environments.Environment("dev", functions, Alarms()).follow(
        "queue", None, (), 0
    )


def test_live_goes_back_past_a_canary_that_failed_to_the_version_that_proved_itself():
    functions = Functions({QUEUE: [configuration(*READER)] * 7})
    functions.aliases[QUEUE, "live"]["FunctionVersion"] = "5"
    environment = environments.Environment("dev", functions, Alarms(errors=["OK"]))
    # 6 fails with a share of it; then 7 has it whole, and fails.
    live = packager_live.Live(
        functions,
        QUEUE,
        cloudwatch=Alarms(errors=["OK", "OK", "ALARM"]),
        alarms=[f"{QUEUE}-errors"],
        sleep=lambda seconds: None,
        say=lambda said: None,
    )
    with pytest.raises(packager_live.MoveError, match="rang"):
        live.move("6", (10,), 60)
    environment.follow("queue", None, (), 0)
    assert roll_back(functions) == ("7", "5")
    # Nothing else has proved itself.
    with pytest.raises(packager_live.MoveError, match=r"no version of .* but 5 is known"):
        roll_back(functions)
    # What was gone away from is not followed again unasked.
    assert "live stays at version 5, as 7 came back" in environment.follow("queue", None, (), 0)


@pytest.mark.parametrize("role", ["workflow", "page", "reconcile"])
def test_every_function_of_the_workflow_goes_back_too(role):
    name = {"workflow": WORKFLOW, "page": f"{WORKFLOW}-page", "reconcile": f"{WORKFLOW}-reconcile"}[role]
    functions = functions_of(READER, WRITER, **{name: [configuration(*OLD), configuration(*READER)]})
    functions.aliases[name, "proven"] = {"FunctionVersion": "1"}
    # What the queue function wrote is asked of them all.
    with pytest.raises(packager_live.MoveError, match=f"version 1 of {name} does not read version 2"):
        roll_back(functions, role=role)
    functions.versions[name]["1"] |= configuration(*READER)
    assert roll_back(functions, role=role) == ("2", "1")
    assert functions.aliases[QUEUE, "live"]["FunctionVersion"] == "2"


def test_what_the_workflow_wrote_is_asked_of_the_queue_function():
    functions = functions_of(OLD, READER, **{WORKFLOW: [configuration(*WRITER)]})
    with pytest.raises(packager_live.MoveError, match=f"version 1 of {QUEUE} does not read version 2"):
        roll_back(functions)


@pytest.mark.parametrize(
    ("versions", "asked", "way"),
    [
        # The one before says nothing.
        ((OLD, WRITER), None, "no other version reads it, or mend the newest code and deploy it"),
        # A version that is named.
        ((OLD, READER, WRITER), "1", "VERSION=2 reads it"),
        # Nothing writes the second any more; what it wrote is still there.
        ((OLD, WRITER, READER), "1", "VERSION=2 reads it"),
        # It reads one that is newer and not the one that was written.
        ((([1], 1), ([1, 2, 3], 3)), None, "no other version reads it"),
    ],
)
def test_live_never_goes_back_to_code_that_does_not_read_what_was_written(versions, asked, way):
    functions = functions_of(*versions)
    with pytest.raises(packager_live.MoveError, match="of the canonical text, which has been written") as caught:
        roll_back(functions, asked)
    assert way in str(caught.value)
    assert "version 1 of cloudcafe-payment-processor-dev does not read version " in str(caught.value)
    assert functions.calls == []


def test_a_version_that_is_not_there_and_one_without_a_proven_one_before_it_are_refused():
    with pytest.raises(packager_live.MoveError, match="has no version 7; it has 1, 2"):
        roll_back(functions_of(OLD, OLD), "7")
    with pytest.raises(packager_live.MoveError, match=r"no version of .* but 1 is known to have served"):
        roll_back(functions_of(OLD))


def test_terraform_and_the_scripts_describe_a_version_alike():
    said = published.description(VERSIONS)
    assert published.versions_read({"Description": f"{DESCRIPTION} {said}"}) == set(VERSIONS)
    form = said.replace(", ".join(map(str, VERSIONS)), '${join(", ", var.package.canonical_versions_read)}')
    modules = ROOT / "terraform" / "modules"
    assert f'"{DESCRIPTION} {form}"' in (modules / "payment_function" / "main.tf").read_text()
    workflow = (modules / "approval_workflow" / "main.tf").read_text()
    assert f'reads = "{form}"' in workflow
    # Function, page and reconcile.
    assert workflow.count('${local.reads}"') == 3


def test_the_page_never_goes_back_to_a_version_whose_approvers_were_removed_since():
    page = f"{WORKFLOW}-page"
    functions = functions_of(READER, **{page: [configuration(*READER) for _ in range(3)]})
    for version, approvers in (("1", "alice,bob"), ("2", "alice"), ("3", "alice,carol")):
        functions.versions[page][version]["Environment"]["Variables"]["APPROVERS"] = approvers
    with pytest.raises(packager_live.MoveError, match="takes decisions of bob, who is no approver any more") as caught:
        roll_back(functions, "1", role="page")
    assert "live stays at version 3" in str(caught.value)
    # One who came since has to wait there, and that is all.
    assert roll_back(functions, "2", role="page") == ("3", "2")
    # By name, as well.
    with pytest.raises(packager_live.MoveError, match="who is no approver any more"):
        environments.Environment("dev", functions, Alarms()).follow("page", "1", (), 0)


def test_a_rollback_that_fails_behind_its_move_says_where_live_is(monkeypatch, capsys):
    functions = functions_of(READER, READER)
    denied = ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "CreateAlias")

    def create_alias(**request: Any) -> None:
        raise denied

    functions.create_alias = create_alias  # type: ignore[method-assign]
    environment = environments.Environment("dev", functions, Alarms())
    monkeypatch.setattr(rollback, "Environment", lambda name, names: environment)
    assert rollback.main(["--environment", "dev"]) == rollback.IN_PART
    errors = capsys.readouterr().err
    assert "(AccessDeniedException) when calling the CreateAlias" in errors
    assert f"What stands: {QUEUE}: live is version 1; version 2 is the newest that is published" in errors


def test_a_rollback_tells_where_live_was_and_is_as_fields(monkeypatch, capsys):
    environment = environments.Environment("dev", functions_of(READER, READER), Alarms())
    monkeypatch.setattr(rollback, "Environment", lambda name, names: environment)
    assert rollback.main(["--environment", "dev", "--json"]) == 0
    told = {"function": QUEUE, "live_before": "2", "live_after": "1", "from": "2", "to": "1"}
    assert json.loads(capsys.readouterr().out) == told
    # Refused before anything was moved, nothing stands.
    assert rollback.main(["--environment", "dev"]) == 1
    assert "What stands" not in capsys.readouterr().err


def test_a_deployment_that_fails_behind_a_canarys_share_says_that_it_has_it(monkeypatch, capsys):
    functions = functions_of(READER, READER)
    functions.aliases[QUEUE, "live"] = {"FunctionVersion": "1"}
    point, refused = functions.update_alias, []

    def update_alias(**request: Any) -> None:
        if request["Name"] == "live" and not request["RoutingConfig"]["AdditionalVersionWeights"]:
            refused.append(request)
            raise ClientError({"Error": {"Code": "ServiceException", "Message": "no"}}, "UpdateAlias")
        point(**request)

    functions.update_alias = update_alias  # type: ignore[method-assign]
    environment = environments.Environment("stage", functions, Alarms(errors=["OK"]), names=names.names_of("dev"))
    monkeypatch.setattr(deploy, "Environment", lambda name, names, say: environment)
    code = deploy.main(["--environment", "stage", "--version", "2", "--shares", "10", "--hold", "0"])
    assert (code, len(refused)) == (deploy.IN_PART, 1)
    assert f"{QUEUE}: live is version 1, but for 10 % at version 2; version 2 is the" in capsys.readouterr().err
