"""`payments` beside a running `make up`, with the lines that it prints in force."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from operations import __main__ as cli
from tests.support.processes import make_up


def payment(payment_id: str, amount: float = 25.99, **other: str) -> str:
    """A message."""
    document = {
        "payment_id": payment_id,
        "order_id": f"ord-{payment_id}",
        "customer_id": "cust-1",
        "amount": amount,
        "payment_method": "credit_card",
    }
    return json.dumps(document | other)


class Answer(NamedTuple):
    """Exit code, standard output and standard error."""

    code: int
    said: str
    errors: str

    @property
    def documents(self) -> list[Any]:
        return [json.loads(line) for line in self.said.splitlines()]


class Up:
    """One local system; commands run in this process, whose variables are the lines that it printed."""

    def __init__(self, exports: dict[str, str]) -> None:
        self.exports = exports

    def __call__(self, *arguments: str, answer: str = "", **variables: str) -> Answer:
        """`answer` is on standard input; `variables` stand above the exported ones."""
        said, errors, before, stdin = io.StringIO(), io.StringIO(), dict(os.environ), sys.stdin
        try:
            os.environ.clear()
            os.environ.update({"PATH": before["PATH"], "HOME": "/nonexistent", **self.exports, **variables})
            sys.stdin = io.StringIO(answer)
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(errors):
                code = cli.main(arguments, os.environ)
        finally:
            sys.stdin = stdin
            os.environ.clear()
            os.environ.update(before)
        return Answer(code, said.getvalue(), errors.getvalue())

    def until(self, *arguments: str, holds: Callable[[Any], bool], seconds_max: float = 60) -> Any:
        """The first document of a command's `--json` once it is as it should be."""
        ends = time.monotonic() + seconds_max
        answer = Answer(1, "", "")
        while time.monotonic() < ends:
            answer = self(*arguments, "--json")
            if answer.said and holds(answer.documents[0]):
                return answer.documents[0]
            time.sleep(0.3)
        raise AssertionError(f"`payments {' '.join(arguments)}` never was as it should be: {answer}")


@contextmanager
def up() -> Iterator[Up]:
    """`payments` beside a `make up` of its own."""
    with make_up() as system:
        yield Up({**system.exports, "AWS_EC2_METADATA_DISABLED": "true"})
