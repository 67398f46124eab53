"""The durable engine: the SDK's own local runner over SQLite, kept alive.

It is not ministack's, because a wait must survive `kill -9` of the engine (ministack keeps executions in memory, and
runs `$LATEST` only). The rule: it comes back on the same port with the same executions, and goes on with them.
"""

import json
import os
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from local import threads
from local.installation import ROOT
from local.loopback import HOST, ask
from local.ministack import ACCOUNT, CREDENTIALS, REGION, ServicesError
from local.process_group import ProcessGroup

# The longest wait is a day; an hour is left for the steps.
EXECUTION_TIMEOUT_SECONDS = 90_000
RETENTION_DAYS = 14
READY_SECONDS_MAX = 30.0


class DurableEngine:
    """One process at a time; `port` is where it listens, `starts` how often it was started."""

    def __init__(self, folder: Path, processes: ProcessGroup, lambda_url: str, problem: Callable[[str], None]) -> None:
        """`folder` gets its database and its log; `lambda_url` is whose functions it invokes.

        `problem` is told, from a thread, when it died and could not be started again.
        """
        self._folder = folder
        self._processes = processes
        self._lambda_url = lambda_url
        self._problem = problem
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._keeper: threading.Thread | None = None
        self.port = 0
        self.starts = 0

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Start the SDK's runner on what its database holds. Raises ServicesError."""
        self.port = self.port or _free_port()
        command = [sys.executable, "-m", "local.approvals.engine_process", str(self.port), self._lambda_url]
        command.append(str(self._folder / "executions.sqlite"))
        log = self._folder / "engine.log"
        with log.open("ab") as output:
            self._process = self._processes.start(
                command,
                stdout=output,
                stderr=output,
                cwd=ROOT,
                env={**os.environ, **CREDENTIALS, "AWS_DEFAULT_REGION": REGION},
            )
        self.starts += 1
        deadline = time.monotonic() + READY_SECONDS_MAX
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                if ask(self.port, "GET", "/health", b"", {})[0] == 200:
                    return
            except OSError:
                time.sleep(0.05)
        raise ServicesError(f"the durable engine did not start on port {self.port}: see {log}")

    def keep(self) -> None:
        """From now on, start it again whenever it died."""
        self._keeper = threads.start("durable-engine", self._keep, self._problem)

    def stop(self) -> None:
        self._stopping.set()
        if self._process is not None:
            # Twice: this ends a start that is under way, and one may have begun just before.
            self._process.kill()
            if self._keeper is not None:
                self._keeper.join()
            self._process.kill()
            self._process.wait()

    def start_execution(self, function: str, version: str, name: str, payload: bytes) -> str:
        """Start one on a version of a function; returns its ARN. Raises ServicesError, OSError."""
        body = {
            "AccountId": ACCOUNT,
            "FunctionName": function,
            # The engine keeps it and names it in every invocation, also after its own death; an alias would move.
            "FunctionQualifier": version,
            "ExecutionName": name,
            "ExecutionTimeoutSeconds": EXECUTION_TIMEOUT_SECONDS,
            "ExecutionRetentionPeriodDays": RETENTION_DAYS,
            "InvocationId": str(uuid.uuid4()),
            "Input": payload.decode(),
        }
        status, answer, _ = ask(
            self.port,
            "POST",
            "/start-durable-execution",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        if status != 201:
            raise ServicesError(f"the durable engine did not start {name}: {status} {answer[:200]!r}")
        return str(json.loads(answer)["ExecutionArn"])

    def _keep(self) -> None:
        """What a service manager does: start the engine again when it died, also when it died while it started."""
        while not self._stopping.wait(0.2):
            if self._process is not None and self._process.poll() is not None:
                try:
                    self.start()
                except (ServicesError, OSError) as error:
                    # Killed while it started: the system goes away.
                    if not self._stopping.is_set():
                        self._problem(f"the durable engine died and did not start: {error}")


def _free_port() -> int:
    """The runner takes no port 0; it must also come back on the same one."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
