"""What is asked of AWS in whose name: by a function's code, by AWS's services for it, and by people.

The rule it keeps: what is not read off the code has the page of AWS, or ours, that says so.
"""

import ast
import importlib
import json
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import botocore.session
import pytest
from botocore import xform_name

from handler import approval_composition
from local.installation import ROOT
from tests.support.build_scripts import load
from tests.terraform.calls import Call, Name, all_of, calls_of
from tests.terraform.installation import Plan
from tests.terraform.policies import Request

# It imports all the others.
load("packager.command")
PACKAGES = sys.modules["packager"].functions
STATE = load("state")
ARN = "arn:aws:{}:eu-central-1:123456789012:{}"
BENCHMARK = "module.benchmark_functions[0]"


@dataclass(frozen=True)
class Function:
    """Where a function's code begins, which supports it may have, its role's policy, and what it is planned as."""

    entry: str
    create: str
    supports: tuple[str, ...]
    document: str
    resource: str
    support: str = ""
    """What SUPPORT says, where it is a choice."""


_STANDARD, _LEAN = "handler.adapters.support.standard", "handler.adapters.support.lean"
_OF_PEOPLE = ("handler.adapters.approval.support",)
_WORKFLOW = "module.approval_workflow"
_EVENTS = "module.outcome_events[0]"
_WEBHOOK = "module.webhook[0]"
_DOCUMENT = "data.aws_iam_policy_document.this"


def _queue_function(module: str, resource: str, support: str) -> Function:
    supports = (_LEAN if support == "lean" else _STANDARD,)
    return Function(
        "handler.queue_function", "create", supports, f"{module}.{_DOCUMENT}", f"{module}.{resource}", support
    )


def _function(entry: str, name: str, resource: str) -> Function:
    return Function(entry, "_create", _OF_PEOPLE, f'{_WORKFLOW}.{_DOCUMENT}["{name}"]', f"{_WORKFLOW}.{resource}")


FUNCTIONS = {
    "queue function, lean": _queue_function("module.payment_function", "aws_lambda_function.this", "lean"),
    "queue function, standard": _queue_function("module.payment_function", "aws_lambda_function.this", "standard"),
    "benchmark function": _queue_function(BENCHMARK, 'aws_lambda_function.this["pure-128"]', "lean"),
    "workflow": _function("handler.workflow", "workflow", "aws_cloudformation_stack.workflow"),
    "page": _function("handler.approval_page", "page", "aws_lambda_function.page"),
    "reconcile": _function("handler.reconcile_function", "reconcile", "aws_lambda_function.reconcile"),
    "events": Function(
        entry="handler.events_function",
        create="_create",
        supports=_OF_PEOPLE,
        # All of it is known before an apply, so that the plan has no document.
        document=f"{_EVENTS}.aws_iam_role_policy.this",
        resource=f"{_EVENTS}.aws_lambda_function.this",
    ),
    "webhook": Function(
        entry="handler.webhook_function",
        create="_create",
        supports=_OF_PEOPLE,
        document=f"{_WEBHOOK}.aws_iam_role_policy.this",
        resource=f"{_WEBHOOK}.aws_lambda_function.this",
    ),
}


def variables_of(function: Function, plan: Plan) -> dict[str, str]:
    planned = plan[function.resource]
    if "template_body" in planned:
        properties = json.loads(planned["template_body"])["Resources"]["Function"]["Properties"]
        given = dict(properties["Environment"]["Variables"])
    else:
        given = dict(planned["environment"][0]["variables"])
    # Lambda's own.
    given |= {"AWS_REGION": "eu-central-1", "AWS_LAMBDA_FUNCTION_NAME": "function", "AWS_ACCESS_KEY_ID": "none"}
    given |= {"AWS_SECRET_ACCESS_KEY": "none"}
    return given | ({"SUPPORT": function.support} if function.support else {})


# ---- what is asked in a role's name -----------------------------------------------------------------------------


def calls(function: Function, plan: Plan) -> set[Call]:
    def create() -> object:
        return getattr(importlib.import_module(function.entry), function.create)(variables_of(function, plan))

    with pytest.MonkeyPatch.context() as patch:
        return calls_of(all_of(function.entry), create, function.supports, patch)


def asked_by_code(function: Function, plan: Plan) -> Iterator[Request]:
    yield from map(request, calls(function, plan))
    if function.entry == "handler.workflow":
        # The durable execution SDK's own; tests/unit/build/test_package.py holds that they are all.
        for operation in PACKAGES.DURABLE_OPERATIONS:
            yield Request(f"lambda:{operation}", EXECUTION)


def request(call: Call) -> Request:
    # Of all requests to DynamoDB updates alone are told apart by what they name.
    context = {"dynamodb:Attributes": call.attributes} if call.attributes else {}
    return Request(action(call), resource(call), context)


EXECUTION = ARN.format("lambda", "function:shop-payment-processor-test:3/durable-execution/name/id")


def action(call: Call) -> str:
    """IAM's name of an operation ("Actions, resources, and condition keys for AWS services")."""
    name = "".join(part.capitalize() for part in call.operation.split("_"))
    renamed = {
        "lambda:Invoke": "lambda:InvokeFunction",
        # Each write of a transaction needs its own action ("Using IAM with DynamoDB transactions"): ours all have an
        # update, and what puts a claim in one puts claims alone, too.
        "dynamodb:TransactWriteItems": "dynamodb:UpdateItem",
    }
    whole = f"{call.service}:{name.removesuffix('Batch')}"
    return renamed.get(whole, whole)


def resource(call: Call) -> str:
    if call.service == "dynamodb":
        return ARN.format("dynamodb", f"table/{call.target}")
    if call.service == "sqs":
        return ARN.format("sqs", call.target.rpartition("/")[2])
    # Callback and execution are the workflow's.
    return call.target or EXECUTION


def asked_by_services(name: str, function: Function, plan: Plan) -> Iterator[Request]:
    """What Lambda itself asks with the role of a function; each with the page of AWS that says so."""
    planned = plan[function.resource]
    if "template_body" in planned:
        template = json.loads(planned["template_body"])["Resources"]["Function"]["Properties"]
        network, traced = "VpcConfig" in template, template["TracingConfig"]["Mode"] == "Active"
        log_group = template["LoggingConfig"]["LogGroup"]
    else:
        network, traced = bool(planned["vpc_config"]), planned.get("tracing_config") == [{"mode": "Active"}]
        log_group = planned["logging_config"][0]["log_group"]
    # "Sending Lambda function logs to CloudWatch Logs"
    for each in ("logs:CreateLogStream", "logs:PutLogEvents"):
        yield Request(each, ARN.format("logs", f"log-group:{log_group}:log-stream:2026/11/28/[1]0"))
    if network:
        # "Giving Lambda functions access to resources in an Amazon VPC"
        for each in ("AssignPrivateIpAddresses", "CreateNetworkInterface", "DeleteNetworkInterface"):
            yield Request(f"ec2:{each}", ARN.format("ec2", "network-interface/eni-1"))
        yield Request("ec2:UnassignPrivateIpAddresses", ARN.format("ec2", "network-interface/eni-1"))
        for each in ("DescribeNetworkInterfaces", "DescribeSubnets"):
            yield Request(f"ec2:{each}", "*")
    if traced:
        # "Visualize Lambda function invocations using AWS X-Ray"
        for each in ("xray:PutTraceSegments", "xray:PutTelemetryRecords"):
            yield Request(each, "*")
    yield from _asked_by_mappings(name, plan)


def _asked_by_mappings(name: str, plan: Plan) -> Iterator[Request]:
    """What Lambda asks to hand a function what a stream or a queue has, and to keep what it gave up."""
    if name == "events":
        # "Using AWS Lambda with Amazon DynamoDB"
        yield Request("dynamodb:ListStreams", "*")
        for each in ("DescribeStream", "GetRecords", "GetShardIterator"):
            yield Request(f"dynamodb:{each}", plan["module.transaction_table.aws_dynamodb_table.this"]["stream_arn"])
        # "Retaining discarded batches for a DynamoDB event source in Lambda"
        yield Request("sqs:SendMessage", plan[f"{_EVENTS}.aws_sqs_queue.given_up"]["arn"])
    is_woken = name == "reconcile" and f"{_WEBHOOK}.aws_sqs_queue.wake_ups" in plan
    if is_woken or name.startswith("queue function"):
        queue = f"{_WEBHOOK}.aws_sqs_queue.wake_ups" if is_woken else "module.queue.aws_sqs_queue.payment"
        # "Creating and configuring an Amazon SQS event source mapping"
        for each in ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"):
            yield Request(each, plan[queue]["arn"])
    if name.startswith("queue function"):
        # "Capturing records of Lambda asynchronous invocations"
        yield Request("sqs:SendMessage", plan["module.queue.aws_sqs_queue.failed_starts"]["arn"])


# What a service asks of the key of what it keeps encrypted, in the name of who calls it: "Key management" of SQS,
# "Managing encrypted tables in DynamoDB", "Secret encryption and decryption in AWS Secrets Manager".
_OF_TABLE = ("Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey", "ReEncryptFrom", "ReEncryptTo")
KEY_ACTIONS = {
    "sqs:SendMessage": ("Decrypt", "GenerateDataKey"),
    "sqs:ReceiveMessage": ("Decrypt",),
    "dynamodb:GetItem": _OF_TABLE,
    "dynamodb:GetRecords": ("Decrypt",),
    "dynamodb:PutItem": _OF_TABLE,
    "dynamodb:Query": _OF_TABLE,
    "dynamodb:UpdateItem": _OF_TABLE,
    "secretsmanager:GetSecretValue": ("Decrypt",),
}


def keys(plan: Plan) -> dict[str, str]:
    """The customer's key by the ARN of what is encrypted with it."""
    found = {}
    for address, planned in plan.items():
        if ".aws_sqs_queue." in address and str(planned["kms_master_key_id"]).startswith("arn:"):
            found[planned["arn"]] = planned["kms_master_key_id"]
        elif ".aws_dynamodb_table." in address and planned.get("server_side_encryption"):
            key = str(planned["server_side_encryption"][0].get("kms_key_arn"))
            # Without a key of its own there is none, or what stands for it in the plan.
            if key.startswith("arn:"):
                found[planned["arn"]] = key
    given = variables_of(FUNCTIONS["reconcile"], plan)
    # In the plan of all that may be, and there is a pepper in that alone.
    if given["FINGERPRINT_PEPPER_SECRET_ARN"]:
        names = ("FINGERPRINT_PEPPER_SECRET_ARN", "GATEWAY_SECRET_ARN")
        found[variables_of(FUNCTIONS["webhook"], plan)["WEBHOOK_SECRET_ARN"]] = ARN.format(
            "kms", "key/44444444-4444-4444-4444-444444444444"
        )
        found |= {given[name]: ARN.format("kms", "key/44444444-4444-4444-4444-444444444444") for name in names}
    return found


def with_keys(requests: Iterable[Request], plan: Plan) -> Iterator[Request]:
    encrypted = keys(plan)
    for each in requests:
        yield each
        key = encrypted.get(re.split("/index/|/stream/", each.resource)[0])
        for operation in KEY_ACTIONS.get(each.action, ()) if key else ():
            service = each.action.partition(":")[0]
            yield Request(f"kms:{operation}", str(key), {"kms:ViaService": f"{service}.eu-central-1.amazonaws.com"})


# ---- what people ask ------------------------------------------------------------------------------------------

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
        for call in calls_of(COMMANDS[person], create, [_STANDARD], patch):
            yield request(call)


def asked_by_deploying(plan: Plan) -> Iterator[Request]:
    """What `make deploy-code` and `make rollback` call: names of operations in their scripts, a waiter's among them."""
    scripts = [
        *(ROOT / "build" / "packager").glob("*.py"),
        *(ROOT / "build" / f"{name}.py" for name in ("deploy", "rollback")),
    ]
    named = {"get_function"}
    for script in scripts:
        for node in ast.walk(ast.parse(script.read_text())):
            if isinstance(node, ast.Attribute):
                named.add(node.attr)
            elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "get_paginator":
                named.add(str(ast.literal_eval(node.args[0])))
    session = botocore.session.get_session()
    functions = [FUNCTIONS[name] for name in ("queue function, lean", "page", "reconcile")]
    names = ["shop-payment-processor-test", *(plan[each.resource]["function_name"] for each in functions)]
    for operation in session.get_service_model("lambda").operation_names:
        if xform_name(operation) in named:
            for name in names:
                yield Request(f"lambda:{operation}", ARN.format("lambda", f"function:{name}"))
                yield Request(f"lambda:{operation}", ARN.format("lambda", f"function:{name}:live"))
    # Names are in the state: HeadBucket asks for the right to list.
    bucket = STATE.Bucket("test", "123456789012", "eu-central-1", None)
    yield Request("s3:ListBucket", f"arn:aws:s3:::{bucket.name}")
    yield Request("s3:GetObject", f"arn:aws:s3:::{bucket.name}/{bucket.state_key}")
    for operation in session.get_service_model("cloudwatch").operation_names:
        if xform_name(operation) in named:
            yield Request(f"cloudwatch:{operation}", ARN.format("cloudwatch", "alarm:payments-test-function-errors"))


def asked_by_people(person: str, plan: Plan) -> Iterator[Request]:
    queue = {
        name: plan[f"module.queue.aws_sqs_queue.{name}"]["arn"]
        for name in ("payment", "dead_letter", "failed_starts", "rejected")
    }
    if person == "producer":
        yield Request("sqs:SendMessage", queue["payment"])
    elif person == "deployer":
        yield from asked_by_deploying(plan)
    else:
        yield from asked_on_the_command_line(person, plan)
    if person == "approver":
        # "Control access to HTTP APIs with IAM authorization"
        yield Request("execute-api:Invoke", ARN.format("execute-api", "abc/$default/PUT/approvals"))
    if person == "on_call":
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
