"""One environment of the proof: a copy of the Terraform root with its own state, and clients that are listened to.

The rule: it makes what its own plan names and two things beside it, an approver's queue and a table's key, and no more.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore.config import Config

from local.installation import BUILD, ROOT
from local.loopback import HOST
from local.run import TIMES
from tests.conformance.record import Calls
from tests.support.payments import body
from tests.terraform.installation import Terraform, changes, plan

FOLDER: Final = BUILD / "conformance"
APPROVER: Final = "conformance@example.com"
# Of a first payment at AWS: a mapping that is new polls after a minute.
SECONDS_MAX: Final = 300.0
SERVICES: Final = (
    "cloudformation", "cloudwatch", "dynamodb", "iam", "kms", "lambda", "logs", "s3", "service-quotas", "sns", "sqs",
    "sts",
)  # fmt: skip


class System:
    """What the steps work on.

    `clients` are boto3 clients by service, `terraform` the copy, `variables` those of every plan, `loopback` whether
    all this is on this machine, `memory_sizes` those to apply one after another (MB).
    """

    def __init__(
        self,
        environment: str,
        *,
        packages: Path,
        architecture: str,
        memory_sizes: tuple[int, ...],
        variables: Mapping[str, str],
        calls: Calls,
    ) -> None:
        """Copy and initialise the root under .build; no call of AWS. Raises TerraformError."""
        self.environment = environment
        self.folder = folder_of(environment)
        self.memory_sizes = memory_sizes
        endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
        self.loopback = urlsplit(endpoint).hostname == HOST
        self._running: list[subprocess.Popen[bytes]] = []
        self._outputs: dict[str, Any] = {}
        self.folder.mkdir(parents=True, exist_ok=True)
        self.terraform = Terraform(self.folder, start=self._start)
        given = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
        nobodys = ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_EC2_METADATA_DISABLED")
        kept = {name: value for name, value in self.terraform.environment.items() if name not in nobodys}
        self.terraform.environment = kept | given
        session = botocore.session.Session()
        calls.hear(session)
        self.session = boto3.Session(botocore_session=session)
        # boto3 does not read AWS_REGION, which Terraform and Lambda do.
        self.region = os.environ.get("AWS_REGION") or self.session.region_name
        config = Config(read_timeout=120, retries={"total_max_attempts": 3})
        self.clients: dict[str, Any] = {
            name: self.session.client(name, region_name=self.region, config=config) for name in SERVICES
        }
        # Of a run that was cut off: what it was given, its removal needs too.
        given_to = self.folder / "variables.json"
        variables = {**(json.loads(given_to.read_text()) if given_to.exists() else {}), **variables}
        given_to.write_text(json.dumps(variables))
        prefix = variables.get("name_prefix", "")
        self.inbox = f"{prefix}conformance-inbox-{environment}"
        self.key_alias = f"alias/{prefix}conformance-{environment}"
        self.variables = {
            "environment": environment,
            "gateway": "simulated",
            "package_directory": str(packages),
            "architecture": architecture,
            "memory_size": "512",
            "deletion_protection": "true",
            "log_retention_days": "1",
            "maximum_concurrency": "2",
            # What comes back comes back in seconds there.
            **(_times() if self.loopback else {}),
            **variables,
        }

    # ---- Terraform ------------------------------------------------------------------------------------------------

    def flags(self, **changed: str | None) -> list[str]:
        """Flags of a plan with some variables changed for good; None takes one out."""
        for name, value in changed.items():
            if value is None:
                self.variables.pop(name, None)
            else:
                self.variables[name] = value
        files = ["-var-file=loopback.tfvars"] if self.loopback else []
        return [*files, *(f"-var={name}={value}" for name, value in self.variables.items())]

    def planned(self) -> dict[str, Any]:
        """The plan of what is there beside what is wanted, as Terraform's JSON."""
        return plan(self.terraform, "-input=false", *self.flags(), *self.held(), workspace=self.environment)

    def changes(self) -> list[str]:
        """Addresses that a plan would change."""
        return sorted(changes(self.planned(), everything=not self.loopback))

    def apply(self, *, shares: str = "", hold_seconds: float = 0, **changed: str | None) -> str:
        """As `make apply`: Terraform publishes, then the procedure moves `live`; returns what that printed."""
        self.publish("--proven", changed=changed)
        return self.script("deploy", "--published", "--shares", shares, "--hold", f"{hold_seconds:g}")

    def publish(
        self, held: str = "--held", *, targets: Sequence[str] = (), changed: Mapping[str, str | None] | None = None
    ) -> str:
        """`terraform apply` that leaves `live` where it is; returns what Terraform printed."""
        flags = [*self.flags(**(changed or {})), *self.held(held), *(f"-target={one}" for one in targets)]
        # What was asked for the flags is of the time before.
        self._outputs = {}
        return self.terraform.run("apply", "-auto-approve", "-input=false", *flags, workspace=self.environment)

    def held(self, how: str = "--held") -> list[str]:
        return self.script("deploy", how).split()

    def destroy(self, *, expect: int = 0) -> str:
        flags = self.flags()
        return self.terraform.run(
            "destroy", "-auto-approve", "-input=false", *flags, workspace=self.environment, expect=expect
        )

    def resources(self) -> dict[str, dict[str, Any]]:
        """Every managed resource of the state: its attributes by its address."""
        return self.terraform.resources(self.environment)

    def outputs(self) -> dict[str, Any]:
        """The outputs' values by name, as the last apply left them."""
        self._outputs = self._outputs or self.terraform.outputs(self.environment)
        return self._outputs

    def script(self, name: str, *arguments: str, code: int = 0) -> str:
        """What a script of build/ prints for the environment, as make calls it; it must end with `code`."""
        made = json.dumps({each: {"value": value} for each, value in self.outputs().items()})
        script = str(ROOT / "build" / f"{name}.py")
        return self._run(
            [sys.executable, script, "--environment", self.environment, "--outputs", made, *arguments], code
        )

    def command(self, *arguments: str) -> str:
        """What the command `payments` prints for the environment, with the variables of output `commands`."""
        outputs = self.outputs()
        own = {
            "ENVIRONMENT": self.environment,
            "DYNAMODB_TABLE": outputs["table_name"],
            "APPROVAL_FUNCTION_ARN": outputs["approval_alias_arn"],
            "PAYMENT_QUEUE_URL": outputs["queue_url"],
            "APPROVAL_PAGE_URL": outputs["approval_page_url"],
        }
        return self._run([sys.executable, "-m", "operations", *arguments], 0, own)

    def _run(self, command: list[str], code: int, variables: Mapping[str, str] | None = None) -> str:
        environment = {**self.terraform.environment, **(variables or {})}
        process = self._start(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said = process.communicate()[0].decode(errors="replace")
        if process.returncode != code:
            # Without the outputs, which are long.
            shown = " ".join(word for word in command[1:] if not word.startswith("{"))
            raise RuntimeError(f"`{shown}` ended with {process.returncode}: {said}")
        return said

    def _start(self, command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        # A group of its own: a Ctrl-C reaches us alone, and Terraform is asked to end, once, with its state written.
        process = subprocess.Popen(command, process_group=0, stdin=subprocess.DEVNULL, **options)
        self._running = [one for one in self._running if one.poll() is None] + [process]
        return process

    def settle(self) -> None:
        """Ask what still runs to end, and wait until it has: a state that is written is one that can be destroyed."""
        for process in self._running:
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGINT)
                process.wait()
        self._running = []

    # ---- payments -------------------------------------------------------------------------------------------------

    def send(self, payment_id: str, queue: str = "queue_url", **fields: Any) -> None:
        """Send one payment, in a message group of its own."""
        self.clients["sqs"].send_message(
            QueueUrl=self.outputs()[queue],
            MessageBody=body(payment_id=payment_id, payment_token="pm_card_visa", **fields),
            MessageGroupId=payment_id,
        )

    def status(self, payment_id: str) -> str:
        """The status of a payment's item; empty where there is none."""
        return str(self.item(payment_id).get("status", {}).get("S", ""))

    def item(self, payment_id: str) -> dict[str, Any]:
        key = {"transaction_id": {"S": f"txn-{payment_id}"}}
        found = self.clients["dynamodb"].get_item(TableName=self.outputs()["table_name"], Key=key, ConsistentRead=True)
        return dict(found.get("Item", {}))

    def becomes(self, payment_id: str, wanted: str, seconds: float = SECONDS_MAX) -> str:
        """Wait until a payment has a status; returns the one that it has in the end."""
        self.until(lambda: self.status(payment_id) == wanted, seconds)
        return self.status(payment_id)

    def until(self, holds: Callable[[], bool], seconds: float = SECONDS_MAX) -> bool:
        """Wait until something holds; whether it did."""
        deadline = time.monotonic() + seconds
        while not (held := holds()) and time.monotonic() < deadline:
            time.sleep(0.3 if self.loopback else 5.0)
        return held

    def waiting(self, queue: str = "queue_url", states: Sequence[str] = ("", "NotVisible")) -> int:
        """Messages on a queue, NotVisible those in a worker's hands; what AWS says is approximate."""
        names = [f"ApproximateNumberOfMessages{state}" for state in states]
        found = self.clients["sqs"].get_queue_attributes(QueueUrl=self.outputs()[queue], AttributeNames=names)
        return sum(int(count) for count in found["Attributes"].values())

    def alarm(self, name: str) -> str:
        """The state of an alarm of the queue function."""
        full = f"{self.outputs()['function_name']}-{name}"
        found = self.clients["cloudwatch"].describe_alarms(AlarmNames=[full])["MetricAlarms"]
        return str(found[0]["StateValue"]) if found else "missing"

    # ---- what an approver has -------------------------------------------------------------------------------------

    def make_inbox(self) -> None:
        """The queue that takes the approver's mail, before the first apply, which is told its ARN."""
        sqs = self.clients["sqs"]
        url = sqs.create_queue(QueueName=self.inbox)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": arn,
            "Condition": {"StringEquals": {"aws:SourceAccount": arn.split(":")[4]}},
        }
        policy = {"Version": "2012-10-17", "Statement": [statement]}
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
        endpoints = {APPROVER: {"protocol": "sqs", "endpoint": arn}}
        approvers = [APPROVER, self.clients["sts"].get_caller_identity()["Arn"]]
        self.variables["approval_workflow"] = json.dumps({"approvers": approvers, "endpoints": endpoints})

    def link(self) -> str:
        """The next link that the approver gets; raises TimeoutError."""
        sqs, deadline = self.clients["sqs"], time.monotonic() + SECONDS_MAX
        url = sqs.get_queue_url(QueueName=self.inbox)["QueueUrl"]
        while time.monotonic() < deadline:
            for message in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5).get("Messages", []):
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                # Other mail tells how payments ended.
                if found := re.search(r"https?://\S+\?t=\S+", json.loads(message["Body"])["Message"]):
                    return found[0]
        raise TimeoutError("nobody was asked: no link came")

    def visit(self, url: str, form: str | None = None) -> tuple[int, str]:
        """One request to the approval page; with a form a decision."""
        parts = urlsplit(url)
        headers = {"Host": parts.netloc, "Content-Type": "application/x-www-form-urlencoded"}
        # On this machine the services answer to a name that no resolver knows.
        connection = (
            http.client.HTTPConnection(urlsplit(os.environ["AWS_ENDPOINT_URL"]).netloc, timeout=30)
            if self.loopback
            else http.client.HTTPSConnection(parts.netloc, timeout=30)
        )
        with closing(connection):
            path = parts.path if form else f"{parts.path}?{parts.query}"
            connection.request("POST" if form else "GET", path, form, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def switch_durable_mode_on(self) -> None:
        """What ministack asks for beside the DurableConfig of AWS: a field of the preview, which boto3 refuses."""
        function = self.outputs()["approval_alias_arn"].split(":")[6]
        with closing(http.client.HTTPConnection(urlsplit(os.environ["AWS_ENDPOINT_URL"]).netloc, timeout=30)) as one:
            path = f"/2015-03-31/functions/{function}/configuration"
            one.request("PUT", path, json.dumps({"DurableConfig": {"Enabled": True}}))
            if (status := one.getresponse().status) != 200:
                raise RuntimeError(f"ministack's durable mode: {status}")


def _times() -> dict[str, str]:
    times = {name.lower(): value for name, value in TIMES.variables().items()}
    return {"timeout_seconds": times.pop("function_timeout_seconds"), **times}


def folder_of(environment: str) -> Path:
    """Where the copy, its state and the record of a run are, until everything is removed."""
    return FOLDER / environment
