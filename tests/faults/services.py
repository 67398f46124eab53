"""The two services that a campaign kills: ministack with a journal, and the payment gateway simulator.

The rule: each comes back on its own port with what it had answered.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.request import Request, urlopen

from local import threads
from local.faults import POISON
from local.gateway.process import GatewayError
from local.installation import ROOT
from local.ministack import Ministack, ServicesError, bound_socket
from local.process_group import ProcessGroup

_ENDS_MAX = 1000
_APPLICATION = Path(__file__).parent / "durable.py"


class DurableServices(Ministack):
    """ministack as AWS's queue and table are: it may be killed at any moment, and loses nothing that it answered."""

    def __init__(
        self, processes: ProcessGroup, folder: Path, port: int = 0, _variables: dict[str, str] | None = None
    ) -> None:
        # Its workers, whom the variables are for, run nothing here; its own clock is AWS's, and does not jump.
        state = {"PERSIST_STATE": "1", "STATE_DIR": str(folder / "state")}
        super().__init__(processes, folder, port, state, f"{_APPLICATION}:app")
        self.starts = 1
        # How each ended that is no more, as `subprocess.Popen.returncode` says it.
        self.ends: list[int] = []
        self.down_seconds = 0.0

    def snapshot(self) -> None:
        """Keep what is neither a queue's nor an item, as functions and secrets, as it is now. Raises OSError."""
        urlopen(Request(f"{self.url}/_snapshot", method="POST"), timeout=30).close()

    def crash(self, down_seconds: float) -> bool:
        """SIGKILL, if it runs; it is started again after so many seconds."""
        return _crash(self, self._process, down_seconds)

    def watch(self, died: Callable[[str], None]) -> None:
        """Start it again whenever it ended; `died` is told where that did not work."""

        def keep() -> None:
            while True:
                self.ends.append(self._process.wait())
                down, self.down_seconds = self.down_seconds, 0.0
                time.sleep(down)
                if self._stopping:
                    return
                try:
                    self._serve(bound_socket(self.port))
                    self.starts += 1
                except ServicesError as error:
                    # Struck again while it started, perhaps; one that never comes up says why.
                    if len(self.ends) > _ENDS_MAX and not self._stopping:
                        died(str(error))
                        return

        threads.start("durable-services", keep, died)


class KeptGateway:
    """The payment gateway simulator, started again whenever it ended."""

    def __init__(
        self,
        database: Path,
        *,
        seed: int,
        rates: Mapping[str, float],
        calls_per_second: int | None,
        problem: Callable[[str], None],
    ) -> None:
        """Nothing starts before `start`; `problem` is told, from a thread, where it did not come back."""
        self.database = database
        self._options = ["--seed", str(seed), *(f"--rate={name}={rate}" for name, rate in rates.items())]
        self._options += [] if calls_per_second is None else [f"--calls-per-second={calls_per_second}"]
        self._processes = ProcessGroup()
        self._problem = problem
        self._stopping = threading.Event()
        self.down_seconds = 0.0
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0
        self.starts = 0

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self, planned: Mapping[str, str], delay_seconds: float) -> None:
        """Start it with its ordered faults, `<call>.<fault>` to the payment that each strikes. Raises GatewayError."""
        self._serve()
        for name, payment_id in planned.items():
            call, _, fault = name.partition(".")
            # The poison is counted in the gateway's file, and none may be left of it before the payment is parked.
            times = 1_000_000 if name == POISON else 1
            order = {"payment_id": payment_id, "call": call, "fault": fault, "seconds": delay_seconds, "times": times}
            urlopen(Request(f"http://127.0.0.1:{self.port}/_faults", json.dumps(order).encode()), timeout=10).close()
        threads.start("kept-gateway", self._keep, self._problem)

    def crash(self, down_seconds: float) -> bool:
        """SIGKILL, if it runs; it is started again after so many seconds."""
        return _crash(self, self._process, down_seconds)

    def stop(self) -> None:
        self._stopping.set()
        self._processes.stop()

    def _serve(self) -> None:
        command = [sys.executable, "-m", "local.gateway", "--database", str(self.database), "--port", str(self.port)]
        with self.database.with_suffix(".log").open("ab") as log:
            started = self._processes.start([*command, *self._options], stdout=subprocess.PIPE, stderr=log, cwd=ROOT)
        assert started.stdout is not None
        with started.stdout:
            line = started.stdout.readline()
        if not line:
            raise GatewayError(f"the payment gateway ended with {started.wait()} before it was ready")
        self.port = int(json.loads(line)["url"].rpartition(":")[2])
        self._process = started
        self.starts += 1

    def _keep(self) -> None:
        while True:
            assert self._process is not None
            self._process.wait()
            down, self.down_seconds = self.down_seconds, 0.0
            if self._stopping.wait(down):
                return
            try:
                self._serve()
            except GatewayError as error:
                # A disk that was full a moment ago; a service manager tries again, too.
                if self._stopping.is_set():
                    return
                self._problem(str(error))
                time.sleep(0.5)


def _crash(kept: DurableServices | KeptGateway, process: subprocess.Popen[bytes] | None, down_seconds: float) -> bool:
    if process is None or process.poll() is not None:
        return False
    kept.down_seconds = down_seconds
    os.kill(process.pid, signal.SIGKILL)
    return True
