"""Stand-ins for AWS's services, as processes of this machine that tests call over HTTP."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import boto3

from local.installation import environment
from local.ministack import CREDENTIALS, REGION, Ministack
from local.process_group import ProcessGroup

KEYS: Final = {name.lower(): value for name, value in CREDENTIALS.items()}
_FIRST_CALLS: Final = {
    "dynamodb": "list_tables",
    "lambda": "list_functions",
    "secretsmanager": "list_secrets",
    "sqs": "list_queues",
}


@contextmanager
def services(name: str, folder: Path) -> Iterator[str]:
    """The URL of `ministack` or `moto`, which ends with the block; its files are in the folder."""
    with ProcessGroup() as processes:
        for url in {"moto": _moto, "ministack": _ministack}[name](processes, folder):
            # A service is imported at its first call, which takes longer than a client waits.
            for service, look in _FIRST_CALLS.items():
                getattr(boto3.client(service, region_name=REGION, endpoint_url=url, **KEYS), look)()
            yield url


def _ministack(processes: ProcessGroup, folder: Path) -> Iterator[str]:
    started = Ministack(processes, folder)
    yield started.url
    started.stop()


def _moto(processes: ProcessGroup, folder: Path) -> Iterator[str]:
    log = folder / "moto.log"
    command = [str(environment("moto") / "python"), "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    with log.open("wb") as output:
        started = processes.start(command, stdout=output, stderr=subprocess.STDOUT)
    while not (found := re.search(r"Running on (http://127\.0\.0\.1:[0-9]+)\n", log.read_text())):
        assert started.poll() is None, log.read_text()
        time.sleep(0.02)
    yield found[1]
    processes.stop()
    started.wait()
