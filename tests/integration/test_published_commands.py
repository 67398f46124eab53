"""The published `aws` commands against `python -m local up`, with the corrections that docs/published.md lists.

The AWS CLI is the one from the package index (version 1). Each command is run by a shell, as a reader would.
"""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from local.installation import ROOT, environment
from local.resources import zipped
from local.system import client
from tests.support.processes import make_up, path_with, wait_for

FUNCTION = "cloudcafe-payment-processor-dev"
WORKFLOW = "payment-processor-dev"
TABLE = "cloudcafe-payment-transactions-dev"


class Terminal:
    """A shell beside a running `local up`, with its export lines in force."""

    def __init__(self, exports: dict[str, str], logs: Path, home: Path) -> None:
        self.logs = logs
        self.home = home
        self.exports = exports
        #: For waiting: a CLI process costs most of a CPU-second.
        self.endpoint_url = exports["AWS_ENDPOINT_URL"]
        self._environ = {
            **exports,
            "HOME": str(home),
            "PATH": path_with(environment("awscli")),
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def run(self, script: str) -> str:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            capture_output=True,
            text=True,
            env=self._environ,
            cwd=self.home,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stderr}"
        return done.stdout

    def ask(self, script: str) -> object:
        return json.loads(self.run(script) or "null")


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    with make_up() as up:
        yield Terminal(up.exports, up.logs, tmp_path_factory.mktemp("home"))


def item(terminal: Terminal, payment_id: str) -> dict[str, Any]:
    """A payment's item as it is stored, read past the CLI; an empty one where there is none."""
    dynamodb = client("dynamodb", terminal.endpoint_url)
    found = dynamodb.get_item(TableName=TABLE, Key={"transaction_id": {"S": f"txn-{payment_id}"}})
    return dict(found.get("Item", {}))


def status(terminal: Terminal, payment_id: str) -> str | None:
    return item(terminal, payment_id).get("status", {}).get("S")


def metric_sum(terminal: Terminal, metric: str) -> float:
    """The metric's sum of the last hour, read past the CLI."""
    found = client("cloudwatch", terminal.endpoint_url).get_metric_statistics(
        Namespace="CloudCafe/Lambda",
        MetricName=metric,
        Dimensions=[{"Name": "environment", "Value": "dev"}, {"Name": "service", "Value": "payment-processor"}],
        StartTime=datetime.now(UTC) - timedelta(hours=1),
        EndTime=datetime.now(UTC) + timedelta(hours=1),
        Period=86400,
        Statistics=["Sum"],
    )["Datapoints"]
    return sum(each["Sum"] for each in found)


def send(numbers: str) -> str:
    """The published load loop, its queue URL and its endpoint corrected."""
    body = (
        r"{\"payment_id\":\"pay-$i\",\"order_id\":\"ord-$i\",\"customer_id\":\"cust-$i\","
        r"\"amount\":$((RANDOM % 100 + 10)).99,\"payment_method\":\"credit_card\"}"
    )
    return f"""
for i in {numbers}; do
  aws sqs send-message --endpoint-url "$AWS_ENDPOINT_URL" \\
    --queue-url "$QUEUE_URL" \\
    --message-body "{body}" \\
    --message-group-id "payment-group-$((i % 10))" &
done

wait
"""


def assert_logged(terminal: Terminal, function: str) -> None:
    """Wait for what `aws logs tail` of version 2 asks."""
    ask = f"aws logs filter-log-events --log-group-name /aws/lambda/{function} --query 'events[].message'"
    wait_for(lambda: "REPORT RequestId" in terminal.run(ask))


def test_the_load_loop_settles_every_payment_and_shows_in_the_metrics(terminal: Terminal) -> None:
    # Eight of the loop's thousand: each is a CLI process of most of a CPU-second.
    terminal.run(send("{1..8}"))
    wait_for(lambda: all(status(terminal, f"pay-{number}") == "completed" for number in range(1, 9)))
    assert terminal.ask(f"aws dynamodb scan --table-name {TABLE} --select COUNT --query Count") == 8
    assert_logged(terminal, FUNCTION)
    # Metrics follow within a second or two, as they do within a minute or two on AWS.
    wait_for(lambda: metric_sum(terminal, "ProcessedPayments") == 8)
    window = "--start-time $(date -u -d '-1 hour' +%FT%TZ) --end-time $(date -u -d '+1 hour' +%FT%TZ) --period 86400"

    def statistics(namespace: str, metric: str, dimensions: str, statistic: str) -> list[dict[str, float]]:
        found = terminal.ask(
            f"aws cloudwatch get-metric-statistics --namespace {namespace} --metric-name {metric} "
            f"--dimensions {dimensions} {window} {statistic} --query Datapoints"
        )
        assert isinstance(found, list)
        return found

    ours = "Name=environment,Value=dev Name=service,Value=payment-processor"
    assert (
        sum(each["Sum"] for each in statistics("CloudCafe/Lambda", "ProcessedPayments", ours, "--statistics Sum")) == 8
    )
    own = f"Name=FunctionName,Value={FUNCTION}"
    assert statistics("AWS/Lambda", "ConcurrentExecutions", own, "--statistics Maximum")[0]["Maximum"] >= 1
    assert statistics("AWS/Lambda", "Duration", own, "--statistics Average")[0]["Average"] > 0
    assert statistics("AWS/Lambda", "Duration", own, "--extended-statistics p99")[0]["ExtendedStatistics"]
    assert statistics("AWS/Lambda", "Errors", own, "--statistics Sum")[0]["Sum"] == 0
    # What the other graphs and alarms of the dashboard read, past the CLI.
    listing = client("cloudwatch", terminal.endpoint_url).get_paginator("list_metrics")
    read = {"ApproximateAgeOfOldestMessage", "ApproximateNumberOfMessagesVisible", "Throttles", "Invocations"}
    wait_for(lambda: read <= {each["MetricName"] for page in listing.paginate() for each in page["Metrics"]})


def test_the_load_loop_run_again_says_that_nobody_is_charged(terminal: Terminal) -> None:
    def kept() -> list[str]:
        scan = client("dynamodb", terminal.endpoint_url).get_paginator("scan")
        pages = scan.paginate(TableName=TABLE, ProjectionExpression="transaction_id")
        names = [each["transaction_id"]["S"] for page in pages for each in page["Items"]]
        return [name for name in names if "#conflict#" in name]

    terminal.run(send("{201..208}"))
    wait_for(lambda: all(status(terminal, f"pay-{number}") == "completed" for number in range(201, 209)))
    before = metric_sum(terminal, "ProcessedPayments")
    # The loop's amounts are random: a message in a hundred is the same as before, and no conflict.
    terminal.run(send("{201..208}"))
    wait_for(lambda: metric_sum(terminal, "Conflicts") == len(kept()) > 0)
    assert metric_sum(terminal, "ProcessedPayments") > before
    listed = terminal.run(f"PYTHONPATH={ROOT} {sys.executable} -m operations conflicts list")
    assert all(name in listed for name in kept())


def test_lambda_invoke_runs_the_function_behind_the_alias(terminal: Terminal) -> None:
    body = {
        "payment_id": "test-123",
        "order_id": "ord-123",
        "customer_id": "cust-456",
        "amount": 25.99,
        "payment_method": "credit_card",
    }
    record = {"messageId": "message-1", "body": json.dumps(body), "attributes": {"MessageGroupId": "group-1"}}
    (terminal.home / "event.json").write_text(json.dumps({"Records": [record]}))
    told = terminal.ask(f"aws lambda invoke --function-name {FUNCTION}:live --payload file://event.json response.json")
    assert isinstance(told, dict)
    assert told["StatusCode"] == 200
    assert "FunctionError" not in told
    response = json.loads((terminal.home / "response.json").read_text())
    assert response["statusCode"] == 200
    assert response["body"]["processed"] == 1
    assert response["batchItemFailures"] == []
    key = '{"transaction_id": {"S": "txn-test-123"}}'
    found = terminal.ask(f"aws dynamodb get-item --table-name {TABLE} --key '{key}' --query Item.amount_minor.N")
    assert found == "2599"


def test_the_page_shows_the_lines_that_are_printed(terminal: Terminal) -> None:
    page = (ROOT / "docs" / "local.md").read_text()
    shown = dict(re.findall(r"^export (\w+)=(.*)$", page, re.MULTILINE))
    assert list(shown) == list(terminal.exports)

    def anywhere(lines: dict[str, str]) -> dict[str, str]:
        return {name: re.sub(r"(?<=127\.0\.0\.1):\d+", ":PORT", value) for name, value in lines.items()}

    assert anywhere(shown) == anywhere(terminal.exports)


def test_the_snippet_and_its_command_meet_the_local_system_and_say_so(terminal: Terminal) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "local.md").read_text(), re.DOTALL)
    snippet = next(block for block in blocks if "handler.lambda_handler" in block)
    (terminal.home / "snippet.py").write_text(snippet.replace("test-123", "test-456"))
    python = f"PYTHONPATH={ROOT} {sys.executable}"
    said = terminal.run(f"{python} snippet.py 2>&1")
    assert f"table and queues are at {terminal.endpoint_url} (AWS_ENDPOINT_URL)" in said
    assert status(terminal, "test-456") == "completed"
    # One that asks a person, for whom the local workflow is started.
    said = terminal.run(f"{python} -m handler {ROOT}/events/high_risk.json 2>&1")
    assert f"table and queues are at {terminal.endpoint_url} (AWS_ENDPOINT_URL)" in said
    assert '"processed": 1' in said
    wait_for(lambda: "callback_id" in item(terminal, "pay-high-001"))
    assert_logged(terminal, "payment-processor-dev")


MOVE_ALIAS = f"""
aws lambda wait function-updated --function-name {FUNCTION}
version=$(aws lambda publish-version --function-name {FUNCTION} --query Version --output text)
aws lambda update-alias --function-name {FUNCTION} --name live --function-version "$version"
"""


def test_the_workflow_is_a_function_like_the_others(terminal: Terminal) -> None:
    functions = client("lambda", terminal.exports["AWS_ENDPOINT_URL_LAMBDA"])
    listed = [each["FunctionName"] for each in functions.list_functions()["Functions"]]
    assert listed == [FUNCTION, WORKFLOW, f"{WORKFLOW}-page", f"{WORKFLOW}-reconcile"]
    logs = client("logs", terminal.endpoint_url).get_paginator("describe_log_groups")
    groups = logs.paginate(logGroupNamePrefix="/aws/lambda/").search("logGroups[].logGroupName")
    assert [group.removeprefix("/aws/lambda/") for group in groups] == listed
    live = functions.get_function_configuration(FunctionName=WORKFLOW, Qualifier="live")
    # The published demonstration has 0.2; where all checks fail, none of three attempts has a score.
    changed = {"Variables": live["Environment"]["Variables"] | {"FRAUD_SERVICE_FAILURE_RATE": "1"}}
    (terminal.home / "workflow.json").write_text(json.dumps(changed))
    terminal.run(
        f"aws lambda update-function-configuration --function-name {WORKFLOW} --environment file://workflow.json"
    )
    functions.get_waiter("function_updated_v2").wait(FunctionName=WORKFLOW, WaiterConfig={"Delay": 1})
    version = functions.publish_version(FunctionName=WORKFLOW)["Version"]
    functions.update_alias(FunctionName=WORKFLOW, Name="live", FunctionVersion=version)
    low_risk = (ROOT / "events" / "low_risk.json").read_bytes()
    started = functions.invoke(FunctionName=f"{WORKFLOW}:live", InvocationType="Event", Payload=low_risk)
    assert started["ExecutedVersion"] == version == "2"
    # Without a score a person decides, whatever the amount.
    wait_for(lambda: "callback_id" in item(terminal, "pay-low-001"))
    reconciled = functions.invoke(FunctionName=f"{WORKFLOW}-reconcile:live", Payload=b"{}")
    assert json.loads(reconciled["Payload"].read()) == {"old_open_payments": 0, "parked_payments": 0}
    assert_logged(terminal, f"{WORKFLOW}-reconcile")


def test_a_new_configuration_reaches_new_environments_once_the_alias_moves(terminal: Terminal) -> None:
    variables = terminal.ask(
        f"aws lambda get-function-configuration --function-name {FUNCTION} --query Environment.Variables"
    )
    assert isinstance(variables, dict)
    # The stress's delay and operations, small: what is tested is that they arrive.
    changed = variables | {"STRESS_MODE": "cold_start", "STRESS_DELAY_SECONDS": "1.5", "STRESS_OPERATIONS": "1000"}
    (terminal.home / "environment.json").write_text(json.dumps({"Variables": changed}))
    terminal.run(
        f"aws lambda update-function-configuration --function-name {FUNCTION} --environment file://environment.json"
    )
    terminal.run(MOVE_ALIAS)
    terminal.run(f"aws lambda update-function-configuration --function-name {FUNCTION} --memory-size 256")
    before = set(terminal.logs.glob("environment-*.log"))
    time.sleep(1.1)
    terminal.run(send("{101..102}"))
    wait_for(lambda: status(terminal, "pay-102") == "completed")

    def modes() -> set[str]:
        fresh = set(terminal.logs.glob("environment-*.log")) - before
        return {mode for log in fresh for mode in re.findall(r'"stress_mode":"(\w+)"', log.read_text())}

    # What a fresh environment says of itself once its init is through, stress and all.
    wait_for(lambda: bool(modes()))
    assert modes() == {"cold_start"}
    # The memory size went to $LATEST only.
    found = terminal.ask(
        f"aws lambda get-function-configuration --function-name {FUNCTION} --qualifier live --query MemorySize"
    )
    assert found == 512


def test_new_code_reaches_new_environments_once_the_alias_moves(terminal: Terminal) -> None:
    package = terminal.home / "package"
    package.mkdir()
    (package / "handler.py").write_text("def lambda_handler(event, context):\n    print('the new code ran')\n")
    (terminal.home / "payment-processor.zip").write_bytes(zipped(package))
    before = set(terminal.logs.glob("environment-*.log"))
    terminal.run(f"aws lambda update-function-code --function-name {FUNCTION} --zip-file fileb://payment-processor.zip")
    terminal.run(MOVE_ALIAS)
    numbers = count(201)

    def new_code_ran() -> bool:
        # A message that comes before the local system has seen the alias move is the old code's.
        number = next(numbers)
        terminal.run(send(f"{{{number}..{number}}}"))
        new = set(terminal.logs.glob("environment-*.log")) - before
        return any("the new code ran" in log.read_text() for log in new)

    wait_for(new_code_ran)


def test_provisioned_concurrency_keeps_environments_warm(terminal: Terminal) -> None:
    before = set(terminal.logs.glob("environment-*.log"))
    found = terminal.ask(
        f"aws lambda put-provisioned-concurrency-config --function-name {FUNCTION} --qualifier live "
        "--provisioned-concurrent-executions 10"
    )
    assert isinstance(found, dict)
    # More than this system can have: it says so, as AWS says why, and keeps what it can.
    assert found["Status"] == "FAILED"
    assert "start it with --concurrency 10" in found["StatusReason"]
    # As many as this system's concurrency of 3, one of which may be warm already.
    wait_for(lambda: len(set(terminal.logs.glob("environment-*.log")) - before) >= 2)


def test_the_table_is_on_demand_already(terminal: Terminal) -> None:
    said = terminal.run(
        "aws application-autoscaling register-scalable-target --service-namespace dynamodb "
        f"--resource-id table/{TABLE} --scalable-dimension dynamodb:table:ReadCapacityUnits "
        "--min-capacity 5 --max-capacity 100 2>&1 || true"
    )
    assert "has no Application Auto Scaling, and needs none: the table is on demand" in said
    mode = terminal.ask(
        f"aws dynamodb update-table --table-name {TABLE} --billing-mode PAY_PER_REQUEST "
        "--query TableDescription.BillingModeSummary.BillingMode"
    )
    assert mode == "PAY_PER_REQUEST"
