"""Chooses what the queue function stands on: AWS clients, log and metric lines, of botocore and Powertools or our own.

The rule it keeps: a choice never falls back. What was measured with one support must not quietly run on the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from handler.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol, TextIO

    from handler.adapters.system import AnyLogger

    class Metrics(Protocol):
        """What Powertools' metrics and ours have in common."""

        def add_metric(self, name: str, unit: str, value: float) -> None: ...

        def flush_metrics(self) -> None: ...

    class Support(Protocol):
        """A module of `handler.adapters.support`; `standard` says what each function returns and raises."""

        def create_logger(self, service: str, stream: TextIO | None = None) -> AnyLogger: ...

        def create_metrics(self, namespace: str, service: str, environment: str) -> Metrics: ...

        def create_clients(self, region: str, ca_file: str | None) -> Callable[[str], Any]: ...


def load_support(name: str) -> Support:
    """Import and return the support, `lean` or `standard`. Raises ConfigurationError where the package has no such."""
    try:
        if name == "lean":
            from handler.adapters.support import lean

            return lean
        from handler.adapters.support import standard

        return standard
    except ImportError as error:
        allowed = f"a support that was packaged ({error}): make package SUPPORT={name}"
        raise ConfigurationError("SUPPORT", name, allowed) from error
