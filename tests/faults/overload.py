"""Ten thousand messages at once: a hot group with half of them, three in ten that can never succeed, a few that park.

The rule: the whole audit of a run, and beside it that memory stays within its bar and that no group but those behind a
parked payment had a message returned.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from local import stream
from local.audit import audit
from local.evidence import QUEUE_COUNTS, Delivery, Evidence, collect, logs_of
from local.gateway import process
from local.resources import Times
from local.run import TIMES
from local.run_folder import new_directory
from local.runtime_api import usage
from local.system import LocalSystem
from local.traffic import PARKED, Message, make_overload

# AWS's own times, as nothing is lost here that would have to be waited for; tries come as soon as in `make run`.
OVERLOAD_TIMES = Times(retry_delay_seconds=TIMES.retry_delay_seconds)
# What an environment of 128 MB may take at most, beside the runtime's own share.
ENVIRONMENT_MB_MAX = 100.0
# The emulator's table may not answer within its client's second on a machine that does other work.
UNHARMED_SHARE = 0.01
# Heads of as many small groups park: their payments' every prepare is answered with what is no JSON.
PARKED_HEADS = 5
HOT = "payment-group-0"


@dataclass(frozen=True)
class Overload:
    """`hot_share` of the messages are in one group, `poison_share` can never succeed; the rest is spread evenly."""

    messages: int
    groups: int
    concurrency: int
    seed: int
    hot_share: float = 0.0
    poison_share: float = 0.0
    parked_heads: int = 0


@dataclass(frozen=True)
class Result:
    """A row of the record, the sentences against each check, and where the rest is."""

    row: dict[str, Any]
    problems: dict[str, list[str]]
    directory: Path


def run(overload: Overload, console: Console, seconds_max: int, package: Path | None = None) -> Result:
    """Send everything, then let the function at it. Raises RunError, ServicesError, InstallationError, GatewayError."""
    messages = make_overload(
        overload.messages,
        overload.groups,
        overload.seed,
        hot_share=overload.hot_share,
        poison_share=overload.poison_share,
    )
    heads = _heads(messages, overload)
    messages = [replace(each, ends=PARKED) if each.payment_id in heads else each for each in messages]
    directory = new_directory()
    database = directory / "gateway.sqlite"
    with ExitStack() as stack:
        gateway, url = stack.enter_context(process.running(database, seed=overload.seed, rates={}, planned={}))
        for payment_id in heads:
            order = {"payment_id": payment_id, "call": "prepare", "fault": "not_json", "times": 1_000_000}
            urlopen(Request(f"{url}/_faults", json.dumps(order).encode()), timeout=10).close()
        system = stack.enter_context(
            LocalSystem(
                package=package,
                concurrency=overload.concurrency,
                times=OVERLOAD_TIMES,
                gateway_url=url,
                mapping="none",
                directory=directory,
            )
        )
        sent = stream.send(system.clients["sqs"], system.resources.queue_url, messages)
        before = _cpu_ms(system, gateway.pid)
        started = time.monotonic()
        system.start_mapping()
        _wait(system, len({each.message_id for each in sent}), seconds_max, console)
        seconds = time.monotonic() - started
        after = _cpu_ms(system, gateway.pid)
        services_mb = (usage(system.services.pid).memory_peak_bytes or 0) / 2**20
        evidence = collect(
            system.clients,
            environment=system.names.environment,
            sent=sent,
            table=system.names.table,
            queue_url=system.resources.queue_url,
            rejected_queue_url=system.resources.rejected_queue_url,
            dead_letter_queue_url=system.resources.dead_letter_queue_url,
            deliveries=[Delivery(each.message_ids, each.failed, each.outcome.error_type) for each in system.batches],
            gateway_database=database,
            logs=logs_of(directory, system.clients["logs"]),
            late_writes=[],
            planned={},
            struck={},
        )
        outcomes = list(system.outcomes)
        told = system.problems
    environment_mb = max((each.memory_peak_bytes or 0 for each in outcomes), default=0) / 2**20
    problems = audit(evidence)
    problems["the_system_itself_had_no_errors"] = told
    problems["other_groups_are_unharmed"] = _harmed(evidence, heads)
    problems["environments_stay_within_their_memory"] = (
        [f"an environment took {environment_mb:.0f} MB"] if environment_mb > ENVIRONMENT_MB_MAX else []
    )
    spent = {part: after[part] - before[part] for part in before}
    spent["function"] = sum((each.cpu_ms or 0.0) + (each.init_cpu_ms or 0.0) for each in outcomes)
    total = sum(spent.values()) or 1.0
    row = {
        "messages": len(sent),
        "groups": overload.groups,
        "hot_share": overload.hot_share,
        "poison_share": overload.poison_share,
        "parked_heads": len(heads),
        "concurrency": overload.concurrency,
        "seed": overload.seed,
        "seconds": round(seconds, 1),
        "messages_per_second": round(len(sent) / seconds, 1),
        "cpu_ms_a_message": {part: round(spent_ms / len(sent), 2) for part, spent_ms in spent.items()},
        "cpu_share": {part: round(spent_ms / total, 3) for part, spent_ms in spent.items()},
        "batches": len(evidence.deliveries or []),
        "messages_a_batch": round(len(sent) / max(1, len(evidence.deliveries or [])), 2),
        "final": dict(sorted(Counter(item["status"] for item in evidence.payments.values()).items())),
        "rejected_queue": len({copy["original_message_id"] for copy in evidence.rejected}),
        "environment_peak_mb": round(environment_mb, 1),
        "services_peak_mb": round(services_mb, 1),
        "audit": {name: not sentences for name, sentences in problems.items()},
    }
    return Result(row, problems, directory)


def _heads(messages: Sequence[Message], overload: Overload) -> set[str]:
    """The payments at the head of some groups that are not the hot one."""
    first: dict[str, Message] = {}
    for each in messages:
        first.setdefault(each.group, each)
    ordinary = [each.payment_id for each in first.values() if each.kind == "ordinary" and each.group != HOT]
    return set(random.Random(overload.seed).sample(ordinary, min(overload.parked_heads, len(ordinary))))


def _harmed(evidence: Evidence, heads: set[str]) -> list[str]:
    """Messages that were returned although nothing of their own group failed, where they are more than by chance."""
    behind = {sent.message.group for sent in evidence.sent if sent.message.payment_id in heads}
    returned: dict[str, int] = defaultdict(int)
    for delivery in evidence.deliveries or []:
        for message_id in delivery.failed:
            returned[evidence.by_id[message_id][0].message.group] += 1
    harmed = {group: count for group, count in sorted(returned.items()) if group not in behind}
    if sum(harmed.values()) <= UNHARMED_SHARE * len(evidence.sent):
        return []
    return [
        f"{count} deliveries of {group} were returned, behind no payment that parks" for group, count in harmed.items()
    ]


def _cpu_ms(system: LocalSystem, gateway_pid: int) -> dict[str, float]:
    return {
        "emulator": usage(system.services.pid).cpu_ms or 0.0,
        "gateway": usage(gateway_pid).cpu_ms or 0.0,
        "ours": time.process_time() * 1000,
    }


def _wait(system: LocalSystem, total: int, seconds_max: int, console: Console) -> None:
    """Until the queue is empty; what is left when the time is up, the audit says."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    deadline = time.monotonic() + seconds_max
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("messages settled", total=total)
        while time.monotonic() < deadline:
            system.check()
            attributes = system.clients["sqs"].get_queue_attributes(
                QueueUrl=system.resources.queue_url, AttributeNames=list(QUEUE_COUNTS)
            )["Attributes"]
            left = sum(int(attributes[name]) for name in QUEUE_COUNTS)
            progress.update(task, completed=total - left)
            if left == 0 and not (system.mapping and system.mapping.in_flight):
                return
            time.sleep(0.5)
