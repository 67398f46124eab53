"""Lambda execution environments: fresh `python -m awslambdaric` processes that live and end as Lambda's do.

The rule: an environment serves one invocation at a time; a time-out or a crash ends it, an error that the function
returns does not (AWS: "Understanding the Lambda execution environment lifecycle").
"""

import contextlib
import math
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from local import threads
from local.process_group import ProcessGroup
from local.runtime_api import Answer, Invocation, RuntimeApi, Usage, error_document, error_text, type_of_error, usage

INIT_SECONDS_MAX = 10.0
#: Lambda's error of an invocation that reserved concurrency has no room for.
THROTTLED = "TooManyRequestsException"
#: Off Linux awslambdaric has no native client; this folder's module stands in for it.
PORTABLE_CLIENT = Path(__file__).parent / "runtime_client"


@dataclass(frozen=True)
class FunctionVersion:
    """What one version of a function runs as; `code` is its unpacked package, times in seconds, memory in MB."""

    name: str
    version: str
    arn: str
    code: Path
    handler: str
    timeout_seconds: int
    memory_size: int
    variables: dict[str, str]
    #: Changes with every change of code or configuration: an environment of another revision is not reused.
    revision: str = ""


@dataclass(frozen=True)
class Outcome:
    """One invocation's end.

    `error_type` is None when the function returned; otherwise what Lambda's log would say (`Runtime.ExitError`,
    `Sandbox.Timedout`, or the function's own error), with the error document or sentence in `payload`.
    `init_duration_ms` is set on a cold start only; CPU times and memory are None off Linux.
    """

    request_id: str
    payload: bytes
    error_type: str | None
    duration_ms: float
    cpu_ms: float | None
    memory_peak_bytes: int | None
    init_duration_ms: float | None = None
    init_cpu_ms: float | None = None

    @property
    def cold_start(self) -> bool:
        return self.init_duration_ms is not None


@dataclass
class _Process:
    """One runtime process; an environment has a second one when its init had to be repeated."""

    api: RuntimeApi
    popen: "subprocess.Popen[bytes]"
    started: Usage
    ready: Usage | None = None
    answers: list[Answer] = field(default_factory=list)
    exited: bool = False


class ExecutionEnvironment:
    """One environment of one function version: a process, its Runtime API, its log file."""

    def __init__(
        self,
        function: FunctionVersion,
        *,
        number: int,
        runtime_python: Path,
        processes: ProcessGroup,
        log_directory: Path,
        host_variables: dict[str, str],
        init_seconds_max: float = INIT_SECONDS_MAX,
        ahead: bool = False,
    ) -> None:
        """Nothing starts yet: `init` does.

        `number` names its log file; `runtime_python` is an interpreter that can import awslambdaric; `host_variables`
        are what the host adds to the function's own variables (endpoint, credentials). `ahead`: it is made before any
        event asks for it, as under provisioned concurrency, so that no invocation of it is cold or billed its init.
        """
        self.function = function
        self.number = number
        self.log_path = log_directory / f"environment-{number:04d}.log"
        self.log_stream = f"{datetime.now(UTC):%Y/%m/%d}/[{function.version}]{uuid.uuid4().hex}"
        self._python = runtime_python
        self._processes = processes
        self._host_variables = host_variables
        self._init_seconds_max = init_seconds_max
        self._ahead = ahead
        self._billed_init_ms = 0.0
        self._changed = threading.Condition()
        self._process: _Process | None = None
        self._init_report: tuple[float, float | None] | None = None
        self.initialised = False
        #: Why the last init failed, as a sentence; empty where it did not.
        self.init_problem = ""
        self.request_id: str | None = None
        self.event: bytes | None = None
        self.idle_since = time.monotonic()
        self.ended = False

    @property
    def pid(self) -> int | None:
        """The running process, None before init and after the end."""
        process = self._process
        return process.popen.pid if process is not None and not process.exited else None

    def init(self) -> bool:
        """Run the init phase; False if it failed or took too long and has to be repeated in the first invocation.

        The limit counts the time that the process ran or slept, not the time it was kept waiting for a processor:
        Lambda gives each environment its own CPU, and here several share two.
        """
        self._log_line(f"INIT_START Runtime Version: local ({self._python})")
        status = self._run_init(lambda: self._ran_or_slept_seconds() >= self._init_seconds_max)
        process = self._process
        assert process is not None
        wall_ms, cpu_ms = self._since(process.started, process.ready or usage(process.popen.pid))
        # A repeated init is within its invocation's duration, and billed with that.
        self._billed_init_ms = 0.0 if self._ahead else wall_ms
        if status == "success":
            self._init_report = None if self._ahead else (wall_ms, cpu_ms)
            self.initialised = True
            return True
        self._log_line(f"INIT_REPORT Init Duration: {wall_ms:.2f} ms\tPhase: init\tStatus: {status}")
        self._kill_process()
        return False

    def invoke(
        self,
        event: bytes,
        *,
        request_id: str | None = None,
        trace_id: str | None = None,
    ) -> Outcome:
        """Run one event to its end and return it; the function's time-out includes a repeated init.

        Never raises for what the function does. After a time-out or a crash `ended` is true.
        """
        request_id = request_id or str(uuid.uuid4())
        started = time.monotonic()
        wall_start_ms = int(time.time() * 1000)
        deadline = started + self.function.timeout_seconds
        self.request_id, self.event = request_id, event
        self._log_line(f"START RequestId: {request_id} Version: {self.function.version}")
        try:
            if not self.initialised:
                outcome = self._repeat_init(request_id, started, deadline)
                if outcome is not None:
                    return outcome
            process = self._process
            assert process is not None
            before = usage(process.popen.pid)
            process.api.submit(
                Invocation(
                    request_id=request_id,
                    event=event,
                    deadline_ms=wall_start_ms + self.function.timeout_seconds * 1000,
                    function_arn=self.function.arn,
                    trace_id=trace_id or _trace_id(),
                )
            )
            with self._changed:
                self._changed.wait_for(
                    lambda: process.answers or process.exited, timeout=max(0.0, deadline - time.monotonic())
                )
                answer = process.answers.pop() if process.answers else None
            if answer is None:
                return self._lost(request_id, started, exited=process.exited, since=before)
            return self._answered(request_id, answer, started, before)
        finally:
            self.request_id = self.event = None
            self.idle_since = time.monotonic()

    def kill(self) -> None:
        """End the environment with SIGKILL, whatever it does; an invocation under way ends as a crash."""
        self.ended = True
        self._kill_process()

    def _repeat_init(self, request_id: str, started: float, deadline: float) -> Outcome | None:
        """Lambda repeats a failed init inside the first invocation, under the function's own time-out."""
        status = self._run_init(lambda: time.monotonic() >= deadline)
        process = self._process
        assert process is not None
        wall_ms, cpu_ms = self._since(process.started, process.ready or usage(process.popen.pid))
        self._init_report = (wall_ms, cpu_ms)
        if status == "success":
            self.initialised = True
            return None
        self._log_line(f"INIT_REPORT Init Duration: {wall_ms:.2f} ms\tPhase: invoke\tStatus: {status}")
        if status == "timeout":
            return self._lost(request_id, started, exited=False, since=process.started)
        answer = process.answers.pop() if process.answers else None
        said = f"RequestId: {request_id} Error: init exited"
        payload = answer.body if answer else error_document("Runtime.ExitError", said)
        return self._end(request_id, payload, type_of_error(payload), started=started, since=process.started)

    def _run_init(self, late: Callable[[], bool]) -> str:
        """Start a process and wait for its first `/next`: `success`, `error` or `timeout`."""
        process = self._start_process()
        self.init_problem = ""
        with self._changed:
            while True:
                if process.ready is not None:
                    return "success"
                if process.answers:
                    self.init_problem = error_text(process.answers[-1].body)
                    return "error"
                if process.exited:
                    self.init_problem = f"its process ended: {_how(process)}"
                    return "error"
                if late():
                    self.init_problem = "it took too long"
                    return "timeout"
                self._changed.wait(0.05)

    def _start_process(self) -> _Process:
        holder: list[_Process] = []

        def on_next(now: Usage) -> None:
            with self._changed:
                if holder[0].ready is None:
                    holder[0].ready = now
                self._changed.notify_all()

        def on_answer(answer: Answer) -> None:
            with self._changed:
                holder[0].answers.append(answer)
                self._changed.notify_all()

        command = [str(self._python), "-m", "awslambdaric", self.function.handler]
        with self._changed, self.log_path.open("ab") as log, contextlib.ExitStack() as failed:
            api = RuntimeApi(on_next, on_answer)
            failed.callback(api.close)
            popen = self._processes.start(
                command, cwd=self.function.code, env=self._variables(api.address), stdout=log, stderr=subprocess.STDOUT
            )
            failed.pop_all()
            api.pid = popen.pid
            process = _Process(api, popen, usage(popen.pid))
            holder.append(process)
            self._process = process

        def watch() -> None:
            popen.wait()
            with self._changed:
                process.exited = True
                self._changed.notify_all()
            api.close()

        threads.start(f"environment-{self.number}", watch)
        return process

    def _kill_process(self) -> None:
        process = self._process
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.popen.send_signal(signal.SIGKILL)
        with self._changed:
            self._changed.wait_for(lambda: process.exited, timeout=5)

    def _variables(self, api_address: str) -> dict[str, str]:
        """The process's environment, as Lambda sets it ("Working with Lambda environment variables")."""
        function = self.function
        region = function.arn.split(":")[3]
        return {
            "PATH": os.defpath,
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "PYTHONUNBUFFERED": "1",
            **({} if sys.platform == "linux" else {"PYTHONPATH": str(PORTABLE_CLIENT)}),
            **self._host_variables,
            **function.variables,
            "_HANDLER": function.handler,
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{self._python.resolve().name}",
            "AWS_LAMBDA_FUNCTION_NAME": function.name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_size),
            "AWS_LAMBDA_FUNCTION_VERSION": function.version,
            "AWS_LAMBDA_INITIALIZATION_TYPE": "provisioned-concurrency" if self._ahead else "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
            "AWS_LAMBDA_LOG_STREAM_NAME": self.log_stream,
            "AWS_LAMBDA_RUNTIME_API": api_address,
            "LAMBDA_TASK_ROOT": str(function.code),
            "LAMBDA_RUNTIME_DIR": str(self._python.parent.parent),
        }

    def _answered(self, request_id: str, answer: Answer, started: float, before: Usage) -> Outcome:
        error_type = None if answer.kind == "response" else type_of_error(answer.body)
        return self._end(request_id, answer.body, error_type, started=started, since=before, answered=answer.usage)

    def _lost(self, request_id: str, started: float, *, exited: bool, since: Usage) -> Outcome:
        if exited:
            kind = "Runtime.ExitError"
            sentence = f"RequestId: {request_id} Error: Runtime exited with error: {_how(self._process)}"
        else:
            kind = "Sandbox.Timedout"
            limit = self.function.timeout_seconds
            sentence = f"RequestId: {request_id} Error: Task timed out after {limit:.2f} seconds"
        self._log_line(sentence)
        return self._end(request_id, error_document(kind, sentence), kind, started=started, since=since)

    def _end(
        self,
        request_id: str,
        payload: bytes,
        error_type: str | None,
        *,
        started: float,
        since: Usage,
        answered: Usage | None = None,
    ) -> Outcome:
        """Report an invocation; one that the runtime did not answer ends its environment."""
        end_seconds = answered.at_ns / 1e9 if answered else time.monotonic()
        duration_ms = (end_seconds - started) * 1000
        if answered is None:
            self.kill()
        cpu_ms = None
        if answered and answered.cpu_ms is not None and since.cpu_ms is not None:
            cpu_ms = answered.cpu_ms - since.cpu_ms
        init, self._init_report = self._init_report, None
        billed_ms, self._billed_init_ms = math.ceil(self._billed_init_ms + duration_ms), 0.0
        outcome = Outcome(
            request_id,
            payload,
            error_type,
            duration_ms,
            cpu_ms,
            (answered or since).memory_peak_bytes,
            *(init or (None, None)),
        )
        self._log_line(f"END RequestId: {request_id}")
        report = [
            f"REPORT RequestId: {request_id}",
            f"Duration: {duration_ms:.2f} ms",
            f"Billed Duration: {billed_ms} ms",
            f"Memory Size: {self.function.memory_size} MB",
            f"Max Memory Used: {(outcome.memory_peak_bytes or 0) // 2**20} MB",
        ]
        if init:
            report.append(f"Init Duration: {init[0]:.2f} ms")
        if answered is None:
            report.append(f"Status: {'timeout' if error_type == 'Sandbox.Timedout' else 'error'}")
        self._log_line("\t".join(report))
        return outcome

    def _ran_or_slept_seconds(self) -> float:
        """Seconds since the process started, less what its main thread waited for a processor (Linux; else all)."""
        process = self._process
        assert process is not None
        wall = (time.monotonic_ns() - process.started.at_ns) / 1e9
        try:
            waited_ns = int(Path(f"/proc/{process.popen.pid}/schedstat").read_text().split()[1])
        except (OSError, IndexError, ValueError):
            return wall
        return wall - waited_ns / 1e9

    @staticmethod
    def _since(start: Usage, end: Usage) -> tuple[float, float | None]:
        cpu_ms = None if end.cpu_ms is None or start.cpu_ms is None else end.cpu_ms
        return (end.at_ns - start.at_ns) / 1e6, cpu_ms

    def _log_line(self, line: str) -> None:
        with self.log_path.open("ab") as log:
            log.write(f"{line}\n".encode())


def _how(process: _Process | None) -> str:
    code = process.popen.returncode if process is not None else None
    return f"signal: {signal.Signals(-code).name}" if code is not None and code < 0 else f"exit status {code}"


def _trace_id() -> str:
    return f"Root=1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]};Parent={uuid.uuid4().hex[:16]};Sampled=0"
