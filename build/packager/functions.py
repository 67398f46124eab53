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
DEFAULT_RUNTIME = "python3.13"


@dataclass(frozen=True)
class Function:
    """One Lambda function's package."""

    archive: str
    """Its ZIP is `dist/<archive>-<architecture>-<engine>.zip`."""
    handler: str
    lock: Lock
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


# What each function's part of handler/ calls, and the durable execution SDK by itself.
PROCESSOR_OPERATIONS = {
    "dynamodb": ("GetItem", "PutItem", "Query", "UpdateItem"),
    "lambda": ("Invoke",),
    "secretsmanager": ("GetSecretValue",),
    "sqs": ("ChangeMessageVisibilityBatch", "SendMessage"),
}
DURABLE_OPERATIONS = ("CheckpointDurableExecution", "GetDurableExecutionState")
WORKFLOW_OPERATIONS = PROCESSOR_OPERATIONS | {
    "kms": ("GenerateMac", "VerifyMac"),
    "lambda": ("GetDurableExecution", "Invoke", "SendDurableExecutionCallbackSuccess", *DURABLE_OPERATIONS),
    "sns": ("Publish",),
}
_OPERATORS = ("handler/__main__.py", "handler/cli/")
# The workflow's ZIP is its page's and its reconciler's too. The processor starts a workflow and knows no more of it;
# it parks a payment, and what is done with it then is reconcile's and the operators'.
_APPROVALS = (
    "handler/adapters/approval/executions.py",
    "handler/adapters/approval/notices.py",
    "handler/adapters/approval/page.py",
    "handler/adapters/approval/signing.py",
    "handler/adapters/approval/support.py",
    "handler/adapters/table/approval_log.py",
    "handler/adapters/table/approval_writes.py",
    "handler/adapters/table/parking_log.py",
    "handler/adapters/table/parking_writes.py",
    "handler/approval_composition.py",
    "handler/approval_page.py",
    "handler/domain/approval/",
    "handler/domain/parked.py",
    "handler/domain/reasons.py",
    "handler/domain/reconcile.py",
    "handler/reconcile_function.py",
    "handler/workflow.py",
)
FUNCTIONS = {
    "processor": Function(
        archive="payment-processor",
        handler="handler.lambda_handler",
        lock=PROCESSOR,
        excluded=_OPERATORS + _APPROVALS,
        operations=PROCESSOR_OPERATIONS,
    ),
    "workflow": Function(
        archive="payment-workflow",
        handler="handler.workflow.lambda_handler",
        lock=WORKFLOW,
        excluded=_OPERATORS,
        operations=WORKFLOW_OPERATIONS,
    ),
}
