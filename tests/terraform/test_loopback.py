"""One system's life on ministack, in the order of this file: applied, planned again, paid through, changed, destroyed.

Held here: nothing changes in a second plan beyond what one committed file lists; a change of code or memory size goes
to a new version and alias `live` moves to it; production beside dev leaves dev alone; payments through what Terraform
made, by ministack's own mapping and worker, pass the audit, and a risky one is decided on the approval page; every
policy names its actions; `local` makes the same resources.
"""

import http.client
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from handler.adapters.gateways.stripe import StripeGateway
from handler.approval_composition import compose_decisions, compose_signer, compose_workflow
from local import resources as built_in
from local import traffic, webhook
from local.audit import audit
from local.evidence import QUEUE_COUNTS, Sent, cloudwatch_logs, collect
from local.installation import ROOT, environment
from local.loopback import ask
from local.ministack import ACCOUNT, CREDENTIALS, REGION
from local.terraform import init_flags
from tests.support.build_scripts import load
from tests.support.documents import steps
from tests.support.payments import body
from tests.terraform import examples
from tests.terraform.installation import changes, plan
from tests.terraform.loopback import APPROVER, CALLER, RUNTIME, WEBHOOK_SECRET, Loopback, unzipped
from tests.terraform.production import BUCKET, STATE_KEY, Production

FUNCTION = "cloudcafe-payment-processor-dev"
WORKFLOW = "payment-processor-dev"
TERRAFORM_ITSELF = 'provider["terraform.io/builtin/terraform"]'


@pytest.fixture(scope="module")
def applied(loopback: Loopback) -> Loopback:
    # By the page for a first user.
    assert "live is version 1" in loopback.first_apply.finish()
    switch_durable_mode_on(loopback)
    return loopback


@pytest.fixture(scope="module")
def production(applied: Loopback) -> Iterator[Production]:
    """The apply of prod, which takes as long as the first; the tests between go on with dev."""
    found = Production(applied)
    yield found
    found.command.process.wait()


def test_the_first_apply_makes_the_system(applied: Loopback) -> None:
    outputs = applied.terraform.outputs()
    assert outputs["function_name"] == FUNCTION
    assert outputs["queue_url"].endswith("/cloudcafe-payment-processing-dev.fifo")
    assert outputs["live_version"] == outputs["newest_version"] == "1"
    assert outputs["benchmark_function_names"] == {
        "compiled-128": f"{FUNCTION}-bench-compiled-128",
        "pure-128": f"{FUNCTION}-bench-pure-128",
    }
    assert outputs["approval_page_url"].endswith("/approvals")


def test_the_queue_function_starts_the_workflow_at_its_alias(applied: Loopback) -> None:
    outputs = applied.terraform.outputs()
    assert outputs["approval_alias_arn"].endswith(f":function:{WORKFLOW}:live")
    assert variables(applied, FUNCTION)["APPROVAL_FUNCTION_ARN"] == outputs["approval_alias_arn"]
    # Both work on one table, through one gateway.
    shared = ("DYNAMODB_TABLE", "GATEWAY", "GATEWAY_URL", "REJECTED_QUEUE_URL", "FUNCTION_TIMEOUT_SECONDS")
    queue_function, workflow = (variables(applied, name) for name in (FUNCTION, WORKFLOW))
    assert {name: workflow[name] for name in shared} == {name: queue_function[name] for name in shared}
    assert workflow["APPROVAL_PAGE_URL"] == outputs["approval_page_url"]
    assert workflow["APPROVERS"] == variables(applied, f"{WORKFLOW}-page")["APPROVERS"] == f"{APPROVER},{CALLER}"


def test_the_page_composes_in_production_from_its_own_variables_alone(
    applied: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Beside these, Lambda sets region and credentials.
    for name in CREDENTIALS:
        monkeypatch.setenv(name, applied.terraform.environment[name])
    given = variables(applied, f"{WORKFLOW}-page", "$LATEST") | {"ENVIRONMENT": "prod", "AWS_REGION": "eu-central-1"}
    decisions = compose_decisions(given)
    assert decisions.environment == "prod"
    assert compose_signer(given)


def test_reconcile_composes_in_production_from_its_own_variables_alone(
    applied: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    function = applied.clients["lambda"].get_function_configuration(FunctionName=f"{WORKFLOW}-reconcile")
    # Beside these, Lambda sets region and credentials: the gateway's key is read from its secret.
    beside = {name: value for name, value in applied.terraform.environment.items() if name.startswith("AWS_")}
    for name, value in beside.items():
        monkeypatch.setenv(name, value)
    given = function["Environment"]["Variables"] | beside | {"ENVIRONMENT": "prod"}
    assert compose_decisions(given).environment == "prod"
    rules, ports = compose_workflow(given)
    assert type(ports.payments.gateway) is StripeGateway
    # Its own time-out is longer than the queue function's, whose proportions these are.
    times = rules.payments.times
    assert (function["Timeout"], times.function_timeout_seconds) == (300, 30)
    assert 1000 * function["Timeout"] > times.least_remaining_ms


def variables(applied: Loopback, function: str, qualifier: str = "live") -> dict[str, str]:
    found = applied.clients["lambda"].get_function_configuration(FunctionName=function, Qualifier=qualifier)
    return dict(found["Environment"]["Variables"])


def test_log_lines_with_an_alarm_are_counted_for_every_function_that_writes_them(applied: Loopback) -> None:
    resources = applied.terraform.resources().values()
    groups = {each["name"] for each in resources if each["type"] == "aws_cloudwatch_log_group"}
    filters = [each for each in resources if each["type"] == "aws_cloudwatch_log_metric_filter"]
    filters = [each for each in filters if each["name"].endswith("-alarms")]
    roles = ("page", "reconcile", "events", "webhook", "conservation")
    functions = [FUNCTION, WORKFLOW, *(f"{WORKFLOW}-{role}" for role in roles)]
    assert {f"/aws/lambda/{function}" for function in functions} == {each["log_group_name"] for each in filters}
    # Benchmark functions write text, and API Gateway who asked what.
    others = groups - {each["log_group_name"] for each in filters} - {f"/aws/vendedlogs/{WORKFLOW}-page-access"}
    assert all("-bench-" in group for group in others)
    counted = {(each["namespace"], each["name"]) for found in filters for each in found["metric_transformation"]}
    assert counted == {("CloudCafe/Lambda", "PaymentAlarms-dev")}


def test_every_alarm_reaches_the_topic(applied: Loopback) -> None:
    resources = applied.terraform.resources().values()
    alarms = [each for each in resources if each["type"] == "aws_cloudwatch_metric_alarm"]
    topics = {each["arn"] for each in resources if each["type"] == "aws_sns_topic" and each["name"].endswith("-alarms")}
    assert len(alarms) == 42
    assert len(topics) == 1
    for alarm in alarms:
        assert set(alarm["alarm_actions"]) == set(alarm["ok_actions"]) == topics, alarm["alarm_name"]


def test_a_second_plan_changes_nothing(applied: Loopback) -> None:
    assert changes(plan(applied.terraform, *applied.variables())) == {}


def test_turning_approvals_off_touches_nothing_that_decides_what_waits_already(applied: Loopback) -> None:
    assert changes(plan(applied.terraform, *applied.variables(approvals="false"))).keys() == {
        "module.payment_function.aws_lambda_function.this",
        "module.payment_function.aws_lambda_provisioned_concurrency_config.live[0]",
        "module.payment_function.aws_lambda_alias.live",
        "module.payment_function.aws_iam_role_policy.this",
    }


def test_every_policy_names_its_actions(applied: Loopback, bar: Callable[[str, str, str, bool], None]) -> None:
    policies = {
        f"{address}.{name}": json.loads(value)
        for address, resource in applied.terraform.resources().items()
        for name, value in resource.items()
        if name in ("policy", "assume_role_policy") and value
    }
    wildcards = 0
    for address, policy in policies.items():
        for statement in policy["Statement"]:
            actions = statement["Action"]
            wildcards += sum("*" in action for action in ([actions] if isinstance(actions, str) else actions))
            # Of all that is called, what takes no resource.
            names_none = actions == "dynamodb:ListStreams" and "outcome_events" in address
            if statement["Effect"] == "Allow" and "aws_kms_key" not in address and not names_none:
                resources = statement.get("Resource", [])
                assert "*" not in ([resources] if isinstance(resources, str) else resources), f"{address}: {statement}"
    bar("terraform_wildcard_actions", str(wildcards), "0", wildcards == 0)
    assert len(policies) >= 8
    assert wildcards == 0


@pytest.mark.parametrize("name", examples.EXAMPLES)
def test_an_example_makes_the_system_with_its_committed_lock_file(applied: Loopback, name: str) -> None:
    terraform, command = applied.examples[name]
    command.finish()
    workspace = examples.workspace(name)
    assert terraform.outputs(workspace)
    made = terraform.resources(workspace)
    names = {each["name"] for each in made.values() if each["type"] == "aws_sqs_queue"}
    assert "cloudcafe-payment-processing-staging.fifo" in names
    # The one keeps its state where it says, the other where it is.
    in_bucket = applied.clients["s3"].list_objects_v2(Bucket=f"cloudcafe-state-staging-{ACCOUNT}-{REGION}")
    assert "env:/staging/shop.tfstate" in [each["Key"] for each in in_bucket["Contents"]]
    assert (terraform.folder / "terraform.tfstate").exists() == (name != "remote-state")


def test_built_in_resources_of_the_local_system_are_those_of_terraform(applied: Loopback) -> None:
    outputs = applied.terraform.outputs()
    names = built_in.Names("builtin")
    made = built_in.create(
        applied.clients,
        names,
        built_in.Times(),
        unzipped("processor", "compiled"),
        handler="handler.lambda_handler",
        runtime=RUNTIME,
        memory_size=512,
        variables={},
    )
    urls = ("queue_url", "rejected_queue_url", "dead_letter_queue_url")
    ours = description(applied.clients, [getattr(made, name) for name in urls], names.table)
    theirs = description(applied.clients, [outputs[name] for name in urls], outputs["table_name"])
    assert json.loads(re.sub(r"\bbuiltin\b", "dev", json.dumps(ours))) == theirs
    assert names.exports.replace("builtin", "dev") == outputs["export_bucket_name"]

    ours, theirs = (
        applied.clients["lambda"].get_function_configuration(FunctionName=name, Qualifier="live")
        for name in (names.function, FUNCTION)
    )
    for attribute in ("Runtime", "Handler", "Timeout", "MemorySize", "Version", "Architectures"):
        assert ours[attribute] == theirs[attribute], attribute
    variables = theirs["Environment"]["Variables"]
    for name, value in ours["Environment"]["Variables"].items():
        assert re.sub(r"\bbuiltin\b", "dev", value) == variables[name], name


QUEUE_ATTRIBUTES = (
    "QueueArn",
    "FifoQueue",
    "ContentBasedDeduplication",
    "DeduplicationScope",
    "FifoThroughputLimit",
    "MessageRetentionPeriod",
    "VisibilityTimeout",
    "DelaySeconds",
    "ReceiveMessageWaitTimeSeconds",
)


def description(clients: dict[str, Any], queue_urls: list[str], table: str) -> dict[str, Any]:
    """What decides how messages and items behave. Keys and policies are Terraform's own: nothing local checks them."""
    found: dict[str, Any] = {}
    for role, url in zip(("payment", "rejected", "dead letter"), queue_urls, strict=True):
        attributes = clients["sqs"].get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        found[role] = {name: attributes.get(name) for name in QUEUE_ATTRIBUTES}
        redrive = json.loads(attributes.get("RedrivePolicy", "{}"))
        found[role]["dead letters"] = (redrive.get("deadLetterTargetArn"), str(redrive.get("maxReceiveCount")))
    described = clients["dynamodb"].describe_table(TableName=table)["Table"]
    backups = clients["dynamodb"].describe_continuous_backups(TableName=table)
    indexes = {index["IndexName"]: index for index in described["GlobalSecondaryIndexes"]}
    found["table"] = {
        "name": described["TableName"],
        "keys": described["KeySchema"],
        "attributes": sorted(
            (each["AttributeName"], each["AttributeType"]) for each in described["AttributeDefinitions"]
        ),
        "billing": described.get("BillingModeSummary", {}).get("BillingMode"),
        "indexes": {name: (indexes[name]["KeySchema"], indexes[name]["Projection"]) for name in sorted(indexes)},
        "stream": described.get("StreamSpecification"),
        "recovery": backups["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"][
            "PointInTimeRecoveryStatus"
        ],
    }
    # As JSON has it, so that names of environments can be compared as text.
    return dict(json.loads(json.dumps(found)))


def test_payments_through_what_terraform_made_pass_the_audit(applied: Loopback, production: Production) -> None:
    # Production is being applied meanwhile, which must not disturb dev.
    outputs = applied.terraform.outputs()
    stream = traffic.make(payments=60, groups=6, seed=8)
    # Nobody decides on a risky payment here, and it would rightly stay open: the tests below have some.
    others = {message.payment_id for message in stream if message.kind == "risky"}
    messages = [message for message in stream if message.payment_id not in others]
    sent = send(applied.clients["sqs"], outputs["queue_url"], messages)
    wait_until_settled(applied, outputs["queue_url"])
    evidence = collect(
        applied.clients,
        environment="dev",
        sent=sent,
        table=outputs["table_name"],
        queue_url=outputs["queue_url"],
        rejected_queue_url=outputs["rejected_queue_url"],
        dead_letter_queue_url=outputs["dead_letter_queue_url"],
        # By ministack's mapping: only the ends can be looked at.
        deliveries=None,
        gateway_database=applied.gateway_database,
        logs=logs(applied),
        late_writes=[],
        planned={},
        struck={},
    )
    assert {name: against for name, against in audit(evidence).items() if against} == {}
    assert len(evidence.captures) > 30


def send(sqs: Any, queue_url: str, messages: list[traffic.Message]) -> list[Sent]:
    """Send in order, one by one; the queue's answers are part of the evidence."""
    sent = []
    for message in messages:
        deduplication = {"MessageDeduplicationId": message.deduplication_id} if message.deduplication_id else {}
        answer = sqs.send_message(
            QueueUrl=queue_url, MessageBody=message.body, MessageGroupId=message.group, **deduplication
        )
        sent.append(Sent(message, answer["MessageId"], answer["SequenceNumber"], time.time_ns() // 1_000_000))
    return sent


def wait_until_settled(applied: Loopback, queue_url: str) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        attributes = applied.clients["sqs"].get_queue_attributes(QueueUrl=queue_url, AttributeNames=list(QUEUE_COUNTS))
        if not any(int(count) for count in attributes["Attributes"].values()):
            return
        time.sleep(0.2)
    raise AssertionError(f"messages are left on {queue_url}: {attributes['Attributes']}; {logs(applied)}")


def logs(applied: Loopback) -> dict[str, str]:
    """ministack's own log and every log group."""
    found = {"ministack": applied.services.log_path.read_text(errors="replace")}
    return found | cloudwatch_logs(applied.clients["logs"])


def test_the_command_lines_of_the_outputs_work(applied: Loopback) -> None:
    outputs = applied.terraform.outputs()
    blocks = dict(block.split("\n", 1) for block in outputs["commands"].removeprefix("# ").split("\n\n# "))
    # Version 1 of the CLI, the one from PyPI, ignores AWS_ENDPOINT_URL for SQS alone.
    sending = blocks["Send one payment"].replace("aws sqs", 'aws --endpoint-url "$AWS_ENDPOINT_URL" sqs')
    run_command(applied, sending)
    wait_until_settled(applied, outputs["queue_url"])
    item = json.loads(run_command(applied, blocks["Read it back"]))["Item"]
    assert (item["transaction_id"]["S"], item["status"]["S"]) == ("txn-pay-1", "completed")


def run_command(applied: Loopback, command: str) -> str:
    path = f"{environment('awscli')}:{applied.terraform.environment['PATH']}"
    done = subprocess.run(
        ["bash", "-euc", command],
        env={**applied.terraform.environment, "PATH": path, "AWS_PAGER": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stderr}"
    return done.stdout


def test_benchmark_functions_answer_with_the_engine_of_their_name(applied: Loopback) -> None:
    for key, name in applied.terraform.outputs()["benchmark_function_names"].items():
        answer = applied.clients["lambda"].invoke(FunctionName=name, Payload=b'{"Records": []}')
        assert "FunctionError" not in answer, answer["Payload"].read()
        configuration = applied.clients["lambda"].get_function_configuration(FunctionName=name)
        assert f"{configuration['Environment']['Variables']['SCORING_ENGINE']}-{configuration['MemorySize']}" == key
        assert configuration["Environment"]["Variables"]["GATEWAY_URL"] == ""
        assert configuration["Environment"]["Variables"]["GATEWAY"] == "simulated"


def test_a_risky_payment_of_the_queue_waits_and_its_workflow_is_started(applied: Loopback) -> None:
    outputs = applied.terraform.outputs()
    applied.clients["sqs"].send_message(
        QueueUrl=outputs["queue_url"],
        MessageBody=body(payment_id="pay-waits", amount=900, payment_token="pm_card_visa"),
        MessageGroupId="risky",
    )
    wait_until_settled(applied, outputs["queue_url"])
    item = item_of(applied, "pay-waits")
    assert item["status"] == {"S": "pending_approval"}
    executions = applied.clients["lambda"].get_paginator("list_durable_executions_by_function")
    pages = executions.paginate(FunctionName=WORKFLOW, Qualifier=outputs["approval_live_version"])
    started = [each for page in pages for each in page["DurableExecutions"]]
    inputs = [
        applied.clients["lambda"].get_durable_execution(DurableExecutionArn=each["DurableExecutionArn"])["InputPayload"]
        for each in started
    ]
    assert [json.loads(each) for each in inputs] == [json.loads(item["request"]["S"])]


def test_a_first_user_gets_from_nothing_to_an_approved_payment(
    applied: Loopback, bar: Callable[[str, str, str, bool], None]
) -> None:
    applied.first_user.type_until("make destroy")
    item = item_of(applied, "pay-high-001")
    assert (item["status"], item["decision"]) == ({"S": "completed"}, {"S": "approve"})
    assert item["decided_by"] == {"S": CALLER}
    count = len(applied.first_user.steps)
    bar("first_users_page_commands", str(count), "19", count < 20)
    assert count < 20


def test_a_person_decides_on_the_page_and_the_payment_is_charged(applied: Loopback) -> None:
    inbox = applied.clients["sqs"].create_queue(QueueName="approvers-mail")["QueueUrl"]
    attributes = applied.clients["sqs"].get_queue_attributes(QueueUrl=inbox, AttributeNames=["QueueArn"])["Attributes"]
    applied.clients["sns"].subscribe(
        TopicArn=variables(applied, WORKFLOW)["APPROVAL_TOPIC_ARN"], Protocol="sqs", Endpoint=attributes["QueueArn"]
    )
    # Past the queue: then nothing waits under a name that ministack does not keep.
    applied.clients["lambda"].invoke(
        FunctionName=applied.terraform.outputs()["approval_alias_arn"],
        InvocationType="Event",
        Payload=body(payment_id="pay-decided", amount=900, payment_token="pm_card_visa").encode(),
    )
    url = urlsplit(link_in(applied, inbox))
    status, page = visit(applied, url.netloc, "GET", f"{url.path}?{url.query}")
    assert (status, "900.00 USD" in page, "decision" in item_of(applied, "pay-decided")) == (200, True, False), page
    form = urlencode({"t": parse_qs(url.query)["t"][0], "decision": "approve", "comment": "called the customer"})
    status, page = visit(applied, url.netloc, "POST", url.path, form)
    assert (status, "Your decision is recorded" in page) == (200, True), page

    deadline = time.monotonic() + 60
    while item_of(applied, "pay-decided")["status"] != {"S": "completed"} and time.monotonic() < deadline:
        time.sleep(0.2)
    item = item_of(applied, "pay-decided")
    assert (item["status"], item["decided_by"]) == ({"S": "completed"}, {"S": APPROVER}), logs(applied)
    assert item["gateway_response"]["M"]["status"] == {"S": "approved"}
    # A link that nobody signed.
    status, page = visit(applied, url.netloc, "GET", f"{url.path}?t=forged")
    assert (status, "900.00 USD" in page) == (403, False)


def test_the_reconcile_function_answers(applied: Loopback) -> None:
    answer = applied.clients["lambda"].invoke(FunctionName=f"{WORKFLOW}-reconcile", Payload=b"{}")
    said = answer["Payload"].read()
    assert "FunctionError" not in answer, said
    assert json.loads(said) == {"old_open_payments": 0, "parked_payments": 0}


def test_an_event_of_the_gateway_reaches_the_item_and_what_it_came_to_is_told(applied: Loopback) -> None:
    outputs = applied.terraform.outputs()
    reference = item_of(applied, "pay-decided")["gateway_ref"]["S"]
    gateway, order = urlsplit(applied.gateway_url).port or 0, json.dumps({"payment_id": "pay-decided"}).encode()
    assert ask(gateway, "POST", "/_disputes", order)[0] == 200
    event = json.dumps(webhook.event("charge.dispute.created", reference, "pay-decided", "dev"))
    url, signed = urlsplit(outputs["webhook_url"]), webhook.signature(event.encode(), WEBHOOK_SECRET, int(time.time()))
    for header, right in ((signed[:-8] + "0" * 8, 400), (signed, 200)):
        status, answer = visit(applied, url.netloc, "POST", url.path, event, more={"Stripe-Signature": header})
        assert status == right, answer
    told: list[dict[str, Any]] = []
    deadline = time.monotonic() + 60
    while not any("disputed" in each for each in told) and time.monotonic() < deadline:
        found = applied.clients["sqs"].receive_message(
            QueueUrl=outputs["event_target"], MaxNumberOfMessages=10, WaitTimeSeconds=1
        )
        for message in found.get("Messages", []):
            told.append(json.loads(message["Body"]))
            applied.clients["sqs"].delete_message(
                QueueUrl=outputs["event_target"], ReceiptHandle=message["ReceiptHandle"]
            )
    item = item_of(applied, "pay-decided")
    assert [row["M"]["state"]["S"] for row in item["disputed"]["L"]] == ["open"], logs(applied)
    said = [(each["sequence"], "disputed" in each) for each in told if each["transaction_id"] == "txn-pay-decided"]
    assert said == [(1, False), (2, True)], logs(applied)


def test_the_sums_of_yesterday_are_made_by_the_function_and_kept(applied: Loopback) -> None:
    answer = applied.clients["lambda"].invoke(FunctionName=f"{WORKFLOW}-conservation", Payload=b"{}")
    said = answer["Payload"].read()
    assert "FunctionError" not in answer, said
    made = json.loads(said)
    # Before this system there was nothing: no item, and nothing at the gateway.
    assert (made["is_made"], made["differences"]) == (True, 0), logs(applied)
    kept = applied.clients["s3"].get_object(
        Bucket=applied.terraform.outputs()["export_bucket_name"], Key=f"conservation/results/{made['day']}.json"
    )
    assert json.loads(kept["Body"].read())["sums"] == []


def test_the_runbooks_commands_for_what_terraform_alone_makes_find_it(applied: Loopback) -> None:
    page = (ROOT / "docs" / "runbook.md").read_text()
    reader = applied.first_user.reader()
    for step in [*steps(page.split("\n## ")[0]), *steps(page, "sh")]:
        reader.type(step)


def test_stop_holds_payments_on_the_queue_until_start(applied: Loopback) -> None:
    outputs = applied.terraform.outputs()
    said = script(applied, "stop")
    assert "approved executions that can still charge: 0" in said
    # The one above, about which nobody has said anything.
    assert "payments that wait for a decision, of which an approval charges: 1" in said
    applied.clients["sqs"].send_message(
        QueueUrl=outputs["queue_url"],
        MessageBody=body(payment_id="pay-held", payment_token="pm_card_visa"),
        MessageGroupId="held",
    )
    # No apply ends a stop.
    assert changes(plan(applied.terraform, *applied.variables())) == {}
    counts = applied.clients["sqs"].get_queue_attributes(QueueUrl=outputs["queue_url"], AttributeNames=["All"])
    assert counts["Attributes"]["ApproximateNumberOfMessages"] == "1"
    assert [mapping["State"] for mapping in mappings(applied)] == ["Disabled"]
    schedule = f"{WORKFLOW}-reconcile"
    assert applied.clients["scheduler"].get_schedule(Name=schedule)["State"] == "DISABLED"
    script(applied, "stop", "--start")
    wait_until_settled(applied, outputs["queue_url"])
    assert item_of(applied, "pay-held")["status"] == {"S": "completed"}
    assert applied.clients["scheduler"].get_schedule(Name=schedule)["State"] == "ENABLED"


def mappings(applied: Loopback) -> list[dict[str, Any]]:
    pages = applied.clients["lambda"].get_paginator("list_event_source_mappings").paginate(FunctionName=FUNCTION)
    return [each for page in pages for each in page["EventSourceMappings"]]


def switch_durable_mode_on(applied: Loopback) -> None:
    """What ministack asks for beside the DurableConfig that AWS has: a field of the preview, which boto3 refuses."""
    with closing(http.client.HTTPConnection(urlsplit(applied.services.url).netloc, timeout=30)) as connection:
        path = f"/2015-03-31/functions/{WORKFLOW}/configuration"
        connection.request("PUT", path, json.dumps({"DurableConfig": {"Enabled": True}}))
        assert connection.getresponse().status == 200


def link_in(applied: Loopback, inbox: str) -> str:
    """The first link that arrives; other mail tells how payments ended."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for message in applied.clients["sqs"].receive_message(QueueUrl=inbox, WaitTimeSeconds=5).get("Messages", []):
            if link := re.search(r"https?://\S+\?t=\S+", json.loads(message["Body"])["Message"]):
                return link[0]
    raise AssertionError(f"nobody was asked: {logs(applied)}")


def item_of(applied: Loopback, payment_id: str) -> dict[str, Any]:
    found = applied.clients["dynamodb"].get_item(
        TableName=applied.terraform.outputs()["table_name"],
        Key={"transaction_id": {"S": f"txn-{payment_id}"}},
        ConsistentRead=True,
    )
    return dict(found["Item"])


def visit(
    applied: Loopback, host: str, method: str, path: str, form: str | None = None, *, more: dict[str, str] | None = None
) -> tuple[int, str]:
    """One request to the HTTP API, whose name no resolver knows."""
    headers = {"Host": host, "Content-Type": "application/x-www-form-urlencoded"} | (more or {})
    with closing(http.client.HTTPConnection(urlsplit(applied.services.url).netloc, timeout=30)) as connection:
        connection.request(method, path, form, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def test_new_code_and_another_memory_size_are_new_versions_and_live_moves_to_them(
    applied: Loopback, tmp_path: Path
) -> None:
    before = code_behind(applied, "live")
    release = shutil.copytree(unzipped("workflow", "compiled"), tmp_path / "release")
    (release / "handler" / "release.txt").write_text("2")
    newest = applied.package(release, "workflow", "compiled")
    printed = applied.terraform.run("apply", "-auto-approve", "-json", *applied.variables(memory_size="1024"))
    assert planned(printed) == {
        "module.payment_function.aws_lambda_function.this": "update",
        "module.payment_function.aws_lambda_provisioned_concurrency_config.live[0]": "replace",
        "module.payment_function.aws_lambda_alias.live": "update",
        "module.approval_workflow.aws_s3_object.package": "replace",
        "module.approval_workflow.aws_cloudformation_stack.workflow": "update",
        "module.approval_workflow.aws_lambda_function.page": "update",
        "module.approval_workflow.aws_lambda_function.reconcile": "update",
        'module.approval_workflow.aws_lambda_alias.live["page"]': "update",
        'module.approval_workflow.aws_lambda_alias.live["reconcile"]': "update",
        "module.outcome_events[0].aws_lambda_function.this": "update",
        "module.webhook[0].aws_lambda_function.this": "update",
        "module.conservation[0].aws_lambda_function.this": "update",
    }
    # The new version is provisioned before it is live, and the old one until then.
    module = "module.payment_function.aws_lambda"
    assert [one for one in done(printed) if one[0].startswith(module)] == [
        (f"{module}_function.this", "update"),
        (f"{module}_provisioned_concurrency_config.live[0]", "create"),
        (f"{module}_alias.live", "update"),
        (f"{module}_provisioned_concurrency_config.live[0]", "delete"),
    ]
    assert provisioned(applied) == {"2": 1}
    outputs = applied.terraform.outputs()
    assert (outputs["live_version"], outputs["approval_live_version"]) == ("2", "2")
    assert memory_sizes(applied, "live", "1", "2") == [1024, 512, 1024]
    # What the stack replaced is retained: an execution that waits on it can still be resumed.
    assert [code_behind(applied, version) for version in ("live", "2", "1")] == [newest, newest, before]


def code_behind(applied: Loopback, qualifier: str) -> str:
    found = applied.clients["lambda"].get_function_configuration(FunctionName=WORKFLOW, Qualifier=qualifier)
    return str(found["CodeSha256"])


def planned(printed: str) -> dict[str, str]:
    """Address -> action of what a command with -json says it will change, without alarms (see `changes`)."""
    found = {}
    for line in map(json.loads, printed.splitlines()):
        if line["type"] == "planned_change":
            resource = line["change"]["resource"]
            if resource["resource_type"] != "aws_cloudwatch_metric_alarm" or line["change"]["action"] != "update":
                found[resource["addr"]] = line["change"]["action"]
    return found


def done(printed: str) -> list[tuple[str, str]]:
    """Address and action of what an apply with -json has done, in order."""
    lines = [line["hook"] for line in map(json.loads, printed.splitlines()) if line["type"] == "apply_complete"]
    return [(hook["resource"]["addr"], hook["action"]) for hook in lines]


def provisioned(applied: Loopback) -> dict[str, int]:
    """Provisioned concurrency of the payment function by version."""
    functions, found = applied.clients["lambda"], {}
    pages = functions.get_paginator("list_versions_by_function").paginate(FunctionName=FUNCTION)
    for version in [version for page in pages for version in page["Versions"]]:
        with suppress(functions.exceptions.ProvisionedConcurrencyConfigNotFoundException):
            config = functions.get_provisioned_concurrency_config(FunctionName=FUNCTION, Qualifier=version["Version"])
            found[version["Version"]] = config["RequestedProvisionedConcurrentExecutions"]
    return found


def memory_sizes(applied: Loopback, *qualifiers: str) -> list[int]:
    get = applied.clients["lambda"].get_function_configuration
    return [get(FunctionName=FUNCTION, Qualifier=qualifier)["MemorySize"] for qualifier in qualifiers]


def test_a_version_that_terraform_published_gets_live_by_the_procedure(applied: Loopback) -> None:
    # As `make apply` does it.
    held = script(applied, "deploy", "--proven").split()
    assert held == ["-var=live_version=2"]
    applied.terraform.run("apply", "-auto-approve", *applied.variables(memory_size="256"), *held)
    assert memory_sizes(applied, "live", "3") == [1024, 256]
    said = script(applied, "deploy", "--published", "--shares", "10,50", "--hold", "0.2")
    assert f"{FUNCTION}: version 3 has 10 % of live" in said
    assert f"{FUNCTION}: live moved from version 2 to 3" in said
    # The others went along with the apply.
    assert f"{WORKFLOW}-page: live is version 3" in said
    assert provisioned(applied) == {"3": 1}
    # What moved is what the next plan says; the provisioned concurrency, which is there, it takes over.
    held = script(applied, "deploy", "--held").split()
    assert changes(plan(applied.terraform, *applied.variables(memory_size="256"), *held)).keys() == {
        "module.payment_function.aws_lambda_provisioned_concurrency_config.live[0]"
    }


def test_rollback_moves_live_to_the_version_that_proved_itself(applied: Loopback) -> None:
    assert "live moved from version 3 to 2" in script(applied, "rollback")
    alias = applied.clients["lambda"].get_alias(FunctionName=FUNCTION, Name="live")
    assert (alias["FunctionVersion"], alias.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})) == ("2", {})
    assert provisioned(applied) == {"2": 1}
    assert "live stays at version 2, as 3 came back" in script(applied, "deploy", "--published")
    assert "no version of" in script(applied, "rollback", code=1)
    # Page, reconcile and workflow too, and a plan leaves them there.
    for function in ("page", "workflow"):
        assert "live moved from version 3 to 1" in script(applied, "rollback", "--function", function, "--version", "1")
    held = script(applied, "deploy", "--held").split()
    assert held == ["-var=live_version=2", '-var=held_versions={"workflow":1,"page":1}']
    assert changes(plan(applied.terraform, *applied.variables(memory_size="256"), *held)).keys() == {
        "module.approval_workflow.aws_cloudformation_stack.workflow",
    }
    for function in ("page", "workflow"):
        script(applied, "deploy", "--function", function, "--version", "3")


def script(applied: Loopback, name: str, *arguments: str, code: int = 0) -> str:
    """What a script of build/ prints for environment dev."""
    command = [sys.executable, str(ROOT / "build" / f"{name}.py"), "--environment", "dev", *arguments]
    done = subprocess.run(command, env=applied.terraform.environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


def test_billing_mode_changes_without_replacing_the_table(applied: Loopback) -> None:
    capacity = {"provisioned_capacity": "{read_min=5,read_max=50,write_min=5,write_max=50}"}
    variables = applied.variables(memory_size="256", live_version="2", **capacity)
    assert planned(applied.terraform.run("plan", "-json", *variables)) == {
        "module.transaction_table.aws_dynamodb_table.this": "update",
        'module.transaction_table.aws_appautoscaling_target.table["Read"]': "create",
        'module.transaction_table.aws_appautoscaling_target.table["Write"]': "create",
        'module.transaction_table.aws_appautoscaling_policy.table["Read"]': "create",
        'module.transaction_table.aws_appautoscaling_policy.table["Write"]': "create",
    }


def test_production_beside_dev_leaves_dev_alone(applied: Loopback, production: Production) -> None:
    said = production.command.finish()
    assert f"made: bucket {BUCKET} in us-east-1" in production.bootstrapped
    assert "cloudcafe-payment-processor-prod: live is version 1" in said
    outputs = production.terraform.outputs("prod")
    assert outputs["function_name"] == "cloudcafe-payment-processor-prod"
    table = applied.clients["dynamodb"].describe_table(TableName=outputs["table_name"])["Table"]
    assert table["DeletionProtectionEnabled"]
    # Dev as the rollback left it, with the version held as the rollback advises.
    assert changes(plan(applied.terraform, *applied.variables(memory_size="256", live_version="2"))) == {}


def test_production_keeps_its_state_in_its_bucket_alone_and_locked(applied: Loopback, production: Production) -> None:
    s3 = applied.clients["s3"]
    assert "made: " not in production.make("bootstrap").finish()
    versions = s3.list_object_versions(Bucket=BUCKET)["Versions"]
    state = [version for version in versions if version["Key"] == STATE_KEY]
    assert len(state) > 1, versions
    for folder in (applied.terraform.folder, production.terraform.folder):
        assert not (folder / "terraform.tfstate.d" / "prod").exists()
    # Another machine's lock holds off whatever would write.
    held = {
        "ID": "another",
        "Operation": "OperationTypeApply",
        "Who": "alice@laptop",
        "Created": "2026-11-28T00:00:00Z",
    }
    s3.put_object(Bucket=BUCKET, Key=f"{STATE_KEY}.tflock", Body=json.dumps(held).encode())
    said = production.make("plan", *production.variables()[1:]).finish(expect=2)
    assert "Error acquiring the state lock" in said
    assert "alice@laptop" in said
    # As the docs take away one that was left behind.
    production.make("terraform", ARGS="force-unlock -force another").finish()
    assert f"{STATE_KEY}.tflock" not in [each["Key"] for each in s3.list_objects_v2(Bucket=BUCKET)["Contents"]]
    # Its configuration is refused where the state would be local.
    said = applied.terraform.run(
        "plan", *production.variables()[1:], "-var=environment=prod", workspace="prod", expect=1
    )
    assert "run `make bootstrap ENVIRONMENT=prod` once" in " ".join(said.replace("│", " ").split())


def test_a_local_state_moves_to_a_bucket_as_it_is(applied: Loopback, tmp_path: Path) -> None:
    state = load("state")
    root = state.Root(applied.terraform.folder, tmp_path / "terraform")
    bucket = state.Bucket("sandbox", ACCOUNT, REGION, applied.clients["s3"])
    bucket.make()
    local = root.local_state("sandbox")
    local.parent.mkdir(parents=True)
    # What needs no provider: the move is of the file.
    known = {"mode": "managed", "type": "terraform_data", "name": "kept", "provider": TERRAFORM_ITSELF, "instances": []}
    written = {
        "version": 4,
        "terraform_version": "1.11.4",
        "serial": 7,
        "lineage": "0d1f2a7e-5a5a-4000-8000-000000000001",
        "outputs": {"queue_url": {"value": "https://sqs", "type": "string"}},
        "resources": [{**known, "instances": [{"schema_version": 0, "attributes": {"id": "one"}}]}],
        "check_results": None,
    }
    local.write_text(json.dumps(written))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in applied.terraform.environment.items():
            patch.setenv(name, value)
        said = state.migrate(root, bucket, init_flags(locked=True))
        # From now on its commands work there.
        assert state.ready(root, bucket, [], again=False) == tmp_path / "terraform" / bucket.name
    assert f"sandbox's state, 1 resources, is in bucket {bucket.name}" in said
    moved = bucket.state()
    assert {name: moved[name] for name in ("lineage", "outputs")} == {
        name: written[name] for name in ("lineage", "outputs")
    }
    assert (local.exists(), local.with_suffix(".moved").exists()) == (False, True)


def test_a_destroy_of_protected_production_is_refused_and_takes_nothing(
    applied: Loopback, production: Production, bar: Callable[[str, str, str, bool], None]
) -> None:
    resources, names = production.terraform.resources("prod"), names_in(applied, "prod")
    # What nobody can make again: a message as it was sent, and the key that it is encrypted with.
    outputs = production.terraform.outputs("prod")
    dead_letters = outputs["dead_letter_queue_url"]
    applied.clients["sqs"].send_message(QueueUrl=dead_letters, MessageBody="{}", MessageGroupId="kept")
    # A destroy takes along what depends on its target, and so the guard.
    targets: tuple[list[str], ...] = ([], ["-target=module.queue"])
    said = [production.make("destroy", *production.variables(), *target).finish(expect=2) for target in targets]
    left = production.terraform.resources("prod").keys()
    bar("resources_left_after_refused_destroy", str(len(left)), str(len(resources)), left == resources.keys())
    assert left == resources.keys()
    assert names_in(applied, "prod") == names
    for each in said:
        assert "aws_dynamodb_table.deletion_guard: Destroying" in each
        assert "protected against deletion" in each
    counts = {kind: len(names[kind]) for kind in ("queues", "tables", "functions", "buckets", "topics")}
    # One of the buckets has the state, one the exports.
    assert counts == {"queues": 4, "tables": 2, "functions": 5, "buckets": 3, "topics": 2}
    key = applied.clients["kms"].describe_key(KeyId=outputs["raw_messages_key_arn"])["KeyMetadata"]
    assert key["KeyState"] == "Enabled"
    kept = applied.clients["sqs"].receive_message(QueueUrl=dead_letters, VisibilityTimeout=0)["Messages"]
    assert [message["Body"] for message in kept] == ["{}"]


def names_in(applied: Loopback, environment: str) -> dict[str, set[str]]:
    """What an environment has on ministack by itself, whatever the state says."""

    def listed(service: str, operation: str, entries: str) -> list[Any]:
        pages = applied.clients[service].get_paginator(operation).paginate()
        return [each for page in pages for each in page.get(entries, [])]

    found = {
        "queues": listed("sqs", "list_queues", "QueueUrls"),
        "tables": listed("dynamodb", "list_tables", "TableNames"),
        "functions": [function["FunctionName"] for function in listed("lambda", "list_functions", "Functions")],
        "buckets": [bucket["Name"] for bucket in listed("s3", "list_buckets", "Buckets")],
        "log groups": [group["logGroupName"] for group in listed("logs", "describe_log_groups", "logGroups")],
        "topics": [topic["TopicArn"] for topic in listed("sns", "list_topics", "Topics")],
        "alarms": [alarm["AlarmName"] for alarm in listed("cloudwatch", "describe_alarms", "MetricAlarms")],
    }
    name = re.compile(rf"-{environment}\b")
    return {kind: {each for each in names if name.search(each)} for kind, names in found.items()}


def test_destroy_leaves_nothing_of_dev_and_all_of_production(applied: Loopback, production: Production) -> None:
    # Production is changed meanwhile: it lets go of its protection, as it must before it can be destroyed.
    resources, names = production.terraform.resources("prod").keys(), names_in(applied, "prod")
    unprotecting = production.make("apply", *production.variables(deletion_protection="false"))
    # Without the packages: a destroy must not need what it does not read.
    applied.package_directory.rename(applied.package_directory.with_name("gone"))
    assert "Destroy complete!" in applied.first_user.begin("make destroy").finish()
    assert applied.first_user.has_typed_all()
    unprotecting.finish()
    assert applied.terraform.resources() == {}
    assert all(not left for left in names_in(applied, "dev").values()), names_in(applied, "dev")
    assert production.terraform.resources("prod").keys() == resources
    assert names_in(applied, "prod") == names


def test_unprotected_production_is_destroyed_to_the_last(applied: Loopback, production: Production) -> None:
    # The protection is what the state knows: no variable of a destroy counts.
    production.make("destroy", *production.variables()).finish()
    assert production.terraform.resources("prod") == {}
    left = names_in(applied, "prod")
    # The bucket has the state of what was, and no destroy takes it.
    assert left.pop("buckets") == {BUCKET}
    assert not any(left.values()), left
