"""How alias `live` moves, whoever moves it: ready before it is used, in shares, back at an alarm, and pruned behind."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from tests.support.build_scripts import ROOT, load
from tests.support.functions import Alarms, Functions

load("packager.published")
packager_live = load("packager.live")
environments = load("packager.environment")

QUEUE, WORKFLOW = "cloudcafe-payment-processor-dev", "payment-processor-dev"
ONE = {"Description": "Reads canonical text 1."}


class Slept:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self, seconds: float) -> None:
        self.seconds += seconds


def functions_of(queue: int = 7, live: str = "6", **more: int) -> Functions:
    found = Functions({QUEUE: [ONE] * queue, **{name.replace("_", "-"): [ONE] * count for name, count in more.items()}})
    found.aliases[QUEUE, "live"]["FunctionVersion"] = live
    return found


def live_of(functions: Functions, alarms: Alarms | None = None) -> Any:
    names = [f"{QUEUE}-errors", f"{QUEUE}-throttles"]
    return packager_live.Live(
        functions, QUEUE, cloudwatch=alarms or Alarms(errors=["OK"]), alarms=names, sleep=Slept(), say=lambda said: None
    )


def test_a_new_version_has_its_provisioned_concurrency_before_it_gets_anything_and_the_old_one_until_it_gets_nothing():
    functions = functions_of()
    functions.provisioned[QUEUE, "6"] = {"RequestedProvisionedConcurrentExecutions": 20}
    functions.pending[QUEUE, "7"] = 2
    functions.provisioning = {"READY": 3}
    functions.shifting = 2
    live = live_of(functions)
    assert live.move("7", (10, 50), 240) == "6"
    assert functions.calls == [
        ("proven", "6"),
        ("provision", "7", 20),
        ("live", "6", {"7": 0.1}),
        ("live", "6", {"7": 0.5}),
        ("live", "7", {}),
        ("release", "6"),
    ]
    # Whatever Lambda was still about was waited for.
    assert (functions.pending[QUEUE, "7"], functions.provisioning, functions.shifting) == (0, {"READY": 0}, 0)
    # Each share for its time.
    assert live._sleep.seconds >= 480


def test_an_alarm_brings_everything_back_and_the_version_is_known_as_returned():
    functions = functions_of()
    functions.provisioned[QUEUE, "6"] = {"RequestedProvisionedConcurrentExecutions": 20}
    live = live_of(functions, Alarms(errors=["OK", "OK", "OK", "ALARM"]))
    with pytest.raises(packager_live.MoveError, match=r"-errors rang while .* 7 .* had 10 %: live is back at .* 6"):
        live.move("7", (10, 50), 240)
    assert functions.calls[-4:] == [("live", "6", {"7": 0.1}), ("live", "6", {}), ("returned", "7"), ("release", "7")]
    assert (live.version(), live.returned(), live.proven()) == ("6", "7", ["6"])


@pytest.mark.parametrize(
    ("alarms", "said"),
    [
        (Alarms(errors=["ALARM"]), "errors stands already, and a canary could not be told from that"),
        (Alarms(), "none of .* alarms is there to bring a canary back: move at once, SHARES="),
    ],
)
def test_a_canary_that_nothing_could_bring_back_is_not_begun(alarms, said):
    functions = functions_of()
    with pytest.raises(packager_live.MoveError, match=said):
        live_of(functions, alarms).move("7", (10,), 240)
    assert functions.calls == []
    # At once it goes, but what an alarm stands over has not proved itself.
    live = live_of(functions, alarms)
    live.move("7")
    assert (live.version(), live.proven()) == ("7", [] if "stands" in said else ["6"])


def test_a_version_that_cannot_start_or_be_provisioned_gets_nothing():
    functions = functions_of()
    functions.versions[QUEUE]["7"] |= {"State": "Failed", "StateReason": "the snapshot failed"}
    with pytest.raises(packager_live.MoveError, match="cannot start: the snapshot failed"):
        live_of(functions).move("7")
    assert functions.calls == []
    functions = functions_of()
    functions.provisioned[QUEUE, "6"] = {"RequestedProvisionedConcurrentExecutions": 20}
    functions.provisioning = {"FAILED": 1}
    with pytest.raises(packager_live.MoveError, match="got no provisioned concurrency of 20: no capacity"):
        live_of(functions).move("7")
    assert functions.calls == [("proven", "6"), ("provision", "7", 20), ("release", "7")]


def test_provisioned_concurrency_of_the_alias_itself_is_refused():
    functions = functions_of()
    functions.provisioned[QUEUE, "live"] = {"RequestedProvisionedConcurrentExecutions": 20}
    with pytest.raises(packager_live.MoveError, match=r"stands on alias live of .* itself"):
        live_of(functions).move("7")
    assert functions.calls == []


def test_what_is_proven_is_what_served_whole_and_without_an_alarm_when_the_next_one_came():
    functions = functions_of(live="1")
    live = live_of(functions)
    for version in ("2", "3", "4"):
        live.move(version)
    assert live.proven() == ["3", "2", "1"]
    # A share of it is no proof.
    functions.aliases[QUEUE, "live"]["RoutingConfig"] = {"AdditionalVersionWeights": {"5": 0.1}}
    live.prove_if_quiet()
    assert live.proven() == ["3", "2", "1"]
    live.move("3", back=True)
    assert (live.proven(), live.returned()) == (["3", "2", "1"], "4")
    live.move("2", back=True)
    live.move("1", back=True)
    assert live.proven() == ["1"]
    live.move("6", back=True)
    assert live.proven() == []


def test_old_versions_are_deleted_but_those_that_something_needs():
    functions = functions_of(queue=12, live="12")
    live = live_of(functions)
    live.move("9")
    live.move("12")
    functions.aliases[QUEUE, "live"]["RoutingConfig"] = {"AdditionalVersionWeights": {"4": 0.1}}
    # The only ones that wrote the second version, once.
    for version in ("1", "2"):
        functions.versions[QUEUE][version]["Environment"] = {"Variables": {"CANONICAL_VERSION_WRITTEN": "2"}}
    assert live.prune(lambda version: version == "7") == ["8", "6", "5", "3", "1"]
    assert sorted(functions.versions[QUEUE], key=int) == ["2", "4", "7", "9", "10", "11", "12"]


def environment_of(functions: Functions, alarms: Alarms | None = None) -> Any:
    return environments.Environment("dev", functions, alarms or Alarms(errors=["OK"]))


def test_a_plan_leaves_live_where_it_is_and_the_others_only_where_somebody_went_back():
    functions = functions_of(payment_processor_dev=3, payment_processor_dev_page=3)
    environment = environment_of(functions)
    assert environment.held() == ["-var=live_version=6"]
    environment.roll_back("page", "2")
    assert environment.held() == ["-var=live_version=6", '-var=held_versions={"page":2}']
    # Nothing is there before the first apply.
    assert environment_of(Functions({})).held() == []


def test_what_came_back_is_not_tried_again_unasked():
    functions = functions_of()
    environment = environment_of(functions)
    assert "moved from version 6 to 7" in environment.follow("queue", None, (), 0)
    functions.aliases[QUEUE, "live"]["FunctionVersion"] = "6"
    functions.aliases[QUEUE, "returned"] = {"FunctionVersion": "7"}
    assert "live stays at version 6, as 7 came back" in environment.follow("queue", None, (), 0)
    assert "moved from version 6 to 7" in environment.follow("queue", "7", (), 0)
    assert "live is version 7" in environment.follow("queue", None, (), 0)


def test_versions_that_executions_wait_on_stay():
    functions = functions_of(payment_processor_dev=9)
    statuses = {"1": "SUCCEEDED", "2": "RUNNING", "3": "PAUSED", "4": "FAILED"}
    functions.executions |= {(WORKFLOW, version): {"arn:one": status} for version, status in statuses.items()}
    said = environment_of(functions).follow("workflow", None, (), 0)
    assert said == f"{WORKFLOW}: live is version 9; deleted versions 6, 5, 4, 1"
    assert {"2", "3"} <= functions.versions[WORKFLOW].keys()


def test_make_leaves_the_shares_to_the_procedure_unless_they_are_given():
    def printed(*arguments: str) -> str:
        command = ["make", "--no-print-directory", "--dry-run", "move", *arguments]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        return done.stdout.splitlines()[-1]

    assert "build/deploy.py --environment prod" in printed("ENVIRONMENT=prod")
    assert "--shares" not in printed("ENVIRONMENT=prod")
    assert '--shares "5"' in printed("ENVIRONMENT=prod", "SHARES=5")
    assert '--shares ""' in printed("ENVIRONMENT=prod", "SHARES=")
