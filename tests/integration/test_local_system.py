"""The local system with throw-away functions: real processes, real HTTP, on free ports of 127.0.0.1."""

import time
from pathlib import Path

from local.system import LocalSystem

ORDERED = """
def lambda_handler(event, context):
    for record in event["Records"]:
        print("saw", record["attributes"]["MessageGroupId"], record["body"])
"""


def function(folder: Path, source: str) -> Path:
    package = folder / "function"
    package.mkdir()
    (package / "handler.py").write_text(source)
    return package


def wait_for(system: LocalSystem, condition, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        system.check()
        assert time.monotonic() < deadline, (system.problems, system.batches)
        time.sleep(0.02)


def test_messages_of_a_group_arrive_in_order_and_leave_the_queue(tmp_path: Path) -> None:
    with LocalSystem(package=function(tmp_path, ORDERED), directory=tmp_path) as system:
        for number in range(60):
            system.clients["sqs"].send_message(
                QueueUrl=system.resources.queue_url, MessageBody=f"{number:03d}", MessageGroupId=f"group-{number % 6}"
            )
        wait_for(system, lambda: sum(len(batch.message_ids) for batch in system.batches) == 60)
        left = system.clients["sqs"].get_queue_attributes(QueueUrl=system.resources.queue_url, AttributeNames=["All"])[
            "Attributes"
        ]
        assert left["ApproximateNumberOfMessages"] == left["ApproximateNumberOfMessagesNotVisible"] == "0"
    logs = [line for path in system.log_directory.iterdir() for line in path.read_text().splitlines()]
    seen = sorted(line for line in logs if line.startswith("saw"))
    assert len(seen) == 60
    for path in system.log_directory.iterdir():
        for group in range(6):
            bodies = [line for line in path.read_text().splitlines() if line.startswith(f"saw group-{group} ")]
            assert bodies == sorted(bodies)
