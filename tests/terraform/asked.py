"""What is asked of AWS in a function's name: by its code, and by AWS's services for it.

The rule it keeps: what is not read off the code has the page of AWS, or ours, that says so.
"""

import importlib
import json
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pytest

from tests.support.build_scripts import load
from tests.terraform.calls import Call, all_of, calls_of
from tests.terraform.installation import Plan
from tests.terraform.policies import Request

# It imports all the others.
load("packager.command")
PACKAGES = sys.modules["packager"].functions
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


STANDARD, _LEAN = "handler.adapters.support.standard", "handler.adapters.support.lean"
_OF_PEOPLE = ("handler.adapters.approval.support",)
WORKFLOW = "module.approval_workflow"
_EVENTS = "module.outcome_events[0]"
WEBHOOK = "module.webhook[0]"
_CONSERVATION = "module.conservation[0]"
_DOCUMENT = "data.aws_iam_policy_document.this"
# Secrets Manager adds six letters to a name.
PEPPER = ARN.format("secretsmanager", "secret:payment-fingerprint-pepper-test-AbCdEf")


def _queue_function(module: str, resource: str, support: str) -> Function:
    supports = (_LEAN if support == "lean" else STANDARD,)
    return Function(
        "handler.queue_function", "create", supports, f"{module}.{_DOCUMENT}", f"{module}.{resource}", support
    )


def _function(entry: str, name: str, resource: str) -> Function:
    return Function(entry, "_create", _OF_PEOPLE, f'{WORKFLOW}.{_DOCUMENT}["{name}"]', f"{WORKFLOW}.{resource}")


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
        document=f"{WEBHOOK}.aws_iam_role_policy.this",
        resource=f"{WEBHOOK}.aws_lambda_function.this",
    ),
    "conservation": Function(
        entry="handler.conservation_function",
        create="_create",
        supports=_OF_PEOPLE,
        document=f'{_CONSERVATION}.aws_iam_role_policy.this["function"]',
        resource=f"{_CONSERVATION}.aws_lambda_function.this",
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
    if call.service == "s3":
        # Beside the exports (`asked_of_exports`).
        return f"arn:aws:s3:::{call.target}/conservation/results/2026-11-27.json"
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
    is_woken = name == "reconcile" and f"{WEBHOOK}.aws_sqs_queue.wake_ups" in plan
    if is_woken or name.startswith("queue function"):
        queue = f"{WEBHOOK}.aws_sqs_queue.wake_ups" if is_woken else "module.queue.aws_sqs_queue.payment"
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
    "dynamodb:ExportTableToPointInTime": _OF_TABLE,
    "dynamodb:GetItem": _OF_TABLE,
    "dynamodb:GetRecords": ("Decrypt",),
    "dynamodb:PutItem": _OF_TABLE,
    "dynamodb:Query": _OF_TABLE,
    "dynamodb:UpdateItem": _OF_TABLE,
    "s3:GetObject": ("Decrypt",),
    # "Uploading an object using multipart upload": its parts are read when it is completed.
    "s3:PutObject": ("Decrypt", "GenerateDataKey"),
    "secretsmanager:GetSecretValue": ("Decrypt",),
    "secretsmanager:CreateSecret": ("Decrypt", "GenerateDataKey"),
    "secretsmanager:PutSecretValue": ("Decrypt", "GenerateDataKey"),
}


EXPORTS = "module.export_bucket.aws_s3_bucket.this"


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
                if address.startswith("module.transaction_table."):
                    found[plan[EXPORTS]["arn"]] = key
    given = variables_of(FUNCTIONS["reconcile"], plan)
    # In the plan of all that may be, and there is a pepper in that alone.
    if given["FINGERPRINT_PEPPER_SECRET_ARN"]:
        names = ("FINGERPRINT_PEPPER_SECRET_ARN", "GATEWAY_SECRET_ARN")
        found[variables_of(FUNCTIONS["webhook"], plan)["WEBHOOK_SECRET_ARN"]] = ARN.format(
            "kms", "key/44444444-4444-4444-4444-444444444444"
        )
        found[PEPPER] = ARN.format("kms", "key/44444444-4444-4444-4444-444444444444")
        found |= {given[name]: ARN.format("kms", "key/44444444-4444-4444-4444-444444444444") for name in names}
    return found


def with_keys(requests: Iterable[Request], plan: Plan) -> Iterator[Request]:
    encrypted = keys(plan)
    for each in requests:
        yield each
        key = encrypted.get(re.split("/index/|/stream/|/AWSDynamoDB/|/conservation/", each.resource)[0])
        for operation in KEY_ACTIONS.get(each.action, ()) if key else ():
            service = each.action.partition(":")[0]
            yield Request(f"kms:{operation}", str(key), {"kms:ViaService": f"{service}.eu-central-1.amazonaws.com"})
