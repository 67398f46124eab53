"""The local system with throw-away functions: real processes, real HTTP, on free ports of 127.0.0.1.

Held here: a group's messages never overlap and never overtake; what failed returns, what succeeded does not; a
change of the function's configuration reaches new invocations through the alias and not before.
"""

import itertools
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from local.ministack import ServicesError
from local.resources import Times, zipped
from local.run_folder import new_directory
from local.system import LocalSystem

FAST = Times(
    function_timeout_seconds=1,
    # The protocol's own factor of 6: a slow cold start ends before its messages come again.
    visibility_timeout_seconds=6,
    gateway_deadline_seconds=0.2,
    safety_margin_seconds=0.2,
    retry_delay_seconds=0.1,
)
# Every call leaves begin and end marks with the machine's clock, so that overlaps show.
RECORD = """
import json, os, time
def lambda_handler(event, context):
    begun = time.monotonic_ns()
    time.sleep(0.02)
    for record in event["Records"]:
        print(json.dumps({
            "group": record["attributes"]["MessageGroupId"], "body": record["body"], "pid": os.getpid(),
            "receives": int(record["attributes"]["ApproximateReceiveCount"]), "begun": begun,
            "ended": time.monotonic_ns(),
        }))
    %s
"""


def function(folder: Path, source: str) -> Path:
    package = folder / "function"
    package.mkdir(exist_ok=True)
    (package / "handler.py").write_text(source)
    return package


def wait_for(system: LocalSystem, condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        system.check()
        assert time.monotonic() < deadline, (system.problems, system.batches)
        time.sleep(0.02)


def send(system: LocalSystem, group: str, body: str) -> str:
    answer = system.clients["sqs"].send_message(
        QueueUrl=system.resources.queue_url, MessageBody=body, MessageGroupId=group
    )
    return str(answer["MessageId"])


def warm(system: LocalSystem, count: int) -> None:
    assert system.pool is not None
    system.pool.warm(count)


def seen(system: LocalSystem) -> list[dict[str, Any]]:
    """What the functions printed, in the order in which the calls began."""
    lines = [line for path in system.log_directory.iterdir() for line in path.read_text().splitlines()]
    return sorted((json.loads(line) for line in lines if line.startswith('{"group"')), key=lambda each: each["begun"])


def logged(system: LocalSystem, *streams: str) -> list[str]:
    """The function's log group in CloudWatch, line by line."""
    only = {"logStreamNames": list(streams)} if streams else {}
    try:
        pages = system.clients["logs"].get_paginator("filter_log_events")
        found = pages.paginate(logGroupName=f"/aws/lambda/{system.names.function}", **only)
        return [event["message"] for page in found for event in page["events"]]
    except system.clients["logs"].exceptions.ResourceNotFoundException:
        return []


def settled(system: LocalSystem) -> int:
    return sum(len(batch.message_ids) - len(batch.failed) for batch in system.batches)


def test_groups_run_side_by_side_and_each_stays_in_order(tmp_path: Path) -> None:
    with LocalSystem(package=function(tmp_path, RECORD % "pass"), directory=tmp_path, concurrency=3) as system:
        warm(system, 3)
        for number in range(90):
            send(system, f"group-{number % 6}", f"{number:03d}")
        wait_for(system, lambda: settled(system) == 90)
        wait_for(system, system.queue_is_empty)
        wait_for(system, lambda: len([line for line in logged(system) if line.startswith('{"group"')]) == 90)
        streams = {environment.log_stream for environment in system.environments()}
        assert {line.split()[0] for line in logged(system, *streams)} >= {"INIT_START", "START", "END", "REPORT"}
    calls = seen(system)
    assert len(calls) == 90
    for group in range(6):
        mine = [each for each in calls if each["group"] == f"group-{group}"]
        assert [each["body"] for each in mine] == sorted(each["body"] for each in mine)
        for one, other in itertools.pairwise(mine):
            assert other["begun"] == one["begun"] or other["begun"] > one["ended"]
    assert 1 < len({each["pid"] for each in calls}) <= 3


def test_one_group_never_has_two_batches_in_flight(tmp_path: Path) -> None:
    with LocalSystem(package=function(tmp_path, RECORD % "pass"), directory=tmp_path, concurrency=4) as system:
        for number in range(40):
            send(system, "only", f"{number:03d}")
        wait_for(system, lambda: settled(system) == 40)
    calls = seen(system)
    assert [each["body"] for each in calls] == [f"{number:03d}" for number in range(40)]
    assert len({each["pid"] for each in calls}) == 1


def test_a_failed_message_returns_after_the_visibility_time_out_and_its_batch_does_not(tmp_path: Path) -> None:
    fail_once = """
    return {"batchItemFailures": [
        {"itemIdentifier": record["messageId"]} for record in event["Records"]
        if record["body"] == "bad" and record["attributes"]["ApproximateReceiveCount"] == "1"
    ]}"""
    package = function(tmp_path, RECORD % fail_once)
    with LocalSystem(package=package, directory=tmp_path, times=FAST, mapping="none") as system:
        for body in ("good-1", "bad"):
            send(system, "one", body)
        send(system, "two", "good-2")
        warm(system, 2)
        system.start_mapping()
        wait_for(system, lambda: settled(system) == 3)
    receives = [(each["body"], each["receives"]) for each in seen(system)]
    assert sorted(receives) == [("bad", 1), ("bad", 2), ("good-1", 1), ("good-2", 1)]


def test_a_batch_that_failed_as_a_whole_returns_whole_and_in_order(tmp_path: Path) -> None:
    """Four groups, each a batch of its own, fail in four ways the first time."""
    fail_once = """if event["Records"][0]["attributes"]["ApproximateReceiveCount"] == "1":
        how = event["Records"][0]["attributes"]["MessageGroupId"]
        if how == "malformed":
            return {"batchItemFailures": [{"itemIdentifier": ""}]}
        if how == "error":
            raise ValueError(1)
        if how == "time-out":
            time.sleep(60)
        os._exit(1)"""
    package = function(tmp_path, RECORD % fail_once)
    groups = ("malformed", "error", "time-out", "crash")
    with LocalSystem(package=package, directory=tmp_path, times=FAST, mapping="none", concurrency=4) as system:
        for number in range(2):
            for group in groups:
                send(system, group, str(number))
        warm(system, 4)
        system.start_mapping()
        wait_for(system, lambda: settled(system) == 8)
    for group in groups:
        receives = [(each["body"], each["receives"]) for each in seen(system) if each["group"] == group]
        assert receives == [("0", 1), ("1", 1), ("0", 2), ("1", 2)], group
    whole = [batch for batch in system.batches if batch.failed]
    assert all(batch.failed == batch.message_ids for batch in whole)
    assert sorted(str(batch.outcome.error_type) for batch in whole) == [
        "None",
        "Runtime.ExitError",
        "Sandbox.Timedout",
        "ValueError",
    ]


def test_a_message_that_keeps_failing_ends_on_the_dead_letter_queue(tmp_path: Path) -> None:
    package = function(tmp_path, RECORD % "raise ValueError(1)")
    with LocalSystem(package=package, directory=tmp_path, times=FAST, mapping="none") as system:
        sqs, resources = system.clients["sqs"], system.resources
        policy = json.loads(
            sqs.get_queue_attributes(QueueUrl=resources.queue_url, AttributeNames=["RedrivePolicy"])["Attributes"][
                "RedrivePolicy"
            ]
        )
        sqs.set_queue_attributes(
            QueueUrl=resources.queue_url,
            Attributes={"RedrivePolicy": json.dumps({**policy, "maxReceiveCount": "2"}), "VisibilityTimeout": "2"},
        )
        send(system, "only", "poison")
        warm(system, 1)
        system.start_mapping()
        wait_for(
            system,
            lambda: (
                sqs.get_queue_attributes(QueueUrl=resources.dead_letter_queue_url, AttributeNames=["All"])[
                    "Attributes"
                ]["ApproximateNumberOfMessages"]
                == "1"
            ),
        )
    assert [each["receives"] for each in seen(system)] == [1, 2]


def test_configuration_reaches_invocations_when_the_alias_moves_and_not_before(tmp_path: Path) -> None:
    source = "import os\ndef lambda_handler(event, context):\n    return [os.environ['STRESS_MODE'], '%s']\n"
    with LocalSystem(package=function(tmp_path, source % "old"), directory=tmp_path, mapping="none") as system:
        lambda_, name = system.clients["lambda"], system.names.function
        assert json.loads(system.invoke(b"{}").payload) == ["none", "old"]
        first = system.environments()[0].pid
        found = lambda_.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
        lambda_.update_function_configuration(
            FunctionName=name, Environment={"Variables": {**found, "STRESS_MODE": "cold_start"}}
        )
        time.sleep(1.1)
        assert json.loads(system.invoke(b"{}").payload) == ["none", "old"]
        assert system.environments()[0].pid == first
        # A new environment too is still the version behind the alias.
        assert system.kill_environment(first) == first
        assert json.loads(system.invoke(b"{}").payload) == ["none", "old"]
        (tmp_path / "new").mkdir()
        archive = zipped(function(tmp_path / "new", source % "new"))
        lambda_.update_function_code(FunctionName=name, ZipFile=archive)
        version = lambda_.publish_version(FunctionName=name)["Version"]
        # A version has its own code, whatever came after it.
        (tmp_path / "newer").mkdir()
        newer = zipped(function(tmp_path / "newer", source % "newer"))
        lambda_.update_function_code(FunctionName=name, ZipFile=newer)
        lambda_.update_alias(FunctionName=name, Name="live", FunctionVersion=version)
        time.sleep(1.1)
        assert json.loads(system.invoke(b"{}").payload) == ["cold_start", "new"]
        assert [each.pid for each in system.environments()] != [first]


def test_idle_environments_end(tmp_path: Path) -> None:
    source = "def lambda_handler(event, context):\n    pass\n"
    package = function(tmp_path, source)
    with LocalSystem(package=package, directory=tmp_path, mapping="none", idle_seconds_max=0.2) as system:
        system.invoke(b"{}")
        # Of the environment itself only its log is sure to be there still.
        assert [path.name for path in system.log_directory.glob("environment-*")] == ["environment-0001.log"]
        wait_for(system, lambda: not system.environments())
        assert system.invoke(b"{}").cold_start


def test_a_full_disk_stops_the_system_and_says_so(tmp_path: Path) -> None:
    package = function(tmp_path, RECORD % "pass")
    (tmp_path / "logs").mkdir()
    # Every write to it fails as on a full disk.
    (tmp_path / "logs" / "environment-0001.log").symlink_to("/dev/full")
    with LocalSystem(package=package, directory=tmp_path) as system:
        send(system, "only", "1")
        with pytest.raises(ServicesError, match=r"no free disk.*No space left on device.*Free some disk"):
            wait_for(system, lambda: False, seconds=10)
    assert system.batches == []


def test_a_disk_with_no_room_is_refused_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=10 * 2**20))
    with pytest.raises(ServicesError, match=r"no free disk: .* has 10 MB left"):
        LocalSystem(package=function(tmp_path, RECORD % "pass"), directory=tmp_path).__enter__()


def test_old_runs_are_removed_but_never_one_that_still_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local.run_folder.BUILD", tmp_path)
    monkeypatch.setattr("local.run_folder.RUNS_KEPT", 1)
    first, second, third = (new_directory() for _ in range(3))
    for each in (first, second, third):
        (each / "kept").touch()
    ended = subprocess.Popen(["true"])
    ended.wait()
    for each in (first, third):
        (each / "pid").write_text(str(ended.pid))
    new_directory()
    assert [(each / "kept").exists() for each in (first, second, third)] == [False, True, True]


def test_services_that_die_under_way_are_reported_with_what_was_lost(tmp_path: Path) -> None:
    package = function(tmp_path, RECORD % "pass")
    with LocalSystem(package=package, directory=tmp_path) as system:
        send(system, "only", "1")
        wait_for(system, lambda: settled(system) == 1)
        os.kill(system.services.pid, signal.SIGKILL)
        with pytest.raises(ServicesError) as caught:
            wait_for(system, lambda: False, seconds=10)
    assert "died under way: signal 9" in str(caught.value)
    assert "Lost with it: every message" in str(caught.value)
    assert "1 messages had been settled" in str(caught.value)


def test_ministacks_own_mapping_and_worker_run_the_same_function(tmp_path: Path) -> None:
    """Somebody else's code keeps the same batch contract; its lines and metrics reach the same places."""
    metric = {
        "Timestamp": 0,
        "CloudWatchMetrics": [
            {"Namespace": "CloudCafe/Lambda", "Dimensions": [[]], "Metrics": [{"Name": "ProcessedPayments"}]}
        ],
    }
    report = f"""
    print(json.dumps({{"_aws": {metric!r} | {{"Timestamp": int(time.time() * 1000)}},
                      "ProcessedPayments": [1.0] * len(event["Records"])}}))
    return {{"batchItemFailures": [
        {{"itemIdentifier": record["messageId"]}} for record in event["Records"]
        if record["body"] == "05" and record["attributes"]["ApproximateReceiveCount"] == "1"
    ]}}"""
    package = function(tmp_path, RECORD % report)
    with LocalSystem(package=package, directory=tmp_path, times=FAST, mapping="ministack") as system:
        for number in range(12):
            send(system, f"group-{number % 3}", f"{number:02d}")
        wait_for(system, system.queue_is_empty)
        # On AWS too a metric shows some time after the call.
        wait_for(system, lambda: _sum(system, "ProcessedPayments") == 13)
    assert system.outcomes == []
    assert len(seen(system)) == 13
    assert sorted({each["body"] for each in seen(system)}) == [f"{number:02d}" for number in range(12)]


def _sum(system: LocalSystem, metric: str) -> float:
    now = datetime.now(UTC)
    found = system.clients["cloudwatch"].get_metric_statistics(
        Namespace="CloudCafe/Lambda",
        MetricName=metric,
        StartTime=now - timedelta(minutes=5),
        EndTime=now + timedelta(minutes=5),
        Period=3600,
        Statistics=["Sum"],
    )["Datapoints"]
    return sum(each["Sum"] for each in found)
