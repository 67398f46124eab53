"""The queue function leaves the same items with the compiled engine as with the pure one."""

import json
import random
from typing import Any

import pytest

from handler.queue_function import create
from scoring.kernel import describe, load_engine

# What may differ between two runs of one engine, too: times, ids of the environment, and the engine's own name.
OF_THE_RUN = {"created_at", "updated_at", "processed_at", "first_tried_at", "lease_until", "owner", "engine"}
OF_THE_GATEWAY = {"timestamp", "authorization_code"}
DESCRIPTIONS = [
    "",
    "two coffees",
    "GIFT CARD, urgent",
    "p.o. box 9",
    "card 4111 1111 1111 1111",
    "naïve \U0001f4b3",
    "test",
]
EMAILS = ["ann@example.com", "x@mailinator.com", "Bob@Sub.Mailinator.com", ""]


class Context:
    def __init__(self, number: int) -> None:
        self.aws_request_id = f"request-{number}"

    def get_remaining_time_in_millis(self) -> int:
        return 30_000


def batches() -> list[dict[str, Any]]:
    draw = random.Random(4)
    records = []
    for number in range(120):
        payment = {
            "payment_id": f"pay-{number}",
            "order_id": f"order-{number}",
            "customer_id": f"customer-{draw.randrange(9)}",
            "customer_name": draw.choice(["Ann Example", "test", "Bob"]),
            "customer_email": draw.choice(EMAILS),
            "amount": draw.choice([0.01, 25.99, 100, 499.99, 666.66, 666.67, 9999.5, 10000.01]),
            "payment_method": "credit_card",
            "description": draw.choice(DESCRIPTIONS),
            "billing_address": {
                "street": f"{number} Long Street",
                "city": "Springfield",
                "state": "IL",
                "zip": "62701",
            },
        }
        attributes = {"MessageGroupId": f"group-{number % 7}", "SequenceNumber": f"{number:020}"}
        records.append({"messageId": f"message-{number}", "body": json.dumps(payment), "attributes": attributes})
    return [{"Records": records[first : first + 10]} for first in range(0, len(records), 10)]


def items(engine: str) -> dict[str, Any]:
    """Every item after all batches, without what belongs to the run."""
    function = create({"SCORING_ENGINE": engine, "FRAUD_ITERATIONS": "40"})
    assert describe()["engine"] == engine
    for number, batch in enumerate(batches()):
        function(batch, Context(number))
    kept = {}
    for key, item in function._services.ports.log._client.items.items():  # type: ignore[attr-defined]
        kept[key] = {name: value for name, value in item.items() if name not in OF_THE_RUN}
        if response := kept[key].get("gateway_response"):
            kept[key]["gateway_response"] = {k: v for k, v in response["M"].items() if k not in OF_THE_GATEWAY}
    return kept


def test_compiled_and_pure_leave_the_same_items(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SCORING_KERNEL", raising=False)
    compiled, pure = items("compiled"), items("pure")
    load_engine("auto", "auto")
    assert len(compiled) == 120
    assert {item["status"]["S"] for item in pure.values()} >= {"completed", "pending_approval", "rejected"}
    assert any(len(item["risk_reasons"]["L"]) > 1 for item in pure.values() if "risk_reasons" in item)
    assert compiled == pure
