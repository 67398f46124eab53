"""One sample: a fresh process through AWS's own runtime client, its init, its first and its warm invocations.

The rule: every sample proves that it did the work (its response and its items), or it is an error and never a figure.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import random
import signal
import subprocess
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.coldstart.packages import FOLDER, Built
from benchmarks.coldstart.quota import CpuQuota
from benchmarks.coldstart.sample import Cell, Event, LabError, Sample, read_event
from benchmarks.coldstart.services import Services
from local.installation import ROOT, environment
from local.process_group import ProcessGroup
from local.runtime_api import Answer, Invocation, RuntimeApi, Usage, usage

INIT_SECONDS_MAX = 10.0
# What the gateway and the table take for an answer where a cell has them wait.
GATEWAY_MS, TABLE_MS = 300.0, 5.0
_PATIENCE_SECONDS = 900.0
# An ordinary payment: charged and recorded in one invocation.
ORDINARY = ROOT / "events" / "low_risk.json"


class Lab:
    """What all samples share: the interpreter, the table behind TLS, the CPU that samples run on, the quota.

    A context manager. `python` is an interpreter of the version to measure; `quota` None computes instead; `events` are
    what invocations are drawn from, with their weights.
    """

    def __init__(
        self,
        python: str,
        quota: CpuQuota | None,
        events: Sequence[tuple[Event, float]] = (),
        seed: int = 1,
        *,
        gateway_ms: float = GATEWAY_MS,
        table_ms: float = TABLE_MS,
    ) -> None:
        self.runtime_python = environment("runtime", python) / "python"
        self._quota = quota
        self._events = events or [read_event(str(ORDINARY))]
        self._draw = random.Random(seed)
        self._waits = gateway_ms, table_ms
        processors = sorted(os.sched_getaffinity(0))
        # The last one for samples, the others for the lab: a sample never waits for its own harness.
        self._processor = {processors[-1]}
        self._all = set(processors)

    def __enter__(self) -> Lab:
        refuse_a_loaded_interpreter(self.runtime_python)
        FOLDER.mkdir(parents=True, exist_ok=True)
        self._processes = ProcessGroup()
        os.sched_setaffinity(0, self._all - self._processor or self._all)
        try:
            self.services = Services(self._processes, FOLDER / f"tls-{os.getpid()}", *self._waits).__enter__()
        finally:
            os.sched_setaffinity(0, self._all)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.services.__exit__(kind, error, trace)

    def sample(self, cell: Cell, built: Built, warm: int = 5) -> Sample:
        """Start, init, invoke and kill one process. A failed verification is an error in the sample, never raised."""
        sample = Sample(cell)
        ready: queue.SimpleQueue[Usage] = queue.SimpleQueue()
        answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        snapshots: queue.SimpleQueue[Usage] = queue.SimpleQueue()
        api = RuntimeApi(ready.put, answers.put, snapshots.put if cell.restored else None)
        os.sched_setaffinity(0, self._processor)
        log = FOLDER / f"sample-{os.getpid()}.log"
        try:
            with log.open("wb") as output:
                process = self._processes.start(
                    [str(self.runtime_python), "-m", "awslambdaric", built.handler],
                    cwd=built.folder,
                    env=self.variables(cell, built, api.address),
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
        finally:
            os.sched_setaffinity(0, self._all)
        api.pid = process.pid
        started = time.monotonic_ns()
        # From here on the lab could disturb what it measures.
        harness = time.process_time()
        try:
            if cell.repeated and self._quota is not None and cell.memory_size:
                self._quota.limit(process.pid, cell.memory_size)
            at_next = self._init(process, ready, answers, sample, started)
            if at_next is not None and cell.restored:
                # The lab's own wait is no part of it; a function that never asked for its snapshot is an error.
                woken = snapshots.get_nowait()
                sample.init_ms = (at_next.at_ns - woken.at_ns) / 1e6
                sample.init_cpu_ms = (at_next.cpu_ms or 0.0) - (woken.cpu_ms or 0.0)
            sample.harness_cpu_ms = (time.process_time() - harness) * 1000
            if at_next is not None:
                if cell.memory_size and self._quota is not None and not cell.repeated:
                    self._quota.limit(process.pid, cell.memory_size)
                self._invoke(api, ready, answers, sample, warm)
                if cell.repeated and sample.first_invocation_ms is not None:
                    sample.first_invocation_ms += sample.init_ms
            sample.scoring = _scoring(log)
        except (LabError, queue.Empty) as error:
            sample.error = f"{error or 'no answer in time'}: {log.read_text(errors='replace')[-500:]}"
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)
            process.wait()
            api.close()
        return sample

    @property
    def python_version(self) -> str:
        return self.runtime_python.parent.parent.name.removeprefix("runtime-")

    def _init(
        self,
        process: subprocess.Popen[bytes],
        ready: queue.SimpleQueue[Usage],
        answers: queue.SimpleQueue[Answer],
        sample: Sample,
        started: int,
    ) -> Usage | None:
        """Wait for the first `/next`; None where Lambda would have ended the init."""
        limit = _PATIENCE_SECONDS if sample.cell.repeated else INIT_SECONDS_MAX
        while True:
            with contextlib.suppress(queue.Empty):
                now = ready.get(timeout=0.05)
                sample.init_ms = (now.at_ns - started) / 1e6
                sample.init_cpu_ms = now.cpu_ms or 0.0
                sample.max_rss_mb = (now.memory_peak_bytes or 0) / 2**20
                return now
            if process.poll() is not None or not answers.empty():
                raise LabError("the function ended in init")
            elapsed = (time.monotonic_ns() - started) / 1e9
            if elapsed - _waited_seconds(process.pid) >= limit:
                now = usage(process.pid)
                sample.init_ms, sample.init_cpu_ms = elapsed * 1000, now.cpu_ms or 0.0
                sample.init_timed_out = True
                return None

    def _invoke(
        self,
        api: RuntimeApi,
        ready: queue.SimpleQueue[Usage],
        answers: queue.SimpleQueue[Answer],
        sample: Sample,
        warm: int,
    ) -> None:
        for number in range(1 + warm):
            before = usage(api.pid)
            invocation, payment_ids, messages = self.invocation(sample.cell)
            api.submit(invocation)
            answer = answers.get(timeout=_PATIENCE_SECONDS)
            duration_ms = (answer.usage.at_ns - before.at_ns) / 1e6
            cpu_ms = (answer.usage.cpu_ms or 0) - (before.cpu_ms or 0)
            if sample.cell.package != "empty":
                _verify_answer(sample.cell, answer, messages)
                sample.captures += self.services.verify(sample.cell, payment_ids)
            if number == 0:
                sample.first_invocation_ms, sample.first_invocation_cpu_ms = duration_ms, cpu_ms
            else:
                sample.warm_ms.append(duration_ms)
                sample.warm_cpu_ms.append(cpu_ms)
            sample.max_rss_mb = max(sample.max_rss_mb, (answer.usage.memory_peak_bytes or 0) / 2**20)
            # The runtime asks again at once; the next event waits until it has.
            ready.get(timeout=_PATIENCE_SECONDS)

    def invocation(self, cell: Cell) -> tuple[Invocation, set[str], int]:
        """The next events of the mix under fresh payment ids; with those ids and its number of messages."""
        records: list[dict[str, Any]] = []
        payment_ids: set[str] = set()
        while len(records) < cell.messages:
            [event] = self._draw.choices([event for event, _ in self._events], [weight for _, weight in self._events])
            suffix = uuid.uuid4().hex[:12]
            for text in event:
                document = json.loads(text)
                # The same id twice in an event stays one payment.
                document["payment_id"] = f"{document['payment_id'][:30]}-{suffix}"
                payment_ids.add(document["payment_id"])
                if cell.gateway == "stripe":
                    document["payment_token"] = "pm_card_visa"
                group = f"lab-{len(records) % cell.groups}"
                records.append(
                    {
                        "messageId": str(uuid.uuid4()),
                        "receiptHandle": "receipt",
                        "body": json.dumps(document),
                        "attributes": {"ApproximateReceiveCount": "1", "SequenceNumber": "1", "MessageGroupId": group},
                        "eventSource": "aws:sqs",
                    }
                )
        deadline_ms = time.time_ns() // 10**6 + round(_PATIENCE_SECONDS * 1000)
        arn = "arn:aws:lambda:us-east-1:000000000000:function:lab"
        invocation = Invocation(str(uuid.uuid4()), json.dumps({"Records": records}).encode(), deadline_ms, arn, "")
        return invocation, payment_ids, len(records)

    def variables(self, cell: Cell, built: Built, api_address: str) -> dict[str, str]:
        """The whole environment of a sample."""
        variables = {
            "PATH": os.defpath,
            # Lambda's task root is read-only.
            "PYTHONDONTWRITEBYTECODE": "1",
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "AWS_LAMBDA_RUNTIME_API": api_address,
            "AWS_LAMBDA_FUNCTION_NAME": "cold-start-lab",
            "AWS_LAMBDA_FUNCTION_VERSION": "1",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(cell.memory_size or 1769),
            "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/cold-start-lab",
            "AWS_LAMBDA_LOG_STREAM_NAME": "lab",
            "LAMBDA_TASK_ROOT": str(built.folder),
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "STRESS_MODE": cell.stress_mode,
            "SCORING_ENGINE": cell.engine,
            **self.services.variables(cell, built),
        }
        if cell.support:
            variables["SUPPORT"] = cell.support
        if cell.group_concurrency:
            variables["GROUP_CONCURRENCY"] = str(cell.group_concurrency)
        if cell.prepares_ahead:
            variables["PREPARE_AHEAD"] = "true"
        if cell.kernel:
            variables["SCORING_KERNEL"] = cell.kernel
        if cell.restored:
            variables["AWS_LAMBDA_INITIALIZATION_TYPE"] = "snap-start"
        return variables


def _verify_answer(cell: Cell, answer: Answer, messages: int) -> None:
    """Raises LabError where a message came back, or not as many count as were sent; the usual stack counts none."""
    document = json.loads(answer.body)
    body = document.get("body", {})
    counted = cell.package == "usual" or body["processed"] + body["failed"] == messages
    if document["batchItemFailures"] or not counted or document.get("statusCode", 200) != 200:
        raise LabError(f"the function answered {answer.body[:300]!r}")


def refuse_a_loaded_interpreter(python: Path) -> None:
    """Raise LabError where the interpreter's start imports anything from site-packages: Lambda's does not."""
    script = (
        "import sys; files = [getattr(module, '__file__', None) or '' for module in sys.modules.values()]; "
        "print(*(file for file in files if 'site-packages' in file))"
    )
    done = subprocess.run(
        [str(python), "-c", script], capture_output=True, text=True, check=True, env={"PATH": os.defpath}
    )
    if done.stdout.strip():
        raise LabError(
            f"{python} imports {done.stdout.split()[0]} when it starts, which would be charged to every cold start: "
            "remove the .pth or sitecustomize that does so, or name a bare interpreter with --python"
        )


def _waited_seconds(pid: int) -> float:
    """How long the main thread was ready and had no processor: other work of this machine, not of the function."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


def _scoring(log: Path) -> dict[str, Any]:
    """Which engine and kernel the function says it uses, from its own `ready` line."""
    for line in log.read_text(errors="replace").splitlines():
        if '"scoring"' in line:
            with contextlib.suppress(ValueError):
                found: dict[str, Any] = json.loads(line[line.index("{") :]).get("scoring", {})
                return found
    return {}
