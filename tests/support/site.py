"""The local system with its approvals, and what the tests do with it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from handler.adapters.table.expressions import from_attributes
from local.approvals.mail import Link
from local.approvals.workflow import Approvals
from local.installation import ROOT
from local.resources import Times
from local.system import LocalSystem
from tests.support.payments import ADDRESS


class Site:
    """The system with its approvals, and what the tests do with it."""

    def __init__(self, system: LocalSystem, approvals: Approvals) -> None:
        self.system = system
        self.approvals = approvals
        self.links: dict[tuple[str, str], Link] = {}

    def send(self, payment_id: str, amount: str = "9999.99", group: str = "") -> str:
        text = json.dumps(
            {
                "payment_id": payment_id,
                "order_id": "ord-1",
                "customer_id": "cust-1",
                "amount": 0,
                "payment_method": "credit_card",
                "payment_token": "pm_card_visa",
                "billing_address": ADDRESS,
            }
        ).replace('"amount": 0', f'"amount": {amount}')
        self.system.clients["sqs"].send_message(
            QueueUrl=self.system.resources.queue_url, MessageBody=text, MessageGroupId=group or payment_id
        )
        return f"txn-{payment_id}"

    def item(self, key: str) -> dict[str, Any]:
        answer = self.system.clients["dynamodb"].get_item(
            TableName=self.system.names.table, Key={"transaction_id": {"S": key}}, ConsistentRead=True
        )
        return from_attributes(answer.get("Item", {}))

    def until(self, condition: Callable[[], Any], seconds: int = 90) -> Any:
        """Wait for other processes; the bound is for a broken test only."""
        for _ in range(seconds * 10):
            self.system.check()
            found = condition()
            if found:
                return found
            time.sleep(0.1)
        raise AssertionError(f"the condition never held; engine log:\n{self._engine_log()}")

    def _engine_log(self) -> str:
        return (self.system.directory / "approvals" / "engine.log").read_text()[-3000:]

    def asked(self, key: str) -> dict[str, Any]:
        """The item once its approvers were asked."""
        self.until(lambda: "callback_id" in self.item(key))
        return self.item(key)

    def ended(self, key: str) -> dict[str, Any]:
        self.until(lambda: self.item(key).get("status") not in (None, "pending_approval", "processing"))
        return self.item(key)

    def link(self, key: str, approver: str = "alice") -> str:
        def found() -> Link | None:
            self.links |= {(each.transaction_id, each.approver): each for each in self.approvals.mail()}
            return self.links.get((key, approver))

        url: str = self.until(found).url
        return url

    def list_link(self, key: str, approver: str = "alice") -> str:
        """The link to all that waits for an approver, in the message about this payment."""
        self.link(key, approver)
        return self.links[key, approver].list_url

    def payments(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "operations", "approvals", *arguments],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **self.approvals.environment_variables},
            check=False,
        )

    def appoint(self, *approvers: str) -> None:
        """Publish the page with other approvers, as an apply does; executions of the workflow stay on theirs."""
        functions, name = self.system.clients["lambda"], f"{self.approvals.function}-page"
        variables = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
        variables["APPROVERS"] = ",".join(approvers)
        functions.update_function_configuration(FunctionName=name, Environment={"Variables": variables})
        functions.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
        version = functions.publish_version(FunctionName=name)["Version"]
        functions.update_alias(FunctionName=name, Name="live", FunctionVersion=version)


@contextlib.contextmanager
def site(timeout_seconds: float = 86_400, gateway_url: str = "", times: Times | None = None) -> Iterator[Site]:
    approvals = Approvals(timeout_seconds=timeout_seconds)
    with (
        LocalSystem(
            variables=approvals.variables, endpoints=approvals.endpoints, gateway_url=gateway_url, times=times
        ) as system,
        approvals.running(system),
    ):
        yield Site(system, approvals)
