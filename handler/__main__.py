"""`python -m handler [EVENT.json ...]`: process sample messages, the published test message where none is given."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import handler
from handler.batch import NotABatchError
from handler.domain.errors import ConfigurationError
from handler.settings import OUTSIDE
from scoring.kernel import EngineUnavailableError

_SAMPLE = {
    "payment_id": "test-123",
    "order_id": "ord-123",
    "customer_id": "cust-456",
    "amount": 25.99,
    "payment_method": "credit_card",
}


def main(arguments: Sequence[str]) -> int:
    """Each file is a queue batch (`Records`) or one message; prints one response each.

    1 where a message comes back, and with the reason on standard error where nothing of an event was processed.
    """
    parser = argparse.ArgumentParser(prog="python -m handler", description=__doc__)
    parser.add_argument("paths", nargs="*", metavar="EVENT.json", help="a queue batch or one message, such as events/")
    failed = False
    try:
        for event in _events(parser.parse_args(arguments).paths):
            batch = event if isinstance(event, dict) and "Records" in event else _batch(event)
            response = handler.lambda_handler(batch, {})
            print(json.dumps(response, indent=2))
            failed = failed or bool(response["batchItemFailures"])
    except (OSError, NotABatchError, EngineUnavailableError) as error:
        print(f"handler: {error}", file=sys.stderr)
        return 1
    except ConfigurationError as error:
        print(f"handler: {error}{_where()}", file=sys.stderr)
        return 1
    return int(failed)


def _events(paths: Sequence[str]) -> list[Any]:
    """What the files hold, all read before the first is processed. Raises OSError naming a file that holds no event."""
    events = []
    for path in paths:
        try:
            events.append(json.loads(Path(path).read_bytes()))
        except ValueError as error:
            raise OSError(f"{path} is no JSON ({error}): give a queue batch or one message, such as events/") from error
    return events or [_SAMPLE]


def _where() -> str:
    """Which variables of the shell, set for the AWS CLI perhaps, say that memory is not meant."""
    outside = ", ".join(name for name in OUTSIDE if os.environ.get(name))
    way = "paste what `make up` prints, or unset them to process in memory"
    return f". Table and queues are outside, as {outside} of this shell say: {way}" if outside else ""


def _batch(message: Any) -> dict[str, Any]:
    return {"Records": [{"body": json.dumps(message)}]}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
