"""`python -m handler [EVENT.json ...]`: process sample messages, the published test message where none is given."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import handler

_SAMPLE = {
    "payment_id": "test-123",
    "order_id": "ord-123",
    "customer_id": "cust-456",
    "amount": 25.99,
    "payment_method": "credit_card",
}


def main(paths: list[str]) -> int:
    """Each file is a queue batch (`Records`) or one message; prints one response each. Returns the exit code."""
    events = [json.loads(Path(path).read_text()) for path in paths] or [_SAMPLE]
    failed = False
    for event in events:
        batch = event if "Records" in event else {"Records": [{"body": json.dumps(event)}]}
        response = handler.lambda_handler(batch, {})
        print(json.dumps(response, indent=2))
        failed = failed or bool(response["batchItemFailures"])
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
