"""`python -m benchmarks approvals`: what the workflow's parallel checks save, and how long a low-risk payment takes.

Both checks are made to wait, as services do, for the same time in the parallel and in the sequential variant; the
SDK's own runner executes both in turn. A low-risk payment is also sent through the whole local system, from the
asynchronous start to its final item. Every sample must end as `completed`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import dataclass, replace
from typing import Any

from aws_durable_execution_sdk_python.config import JitterStrategy
from aws_durable_execution_sdk_python_testing import DurableFunctionTestRunner

import handler.workflow
from benchmarks.measure import Bar, new_record, paired_ratio, write_record
from handler.adapters.approval.notices import LoggedNotices
from handler.approval_composition import compose_workflow
from handler.domain.approval.steps import assess, verify_customer
from handler.domain.payment import Assessment, Payment
from handler.workflow import Workflow, journal
from local.approvals.workflow import Approvals, durable_client
from local.installation import ROOT
from local.system import LocalSystem

# The module whose check is made to wait.
_WORKFLOW: Any = handler.workflow
# It is published that running both at once takes about 40 % off the two.
SAVING_MIN = 0.35
LOW_RISK_SECONDS_MAX = 1.0


@dataclass
class SlowScoring:
    """The fraud check as a service that takes `seconds` to answer."""

    scoring: Any
    seconds: float

    def find_card_numbers(self, texts: Any) -> Any:
        return self.scoring.find_card_numbers(texts)

    def score_batch(self, payments: Any) -> list[Assessment]:
        time.sleep(self.seconds)
        return self.scoring.score_batch(payments)  # type: ignore[no-any-return]


class Sequential(Workflow):
    """The same steps, one after the other."""

    def _check(self, canonical: str, context: Any) -> tuple[dict[str, Any] | None, bool]:
        fraud = context.step(lambda _: self._assessed(canonical), "fraud-check", self._persistent())
        verified = context.step(
            lambda _: _WORKFLOW.verify_customer(self._payment(canonical)),
            "customer-verification",
            self._persistent(),
        )
        return fraud, verified

    def _assessed(self, canonical: str) -> dict[str, Any]:
        return journal(assess(self._payment(canonical), self.ports.payments.scoring))


def main() -> int:
    """Measure and print the bars; 1 where one was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="samples of each variant (%(default)s)")
    parser.add_argument("--check-seconds", type=float, default=0.5, help="how long each check takes (%(default)s)")
    options = parser.parse_args()

    rules, ports = compose_workflow({"FRAUD_ITERATIONS": "1000"})
    ports = replace(ports, notices=LoggedNotices())
    slow = replace(ports, payments=_with_scoring(ports.payments, options.check_seconds))

    def slow_verification(payment: Payment) -> bool:
        time.sleep(options.check_seconds)
        return verify_customer(payment)

    samples: dict[str, list[float]] = {"low risk": [], "parallel": [], "sequential": []}
    for number in range(options.rounds):
        samples["low risk"].append(_sample(Workflow(rules, ports, JitterStrategy.NONE), f"low-{number}"))
        _WORKFLOW.verify_customer = slow_verification
        try:
            samples["parallel"].append(_sample(Workflow(rules, slow, JitterStrategy.NONE), f"par-{number}"))
            samples["sequential"].append(_sample(Sequential(rules, slow, JitterStrategy.NONE), f"seq-{number}"))
        finally:
            _WORKFLOW.verify_customer = verify_customer
    samples["low risk, local system"] = _through_local_system(options.rounds)
    for name, values in samples.items():
        print(f"{name:<22} median {1000 * statistics.median(values):7.1f} ms, n {len(values)}")
    ratio = paired_ratio(samples["parallel"], samples["sequential"])
    print(f"parallel / sequential {ratio}")
    bars = [
        Bar("approvals-parallel-checks-save", round(1 - ratio.median, 3), SAVING_MIN, at_least=True),
        Bar("approvals-low-risk-seconds", round(statistics.median(samples["low risk"]), 3), LOW_RISK_SECONDS_MAX),
    ]
    local = statistics.median(samples["low risk, local system"])
    bars.append(Bar("approvals-low-risk-local-seconds", round(local, 3), LOW_RISK_SECONDS_MAX))
    for bar in bars:
        print(bar)
    write_record(new_record("approvals.json"), {"bars": [bar.as_document() for bar in bars], "seconds": samples})
    return int(not all(bar.ok for bar in bars))


def _with_scoring(payments: Any, seconds: float) -> Any:
    return payments._replace(scoring=SlowScoring(payments.scoring, seconds))


def _through_local_system(rounds: int) -> list[float]:
    """Seconds from the asynchronous start to the final item, with real processes and a warm environment."""
    approvals = Approvals()
    with (
        LocalSystem(variables=approvals.variables, endpoints=approvals.endpoints) as system,
        approvals.running(system),
    ):
        client, table = durable_client(approvals), system.clients["dynamodb"]

        def pay(payment_id: str) -> float:
            document = json.loads((ROOT / "events" / "low_risk.json").read_text()) | {"payment_id": payment_id}
            key = {"transaction_id": {"S": f"txn-{payment_id}"}}
            started = time.perf_counter()
            client.invoke(
                FunctionName=f"{approvals.function}:live", InvocationType="Event", Payload=json.dumps(document).encode()
            )
            while True:
                system.check()
                item = table.get_item(TableName=system.names.table, Key=key, ConsistentRead=True).get("Item", {})
                if item.get("status", {}).get("S") == "completed":
                    return time.perf_counter() - started
                time.sleep(0.005)

        pay("low-cold")
        return [pay(f"low-warm-{number}") for number in range(rounds)]


def _sample(workflow: Workflow, payment_id: str) -> float:
    """Seconds from start to end of one execution, which must have charged its payment."""
    document = {
        "payment_id": payment_id,
        "order_id": "ord-1",
        "customer_id": "cust-1",
        "amount": 49.99,
        "payment_method": "credit_card",
        "billing_address": {"street": "123 Main St", "city": "Seattle", "state": "WA", "zip": "98101"},
    }
    with DurableFunctionTestRunner(workflow.durable(), poll_interval=0.01) as runner:
        started = time.perf_counter()
        result = runner.run(input=json.dumps(document))
        seconds = time.perf_counter() - started
    if json.loads(result.result or "{}").get("status") != "completed":
        raise RuntimeError(f"{payment_id} did not complete: {result.status} {result.error}")
    return seconds


if __name__ == "__main__":
    raise SystemExit(main())
