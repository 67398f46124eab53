"""The largest and slowest batches that SQS can deliver, in one execution environment of 128 MB.

The rule: where a cgroup can be made, the environment is really limited, and is killed as on AWS when it takes more;
where none can be, its peak is judged alone, and the row says so.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.coldstart.quota import fraction
from local.installation import environment
from local.run_folder import new_directory
from local.system import LocalSystem

MEMORY_MB = 128
_CGROUP = Path("/sys/fs/cgroup")
_KIB = 1024
_DOCUMENT = {"payment_id": "p", "order_id": "o", "customer_id": "c", "amount": 1.0, "payment_method": "credit_card"}


def batches() -> Iterator[tuple[str, list[str]]]:
    """Name and bodies: those that killed an environment of 128 MB before there was `message_too_large`, and others."""
    card = "4111 1111 1111 1111 "
    yield "10 payments", [_body(number) for number in range(10)]
    yield "9 of 256 KiB, a long description", [_body(n, description="a" * (255 * _KIB)) for n in range(9)]
    yield "9 of 256 KiB, card numbers alone", [card * (256 * _KIB // len(card))] * 9
    yield "9 of 256 KiB, 14,000 fields each", [_body(n, **{f"f{i}": i for i in range(14_000)}) for n in range(9)]
    yield "6 of 1 MiB", ["x" * (990 * _KIB)] * 6
    yield "6 of 1 MiB, emoji", ["\U0001f600" * (245 * _KIB)] * 6
    yield "10 of 32 KiB, nested lists", ["[" * 16 + "1," * 16_300 + "1" + "]" * 16] * 10
    yield "10 of 32 KiB, 1,900 fields each", [_body(n, **{f"f{i}": {} for i in range(1_900)}) for n in range(10)]
    yield "10 of 32 KiB, 1,600 card numbers each", [_body(n, description=card * 1_600) for n in range(10)]


def _body(number: int, **more: Any) -> str:
    return json.dumps({**_DOCUMENT, "payment_id": f"pay-{number}", **more})


def measure(package: Path | None = None) -> list[dict[str, Any]]:
    """A row for each batch, all in one environment, one after the other."""
    directory = new_directory()
    rows = []
    with ExitStack() as stack:
        limited = stack.enter_context(_limited(directory))
        system = stack.enter_context(
            LocalSystem(
                package=package,
                mapping="none",
                memory_size=MEMORY_MB,
                runtime_python=limited,
                directory=directory,
            )
        )
        # Its init is no part of a batch.
        system.invoke(_event([_body(0)]))
        for name, bodies in batches():
            event = _event(bodies)
            outcome = system.invoke(event)
            answer = json.loads(outcome.payload) if outcome.error_type is None else {}
            rows.append(
                {
                    "batch": name,
                    "event_mb": round(len(event) / 2**20, 2),
                    "killed": outcome.error_type is not None,
                    "returned": len(answer.get("batchItemFailures", [])),
                    "cpu_ms": round(outcome.cpu_ms or 0.0, 1),
                    "seconds_at_128_mb": round((outcome.cpu_ms or 0.0) / fraction(MEMORY_MB) / 1000, 2),
                    "peak_mb": round((outcome.memory_peak_bytes or 0) / 2**20, 1),
                    "limited_by": "peak alone" if limited is None else "cgroup",
                }
            )
    return rows


def _event(bodies: list[str]) -> bytes:
    records = [
        {
            "messageId": f"m-{number}",
            "body": body,
            "attributes": {"MessageGroupId": f"g-{number}", "SequenceNumber": str(number)},
        }
        for number, body in enumerate(bodies)
    ]
    return json.dumps({"Records": records}, ensure_ascii=False).encode()


@contextmanager
def _limited(directory: Path) -> Iterator[Path | None]:
    """An interpreter that puts itself under the limit before it does anything; None where no cgroup can be made."""
    v2 = (_CGROUP / "cgroup.controllers").exists()
    group = (_CGROUP if v2 else _CGROUP / "memory") / f"faults-{os.getpid()}"
    limit = group / ("memory.max" if v2 else "memory.limit_in_bytes")
    try:
        group.mkdir()
    except OSError:
        yield None
        return
    try:
        try:
            limit.write_text(str(MEMORY_MB * 2**20))
        except OSError:
            yield None
            return
        python = environment("runtime") / "python"
        # Its name says which runtime it is.
        wrapper = directory / "bin" / python.resolve().name
        wrapper.parent.mkdir()
        wrapper.write_text(f'#!/bin/sh\necho $$ > {group}/cgroup.procs\nexec {python} "$@"\n')
        wrapper.chmod(0o755)
        yield wrapper
    finally:
        # Its processes have ended, but the kernel empties the group a moment later.
        for _ in range(100):
            try:
                group.rmdir()
            except OSError:
                os.sched_yield()
            else:
                break
