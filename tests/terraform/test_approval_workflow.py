"""The approval workflow's module applied to ministack on its own; new code beside executions that wait for a person."""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.ministack import Ministack
from local.process_group import ProcessGroup
from local.resources import zipped
from local.system import CREDENTIALS, REGION, client, host_package
from tests.terraform.installation import Terraform, init_flags
from tests.terraform.loopback import ARCHITECTURE, RUNTIME

ACCOUNT = "000000000000"
NAME = "payment-processor-dev"
CONFIGURATION = f"""
variable "package" {{
  type = string
}}

module "code_bucket" {{
  source        = "../modules/code_bucket"
  name          = "cloudcafe-code-dev"
  force_destroy = true
  tags          = {{}}
}}

module "approval_workflow" {{
  source                        = "../modules/approval_workflow"
  environment                   = "dev"
  package                       = {{ path = var.package, source_code_hash = filebase64sha256(var.package) }}
  code_bucket                   = module.code_bucket.bucket_name
  architecture                  = "{ARCHITECTURE}"
  runtime                       = "{RUNTIME}"
  memory_size                   = 512
  timeout_seconds               = 30
  environment_variables         = {{ ENVIRONMENT = "dev" }}
  approvers                     = ["alice@example.com"]
  approval_timeout_seconds      = 86400
  retention_days                = 14
  fraud_service_failure_rate    = 0
  table_arn                     = "arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/cloudcafe-payment-transactions-dev"
  table_kms_key_arn             = null
  rejected_queue_arn            = "arn:aws:sqs:{REGION}:{ACCOUNT}:rejected.fifo"
  raw_messages_key_arn          = "arn:aws:kms:{REGION}:{ACCOUNT}:key/1"
  fingerprint_pepper_secret_arn = null
  alarm_topic_arn               = "arn:aws:sns:{REGION}:{ACCOUNT}:alarms"
  log_retention_days            = 30
  tags                          = {{}}
}}

output "live_version" {{
  value = module.approval_workflow.live_version
}}

output "page_url" {{
  value = module.approval_workflow.page_url
}}
"""


class Applied:
    """The module on ministack, applied with the first of two packages that differ in one file."""

    def __init__(self, folder: Path) -> None:
        self.processes = ProcessGroup()
        self.services = Ministack(self.processes, folder)
        self.functions: Any = client("lambda", self.services.url)
        first = zipped(host_package(folder / "workflow", function="workflow"))
        second = io.BytesIO(first)
        with zipfile.ZipFile(second, "a") as archive:
            archive.writestr("handler/release.txt", "2")
        self.packages = [folder / "first.zip", folder / "second.zip"]
        for path, content in zip(self.packages, (first, second.getvalue()), strict=True):
            path.write_bytes(content)
        environment = {
            "AWS_ENDPOINT_URL": self.services.url,
            "AWS_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "2",
            **CREDENTIALS,
        }
        self.terraform = Terraform(folder, environment).inside("approvals")
        (self.terraform.folder / "main.tf").write_text(CONFIGURATION)
        self.terraform.run("init", *init_flags(locked=False))
        self.apply(0)

    def apply(self, number: int) -> None:
        self.terraform.run("apply", "-auto-approve", f"-var=package={self.packages[number]}")

    def code_behind(self, qualifier: str) -> str:
        found = self.functions.get_function_configuration(FunctionName=NAME, Qualifier=qualifier)
        return str(found["CodeSha256"])

    def sha256(self, number: int) -> str:
        return base64.b64encode(hashlib.sha256(self.packages[number].read_bytes()).digest()).decode()


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Applied]:
    found = Applied(tmp_path_factory.mktemp("approvals"))
    yield found
    found.services.stop()
    found.processes.stop()


def test_new_code_goes_behind_live_and_the_version_that_executions_wait_on_stays(applied: Applied) -> None:
    first = applied.terraform.outputs()["live_version"]
    assert applied.code_behind("live") == applied.sha256(0)

    applied.apply(1)
    second = applied.terraform.outputs()["live_version"]
    assert second != first
    assert applied.code_behind("live") == applied.sha256(1)
    # What the stack replaced is retained: an execution that waits on it can still be resumed.
    assert applied.code_behind(first) == applied.sha256(0)
    versions = applied.functions.list_versions_by_function(FunctionName=NAME)["Versions"]
    assert {first, second} <= {version["Version"] for version in versions}
    assert applied.terraform.outputs()["page_url"].endswith("/approvals")
