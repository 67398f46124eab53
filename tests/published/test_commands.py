"""Every published command with AWS CLI 1 and 2: it works, or is told what AWS wants in AWS's words, and then works."""

import json
import re
import subprocess

import boto3
import pytest

from local.installation import ROOT
from local.system import client
from tests.published.commands import COMMANDS, FOR_VERSION_1, corrected, filled_in
from tests.published.conftest import Shell, counted
from tests.support.processes import wait_for

TABLE = "cloudcafe-payment-transactions-dev"


def status(shell: Shell, payment_id: str) -> str:
    found = client("dynamodb", shell.endpoint_url).get_item(
        TableName=TABLE, Key={"transaction_id": {"S": f"txn-{payment_id}"}}
    )
    return str(found.get("Item", {}).get("status", {}).get("S", ""))


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "monitor"])
def test_a_published_command_works_or_is_told_what_aws_wants(shell: Shell, name: str) -> None:
    command = COMMANDS[name]
    text = filled_in(name, command.published, shell.version)
    if sentence := command.refused.get(shell.version):
        code, _, said = shell.run(text)
        assert code != 0
        assert re.search(sentence, said), said
        text = corrected(text, command.corrected)
    if command.shows:
        code, shown, said = shell.run(text)
        assert code == 0, said
        assert re.search(command.shows, shown), shown
    counted(shell.version)


def test_what_the_sent_payments_and_invocations_ask_for_happens(shell: Shell) -> None:
    wait_for(lambda: {status(shell, "pay-1"), status(shell, "pay-2")} == {"completed"})
    wait_for(lambda: status(shell, "pay-low-001") == "completed")
    # The second CLI meets the payment that the first one's test has approved.
    wait_for(lambda: status(shell, "pay-high-001") in ("pending_approval", "completed"))


def test_monitoring_follows_what_the_function_logs(shell: Shell) -> None:
    command = COMMANDS["monitor"]
    code, _, said = shell.run(command.published)
    assert code != 0
    assert re.search(command.refused[shell.version], said), said
    text = corrected(command.published, command.corrected)
    if shell.version == 1:
        text = corrected(text, FOR_VERSION_1["monitor"])
    follow = subprocess.Popen(
        ["bash", "-c", f"exec {text}"], stdout=subprocess.PIPE, env=shell.variables, cwd=shell.directory, text=True
    )
    assert follow.stdout is not None
    assert any(command.shows in line for line in follow.stdout), "nothing more came, and the line was not there"
    # Version 2 follows until somebody stops it.
    follow.terminate()
    follow.communicate(timeout=30)
    counted(shell.version)


def test_the_published_approval_decides_nothing_and_the_signed_one_lets_the_payment_be_charged(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in shell.variables.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    payment = {
        "payment_id": f"pay-approve-{shell.version}",
        "order_id": "ord-1",
        "customer_id": "cust-1",
        "amount": 9999.99,
        "payment_method": "credit_card",
    }
    (shell.directory / "risky.json").write_text(json.dumps(payment))
    invoke = corrected(COMMANDS["a high-risk payment"].published, (("events/high_risk", "risky"),))
    if shell.version == 1:
        invoke = corrected(invoke, COMMANDS["a high-risk payment"].corrected)
    assert shell.run(invoke)[0] == 0
    table = client("dynamodb", shell.endpoint_url)
    key = {"transaction_id": {"S": f"txn-{payment['payment_id']}"}}

    def waiting() -> str:
        found = table.get_item(TableName=TABLE, Key=key).get("Item", {})
        return str(found.get("callback_id", {}).get("S", ""))

    wait_for(lambda: bool(waiting()))
    lambda_client = boto3.client("lambda", region_name="us-east-1")
    asked = waiting()
    lambda_client.send_durable_execution_callback_success(CallbackId=asked, Result='{"approved": true}')
    # Whoever may send it is nobody's approver: it wakes the workflow, which asks again.
    wait_for(lambda: waiting() not in ("", asked))
    assert status(shell, f"pay-approve-{shell.version}") == "pending_approval"
    code, _, said = shell.run(
        f"payments approvals approve pay-approve-{shell.version} --reason 'called the customer' --yes"
    )
    assert code == 0, said
    wait_for(lambda: status(shell, f"pay-approve-{shell.version}") == "completed")


def test_the_page_has_every_command_as_it_was_printed_each_with_its_row() -> None:
    page = (ROOT / "docs" / "published.md").read_text()
    row = r"\| on AWS \| .*\n.*\n\|(?: .+ \|){4}$"
    parts = re.findall(rf"^## .+\n\n```text\n((?:.*\n)*?)```\n\n{row}", page, re.MULTILINE)
    # Here the loops are two payments long, and wait for nothing.
    shown = [re.sub(r"\n\n  # Wait .*\n(?=done)", "\n", text, flags=re.DOTALL) for text in parts]
    assert [text.replace("{1..1000}", "{1..2}").rstrip() for text in shown] == [
        each.published for each in COMMANDS.values()
    ]
