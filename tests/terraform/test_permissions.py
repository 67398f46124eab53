"""Every call that a function makes, against the policy that its role gets; and every permission, against the calls.

Held here: what the code asks of AWS (calls.py), and what AWS's services ask in the role's name, is allowed; whatever is
allowed is asked for. Exceptions have their reasons in EXCEPTIONS.
"""

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import pytest
from botocore import xform_name

from local.terraform import SOURCE
from tests.support.build_scripts import load
from tests.terraform.calls import Call, calls_of
from tests.terraform.installation import Plan
from tests.terraform.policies import Request, Statement, allows, matching, of_document

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


_STANDARD, _LEAN = "handler.adapters.support.standard", "handler.adapters.support.lean"
_OF_PEOPLE = ("handler.adapters.approval.support",)
_WORKFLOW = "module.approval_workflow"
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
}
RUNS = ("what_must_be", "all_that_may_be")

# What may be a call without a permission, and why. There is no permission without a call.
EXCEPTIONS = {
    ("benchmark function", "sqs:ChangeMessageVisibility"): "no queue feeds it: its messages have no receipt handles",
}
# What a package has and none of its functions calls, and why.
UNCALLED = {
    ("processor", "dynamodb", "Query"): "a method of the log that it shares with reconcile",
    ("workflow", "sqs", "ChangeMessageVisibilityBatch"): "of an adapter that the queue function alone is given",
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
    with pytest.MonkeyPatch.context() as patch:
        return calls_of(function.entry, function.create, function.supports, variables_of(function, plan), patch)


def asked_by_code(function: Function, plan: Plan) -> Iterator[Request]:
    yield from (Request(action(call), resource(call)) for call in calls(function, plan))
    if function.entry == "handler.workflow":
        # The durable execution SDK's own; tests/unit/build/test_package.py holds that they are all.
        for operation in PACKAGES.DURABLE_OPERATIONS:
            yield Request(f"lambda:{operation}", EXECUTION)


EXECUTION = ARN.format("lambda", "function:payment-processor-test:3/durable-execution/name/id")


def action(call: Call) -> str:
    """IAM's name of an operation ("Actions, resources, and condition keys for AWS services")."""
    name = "".join(part.capitalize() for part in call.operation.split("_"))
    renamed = {"lambda:Invoke": "lambda:InvokeFunction"}
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
    if name.startswith("queue function"):
        # "Creating and configuring an Amazon SQS event source mapping"
        for each in ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"):
            yield Request(each, plan["module.queue.aws_sqs_queue.payment"]["arn"])
        # "Capturing records of Lambda asynchronous invocations"
        yield Request("sqs:SendMessage", plan["module.queue.aws_sqs_queue.failed_starts"]["arn"])


# What a service asks of the key of what it keeps encrypted, in the name of who calls it: "Key management" of SQS,
# "Managing encrypted tables in DynamoDB", "Secret encryption and decryption in AWS Secrets Manager".
_OF_TABLE = ("Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey", "ReEncryptFrom", "ReEncryptTo")
KEY_ACTIONS = {
    "sqs:SendMessage": ("Decrypt", "GenerateDataKey"),
    "sqs:ReceiveMessage": ("Decrypt",),
    "dynamodb:GetItem": _OF_TABLE,
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
    return found


def with_keys(requests: Iterable[Request], plan: Plan) -> Iterator[Request]:
    encrypted = keys(plan)
    for each in requests:
        yield each
        key = encrypted.get(each.resource.partition("/index/")[0])
        for operation in KEY_ACTIONS.get(each.action, ()) if key else ():
            service = each.action.partition(":")[0]
            yield Request(f"kms:{operation}", str(key), {"kms:ViaService": f"{service}.eu-central-1.amazonaws.com"})


# ---- both ways --------------------------------------------------------------------------------------------------


@dataclass
class Compared:
    refused: list[str]
    unused: list[str]


@pytest.fixture(scope="module")
def compared(plans: dict[str, Plan]) -> Compared:
    found = Compared([], [])
    for run in RUNS:
        plan = plans[run]
        used: dict[str, set[tuple[str, str]]] = {}
        policies: dict[str, list[Statement]] = {}
        for name, function in FUNCTIONS.items():
            if function.document not in plan:
                assert (run, name) == ("what_must_be", "benchmark function")
                continue
            policy = policies[function.document] = of_document(plan[function.document])
            asked = [*asked_by_code(function, plan), *asked_by_services(name, function, plan)]
            for request in with_keys(asked, plan):
                used.setdefault(function.document, set()).update(matching(policy, "Allow", request))
                if not allows(policy, request) and (name, request.action) not in EXCEPTIONS:
                    found.refused.append(f"{run}: {name} may not {request.action} on {request.resource}")
        for document, policy in policies.items():
            given = {(each, on) for statement in policy for each in statement["Action"] for on in statement["Resource"]}
            found.unused += [f"{run}: {document}: {each} on {on}" for each, on in given - used[document]]
    return found


def test_no_function_makes_a_call_that_its_role_may_not(
    compared: Compared, bar: Callable[[str, str, str, bool], None]
) -> None:
    bar("calls_without_permission", str(len(compared.refused)), "0", not compared.refused)
    assert compared.refused == []


def test_no_role_may_what_its_function_never_asks(
    compared: Compared, bar: Callable[[str, str, str, bool], None]
) -> None:
    bar("permissions_without_call", str(len(compared.unused)), "0", not compared.unused)
    assert sorted(compared.unused) == []


@pytest.mark.parametrize("package", PACKAGES.FUNCTIONS)
def test_every_operation_of_a_package_is_called_by_one_of_its_functions(package: str, plans: dict[str, Plan]) -> None:
    # Otherwise calls.py has lost sight of one, whose permission nothing would miss.
    entry = PACKAGES.FUNCTIONS[package].handler.rpartition(".")[0]
    is_processor = entry == "handler"
    functions = [each for each in FUNCTIONS.values() if (each.entry == "handler.queue_function") == is_processor]
    called = {(call.service, call.operation) for each in functions for call in calls(each, plans["all_that_may_be"])}
    listed = {
        (service, xform_name(operation))
        for service, operations in PACKAGES.FUNCTIONS[package].operations.items()
        for operation in operations
        if (package, service, operation) not in UNCALLED and operation not in PACKAGES.DURABLE_OPERATIONS
    }
    assert called == listed


def test_every_role_has_the_policy_document_of_its_own_name() -> None:
    # Which one it is given, a plan does not say, where the document's text is left to the apply.
    for path in SOURCE.glob("modules/*/*.tf"):
        for name, body in re.findall(
            r'^resource "aws_iam_role_policy" "(\w+)" \{\n(.*?)^\}', path.read_text(), re.DOTALL | re.MULTILINE
        ):
            index = r"\[each\.key\]" if "for_each" in body else ""
            assert re.search(rf"policy += data\.aws_iam_policy_document\.{name}{index}\.json$", body, re.MULTILINE), (
                path
            )
            assert re.search(rf"role += aws_iam_role\.{name}{index}\.id$", body, re.MULTILINE), path
