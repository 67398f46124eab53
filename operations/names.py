"""What the queues, functions and log groups of one environment are called, and whether its functions are fed.

The rule it keeps: names follow from the variables that Terraform's output `commands` exports, so that they are right
behind a `name_prefix` too; without them, from the environment alone.
"""

from __future__ import annotations

from typing import Final

from operations.options import Call

#: The functions by role, in the order in which a payment meets them.
ROLES: Final = ("queue", "workflow", "page", "reconcile")


def queue_url(call: Call) -> str:
    """The payment queue's; it is asked for where no variable has it."""
    if url := call.variables["PAYMENT_QUEUE_URL"]:
        return url
    name = f"cloudcafe-payment-processing-{call.variables['ENVIRONMENT']}.fifo"
    return str(call.client("sqs").get_queue_url(QueueName=name)["QueueUrl"])


def beside(url: str, suffix: str) -> str:
    """The queue that stands beside the payment queue: `dlq` or `rejected`."""
    return f"{url.removesuffix('.fifo')}-{suffix}.fifo"


def export_bucket(call: Call, table_arn: str) -> str:
    """The bucket of the table's exports, in whose name its account and its region are."""
    if name := call.variables["EXPORT_BUCKET"]:
        return name
    _, _, _, region, account, _ = table_arn.split(":", 5)
    return f"cloudcafe-exports-{call.variables['ENVIRONMENT']}-{account}-{region}"


def function(call: Call, role: str) -> str:
    """A function's name by its role."""
    named = call.variables["APPROVAL_FUNCTION_ARN"].rpartition(":function:")[2]
    workflow = named.partition(":")[0]
    if role == "queue":
        prefix, found, rest = workflow.rpartition("payment-processor-")
        return f"{prefix}cloudcafe-{found}{rest}"
    return workflow if role == "workflow" else f"{workflow}-{role}"


def log_groups(call: Call) -> list[str]:
    return [f"/aws/lambda/{function(call, role)}" for role in ROLES]


def mapping_states(call: Call, role: str) -> list[str]:
    """The states of the mappings that feed a function behind `live`; raises botocore's errors."""
    pages = call.client("lambda").get_paginator("list_event_source_mappings")
    found = pages.paginate(FunctionName=f"{function(call, role)}:live")
    return [str(each["State"]) for page in found for each in page["EventSourceMappings"]]
