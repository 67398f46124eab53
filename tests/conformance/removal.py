"""Everything of a run away again, however far it came, and what could not be removed said with the line that does.

The rule: each thing is tried whatever became of the others, and only what AWS no longer has counts as removed.
"""

from __future__ import annotations

from collections.abc import Callable

from botocore.exceptions import BotoCoreError, ClientError

from local.terraform import TerraformError
from tests.conformance.names import Name, by_hand, names_of, there
from tests.conformance.system import System

# What refuses a destroy by itself under protection: the table, and buckets that are not empty.
_PROTECTED = ("module.transaction_table", "module.code_bucket", "module.export_bucket")
_PENDING_DAYS_MIN = 7


def remove(system: System, names: set[Name], say: Callable[[str], None] = print) -> list[str]:
    """Remove the environment and what the proof made beside it; returns what is left, each with what removes it.

    `names` are those that the first plan had.
    """
    failed: list[str] = []

    def attempt(what: str, do: Callable[[], object]) -> bool:
        try:
            do()
        except (TerraformError, ClientError, BotoCoreError, RuntimeError) as error:
            failed.append(f"{what}: {error}")
            return False
        return True

    system.settle()
    state: dict[str, dict[str, object]] = {}
    attempt("reading the state", lambda: state.update(system.resources()))
    names = names | names_of((str(each["type"]), each) for each in state.values())
    if state:
        say(f"  removing {len(state)} resources")
        system.variables.pop("rule_table_path", None)
        system.variables["deletion_protection"] = "false"
        if not attempt("switching the protection off", system.publish):
            # Past what the whole apply fails on.
            attempt("switching the table's protection off", lambda: system.publish(targets=_PROTECTED))
        if attempt("terraform destroy", system.destroy):
            # Then it did not matter.
            failed.clear()
    attempt("the approver's queue", lambda: _inbox(system))
    attempt("the table's key", lambda: _key(system))
    left: list[Name] = []
    if not attempt("asking what is left", lambda: left.extend(there(system.clients, names))):
        return failed
    return [*failed, *map(by_hand, left)]


def _inbox(system: System) -> None:
    if there(system.clients, [("aws_sqs_queue", system.inbox)]):
        sqs = system.clients["sqs"]
        sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName=system.inbox)["QueueUrl"])


def _key(system: System) -> None:
    if there(system.clients, [("aws_kms_alias", system.key_alias)]):
        kms = system.clients["kms"]
        key = kms.describe_key(KeyId=system.key_alias)["KeyMetadata"]["KeyId"]
        kms.delete_alias(AliasName=system.key_alias)
        kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=_PENDING_DAYS_MIN)
