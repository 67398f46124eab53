"""docs/runbook.md beside a running system: each of its commands, typed as it is printed, while what it is about is so.

The rule: every section has commands, and each is typed here, or where Terraform makes what it needs (test_loopback.py,
the blocks that begin with "# on AWS"). The protocol's times are those of `make run`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from local.gateway.payments import Gateway
from local.gateway.server import GatewayServer
from local.installation import ROOT
from local.run import TIMES
from local.system import client
from local.up import exports
from tests.published.cli import folder
from tests.support.documents import Step, steps
from tests.support.processes import path_with
from tests.support.reader import Reader
from tests.support.site import Site, site

PAGE = (ROOT / "docs" / "runbook.md").read_text()
BEGIN, *OTHERS = re.split(r"^## ", PAGE, flags=re.MULTILINE)
SECTIONS = {part.split("\n", 1)[0]: part for part in OTHERS}
#: Its errors are what the alarm of that name is about.
FIRST = "Poisoned deployment"
SYMPTOMS = {"High cold start rate", "DynamoDB write errors", "SQS message age increasing"}
CASES = {
    "Gateway outage",
    "Stuck group",
    FIRST,
    "Leaked link",
    "Personal data to be removed",
    "A table restored to a point in time",
}


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    home = tmp_path_factory.mktemp("home")
    gateway = Gateway(home / "gateway.sqlite")
    server = GatewayServer(gateway)
    server.start("gateway")
    try:
        with site(gateway_url=server.url, times=TIMES) as running:
            kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
            terminal = Reader(
                ROOT,
                kept
                | exports(running.system, running.approvals)
                | {
                    "HOME": str(home),
                    "PATH": path_with(folder(2)),
                    "AWS_PAGER": "",
                    "AWS_EC2_METADATA_DISABLED": "true",
                },
            )
            _cause(running, gateway)
            for step in steps(BEGIN):
                terminal.type(step)
            # Its schedule comes after ten minutes.
            terminal.type(
                Step("aws lambda invoke --function-name $WORKFLOW-reconcile:live .build/reconcile.json", "200")
            )
            _poison(running, terminal)
            yield terminal
    finally:
        server.stop()
        gateway.close()


def _cause(running: Site, gateway: Gateway) -> None:
    """Everything that the sections are about, but a deployment."""
    for payment_id, call, fault, times in (
        ("pay-parked", "prepare", "not_json", 5),
        ("pay-stuck", "prepare", "not_json", 5),
        ("pay-outage", "charge", "error_503", 2),
    ):
        gateway.order_fault({"payment_id": payment_id, "call": call, "fault": fault, "times": times})
    for payment_id in ("pay-parked", "pay-outage", "pay-conflict"):
        running.send(payment_id, "49.99")
    running.send("pay-stuck", "49.99", "stuck")
    running.send("pay-behind", "49.99", "stuck")
    for payment_id in ("pay-risky", "pay-leaked"):
        running.send(payment_id)
    running.send("pay-conflict", "59.99")
    queues, found = running.system.clients["sqs"], running.system.resources
    queues.send_message(QueueUrl=found.queue_url, MessageBody='{"amount": 1}', MessageGroupId="nobody")
    queues.send_message(QueueUrl=found.dead_letter_queue_url, MessageBody="{}", MessageGroupId="dead")
    # What anybody may send, and decides nothing, is an alarm of the workflow's.
    asked = running.asked("txn-pay-leaked")["callback_id"]
    durable = client("lambda", running.approvals.endpoint_url)
    durable.send_durable_execution_callback_success(CallbackId=asked, Result="{}")
    with suppress(HTTPError):
        urlopen(Request(running.approvals.webhook_url, b"{}"), timeout=10).close()
    running.ended("txn-pay-parked")


def _poison(running: Site, terminal: Reader) -> None:
    """Publish a setting that no function starts with, move there, and send a payment."""
    functions, name = running.system.clients["lambda"], running.system.names.function
    variables = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    functions.update_function_configuration(FunctionName=name, Environment={"Variables": {**variables, "GATEWAY": ""}})
    version = functions.publish_version(FunctionName=name)["Version"]
    terminal.type(Step(f"make move ENVIRONMENT=dev VERSION={version} SHARES=", "live moved"))
    running.send("pay-poisoned", "49.99")


@pytest.mark.parametrize("heading", [FIRST, *(name for name in SECTIONS if name != FIRST)])
def test_the_commands_of_a_section_show_what_it_says(reader: Reader, heading: str) -> None:
    for step in steps(SECTIONS[heading]):
        reader.type(step)


def test_every_section_has_commands_and_no_symptom_or_case_is_missing() -> None:
    assert {name for name, text in SECTIONS.items() if not steps(text) + steps(text, "sh")} == set()
    assert set(SECTIONS) >= SYMPTOMS | CASES
