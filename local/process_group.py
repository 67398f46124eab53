"""The processes of one local system, which end when it does, however it ends.

One rule: every child is started in the process group of a guard, which holds the read end of a pipe. When the pipe
closes (an orderly stop, a crash, `kill -9`), the guard kills the group, itself included. Nothing has to be registered,
so no child can be forgotten, and children's children are in the group too.
"""

import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

# Run by the guard: it outlives Ctrl-C and a polite kill, waits for the end of its input, then ends the group.
_GUARD = """
import os, shutil, signal, sys
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
sys.stdout.write("ready\\n")
sys.stdout.flush()
sys.stdin.buffer.read()
for folder in sys.argv[1:]:
    shutil.rmtree(folder, ignore_errors=True)
os.killpg(os.getpgid(0), signal.SIGKILL)
"""


class ProcessGroup:
    """Start processes that cannot outlive this one. `scratch` folders are removed at the end."""

    def __init__(self, *scratch: Path) -> None:
        self._guard = subprocess.Popen(
            # A virtual environment's own start-up files would only cost memory here.
            [sys.executable, "-I", "-S", "-c", _GUARD, *map(str, scratch)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0,
        )
        assert self._guard.stdout is not None
        # Before this line the guard would still die of a Ctrl-C meant for us.
        self._guard.stdout.readline()

    @property
    def group_id(self) -> int:
        """The process group's number, which is the guard's pid."""
        return self._guard.pid

    def start(self, command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        """Start `command` in the group; `options` are those of `subprocess.Popen`.

        A Ctrl-C at the terminal does not reach it: the owner decides the order in which things stop.
        """
        return subprocess.Popen(command, process_group=self._guard.pid, stdin=subprocess.DEVNULL, **options)

    def stop(self) -> None:
        """Kill whatever is left of the group and wait for the guard. Safe to call twice."""
        assert self._guard.stdin is not None
        assert self._guard.stdout is not None
        self._guard.stdin.close()
        self._guard.wait()
        self._guard.stdout.close()

    def __enter__(self) -> "ProcessGroup":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def processes_in_group(group_id: int) -> list[int]:
    """Pids alive (zombies excluded) in a process group, from `ps`, which Linux and macOS both have."""
    listing = subprocess.run(["ps", "-A", "-o", "pid=,pgid=,stat="], capture_output=True, text=True, check=True).stdout
    rows = (line.split(None, 2) for line in listing.splitlines())
    return [int(pid) for pid, group, state in rows if int(group) == group_id and not state.startswith("Z")]
