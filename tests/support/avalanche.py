"""What Terraform says of a deployed environment, and the function's variables, for tests of the avalanche on AWS."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.avalanche import deployed
from benchmarks.avalanche.deployed import Deployed

QUEUE = "https://sqs.us-east-1.amazonaws.com/000000000000/cloudcafe-payment-processing-{}.fifo"


def outputs(environment: str = "dev", **changes: Any) -> dict[str, Any]:
    values = {
        "queue_url": QUEUE.format(environment),
        "queue_arn": f"arn:aws:sqs:eu-west-1:000000000000:cloudcafe-payment-processing-{environment}.fifo",
        "dead_letter_queue_url": QUEUE.format(f"{environment}-dlq"),
        "table_name": f"cloudcafe-payment-transactions-{environment}",
        "function_name": f"cloudcafe-payment-processor-{environment}",
        "concurrency": {"account": 1000, "mapping": 100, "reserved": None},
        **changes,
    }
    return {name: {"value": value} for name, value in values.items() if value is not ...}


def target(tmp_path: Path, environment: str = "dev", **changes: Any) -> Deployed:
    file = tmp_path / "outputs.json"
    file.write_text(json.dumps(outputs(environment, **changes)))
    return deployed.read_outputs(environment, file)


GOOD = {
    "ENVIRONMENT": "dev",
    "GATEWAY": "simulated",
    "DYNAMODB_TABLE": "cloudcafe-payment-transactions-dev",
    "STRESS_MODE": "cold_start",
}
