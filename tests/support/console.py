"""The console of `make up` in front of a system without processes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from handler.adapters.table.expressions import to_attributes
from handler.domain.states import OPEN
from local.console import TOKEN_HEADER, ConsolePage
from local.loopback import ask
from local.resources import Times
from local.status import Status


class Table:
    """The open items of a table, as DynamoDB answers, and the items that were."""

    def __init__(self) -> None:
        self.items: dict[str, dict[str, Any]] = {}
        self.asked: list[int] = []

    def put(self, name: str, status: str, at: int, **more: Any) -> None:
        named = {"transaction_id": f"txn-{name}", "created_at": at, "updated_at": at, "status": status}
        self.items[f"txn-{name}"] = {
            **named,
            "amount": Decimal("49.99"),
            "amount_minor": 4999,
            "currency": "USD",
            "customer_id": "c",
            **more,
        }

    def get_paginator(self, operation: str) -> Any:
        assert operation == "scan"
        return self

    def paginate(self, **asked: Any) -> Iterator[dict[str, Any]]:
        assert asked["IndexName"] == "open-shard-index"
        for item in self.items.values():
            if item["status"] in OPEN:
                yield {"Items": [to_attributes({name: item[name] for name in ("transaction_id", "created_at")})]}

    def batch_get_item(self, RequestItems: dict[str, Any]) -> dict[str, Any]:
        [(name, wanted)] = RequestItems.items()
        self.asked.append(len(wanted["Keys"]))
        assert len(wanted["Keys"]) <= 100
        found = [self.items.get(key["transaction_id"]["S"]) for key in wanted["Keys"]]
        return {"Responses": {name: [to_attributes(item) for item in found if item]}}


class World:
    """A system without processes, behind its console."""

    def __init__(self, folder: Path, gateway_url: str = "") -> None:
        self.table = Table()
        self.events = folder / "events.jsonl"
        self.events.touch()
        self.switched: list[bool] = []
        self.killed: list[int] = []
        self.alive: list[Any] = []
        mapping = SimpleNamespace(state="Enabled", switch=lambda *, on: self.switched.append(on))
        self.system: Any = SimpleNamespace(
            clients={"dynamodb": self.table},
            names=SimpleNamespace(table="payments"),
            outcome_events=SimpleNamespace(file=self.events),
            gateway_variables={"GATEWAY_URL": gateway_url} if gateway_url else {"GATEWAY": "simulated"},
            times=Times(),
            status=Status(),
            problems=[],
            mapping=mapping,
            environments=lambda: self.alive,
            kill_environment=self._kill,
        )
        self.console = ConsolePage(self.system, SimpleNamespace(environments=list))  # type: ignore[arg-type]
        self.host = self.console.url.removeprefix("http://").rstrip("/")
        self.port = int(self.host.rpartition(":")[2])
        found = re.search(r'name="token" content="([^"]+)"', self.get("/")[1].decode())
        assert found is not None
        self.own = {"Origin": f"http://{self.host}", TOKEN_HEADER: found[1]}

    def _kill(self, pid: int) -> int:
        self.killed.append(pid)
        return pid

    def get(self, path: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
        return ask(self.port, "GET", path, headers=headers)

    def state(self) -> dict[str, Any]:
        status, body, _ = self.get("/state")
        assert status == 200, body
        return dict(json.loads(body))

    def payments(self) -> dict[str, str]:
        return {row["transaction_id"]: row["status"] for row in self.state()["payments"]}

    def tell(self, name: str, status: str, at: int) -> None:
        event = {"transaction_id": f"txn-{name}", "status": status, "updated_at": at, "amount": "49.99"}
        with self.events.open("a") as file:
            file.write(json.dumps(event | {"currency": "USD"}) + "\n")

    def order(self, body: Any, headers: dict[str, str] | None = None) -> tuple[int, str]:
        own = self.own if headers is None else headers
        status, answer, _ = ask(self.port, "POST", "/faults", json.dumps(body).encode(), own)
        return status, json.loads(answer)["message"]
