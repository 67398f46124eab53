"""A share of one processor for one process: memory / 1769 MB, as AWS's "Configure Lambda function memory" says.

The rule: without a cgroup that really limits, nothing is called a measurement; rows are then computed and say so.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType

MB_PER_CPU = 1769
PERIOD_US = 20_000
QUOTA_US_MIN = 1_000  # the kernel refuses less
ROOT = Path("/sys/fs/cgroup")


class QuotaUnavailableError(Exception):
    """No cgroup can be made here; the message says why and what would help."""


def fraction(memory_size: int) -> float:
    """The share of processor time of a memory size in MB; more than 1.0 is more than one processor."""
    return memory_size / MB_PER_CPU


class CpuQuota:
    """A cgroup that one process at a time is put into. cgroup v1, or v2 with a delegated `cpu` controller.

    A context manager; raises QuotaUnavailableError when the group cannot be made.
    """

    def __init__(self, root: Path = ROOT) -> None:
        self._v2 = (root / "cgroup.controllers").exists()
        self._group = (root if self._v2 else root / "cpu") / f"cold-start-lab-{os.getpid()}"

    @property
    def kind(self) -> str:
        return "cgroup v2" if self._v2 else "cgroup v1"

    def __enter__(self) -> CpuQuota:
        try:
            self._group.mkdir()
        except OSError as error:
            raise QuotaUnavailableError(
                f"no cgroup can be made at {self._group}: {error.strerror}. Run as root, or delegate the cpu "
                "controller to your user (cgroup v2: `systemd-run --user --scope -p Delegate=yes`); "
                "without it rows under a quota are computed from CPU time."
            ) from error
        limit = "cpu.max" if self._v2 else "cpu.cfs_quota_us"
        if not (self._group / limit).exists():
            self._group.rmdir()
            raise QuotaUnavailableError(
                f"{self._group.parent} has no cpu controller for its children: as root, "
                f"`echo +cpu > {self._group.parent}/cgroup.subtree_control`"
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Its processes have ended, but the kernel empties the group a moment later.
        for _ in range(100):
            try:
                self._group.rmdir()
            except OSError:
                os.sched_yield()
            else:
                return

    def limit(self, pid: int, memory_size: int) -> None:
        """Put a process under the quota of a memory size, from now on."""
        quota = max(QUOTA_US_MIN, round(fraction(memory_size) * PERIOD_US))
        if self._v2:
            (self._group / "cpu.max").write_text(f"{quota} {PERIOD_US}")
        else:
            # The period first: a quota above the old period's parent would be refused.
            (self._group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
            (self._group / "cpu.cfs_quota_us").write_text(str(quota))
        (self._group / "cgroup.procs").write_text(str(pid))
