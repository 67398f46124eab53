"""The payment gateway simulator as a process of its own, with its faults ordered.

The rule: it can be killed at any moment; everything that matters is in its file.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from local.faults import POISON
from local.installation import ROOT
from local.process_group import ProcessGroup


class GatewayError(RuntimeError):
    """The payment gateway did not start, or refused an order; the message says which."""


@contextmanager
def running(
    database: Path,
    *,
    seed: int,
    rates: Mapping[str, float],
    planned: Mapping[str, str],
    delay_seconds: float = 0.0,
    calls_per_second: int | None = None,
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The process and its URL, in a process group of its own.

    `rates` are `<call>.<fault>` -> probability; `planned` maps `<call>.<fault>` to the payment that it is ordered for;
    each strikes once, the poison always; a delay takes `delay_seconds`. What is above `calls_per_second` is
    answered 429; None: nothing is. Raises GatewayError.
    """
    command = [sys.executable, "-m", "local.gateway", "--database", str(database), "--seed", str(seed)]
    command += [] if calls_per_second is None else [f"--calls-per-second={calls_per_second}"]
    command += [f"--rate={name}={rate}" for name, rate in rates.items()]
    with ProcessGroup() as processes:
        started = processes.start(command, stdout=subprocess.PIPE, cwd=ROOT)
        assert started.stdout is not None
        with closing(started.stdout), _ended(started):
            line = started.stdout.readline()
            if not line:
                raise GatewayError(f"the payment gateway ended with {started.wait()} before it was ready: see above")
            url = json.loads(line)["url"]
            for name, payment_id in planned.items():
                call, _, fault = name.partition(".")
                order = {"payment_id": payment_id, "call": call, "fault": fault, "seconds": delay_seconds}
                order |= {"times": 1_000_000 if name == POISON else 1}
                _post(f"{url}/_faults", order)
            yield started, url


@contextmanager
def _ended(started: subprocess.Popen[bytes]) -> Iterator[None]:
    """Everything that matters is in the gateway's file; it needs no farewell."""
    try:
        yield
    finally:
        started.kill()
        started.wait()


def _post(url: str, document: dict[str, Any]) -> None:
    parts = urlsplit(url)
    with closing(http.client.HTTPConnection(parts.netloc, timeout=10)) as connection:
        connection.request("POST", parts.path, json.dumps(document))
        answer = connection.getresponse()
        if answer.status != 200:
            raise GatewayError(f"the payment gateway refused {document}: {answer.read().decode()}")
