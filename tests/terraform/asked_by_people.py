"""What is asked of AWS in the name of people: by the command line, by `make`'s scripts, and by docs/runbook.md.

The rule it keeps: what is not read off the code has the page of AWS, or ours, that says so.
"""

import ast
from collections.abc import Iterator

import botocore.session
import pytest
from botocore import xform_name

from handler import approval_composition
from local.installation import ROOT
from tests.support.build_scripts import load
from tests.terraform.asked import (
    ARN,
    EXPORTS,
    FUNCTIONS,
    PEPPER,
    STANDARD,
    WEBHOOK,
    WORKFLOW,
    request,
    variables_of,
)
from tests.terraform.calls import Name, all_of, calls_of
from tests.terraform.installation import Plan
from tests.terraform.policies import Request

STATE = load("state")
_WOKEN = "aws_lambda_event_source_mapping.wake_ups"
_PEPPER = "operations/pepper.py"

_APPROVALS = "operations.approvals"
_ROLES = ("", "-page", "-reconcile")
# Where the command line begins for each: a reader looks, an approver decides, who is on call deals with what is parked.
COMMANDS: dict[str, set[Name]] = {
    "reader": {(_APPROVALS, "list_waiting"), (_APPROVALS, "show")},
    "approver": {(_APPROVALS, "approve"), (_APPROVALS, "reject")},
    "on_call": all_of("operations.parked"),
}


def asked_on_the_command_line(person: str, plan: Plan) -> Iterator[Request]:
    # As output `commands` exports them.
    url = plan["module.queue.aws_sqs_queue.payment"]["url"]
    variables = variables_of(FUNCTIONS["reconcile"], plan) | {"PAYMENT_QUEUE_URL": url}

    def create() -> list[object]:
        composed: list[object] = [approval_composition.compose_decisions(variables)]
        if person == "on_call":
            composed += [
                approval_composition.compose_retries(variables),
                approval_composition.compose_gateway(variables),
            ]
        return composed

    with pytest.MonkeyPatch.context() as patch:
        for call in calls_of(COMMANDS[person], create, [STANDARD], patch):
            yield request(call)


def _named_in(*paths: str) -> set[str]:
    """What code takes from objects, a paginator's operation and a waiter's among it."""
    named = set()
    for script in (path for pattern in paths for path in ROOT.glob(pattern)):
        for node in ast.walk(ast.parse(script.read_text())):
            if isinstance(node, ast.Attribute):
                named.add(node.attr)
            elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "get_paginator":
                named.add(str(ast.literal_eval(node.args[0])))
    return named | ({"get_function"} if "get_waiter" in named else set())


def _operations(service: str, named: set[str]) -> list[str]:
    """Of a service, those that are named so."""
    operations = botocore.session.get_session().get_service_model(service).operation_names
    return [each for each in operations if xform_name(each) in named]


def _functions(plan: Plan, *others: str) -> list[str]:
    """ARNs of the queue function, the workflow and the others, without and with alias `live`."""
    functions = [FUNCTIONS[name] for name in ("queue function, lean", *others)]
    names = ["shop-payment-processor-test", *(plan[each.resource]["function_name"] for each in functions)]
    return [ARN.format("lambda", f"function:{name}{qualifier}") for name in names for qualifier in ("", ":live")]


def _asked_of_state() -> Iterator[Request]:
    # Names are in the state: HeadBucket asks for the right to list.
    bucket = STATE.Bucket("test", "123456789012", "eu-central-1", None)
    yield Request("s3:ListBucket", f"arn:aws:s3:::{bucket.name}")
    yield Request("s3:GetObject", f"arn:aws:s3:::{bucket.name}/{bucket.state_key}")


def asked_by_deploying(plan: Plan) -> Iterator[Request]:
    """What `make deploy-code`, `make rollback`, `payments stress` and `payments pepper` call."""
    stress = _named_in("operations/stress.py")
    named = _named_in("build/packager/*.py", "build/deploy.py", "build/rollback.py") | stress
    for operation in _operations("lambda", named - {"update_function_configuration"}):
        yield from (Request(f"lambda:{operation}", arn) for arn in _functions(plan, "page", "reconcile"))
    for operation in _operations("lambda", stress & {"update_function_configuration"}):
        name = plan[FUNCTIONS["queue function, lean"].resource]["function_name"]
        yield Request(f"lambda:{operation}", ARN.format("lambda", f"function:{name}"))
    yield from (Request(f"secretsmanager:{one}", PEPPER) for one in _operations("secretsmanager", _named_in(_PEPPER)))
    yield from _asked_of_state()
    for operation in _operations("cloudwatch", named):
        yield Request(f"cloudwatch:{operation}", ARN.format("cloudwatch", "alarm:payments-test-function-errors"))


def _mappings(plan: Plan) -> list[str]:
    addresses = ("module.payment_function.aws_lambda_event_source_mapping.payment_queue", f"{WEBHOOK}.{_WOKEN}")
    return [plan[address]["arn"] for address in addresses if address in plan]


def asked_by_stopping(plan: Plan) -> Iterator[Request]:
    """What `payments stop | start` call, and `status` and `doctor` of it."""
    schedule = plan[f"{WORKFLOW}.aws_scheduler_schedule.reconcile"]["arn"]
    for operation in _operations("lambda", _named_in("build/stop.py", "operations/names.py")):
        if operation == "ListEventSourceMappings":
            # It has no resource ("Actions, resources, and condition keys for AWS Lambda").
            resources = ["*"]
        else:
            resources = _mappings(plan) if operation.endswith("Mapping") else _functions(plan, "reconcile")
        yield from (Request(f"lambda:{operation}", each) for each in resources)
    for operation in _operations("scheduler", _named_in("build/stop.py")):
        yield Request(f"scheduler:{operation}", schedule)
    # "Actions, resources, and condition keys for Amazon EventBridge Scheduler": an update hands the role on.
    role = plan[f"{WORKFLOW}.aws_iam_role.scheduler"]["arn"]
    yield Request("iam:PassRole", role, {"iam:PassedToService": "scheduler.amazonaws.com"})
    yield from _asked_of_state()


def asked_by_looking(plan: Plan) -> Iterator[Request]:
    """What `payments doctor` calls, without a test payment; continuous backups are asked about in production alone."""
    named = _named_in("operations/checks.py", "operations/role_checks.py", "operations/names.py")
    named -= {"send_message", "get_queue_url", "describe_continuous_backups"}
    functions = "page", "reconcile"
    queue = f"log-group:/aws/lambda/{plan[FUNCTIONS['queue function, lean'].resource]['function_name']}:log-stream:"
    roles = [plan[f'{WORKFLOW}.aws_iam_role.this["{role}"]']["arn"] for role in ("workflow", *functions)]
    resources = {
        "sqs": [plan[f"module.queue.aws_sqs_queue.{name}"]["arn"] for name in ("payment", "dead_letter", "rejected")],
        "dynamodb": [plan["module.transaction_table.aws_dynamodb_table.this"]["arn"]],
        "lambda": _functions(plan, *functions),
        "iam": [plan["module.payment_function.aws_iam_role.this"]["arn"], *roles],
        "logs": [ARN.format("logs", queue)],
        "cloudwatch": [ARN.format("cloudwatch", "alarm:payments-test-function-errors")],
        "sns": [plan["module.observability.aws_sns_topic.alarms"]["arn"]],
        "scheduler": [plan[f"{WORKFLOW}.aws_scheduler_schedule.reconcile"]["arn"]],
    }
    for service, asked in resources.items():
        for operation in _operations(service, named):
            of_account = operation in ("GetAccountSettings", "ListEventSourceMappings")
            yield from (Request(f"{service}:{operation}", each) for each in (["*"] if of_account else asked))
    yield from _asked_of_state()


def asked_of_exports(plan: Plan, *code: str) -> Iterator[Request]:
    """What code calls that makes and reads exports, and what DynamoDB does in the name of whoever calls it."""
    table, bucket = plan["module.transaction_table.aws_dynamodb_table.this"]["arn"], plan[EXPORTS]["arn"]
    named = _named_in("handler/adapters/table/export.py", *code)
    for operation in _operations("dynamodb", named):
        of_one = "/export/01796000000000-0a1b2c3d" if operation == "DescribeExport" else ""
        yield Request(f"dynamodb:{operation}", f"{table}{of_one}")
    for operation in _operations("s3", named):
        yield Request(f"s3:{operation}", f"{bucket}/AWSDynamoDB/01796000000000-0a1b2c3d/data/a.json.gz")
    # "GetObject": without it a missing object is a forbidden one.
    yield Request("s3:ListBucket", bucket)
    # "Requesting a table export in DynamoDB"
    for each in ("AbortMultipartUpload", "PutObject", "PutObjectAcl"):
        yield Request(f"s3:{each}", f"{bucket}/AWSDynamoDB/01796000000000-0a1b2c3d/manifest-summary.json")


def asked_by_people(person: str, plan: Plan) -> Iterator[Request]:
    queue = {
        name: plan[f"module.queue.aws_sqs_queue.{name}"]["arn"]
        for name in ("payment", "dead_letter", "failed_starts", "rejected")
    }
    if person == "producer":
        yield Request("sqs:SendMessage", queue["payment"])
    elif person == "deployer":
        yield from asked_by_deploying(plan)
    elif person == "accountant":
        yield from asked_of_exports(plan, "operations/export.py")
    elif person == "observer":
        yield from asked_by_looking(plan)
    else:
        yield from asked_on_the_command_line(person, plan)
    sums = plan.get(FUNCTIONS["conservation"].resource)
    if person in ("accountant", "on_call") and sums:
        # operations/conservation.py, over clients of its own.
        yield Request("s3:GetObject", f"{plan[EXPORTS]['arn']}/conservation/results/2026-11-27.json")
        yield Request("s3:ListBucket", plan[EXPORTS]["arn"])
        yield Request("lambda:InvokeFunction", ARN.format("lambda", f"function:{sums['function_name']}"))
    if person == "approver":
        # "Control access to HTTP APIs with IAM authorization"
        yield Request("execute-api:Invoke", ARN.format("execute-api", "abc/$default/PUT/approvals"))
    if person == "on_call":
        yield from asked_by_stopping(plan)
        # docs/runbook.md; "StartMessageMoveTask" asks for the right to send, too.
        for name in ("dead_letter", "failed_starts", "rejected"):
            for each in ("sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"):
                yield Request(each, queue[name])
        for each in ("sqs:CancelMessageMoveTask", "sqs:ListMessageMoveTasks", "sqs:StartMessageMoveTask"):
            yield Request(each, queue["dead_letter"])
        yield Request("sqs:SendMessage", queue["payment"])
        # operations/letters.py, status.py and reconcile.py, over clients of their own.
        yield Request("sqs:ChangeMessageVisibility", queue["dead_letter"])
        yield Request("sqs:GetQueueAttributes", queue["payment"])
        reconcile = "function:shop-payment-processor-test-reconcile:live"
        yield Request("lambda:InvokeFunction", ARN.format("lambda", reconcile))
        for each in ("cloudcafe-payment-processor-test", *(f"payment-processor-test{role}" for role in _ROLES)):
            yield Request("logs:FilterLogEvents", ARN.format("logs", f"log-group:/aws/lambda/shop-{each}:log-stream:"))
