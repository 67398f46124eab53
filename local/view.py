"""What a terminal shows of the running system: queue, environments, payments as they settle, failed inits in red.

The rule: a terminal has a live table below what is told once; anything else, a file or a pipe, gets plain lines.
"""

from __future__ import annotations

import time
from collections import Counter
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from local.execution_environment import ExecutionEnvironment
from local.status import Status

# Of plain lines: one that says the same as before is not repeated.
PLAIN_SECONDS = 2.0


class View:
    """A context manager; `show` it again and again."""

    def __init__(self, console: Console, status: Status) -> None:
        self._console = console
        self._status = status
        self._failed: dict[str, int] = {}
        self._said = ""
        self._said_at = 0.0
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None

    def __enter__(self) -> View:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def tell(self, sentence: str, style: str = "") -> None:
        """Say something once; it stays."""
        self._console.print(Text(sentence, style), soft_wrap=True)

    def show(self, queue: dict[str, int], environments: list[ExecutionEnvironment]) -> None:
        """`queue` is how many messages wait, are in flight, and how old the oldest one is, by what to call that."""
        for sentence, count in self._status.failed_inits.items():
            # At the first one, and then each time that there are twice as many: a mapping tries again and again.
            if count >= max(1, 2 * self._failed.get(sentence, 0)):
                self.tell(f"init failed{_times(count)}: {sentence}", "bold red")
                self._failed[sentence] = count
        if self._live is not None:
            self._live.update(self._table(queue, environments), refresh=True)
        else:
            self._say(self._line(queue, environments))

    def _say(self, line: str) -> None:
        now = time.monotonic()
        if line != self._said and now - self._said_at > PLAIN_SECONDS:
            self.tell(line)
            self._said, self._said_at = line, now

    def _line(self, queue: dict[str, int], environments: list[ExecutionEnvironment]) -> str:
        # Ages and who is busy this moment would make every line a new one.
        waiting = ", ".join(f"{count} {name}" for name, count in queue.items() if name != "s old")
        others = f"; messages: {_counted(self._status.messages)}" if self._status.messages else ""
        outcomes = _counted(self._status.outcomes) or "no payment yet"
        return f"# queue: {waiting}; {len(environments)} environments; {outcomes}{others}"

    def _table(self, queue: dict[str, int], environments: list[ExecutionEnvironment]) -> RenderableType:
        table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
        table.add_row("queue", ", ".join(f"{count} {name}" for name, count in queue.items()))
        alive = Counter(each.function.name for each in environments)
        busy = Counter(each.function.name for each in environments if each.request_id is not None)
        for name, count in sorted(alive.items()):
            table.add_row(name, f"{count} environments, {busy[name]} busy")
        table.add_row("payments", _counted(self._status.outcomes) or "none yet")
        if self._status.messages:
            table.add_row("other messages", _counted(self._status.messages))
        recent = [Text(f"{each.payment_id}  {each.outcome}  {each.group}") for each in self._status.recent]
        failed = [Text(f"init failed{_times(count)}: {what}", "red") for what, count in self._failed.items()]
        return Group(table, *recent, *failed)


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def _times(count: int) -> str:
    return f" ({count} times)" if count > 1 else ""
