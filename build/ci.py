"""Make's targets as the steps of CI, two at a time.

The rule it keeps: a step's output is printed whole when the step ends, and the first step that fails ends all others.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path


class StepError(Exception):
    """A step failed. The message says which, with what, and after how many seconds."""


class Steps:
    """The steps under way, each a process group of its own."""

    def __init__(self, make: str) -> None:
        self._make = make
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._ended = False

    def run(self, step: str) -> None:
        """Run one step and print what it said. Raises StepError."""
        if self._ended:
            return
        begun = time.monotonic()
        print(f"-- {step} begins", flush=True)
        with tempfile.TemporaryFile() as output:
            command = [self._make, "--no-print-directory", step]
            with subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, process_group=0) as process:
                self._running[step] = process
                if self._ended:
                    _kill(process)
                code = process.wait()
            del self._running[step]
            output.seek(0)
            said = output.read().decode(errors="replace")
        how = "was ended" if self._ended else f"failed with {code}" if code else "took"
        end = f"== {step} {how} {'' if how == 'took' else 'after '}{time.monotonic() - begun:.0f} s"
        # One call: the other step's lines come before or after, never between.
        print(f"== {step}\n{said}{end}", flush=True)
        if code and not self._ended:
            self.end()
            raise StepError(end)

    def end(self) -> None:
        """End what runs, and start nothing more."""
        self._ended = True
        for process in list(self._running.values()):
            _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)


def run_all(make: str, first: list[str], then: list[str], at_once: int = 2) -> None:
    """Run `first` one after another, then `then`. Raises StepError for the first that fails."""
    steps = Steps(make)
    with ThreadPoolExecutor(at_once) as pool:
        try:
            for step in first:
                pool.submit(steps.run, step).result()
            started = [pool.submit(steps.run, step) for step in then]
            for done in wait(started, return_when=FIRST_EXCEPTION).done:
                done.result()
        finally:
            # Of no effect once all have come to their ends.
            steps.end()


def main(arguments: list[str] | None = None) -> int:
    """Run the steps; 0 if all passed, 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--make", default="make", help="the make program (%(default)s)")
    parser.add_argument("--first", nargs="*", default=[], help="steps that the others need: one after another")
    parser.add_argument("then", nargs="*", help="steps that are independent of each other")
    options = parser.parse_args(arguments)
    begun = time.monotonic()
    os.chdir(Path(__file__).resolve().parent.parent)
    try:
        run_all(options.make, options.first, options.then)
    except StepError as error:
        print(f"{error}: CI ends here", flush=True)
        return 1
    print(f"== all of CI took {time.monotonic() - begun:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
