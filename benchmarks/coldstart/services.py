"""What stands around a sample: tables, secret and gateway on 127.0.0.1 over TLS, and what they say of a payment.

The rule: there are two of each, one that answers at once and one that takes its time, so that both are measured in one
run; and an invocation is believed only when each of its payments stands in the table and was captured once.
"""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

import botocore
import trustme

from benchmarks.coldstart.packages import Built
from benchmarks.coldstart.sample import Cell, LabError
from local.installation import ROOT
from local.process_group import ProcessGroup

SETTLED = ("completed", "declined", "pending_approval", "rejected")


class Services:
    """A context manager; `processes` ends what it starts. Waits are milliseconds of each answer."""

    def __init__(self, processes: ProcessGroup, folder: Path, gateway_ms: float, table_ms: float) -> None:
        self._processes = processes
        self._folder = folder
        self._waits = {False: (0.0, 0.0), True: (table_ms, gateway_ms)}
        # By whether they wait: the URL of the tables and of the secret, that of the gateway.
        self._urls: dict[bool, tuple[str, str]] = {}
        self._after: dict[bool, int] = dict.fromkeys(self._waits, 0)
        self._started: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Services:
        authority = trustme.CA()
        certificate = authority.issue_cert("127.0.0.1")
        folder = self._folder
        folder.mkdir(exist_ok=True)
        certificate.private_key_pem.write_to_path(folder / "key.pem")
        for number, blob in enumerate(certificate.cert_chain_pems):
            blob.write_to_path(folder / "certificate.pem", append=number > 0)
        self._authority = authority.cert_pem.bytes()
        (folder / "ca.pem").write_bytes(self._authority)
        # Amazon Linux has one file of some 140 roots, which whoever trusts the system reads whole; so has the SDK.
        every_root = Path(botocore.__file__).with_name("cacert.pem").read_bytes()
        (folder / "system.pem").write_bytes(every_root + self._authority)
        for waits, times in self._waits.items():
            command = [sys.executable, "-m", "benchmarks.coldstart.table"]
            files = [str(folder / name) for name in ("certificate.pem", "key.pem", f"gateway-{waits}.sqlite")]
            started = self._processes.start([*command, *files, *map(str, times)], cwd=ROOT, stdout=subprocess.PIPE)
            self._started.append(started)
            assert started.stdout is not None
            port, gateway_port = started.stdout.readline().split()
            self._urls[waits] = f"https://127.0.0.1:{int(port)}", f"https://127.0.0.1:{int(gateway_port)}"
        self._tls = ssl.create_default_context(cafile=folder / "ca.pem")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._processes.stop()
        for started in self._started:
            assert started.stdout is not None
            started.stdout.close()
            started.wait()
        for path in self._folder.iterdir():
            path.unlink()
        self._folder.rmdir()

    @property
    def endpoint(self) -> str:
        """Where tables and secret answer at once."""
        return self._urls[False][0]

    def trusted(self, built: Built) -> Path:
        """The file of authorities that a package's samples trust AWS by: its own on AWS, and the lab's."""
        return self._trusted(built, "trusted.pem", "handler/amazon_roots.pem", "botocore/cacert.pem")

    def variables(self, cell: Cell, built: Built) -> dict[str, str]:
        """The settings by which a sample finds all that is around it."""
        endpoint, gateway = self._urls[cell.waits]
        found = {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_CA_BUNDLE": str(self.trusted(built)),
            "REJECTED_QUEUE_URL": f"{endpoint}/000000000000/rejected.fifo",
            "GATEWAY": cell.gateway,
        }
        if cell.gateway == "stripe":
            roots = "handler/adapters/gateways/stripe_roots.pem"
            found |= {
                "GATEWAY_MODE": "test",
                "GATEWAY_URL": gateway,
                "GATEWAY_SECRET_ARN": "arn:aws:secretsmanager:us-east-1:000000000000:secret:lab",
                "GATEWAY_CA_FILE": str(self._trusted(built, "gateway.pem", roots)),
                "CANONICAL_VERSION_WRITTEN": "2",
                "SSL_CERT_FILE": str(self._folder / "system.pem"),
            }
        return found

    def verify(self, cell: Cell, payment_ids: set[str]) -> int:
        """How many payments the gateway captured. Raises LabError where one is not settled, or not captured once."""
        endpoint, gateway = self._urls[cell.waits]
        items = self._read(f"{endpoint}/?{','.join(f'txn-{one}' for one in payment_ids)}")
        stored = {one: items.get(f"txn-{one}", {}).get("status", {}).get("S") for one in payment_ids}
        for payment_id, status in stored.items():
            if status not in SETTLED:
                raise LabError(f"payment {payment_id} is stored as {status}")
        if cell.gateway != "stripe":
            return 0
        log = self._read(f"{gateway}/_log?after={self._after[cell.waits]}")
        self._after[cell.waits] = max(
            (entry["seq"] for entries in log.values() for entry in entries), default=self._after[cell.waits]
        )
        captured = Counter(one["payment_id"] for one in log["captures"] if one["payment_id"] in payment_ids)
        completed = Counter(one for one, status in stored.items() if status == "completed")
        if captured != completed:
            raise LabError(f"captured were {dict(captured)}, recorded as completed {dict(completed)}")
        return captured.total()

    def _trusted(self, built: Built, name: str, *roots: str) -> Path:
        path = self._folder / name
        own: Iterable[Path] = (built.folder / one for one in roots)
        path.write_bytes(next((one.read_bytes() for one in own if one.exists()), b"") + self._authority)
        return path

    def _read(self, url: str) -> dict[str, Any]:
        with urllib.request.urlopen(url, context=self._tls, timeout=10) as answered:
            found: dict[str, Any] = json.load(answered)
        return found
