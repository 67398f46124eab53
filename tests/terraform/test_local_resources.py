"""`local/resources.py` makes the same queues, table and function as Terraform plans, names and settings."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from local.resources import Times
from local.system import CREDENTIALS, REGION, LocalSystem
from tests.terraform.installation import SOURCE, Terraform

# What only AWS has, or only Terraform needs: keys, policies, tags, encryption.
QUEUE = {
    "fifo_queue": "FifoQueue",
    "content_based_deduplication": "ContentBasedDeduplication",
    "deduplication_scope": "DeduplicationScope",
    "fifo_throughput_limit": "FifoThroughputLimit",
    "visibility_timeout_seconds": "VisibilityTimeout",
    "message_retention_seconds": "MessageRetentionPeriod",
    "receive_wait_time_seconds": "ReceiveMessageWaitTimeSeconds",
}


@pytest.fixture(scope="module")
def planned_and_made(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Planned resources by `type.name`, and what the local system made, as its own APIs describe it."""
    folder = tmp_path_factory.mktemp("local")
    (folder / "handler.py").write_text("def lambda_handler(event, context):\n    pass\n")
    with LocalSystem(package=folder, directory=folder, mapping="none") as system:
        sqs, resources, names = system.clients["sqs"], system.resources, system.names
        urls = (resources.queue_url, resources.dead_letter_queue_url, resources.rejected_queue_url)
        made = {
            "queues": {
                url.rsplit("/", 1)[1]: sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
                for url in urls
            },
            "table": system.clients["dynamodb"].describe_table(TableName=names.table)["Table"],
            "function": system.clients["lambda"].get_function_configuration(
                FunctionName=names.function, Qualifier="live"
            ),
        }
        terraform = Terraform(
            folder,
            {
                **CREDENTIALS,
                "AWS_ENDPOINT_URL": system.endpoint_url,
                "AWS_REGION": REGION,
                "AWS_MAX_ATTEMPTS": "2",
                "AWS_EC2_METADATA_DISABLED": "true",
            },
        )
        packages = SOURCE / "tests" / "packages"
        plan = terraform.plan(f"-var=package_directory={packages}", "-var-file=loopback.tfvars")
    found: dict[str, dict[str, Any]] = {}
    modules = [plan["planned_values"]["root_module"]]
    while modules:
        module = modules.pop()
        modules += module.get("child_modules", [])
        found |= {f"{each['type']}.{each['name']}": each.get("values", {}) for each in module.get("resources", [])}
    return found, made


def test_queues_are_terraforms(planned_and_made: tuple[dict[str, dict[str, Any]], dict[str, Any]]) -> None:
    planned, made = planned_and_made
    for name in ("payment", "dead_letter", "rejected"):
        wanted = planned[f"aws_sqs_queue.{name}"]
        found = made["queues"][wanted["name"]]
        for attribute, theirs in QUEUE.items():
            if wanted.get(attribute) is not None:
                assert found[theirs].lower() == str(wanted[attribute]).lower(), (name, attribute)
    redrive = json.loads(made["queues"]["cloudcafe-payment-processing-dev.fifo"]["RedrivePolicy"])
    assert redrive["maxReceiveCount"] == default("max_receive_count")
    assert redrive["deadLetterTargetArn"].endswith(":cloudcafe-payment-processing-dev-dlq.fifo")


def test_the_table_is_terraforms(planned_and_made: tuple[dict[str, dict[str, Any]], dict[str, Any]]) -> None:
    planned, made = planned_and_made
    wanted, found = planned["aws_dynamodb_table.this"], made["table"]
    assert found["TableName"] == wanted["name"]
    assert found["BillingModeSummary"]["BillingMode"] == wanted["billing_mode"]
    assert found["StreamSpecification"]["StreamViewType"] == wanted["stream_view_type"]
    assert {each["AttributeName"]: each["AttributeType"] for each in found["AttributeDefinitions"]} == {
        each["name"]: each["type"] for each in wanted["attribute"]
    }
    assert keys(found) == [wanted["hash_key"]]
    assert {
        (each["IndexName"], *keys(each), each["Projection"]["ProjectionType"])
        for each in found["GlobalSecondaryIndexes"]
    } == {
        (each["name"], each["hash_key"], each["range_key"], each["projection_type"])
        for each in wanted["global_secondary_index"]
    }


def test_the_function_and_its_variables_are_terraforms(
    planned_and_made: tuple[dict[str, dict[str, Any]], dict[str, Any]],
) -> None:
    planned, made = planned_and_made
    wanted, found = planned["aws_lambda_function.this"], made["function"]
    assert found["FunctionName"] == wanted["function_name"]
    assert found["Handler"] == wanted["handler"]
    assert found["MemorySize"] == wanted["memory_size"]
    assert found["Timeout"] == wanted["timeout"]
    assert planned["aws_lambda_alias.live"]["name"] == "live"
    # Unknown before apply as a whole, because of the queues' URLs: so by name, and the times by their defaults.
    root = (SOURCE / "main.tf").read_text()
    ours = found["Environment"]["Variables"]
    assert [name for name in ours if not re.search(rf"\b{name} +=", root)] == []
    for name in Times().variables():
        assert float(ours[name]) == float(default(name.lower().replace("function_timeout", "timeout"))), name


def default(variable: str) -> str:
    """A root variable's default, as written."""
    text = (SOURCE / "variables.tf").read_text()
    found = re.search(rf'variable "{variable}" {{.*?default +=  *(\S+)\n', text, re.DOTALL)
    assert found is not None, variable
    return found[1]


def keys(described: dict[str, Any]) -> list[str]:
    return [each["AttributeName"] for each in described["KeySchema"]]
