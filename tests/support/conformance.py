"""A system for tests of the proof: no Terraform, and an AWS that has what it is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from botocore.exceptions import ClientError

from local.terraform import TerraformError
from tests.conformance.system import folder_of

ACCOUNT = "123456789012"
CALLER = f"arn:aws:iam::{ACCOUNT}:user/alice"


def planned(**variables: str) -> dict[str, Any]:
    """A first plan as Terraform's JSON: a queue, a table, the workflow's log group, two alarms and a key."""
    values = {"gateway": "simulated", "gateway_url": "", "architecture": "arm64", **variables}
    resources: list[tuple[str, dict[str, str]]] = [
        ("aws_sqs_queue", {"name": "payments-sandbox.fifo"}),
        ("aws_dynamodb_table", {"name": "transactions-sandbox"}),
        ("aws_cloudwatch_log_group", {"name": "/aws/lambda/workflow-sandbox"}),
        ("aws_cloudwatch_metric_alarm", {"alarm_name": "errors-sandbox"}),
        ("aws_cloudwatch_metric_alarm", {"alarm_name": "throttles-sandbox"}),
        ("aws_kms_key", {}),
    ]
    return {
        "variables": {name: {"value": value} for name, value in values.items()},
        "resource_changes": [
            {
                "address": f"{kind}.this[{number}]",
                "mode": "managed",
                "type": kind,
                "change": {"actions": ["create"], "after": attributes},
            }
            for number, (kind, attributes) in enumerate(resources)
        ],
    }


class Client:
    """Every call of every service, by what its arguments name."""

    class meta:
        region_name = "us-east-1"

    def __init__(self, names: set[str]) -> None:
        self._names = names

    def get_caller_identity(self) -> dict[str, str]:
        return {"Account": ACCOUNT, "Arn": CALLER}

    def describe_alarms(self, AlarmNames: list[str]) -> dict[str, list[str]]:
        return {"MetricAlarms": [name for name in AlarmNames if name in self._names]}

    def describe_log_groups(self, logGroupNamePrefix: str) -> dict[str, list[dict[str, str]]]:
        found = [name for name in self._names if name.startswith(logGroupNamePrefix)]
        return {"logGroups": [{"logGroupName": name} for name in found]}

    def __getattr__(self, operation: str) -> Any:
        def call(**named: str) -> dict[str, Any]:
            if not self._names & {value.rpartition(":")[2] for value in named.values()}:
                code = "ValidationError" if operation == "describe_stacks" else "ResourceNotFoundException"
                raise ClientError({"Error": {"Code": code, "Message": "not there"}}, operation)
            return {"QueueUrl": "https://queue", "KeyMetadata": {"KeyId": "key"}}

        return call


class System:
    """What the command works on; `instances` has the last ones made."""

    instances: ClassVar[list[System]] = []
    loopback = False
    region = "us-east-1"
    # What is there before the command begins, and what AWS refuses to remove.
    others: ClassVar[set[str]] = set()
    stuck: ClassVar[set[str]] = set()
    plan = planned()

    def __init__(self, environment: str, **given: Any) -> None:
        self.environment = environment
        self.memory_sizes = given["memory_sizes"]
        self.calls = given["calls"]
        self.variables = dict(given["variables"])
        self.folder: Path = folder_of(environment)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.inbox, self.key_alias = f"inbox-{environment}", f"alias/{environment}"
        self.names = set(self.others)
        self.state: dict[str, dict[str, str]] = {}
        self.did: list[str] = []
        client = Client(self.names)
        services = (
            "cloudformation",
            "cloudwatch",
            "dynamodb",
            "iam",
            "kms",
            "lambda",
            "logs",
            "s3",
            "sns",
            "sqs",
            "sts",
        )
        self.clients = dict.fromkeys(services, client)
        self.instances.append(self)

    def planned(self) -> dict[str, Any]:
        return self.plan

    def apply(self) -> None:
        """A step's: everything of the plan is there."""
        for each in self.plan["resource_changes"]:
            self.state[each["address"]] = {"type": each["type"], **each["change"]["after"]}
            self.names |= set(each["change"]["after"].values())

    def resources(self) -> dict[str, dict[str, str]]:
        return self.state

    def settle(self) -> None:
        self.did.append("settle")

    def publish(self, **given: Any) -> str:
        self.did.append(f"publish {self.variables['deletion_protection']} {' '.join(given.get('targets', ()))}".strip())
        if self.stuck and not given:
            raise TerraformError("`terraform apply` ended with 1: what it failed on before")
        return ""

    def destroy(self) -> str:
        self.did.append("destroy")
        self.names &= self.stuck | self.others
        self.state = {address: each for address, each in self.state.items() if self.names & set(each.values())}
        if self.state:
            raise TerraformError("`terraform destroy` ended with 1: AWS refuses it")
        return ""
