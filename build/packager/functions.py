"""Which functions are packaged, and what each one is made of: its entry, its lock file, what it leaves out.

The rule it keeps: what a function does not run, it does not ship.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from packager.locks import PROCESSOR, WORKFLOW, Lock

# Lambda's name of an architecture -> the wheel's and the ELF file's.
ARCHITECTURES = {"arm64": "aarch64", "x86_64": "x86_64"}
ENGINES = ("compiled", "pure")
# What the queue function stands on: a package has one of them, and SUPPORT must name it.
SUPPORTS = ("lean", "standard")
DEFAULT_RUNTIME = "python3.13"


@dataclass(frozen=True)
class Function:
    """One Lambda function's package."""

    archive: str
    """Its ZIP is `dist/<archive>-<architecture>-<engine>.zip`."""
    handler: str
    support: str
    """Of SUPPORTS."""
    lock: Lock | None
    """What it ships beside our own code; None: nothing."""
    excluded: tuple[str, ...]
    """Our paths that it does not ship: what only operators run, and what only the other function does."""
    operations: Mapping[str, tuple[str, ...]]
    """Service -> the operations called. botocore's models are cut to these, so any other call is an AttributeError."""


@dataclass(frozen=True)
class Target:
    """One ZIP: for which function, architecture (Lambda's name), engine and runtime."""

    function: Function
    architecture: str
    engine: str
    runtime: str

    @property
    def stem(self) -> str:
        return f"{self.function.archive}-{self.architecture}-{self.engine}"

    @property
    def size_name(self) -> str:
        """Its name in build/sizes.json: a package of the reference has the same file name as the lean one."""
        is_reference = self.function.archive == PROCESSOR_ARCHIVE and self.function.support == "standard"
        return f"{self.stem}-standard" if is_reference else self.stem


PROCESSOR_ARCHIVE = "payment-processor"
# What each function's part of handler/ calls, and the durable execution SDK by itself.
PROCESSOR_OPERATIONS = {
    "dynamodb": ("GetItem", "PutItem", "Query", "TransactWriteItems", "UpdateItem"),
    "lambda": ("Invoke",),
    "secretsmanager": ("GetSecretValue",),
    "sqs": ("ChangeMessageVisibilityBatch", "SendMessage"),
}
DURABLE_OPERATIONS = ("CheckpointDurableExecution", "GetDurableExecutionState")
WORKFLOW_OPERATIONS = PROCESSOR_OPERATIONS | {
    "dynamodb": (
        *PROCESSOR_OPERATIONS["dynamodb"],
        *("DescribeExport", "DescribeTable", "ExportTableToPointInTime"),
    ),
    "kms": ("GenerateMac", "VerifyMac"),
    "lambda": ("GetDurableExecution", "Invoke", "SendDurableExecutionCallbackSuccess", *DURABLE_OPERATIONS),
    "events": ("PutEvents",),
    "s3": ("GetObject", "PutObject"),
    "sns": ("Publish", "PublishBatch"),
    "sqs": ("ChangeMessageVisibilityBatch", "SendMessage", "SendMessageBatch"),
}
_OPERATORS = (
    "handler/__main__.py",
    "handler/adapters/approval/decision_api.py",
    "handler/adapters/events/stream.py",
)
# The workflow's ZIP is its page's, its reconciler's, that of events, webhook and conservation too. The processor starts
# a workflow and knows no more of it; it parks a payment, and what is done with it then is reconcile's and the
# operators'; whom its items are told to, and who tells of them, it does not know.
_APPROVALS = (
    "handler/adapters/approval/evidence.py",
    "handler/adapters/approval/executions.py",
    "handler/adapters/approval/notices.py",
    "handler/adapters/approval/page.py",
    "handler/adapters/approval/signing.py",
    "handler/adapters/approval/support.py",
    "handler/adapters/conservation.py",
    "handler/adapters/table/approval_log.py",
    "handler/adapters/table/approval_writes.py",
    "handler/adapters/events/",
    "handler/adapters/webhook/",
    "handler/adapters/table/export.py",
    "handler/adapters/table/forget_writes.py",
    "handler/adapters/table/later_writes.py",
    "handler/adapters/table/parking_log.py",
    "handler/adapters/table/parking_writes.py",
    "handler/approval_composition.py",
    "handler/approval_page.py",
    "handler/conservation_composition.py",
    "handler/conservation_function.py",
    "handler/domain/approval/",
    "handler/domain/conservation.py",
    "handler/domain/conservation_run.py",
    "handler/domain/forget.py",
    "handler/domain/later.py",
    "handler/domain/outcome_delivery.py",
    "handler/domain/outcome_event.py",
    "handler/domain/parked.py",
    "handler/domain/reasons.py",
    "handler/domain/reconcile.py",
    "handler/domain/record_found.py",
    "handler/domain/refund_event.py",
    "handler/domain/refund_reconcile.py",
    "handler/domain/wake_up.py",
    "handler/event_composition.py",
    "handler/events_function.py",
    "handler/reconcile_function.py",
    "handler/webhook_composition.py",
    "handler/webhook_function.py",
    "handler/workflow.py",
)
_LEAN, _STANDARD = "handler/adapters/support/lean/", "handler/adapters/support/standard.py"


def processor(support: str) -> Function:
    """The queue function on one support: without the other, and the lean one without any dependency."""
    is_lean = support == "lean"
    return Function(
        archive=PROCESSOR_ARCHIVE,
        handler="handler.lambda_handler",
        support=support,
        lock=None if is_lean else PROCESSOR,
        excluded=(*_OPERATORS, *_APPROVALS, _STANDARD if is_lean else _LEAN),
        operations=PROCESSOR_OPERATIONS,
    )


FUNCTIONS = {
    "processor": processor("lean"),
    "workflow": Function(
        archive="payment-workflow",
        handler="handler.workflow.lambda_handler",
        # People's clients and the durable execution SDK stand on boto3 anyway.
        support="standard",
        lock=WORKFLOW,
        excluded=(*_OPERATORS, _LEAN),
        operations=WORKFLOW_OPERATIONS,
    ),
}
