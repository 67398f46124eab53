"""ministack (SQS, DynamoDB, CloudWatch, Lambda's API and the rest) as one process on one loopback port.

It keeps everything in memory: when it dies, the queue and the table die with it, and the system says so.
"""

import contextlib
import errno
import http.client
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from local import threads
from local.installation import environment
from local.loopback import HOST
from local.process_group import ProcessGroup

REGION = "us-east-1"
ACCOUNT = "000000000000"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
DISK_FREE_BYTES_MIN = 200 * 1024 * 1024
READY_SECONDS_MAX = 30.0
#: What hypercorn serves where nobody says otherwise. It puts the file's folder in front of its path.
VERSIONED = f"{Path(__file__).parent / 'emulator' / 'versioned.py'}:app"


class ServicesError(RuntimeError):
    """The loopback AWS services cannot start or have died; the message says what, where, and what to do."""


class PortInUse(ServicesError):
    """Another process listens on the port."""


def check_disk(folder: Path) -> None:
    """Refuse to start with less than 200 MB free: logs and unpacked code would be cut short without a word."""
    free = shutil.disk_usage(folder).free
    if free < DISK_FREE_BYTES_MIN:
        raise ServicesError(
            f"no free disk: {folder} has {free // 2**20} MB left and the local system wants "
            f"{DISK_FREE_BYTES_MIN // 2**20} MB for logs and code; free some, or remove old runs in .build/local"
        )


def bound_socket(port: int = 0) -> socket.socket:
    """A socket bound to a port of 127.0.0.1, any free one for 0. Raises PortInUse, naming the owner and a free port."""
    bound = socket.socket()
    # Connections of an earlier run may still linger; a listener still refuses a second one.
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((HOST, port))
    except OSError as error:
        bound.close()
        if error.errno != errno.EADDRINUSE:
            raise ServicesError(f"port {port} on {HOST} cannot be used: {error}; take another port") from error
        raise PortInUse(
            f"port {port} on {HOST} is in use by {listener(port)}; stop that, or take another port, for example "
            f"{_free_port_after(port)}"
        ) from error
    return bound


def _free_port_after(port: int) -> int:
    for candidate in [*range(port + 1, 65536), 0]:
        with socket.socket() as probe:
            try:
                probe.bind((HOST, candidate))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ServicesError(f"no free port at {HOST}")


def listener(port: int) -> str:
    """Who listens on a loopback port, as `pid 12 (command line)`, or `an unknown process`."""
    owner = None
    with contextlib.suppress(OSError):
        owner = _listener_from_proc(port)
    if owner is None and shutil.which("lsof"):
        found = subprocess.run(
            ["lsof", "-nP", "-t", f"-iTCP:{port}", "-sTCP:LISTEN"], capture_output=True, text=True, check=False
        ).stdout.split()
        owner = int(found[0]) if found else None
    if owner is None:
        return "an unknown process (of another user?)"
    command = subprocess.run(
        ["ps", "-p", str(owner), "-o", "command="], capture_output=True, text=True, check=False
    ).stdout.strip()
    return f"pid {owner} ({command[:120]})"


def _listener_from_proc(port: int) -> int | None:
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rsplit(":", 1)[1], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            for descriptor in (process / "fd").iterdir():
                with contextlib.suppress(OSError):
                    if os.readlink(descriptor) in inodes:
                        return int(process.name)
    return None


class Ministack:
    """One running ministack. `port` 0 takes any free port; `url` is its endpoint."""

    def __init__(
        self,
        processes: ProcessGroup,
        folder: Path,
        port: int = 0,
        variables: dict[str, str] | None = None,
        application: str = VERSIONED,
    ) -> None:
        """Start it and wait until it answers; `folder` gets its log and its scratch files.

        `variables` are what functions in its workers find beside their own; `application` is what hypercorn serves, a
        module or a file that changes ministack and has its app. Raises ServicesError (no disk, did not
        start) or PortInUse.
        """
        check_disk(folder)
        # Bound here and handed over: a port that is only looked up may be taken by anyone before it is used.
        bound = bound_socket(port)
        self.port = int(bound.getsockname()[1])
        self.url = f"http://{HOST}:{self.port}"
        self.log_path = folder / "ministack.log"
        self._processes = processes
        self._application = application
        self._stopping = False
        self._scratch = folder / "tmp"
        self._scratch.mkdir(exist_ok=True)
        self._environ = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self._scratch),
            "TMPDIR": str(self._scratch),
            "GATEWAY_PORT": str(self.port),
            # Its own default is the name localhost, which may resolve to ::1, where nothing listens.
            "MINISTACK_HOST": HOST,
            "LAMBDA_EXECUTOR": "local",
            "LOG_LEVEL": "WARNING",
            # Its workers inherit them.
            **(variables or {}),
        }
        self._serve(bound)

    def _serve(self, bound: socket.socket) -> None:
        """Start the process on a socket, which is closed here, and wait until it answers. Raises ServicesError."""
        with bound, self.log_path.open("ab") as log:
            # No worker processes: hypercorn's default forks one, a second process to lose. A connection is kept longer
            # than clients keep it (Go's 90 s): one that is closed as a request comes has it done, and sent again.
            serve = [str(environment("ministack") / "hypercorn"), "--workers", "0", "--keep-alive", "120"]
            serve += ["--bind", f"fd://{bound.fileno()}"]
            self._process = self._processes.start(
                [*serve, self._application],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environ,
                cwd=self._scratch,
                pass_fds=(bound.fileno(),),
            )
        self._wait_until_ready()

    @property
    def pid(self) -> int:
        return self._process.pid

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS_MAX
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise ServicesError(f"ministack ended while starting: {self._end()}")
            connection = http.client.HTTPConnection(HOST, self.port, timeout=5)
            try:
                connection.request("GET", "/_ministack/health")
                if connection.getresponse().status == 200:
                    return
            except OSError:
                time.sleep(0.05)
            finally:
                connection.close()
        raise ServicesError(f"ministack did not answer within {READY_SECONDS_MAX:.0f} s; its log is {self.log_path}")

    def watch(self, died: Callable[[str], None]) -> None:
        """Call `died` with one sentence, from a thread, if it ends before `stop` was called."""

        def wait() -> None:
            self._process.wait()
            if not self._stopping:
                died(f"ministack (pid {self.pid}) died under way: {self._end()}")

        threads.start("ministack-watch", wait, died)

    def _end(self) -> str:
        code = self._process.returncode
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        tail = self.log_path.read_text(errors="replace").strip().splitlines()[-3:]
        return f"{how}; last lines of {self.log_path}: {' | '.join(tail) or '(empty)'}"

    def stop(self) -> None:
        """End it; what it held is gone."""
        self._stopping = True
        self._process.kill()
        self._process.wait()
