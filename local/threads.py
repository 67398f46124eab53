"""The local system's threads: what leaves one is a sentence for whoever owns it, and never a traceback in the terminal.

The rule: every thread of `local` is started here, as a test holds.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable


def told(sentence: str) -> None:
    """For threads whose owner has nobody to tell: a line on standard error."""
    print(f"local: {sentence}", file=sys.stderr, flush=True)


def start(name: str, work: Callable[[], None], problem: Callable[[str], None] = told) -> threading.Thread:
    """Run `work` in a daemon thread of that name; `problem` is told what it raised."""

    def run() -> None:
        try:
            work()
        # Nobody is above a thread: what it raises would be lost, or a traceback among somebody's payments.
        except Exception as error:  # noqa: BLE001
            problem(f"thread {name}: {type(error).__name__}: {error}")

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread
