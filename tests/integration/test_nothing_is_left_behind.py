"""However the local system ends, its processes end and its ports close: Ctrl-C, a polite kill, `kill -9`, a crash."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.installation import ROOT
from local.loopback import HOST
from local.process_group import ProcessGroup, processes_in_group
from tests.support.processes import descendants, wait_for

SLEEPY = "import time\ndef lambda_handler(event, context):\n    time.sleep(600)\n"


@pytest.fixture
def up(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """`python -m local up` with a function that works on a message for ever, ready and busy."""
    (tmp_path / "handler.py").write_text(SLEEPY)
    process = subprocess.Popen(
        [sys.executable, "-m", "local", "up", "--port", "0", "--package", str(tmp_path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # As a terminal would: a group of its own for the Ctrl-C of the test.
        process_group=0,
    )
    yield process
    process.kill()
    process.communicate()


def exports(process: subprocess.Popen[str]) -> dict[str, str]:
    assert process.stdout is not None
    found = {}
    for line in process.stdout:
        if export := re.fullmatch(r"export (\w+)=(.*)\n", line):
            found[export[1]] = export[2]
        if "Ctrl-C" in line:
            return found
    assert process.stderr is not None
    pytest.fail(f"local up did not come up: {process.stderr.read()}")


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda how: how.name)
def test_nothing_is_left_behind(up: subprocess.Popen[str], how: signal.Signals) -> None:
    port = int(exports(up)["AWS_ENDPOINT_URL"].rsplit(":", 1)[1])
    # The guard, ministack and the listing itself.
    wait_for(lambda: len(descendants(up.pid)) >= 2)
    (group,) = {group for group in descendants(up.pid).values() if group != up.pid}
    assert is_open(port)
    if how is signal.SIGINT:
        os.killpg(up.pid, how)
    else:
        up.send_signal(how)
    up.wait(timeout=30)
    wait_for(lambda: not processes_in_group(group))
    # The last threads of a killed process may hold its socket a moment longer.
    wait_for(lambda: not is_open(port))


def test_busy_environments_are_killed_with_their_parent(tmp_path: Path) -> None:
    """The parent is killed while a function works and ministack's own worker sleeps."""
    (tmp_path / "handler.py").write_text(SLEEPY)
    script = f"""
import json, threading, time
from pathlib import Path
from local.system import LocalSystem
with LocalSystem(package=Path({str(tmp_path)!r}), directory=Path({str(tmp_path)!r}), mapping="none") as system:
    threading.Thread(target=system.invoke, args=(b"{{}}",), daemon=True).start()
    threading.Thread(target=lambda: system.clients["lambda"].invoke(
        FunctionName=system.names.function, Payload=b"{{}}"), daemon=True).start()
    while not any(each.event for each in system.environments()):
        time.sleep(0.01)
    print(system.processes.group_id, flush=True)
    time.sleep(600)
"""
    parent = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert parent.stdout is not None
        group = int(parent.stdout.readline())
        # The guard, ministack, ministack's worker, and our environment.
        wait_for(lambda: len(processes_in_group(group)) == 4)
        parent.kill()
        parent.wait()
        wait_for(lambda: not processes_in_group(group))
        assert not (tmp_path / "tmp").exists()
    finally:
        parent.kill()
        parent.communicate()


def test_a_group_outlives_the_signals_of_a_terminal_and_ends_with_its_owner() -> None:
    with ProcessGroup() as processes:
        child = processes.start([sys.executable, "-c", "import time; time.sleep(600)"])
        os.kill(processes.group_id, signal.SIGINT)
        os.kill(processes.group_id, signal.SIGTERM)
        group = processes.group_id
        assert child.poll() is None
    assert child.wait(timeout=10) == -signal.SIGKILL
    assert processes_in_group(group) == []


def test_a_port_in_use_is_named_with_its_owner_and_another_is_offered(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        (tmp_path / "handler.py").write_text(SLEEPY)
        done = subprocess.run(
            [sys.executable, "-m", "local", "up", "--port", str(port), "--package", str(tmp_path)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert f"port {port} on 127.0.0.1 is in use by pid {os.getpid()} (" in done.stderr
    offered = re.search(r"for example (\d+)", done.stderr)
    assert offered is not None
    with socket.socket() as probe:
        probe.bind((HOST, int(offered[1])))
    assert "Traceback" not in done.stderr
