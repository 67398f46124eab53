"""`python -m benchmarks webhook`: how long the gateway waits for its answer, with the processor's share of 512 MB.

The shipped function runs behind the local API, in one warm environment whose process is put under the quota of its
memory size; each event is signed anew, is about another payment and must be answered as queued. What the queue takes is
this machine's own stand-in of SQS.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import json
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from benchmarks.coldstart.quota import CpuQuota, QuotaUnavailableError
from benchmarks.measure import Bar, new_record, write_record
from local.approvals.webhook import secret_name
from local.approvals.workflow import Approvals
from local.gateway import process
from local.loopback import ask
from local.system import LocalSystem
from local.webhook import event

MEMORY_SIZE = 512
MS_MAX = 100.0
_WARM = 5


class Sender:
    """Sends signed events to the running system; the milliseconds until each was answered."""

    def __init__(self, system: LocalSystem, approvals: Approvals) -> None:
        environment = system.names.environment
        found = system.clients["secretsmanager"].get_secret_value(SecretId=secret_name(environment))
        self._secret = found["SecretString"].encode()
        self._environment = environment
        self._url = urlsplit(approvals.webhook_url)

    def send(self, number: int) -> float:
        """Raises RuntimeError for an event that was not queued."""
        told = event("payment_intent.succeeded", f"pi_none{number}", f"pay-{number}", self._environment)
        body, now = json.dumps(told).encode(), int(time.time())
        digest = hmac.new(self._secret, f"{now}.".encode() + body, hashlib.sha256).hexdigest()
        started = time.perf_counter()
        status, answer, _ = ask(
            self._url.port or 80, "POST", self._url.path, body, {"Stripe-Signature": f"t={now},v1={digest}"}
        )
        milliseconds = 1000 * (time.perf_counter() - started)
        if status != 200 or json.loads(answer) != {"outcome": "queued"}:
            raise RuntimeError(f"event {number} was answered {status}: {answer.decode()}")
        return milliseconds


def main() -> int:
    """Measure, print and keep the bars; 1 where one was missed, 2 where no processor's share can be given here."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200, help="events that are measured (%(default)s)")
    options = parser.parse_args()
    try:
        with CpuQuota() as quota:
            cold, samples = _measure(options.events, quota)
    except QuotaUnavailableError as error:
        print(error)
        return 2
    print(f"warm at {MEMORY_SIZE} MB: median {statistics.median(samples):.1f} ms, n {len(samples)}")
    print(f"with a cold start before it: {cold:.0f} ms, n 1, whole processor")
    bars = [
        Bar(f"webhook_p{percent}_ms_at_{MEMORY_SIZE}_mb", round(_percentile(samples, percent), 1), MS_MAX)
        for percent in (95, 99)
    ]
    print(*bars, sep="\n")
    figures = {"bars": [bar.as_document() for bar in bars], "cold_ms": cold, "ms": samples, "quota": quota.kind}
    write_record(new_record("webhook.json"), figures)
    return int(not all(bar.ok for bar in bars))


def _percentile(samples: list[float], percent: int) -> float:
    return sorted(samples)[min(len(samples) - 1, percent * len(samples) // 100)]


def _measure(events: int, quota: CpuQuota) -> tuple[float, list[float]]:
    approvals = Approvals()
    with (
        TemporaryDirectory() as folder,
        process.running(Path(folder) / "gateway.sqlite", seed=1, rates={}, planned={}) as (_, gateway_url),
        LocalSystem(gateway_url=gateway_url, variables=approvals.variables, endpoints=approvals.endpoints) as system,
        approvals.running(system),
    ):
        sender = Sender(system, approvals)
        cold = sender.send(0)
        name = f"{approvals.function}-webhook"
        [pid] = [each.pid for each in approvals.environments() if each.function.name == name]
        assert pid is not None
        quota.limit(pid, MEMORY_SIZE)
        for number in range(1, _WARM):
            sender.send(number)
        samples = [sender.send(number) for number in range(_WARM, _WARM + events)]
        still = [each.pid for each in approvals.environments() if each.function.name == name]
        if still != [pid]:
            raise RuntimeError("another environment answered: what was measured had no quota")
        return cold, samples


if __name__ == "__main__":
    raise SystemExit(main())
