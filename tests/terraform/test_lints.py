"""Policies through parliament and the workflow's stack through cfn-lint, each as AWS would get it.

Held here: whatever they find is mended or has its reason in this file. Trust policies are left out: parliament asks
every statement for resources, which none of them has.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from local.installation import environment
from tests.terraform.installation import Plan
from tests.terraform.policies import of_document

STATE_KEY = "/env:/test/payment-processor.tfstate"


@pytest.fixture(scope="module")
def policies(plans: dict[str, Plan]) -> dict[str, dict[str, Any]]:
    """Every policy of the largest plan by its address; a condition's only value is no list, as Terraform writes it."""
    found: dict[str, dict[str, Any]] = {}
    for address, planned in plans["all_that_may_be"].items():
        text = planned.get("policy")
        if "aws_iam_policy_document" in address:
            found[address] = {"Version": "2012-10-17", "Statement": of_document(planned)}
        elif isinstance(text, str) and text.startswith("{"):
            found[address] = json.loads(text)
    found |= {name: json.loads(text) for name, text in plans["all_that_may_be"]["outputs"]["policies"].items()}
    for policy in found.values():
        for statement in policy["Statement"]:
            for keys in statement.get("Condition", {}).values():
                keys |= {
                    key: values[0] for key, values in keys.items() if isinstance(values, list) and len(values) == 1
                }
    return found


def test_parliament_finds_nothing_that_is_not_explained(policies: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    addresses = list(policies)
    for number, policy in enumerate(policies.values()):
        (tmp_path / f"{number}.json").write_text(json.dumps(policy))
    done = run("parliament", "--directory", str(tmp_path), "--json")
    findings = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == (1 if findings else 0), done.stderr
    left = []
    for found in findings:
        address = addresses[int(Path(found["location"]["filepath"]).stem)]
        if found["issue"] == "UNKNOWN_ACTION" and is_newer(found["location"]["string"]):
            continue
        if found["issue"] == "RESOURCE_STAR" and is_explained(address, found["detail"]):
            continue
        # It takes the colon in a state's key, Terraform's own `env:/`, for one of the ARN's.
        if found["issue"] == "RESOURCE_MISMATCH" and STATE_KEY in json.dumps(policies[address]):
            found["detail"] = [each for each in found["detail"] if each["action"] != "s3:GetObject"]
            if not found["detail"]:
                continue
        left.append(f"{address}: {found['issue']}: {found['detail']}")
    assert left == []
    assert len(policies) > 12


def is_explained(address: str, actions: list[str]) -> bool:
    """Whether "*" has its reason.

    A key policy names its own key so, the only form that KMS takes; network interfaces of Lambda are allowed as
    AWSLambdaVPCAccessExecutionRole has them; nobody can list the streams of one table alone.
    """
    return ".aws_kms_key." in address or all(each.startswith(("ec2:", "dynamodb:ListStreams")) for each in actions)


def is_newer(action: str) -> bool:
    """Whether an action is of durable functions, which are younger than parliament's list, and AWS has it."""
    service, _, operation = action.partition(":")
    model = botocore.session.get_session().get_service_model(service)
    return "Durable" in operation and operation in model.operation_names


def test_cfn_lint_finds_nothing_in_the_workflows_stack(plans: dict[str, Plan], tmp_path: Path) -> None:
    for run_name, plan in plans.items():
        template = tmp_path / f"{run_name}.json"
        template.write_text(plan["module.approval_workflow.aws_cloudformation_stack.workflow"]["template_body"])
        done = run("cfn-lint", "--regions", "eu-central-1", "--template", str(template))
        assert (done.returncode, done.stdout) == (0, ""), done.stderr


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(environment("policies") / program), *arguments]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
