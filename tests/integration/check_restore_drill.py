"""The drill of docs/restore.md on this machine: a table is lost, restored to an earlier time, and messages come again.

The real function in its own process, the table over HTTP, and a gateway that has forgotten its keys, as after a day.
Held here: without `RESTORED_AT` a message that comes again is charged twice; with it, it is recorded as it was charged.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from local.gateway.payments import Gateway
from local.gateway.server import GatewayServer
from local.system import LocalSystem
from tests.support.payments import body, record

HOUR_MS = 3_600_000


class Drill:
    """The system, and the gateway whose clock is ours."""

    def __init__(self, system: LocalSystem, gateway: Gateway) -> None:
        self.system = system
        self.gateway = gateway
        self._table = system.clients["dynamodb"]
        self._sent = 0

    def pay(self, *payment_ids: str) -> dict[str, Any]:
        """Deliver a message each, none of which was delivered before."""
        records = []
        for payment_id in payment_ids:
            self._sent += 1
            text = body(payment_id=payment_id, payment_token="pm_card_visa")
            records.append(record(text, f"m-{self._sent}", payment_id))
        outcome = self.system.invoke(json.dumps({"Records": records}).encode())
        assert outcome.error_type is None, outcome
        answer: dict[str, Any] = json.loads(outcome.payload)
        return answer

    def export(self) -> list[dict[str, Any]]:
        pages = self._table.get_paginator("scan").paginate(TableName=self.system.names.table, ConsistentRead=True)
        return [item for page in pages for item in page["Items"]]

    def restore(self, exported: list[dict[str, Any]]) -> None:
        """What a restore to the time of the export leaves."""
        name = self.system.names.table
        for item in self.export():
            self._table.delete_item(TableName=name, Key={"transaction_id": item["transaction_id"]})
        for item in exported:
            self._table.put_item(TableName=name, Item=item)

    def configure(self, **variables: str) -> None:
        """As an apply does: a new version behind the alias."""
        functions, name = self.system.clients["lambda"], self.system.names.function
        found = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
        functions.update_function_configuration(FunctionName=name, Environment={"Variables": {**found, **variables}})
        version = functions.publish_version(FunctionName=name)["Version"]
        functions.update_alias(FunctionName=name, Name="live", FunctionVersion=version)
        # The pool looks at the alias once a second.
        time.sleep(1.1)

    def captures(self, payment_id: str) -> list[str]:
        return [row["ref"] for row in self.gateway.log()["captures"] if row["payment_id"] == payment_id]

    def item(self, payment_id: str) -> tuple[str, str]:
        key = {"transaction_id": {"S": f"txn-{payment_id}"}}
        item = self._table.get_item(TableName=self.system.names.table, Key=key, ConsistentRead=True)["Item"]
        return item["status"]["S"], item["gateway_ref"]["S"]


def test_a_restored_table_charges_twice_without_the_mode_and_once_with_it(tmp_path: Path) -> None:
    now_ms = time.time_ns() // 1_000_000
    clock = [now_ms - 30 * HOUR_MS]
    gateway = Gateway(tmp_path / "gateway.sqlite", clock=lambda: clock[0])
    server = GatewayServer(gateway)
    server.start("gateway")
    try:
        with LocalSystem(mapping="none", gateway_url=server.url, directory=tmp_path / "system") as system:
            drill = Drill(system, gateway)
            drill.pay("before")
            exported = drill.export()
            drill.pay("lost-1", "lost-2")
            charged = {name: drill.captures(name) for name in ("before", "lost-1", "lost-2")}
            assert {name: len(refs) for name, refs in charged.items()} == {"before": 1, "lost-1": 1, "lost-2": 1}
            drill.restore(exported)
            clock[0] = now_ms

            drill.pay("before", "lost-1")
            assert (len(drill.captures("before")), len(drill.captures("lost-1"))) == (1, 2)

            stopped = datetime.now(UTC) - timedelta(hours=2)
            drill.configure(RESTORED_AT=stopped.strftime("%Y-%m-%dT%H:%M:%SZ"))
            answer = drill.pay("before", "lost-2", "new")
            assert (answer["body"]["processed"], answer["batchItemFailures"]) == (3, [])
            assert drill.captures("lost-2") == charged["lost-2"]
            assert drill.item("lost-2") == ("completed", charged["lost-2"][0])
            assert len(drill.captures("new")) == 1
            searched = [row["payment_id"] for row in gateway.log()["requests"] if row["call"] == "search"]
            assert sorted(searched) == ["lost-2", "new"]
    finally:
        server.stop()
        gateway.close()
