"""The lab on AWS: the same columns from the benchmark functions' own REPORT lines.

The rule: only functions that were made for this are invoked, and only with the simulated gateway; what it will cost is
said, and limited, before the first invocation.
"""

from __future__ import annotations

import argparse
import base64
import concurrent.futures
import json
import math
import os
import re
import statistics
import sys
import time
import uuid
from collections.abc import Sequence
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, WaiterError

from benchmarks.coldstart.lambda_report import Report, parse_report
from benchmarks.coldstart.matrix import SAMPLES_P95
from benchmarks.coldstart.prices import costs, read_prices
from benchmarks.coldstart.report import print_table, terminal
from benchmarks.measure import Bar, new_record, write_record
from handler.domain.rules import PRODUCTION
from local.installation import ROOT
from scoring.kernel import ENGINES

_NAME = re.compile(
    rf"([a-z0-9]+-)*cloudcafe-payment-processor-(?P<environment>[a-z0-9-]+)-bench-(?P<engine>{'|'.join(ENGINES)})-(?P<memory>\d+)"
)
# What a cold and a warm invocation may cost at the most, in billed milliseconds, for the estimate alone.
_COLD_MS_MAX, _WARM_MS_MAX = 1_500, 500
_STRESS_MS_MAX = 40_000
_OPERATIONS = 2_000_000
# Of each architecture, best first; a kernel that the processor lacks is an error row.
_KERNELS = {"arm64": ("armv8-2", "armv8-1", "portable-1"), "x86_64": ("shani-2", "shani-1", "portable-1")}
_LOG_SECONDS_MAX = 15


class RefusedError(Exception):
    """The target may not be measured; the message says which function and why."""


class Target:
    """One benchmark function. Raises RefusedError where it must not be measured."""

    def __init__(self, client: Any, logs: Any, configuration: dict[str, Any]) -> None:
        name = configuration["FunctionName"]
        found = _NAME.fullmatch(name)
        if found is None or found["environment"] in PRODUCTION:
            raise RefusedError(f"{name} is no benchmark function of a non-production environment")
        self.variables: dict[str, str] = configuration.get("Environment", {}).get("Variables", {})
        # Not every real gateway needs a URL.
        if self.variables.get("GATEWAY") != "simulated" or self.variables.get("GATEWAY_URL"):
            raise RefusedError(f"{name} may charge real payments: set its GATEWAY to simulated, without GATEWAY_URL")
        if self.variables.get("ENVIRONMENT") in PRODUCTION:
            raise RefusedError(f"{name} says that its environment is {self.variables['ENVIRONMENT']}")
        self._client = client
        self._logs = logs
        self.name = name
        self.engine = found["engine"]
        self.memory_size: int = configuration["MemorySize"]
        # The loopback API reports no init at all; on AWS a report without one was no cold start.
        self.emulated = client is not None and client.meta.endpoint_url.startswith("http://127.0.0.1")
        self.architecture: str = configuration.get("Architectures", ["x86_64"])[0]

    def start_cold(self, **variables: str) -> None:
        """Make the next invocation a cold start: a changed configuration retires every environment."""
        wanted = {**self.variables, **variables, "COLD_START_NONCE": uuid.uuid4().hex}
        self._client.update_function_configuration(FunctionName=self.name, Environment={"Variables": wanted})
        self._client.get_waiter("function_updated_v2").wait(FunctionName=self.name, WaiterConfig={"Delay": 1})

    def restore(self) -> None:
        """Put the variables back as they were found, once the last change is through."""
        self._client.get_waiter("function_updated_v2").wait(FunctionName=self.name, WaiterConfig={"Delay": 1})
        self._client.update_function_configuration(FunctionName=self.name, Environment={"Variables": self.variables})

    def invoke(self) -> Report:
        """One payment. Raises RuntimeError where the function failed or did not process it."""
        started_ms = time.time_ns() // 10**6
        answer = self._client.invoke(FunctionName=self.name, LogType="Tail", Payload=_event())
        payload = json.loads(answer["Payload"].read())
        if "FunctionError" in answer or payload.get("body", {}).get("processed") != 1:
            raise RuntimeError(f"{self.name} answered {json.dumps(payload)[:300]}")
        tail = base64.b64decode(answer["LogResult"]).decode(errors="replace")
        try:
            return parse_report(tail)
        except ValueError:
            # The tail is the last 4 kB of what the function wrote; its report may be in the log group alone.
            return parse_report(self._logged_since(started_ms))

    def _logged_since(self, started_ms: int) -> str:
        """The log group's lines of the one invocation since then, once its report is among them."""
        for _ in range(_LOG_SECONDS_MAX):
            # Any page may be empty although more follow.
            pages = self._logs.get_paginator("filter_log_events").paginate(
                logGroupName=f"/aws/lambda/{self.name}", startTime=started_ms
            )
            lines = "\n".join(event["message"].rstrip("\n") for page in pages for event in page["events"])
            if "REPORT RequestId" in lines or "platform.report" in lines:
                return lines
            time.sleep(1)
        return ""


def _event() -> bytes:
    payment = json.loads((ROOT / "events" / "low_risk.json").read_text())
    payment["payment_id"] = f"lab-{uuid.uuid4().hex[:16]}"
    record = {"messageId": str(uuid.uuid4()), "body": json.dumps(payment), "attributes": {"MessageGroupId": "lab"}}
    return json.dumps({"Records": [record]}).encode()


def targets(client: Any, logs: Any, environment: str, outputs: str = "") -> list[Target]:
    """All benchmark functions of one environment. Raises RefusedError where there are none or one must not be run.

    `outputs` is what `terraform output -json` said, and names them; without, those are found that have no prefix.
    """
    if environment in PRODUCTION:
        raise RefusedError(f"environment {environment} is never measured: use another one's benchmark functions")
    prefix = f"cloudcafe-payment-processor-{environment}-bench-"
    named = json.loads(outputs or "{}").get("benchmark_function_names", {"value": {}})["value"]
    names = list(named.values()) or [
        one["FunctionName"]
        for page in client.get_paginator("list_functions").paginate()
        for one in page["Functions"]
        if one["FunctionName"].startswith(prefix)
    ]
    if others := [name for name in names if prefix not in name]:
        raise RefusedError(f"{others[0]} is not of environment {environment}: make benchmark-aws ENVIRONMENT=...")
    found = [Target(client, logs, client.get_function_configuration(FunctionName=name)) for name in names]
    if not found:
        raise RefusedError(
            f"there is no function {prefix}*: `make apply ENVIRONMENT={environment}` with the variables of "
            "terraform/environments/benchmark.tfvars makes them"
        )
    return sorted(found, key=lambda one: (one.engine, one.memory_size))


def estimate_usd(found: Sequence[Target], cold: int, warm: int, stress: int, prices: dict[str, Any]) -> float:
    """An upper estimate of a whole run in USD, from billed milliseconds that real runs stay below."""
    total = 0.0
    for target in found:
        per_ms = prices["lambda"]["gb_second"][target.architecture] * target.memory_size / 1024 / 1000
        billed_ms = cold * _COLD_MS_MAX + cold * warm * _WARM_MS_MAX + stress * _STRESS_MS_MAX
        total += per_ms * billed_ms + (cold * (1 + warm) + stress) * prices["lambda"]["requests_per_million"] / 1e6
    return total


def measure(target: Target, cold: int, warm: int, stress: int, *, hashing: bool) -> list[dict[str, Any]]:
    """Cold starts of one function, each followed by warm invocations; then its stress init. Restores its variables."""
    taken: list[dict[str, Any]] = []

    def sample(stress_mode: str, warm_count: int, **variables: str) -> None:
        try:
            target.start_cold(**variables)
            first = target.invoke()
            if first.init_ms is None and first.restore_ms is None and not target.emulated:
                raise RuntimeError(f"{target.name} was not cold: its report has no init")
            following = [target.invoke() for _ in range(warm_count)]
        except (ClientError, BotoCoreError, WaiterError, RuntimeError, ValueError) as error:
            taken.append({"function": target.name, "stress_mode": stress_mode, "error": str(error)})
            return
        taken.append(
            {
                "function": target.name,
                "stress_mode": stress_mode,
                "variables": variables,
                "first": vars(first),
                "warm": [vars(one) for one in following],
                "error": "",
            }
        )

    try:
        for _ in range(cold):
            sample("none", warm)
        for _ in range(stress):
            sample("cold_start", 0, STRESS_MODE="cold_start")
        # Inits that differ in their hashing alone: its time inside the function, by kernel, at this memory size. The
        # same time at 128 and 1,769 MB is what "init is not throttled" means.
        for kernel in kernels_of(target) if hashing else ():
            for operations in (0, _OPERATIONS):
                hashing_only = {"STRESS_MODE": "cold_start", "STRESS_DELAY_SECONDS": "0"}
                sample("hashing", 0, **hashing_only, STRESS_OPERATIONS=str(operations), SCORING_KERNEL=kernel)
    finally:
        try:
            target.restore()
        except (ClientError, BotoCoreError, WaiterError) as error:
            left = f"its variables were not put back, do so by hand: {error}"
            taken.append({"function": target.name, "stress_mode": "none", "error": left})
    return taken


def rows(found: Sequence[Target], samples: Sequence[dict[str, Any]], prices: dict[str, Any]) -> list[dict[str, Any]]:
    """The lab's columns; what REPORT lines do not have (CPU time, the empty function) is None."""
    result = []
    for target in found:
        for stress_mode in ("none", "cold_start"):
            mine = [
                one
                for one in samples
                if one["function"] == target.name and one["stress_mode"] == stress_mode and not one["error"]
            ]
            if not mine:
                continue
            init = [one["first"]["init_ms"] or one["first"]["restore_ms"] or 0.0 for one in mine]
            first = [one["first"]["duration_ms"] for one in mine]
            warm = [report["duration_ms"] for one in mine for report in one["warm"]]
            row = {
                "variant": target.engine,
                "engine": target.engine,
                "kernel": "",
                "package": "packaged",
                "memory_size": target.memory_size,
                "stress_mode": stress_mode,
                "samples": {"init": len(mine), "invocations": len(first)},
                "init_cpu_ms": {"p50": None, "min": None},
                "init_ms": {"p50": statistics.median(init), "p95": _p95(init)},
                "first_invocation_ms": {"p50": statistics.median(first), "p95": _p95(first)},
                "warm_ms": {"p50": statistics.median(warm) if warm else None},
                "billed_ms": {
                    "cold": statistics.median(one["first"]["billed_ms"] for one in mine),
                    "warm": statistics.median(report["billed_ms"] for one in mine for report in one["warm"])
                    if warm
                    else None,
                },
                "ratio_to_empty": None,
                "max_rss_mb": max(one["first"]["max_memory_mb"] for one in mine),
                "init_timed_out_share": sum(one["first"]["init_status"] == "timeout" for one in mine) / len(mine),
                "init_if_throttled_ms": None,
                "source": "aws",
            }
            result.append(row | costs(row, prices, target.architecture))
    return result


def kernels_of(target: Target) -> tuple[str, ...]:
    """The hashing kernels to force in a function; the pure engine has one way, named by the empty string."""
    return _KERNELS[target.architecture] if target.engine == "compiled" else ("",)


def hashing_rows(found: Sequence[Target], samples: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Nanoseconds a hash inside each function's init, by engine, kernel and memory size."""
    result = []
    for target in found:
        init = {
            (one["variables"]["SCORING_KERNEL"], one["variables"]["STRESS_OPERATIONS"]): one["first"]["init_ms"]
            for one in samples
            if one["function"] == target.name and one["stress_mode"] == "hashing" and not one["error"]
        }
        for kernel in kernels_of(target):
            idle, busy = init.get((kernel, "0")), init.get((kernel, str(_OPERATIONS)))
            if idle is not None and busy is not None:
                row = {"engine": target.engine, "kernel": kernel or "hashlib", "memory_size": target.memory_size}
                result.append({**row, "ns_per_hash": (busy - idle) * 1e6 / _OPERATIONS})
    return result


def unthrottled_bar(hashes: Sequence[dict[str, Any]]) -> Bar | None:
    """Whether init runs at full speed: the worst ratio of the smallest to the largest memory size over the kernels.

    Throttled, 128 MB would take almost 14 times as long as 1,769 MB. None where nothing ran at two sizes.
    """
    ratios = []
    for key in {(row["engine"], row["kernel"]) for row in hashes}:
        mine = [(row["memory_size"], row["ns_per_hash"]) for row in hashes if (row["engine"], row["kernel"]) == key]
        (least, small), (most, large) = min(mine), max(mine)
        if least < most and large > 0:
            ratios.append(small / large)
    return Bar("hashing_in_init_smallest_to_largest_memory", max(ratios), 1.25) if ratios else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; 1 where an invocation failed, 2 where the target was refused or the cost is above the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--environment", default="dev")
    parser.add_argument("--outputs", default="", help="what `terraform output -json` says, if anything")
    # boto3 reads the profile, but not the variable that everything else here does.
    region = os.environ.get("AWS_REGION") or boto3.Session().region_name or "us-east-1"
    parser.add_argument("--region", default=region)
    parser.add_argument("--cold", type=int, default=10, help="cold starts a function (59 give a p95)")
    parser.add_argument("--warm", type=int, default=5, help="warm invocations after each cold start")
    parser.add_argument("--stress", type=int, default=3, help="cold starts with STRESS_MODE=cold_start")
    parser.add_argument("--skip-hashing", action="store_true", help="leave out the kernels' rows and the test of init")
    parser.add_argument("--limit-usd", type=float, default=1.0, help="refuse to begin above this estimate")
    options = parser.parse_args(arguments)
    console = terminal()
    prices = read_prices()
    client = boto3.client(
        "lambda", region_name=options.region, config=Config(read_timeout=900, retries={"total_max_attempts": 2})
    )
    try:
        found = targets(client, boto3.client("logs", region_name=options.region), options.environment, options.outputs)
        stress = options.stress + (0 if options.skip_hashing else 2 * len(_KERNELS["arm64"]))
        usd = estimate_usd(found, options.cold, options.warm, stress, prices)
        print(
            f"{len(found)} functions, at most ${usd:.4f} (prices of {prices['date']}), limit ${options.limit_usd:.2f}"
        )
        if usd > options.limit_usd:
            raise RefusedError("the estimate is above the limit: fewer samples, or a higher --limit-usd")
    except (RefusedError, ClientError, BotoCoreError) as error:
        print(f"refused: {error}", file=sys.stderr)
        return 2
    samples: list[dict[str, Any]] = []
    with concurrent.futures.ThreadPoolExecutor(max_workers=len(found)) as pool:
        running = {
            pool.submit(measure, one, options.cold, options.warm, options.stress, hashing=not options.skip_hashing): one
            for one in found
        }
        for done in concurrent.futures.as_completed(running):
            samples += done.result()
            print(f"measured {running[done].name}")
    hashes = hashing_rows(found, samples)
    bar = unthrottled_bar(hashes)
    record = {
        "source": "aws",
        "region": options.region,
        "prices": prices,
        "rows": rows(found, samples, prices),
        "hashing_in_init": hashes,
        "bars": [] if bar is None else [bar.as_document()],
        "samples": samples,
    }
    path = new_record("coldstart-aws.json")
    write_record(path, record)
    print_table(console, record["rows"])
    for row in hashes:
        print(f"{row['engine']:8} {row['kernel']:10} {row['memory_size']:6} MB {row['ns_per_hash']:5.0f} ns a hash")
    if bar is not None:
        print(bar)
    failed = [one for one in samples if one["error"]]
    for one in failed:
        print(f"error {one['function']}: {one['error']}", file=sys.stderr)
    print(f"record: {path}")
    return int(bool(failed))


def _p95(values: Sequence[float]) -> float | None:
    return sorted(values)[math.ceil(0.95 * len(values)) - 1] if len(values) >= SAMPLES_P95 else None
