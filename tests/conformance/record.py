"""What was asked of AWS and what it answered, step by step: as JSON to keep and as a short table.

The rule: nothing leaves here that names an account, a caller or a link of an approver.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import botocore.session

RECORD: Final = Path(__file__).with_name("record.json")
RESULTS: Final = ("ok", "differs", "failed", "not played")

_MASKS: Final = (
    # The caller first: its ARN has the account inside. What AWS wraps in quotes or ends a sentence with stays outside.
    (re.compile(r"arn:aws[a-z-]*:(?:iam|sts)::\d{12}:(?:user|assumed-role)/[\w+=,.@/-]*[\w+=,@/-]"), "<caller>"),
    (re.compile(r"(?<!\d)\d{12}(?!\d)"), "<account>"),
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}"), "<key id>"),
    # Whoever has an approver's link may decide.
    (re.compile(r"([?&]t=)[\w.~%-]+"), r"\1<token>"),
)
_SAID_CHARACTERS_MAX: Final = 1200
_LINE_CHARACTERS_MAX: Final = 100
_COLUMN_CHARACTERS_MAX: Final = 60


def masked(text: str) -> str:
    """The text without account ids, callers, access keys and approvers' tokens."""
    for pattern, instead in _MASKS:
        text = pattern.sub(instead, text)
    return text


@dataclass(frozen=True)
class Step:
    """One step of the way.

    `expected` is what the docs say that AWS answers; `not_here` why the loopback services cannot play it, empty where
    they can. A question's answer is what it is: whatever comes, the way goes on. `play` returns what was answered and
    whether it is what was expected; an exception of a step that is no question ends the way.
    """

    name: str
    asked: str
    expected: str
    play: Callable[[Any], tuple[str, bool]]
    question: bool = False
    not_here: str = ""


class Calls:
    """What AWS answered to boto3: equal answers in a row are one, counted."""

    def __init__(self) -> None:
        self._heard: list[dict[str, Any]] = []

    def hear(self, session: botocore.session.Session) -> None:
        """Listen to every client that this session will make."""
        session.register("after-call", self._answered)

    def _answered(self, http_response: Any, parsed: dict[str, Any], model: Any, **_: Any) -> None:
        error = parsed.get("Error", {})
        call = {
            "call": f"{model.service_model.service_name}:{model.name}",
            "status": http_response.status_code,
            "code": error.get("Code", ""),
            "message": masked(error.get("Message", "")),
        }
        last = self._heard[-1] if self._heard else None
        if last is not None and {**last, "times": 1} == {**call, "times": 1}:
            last["times"] += 1
        else:
            self._heard.append({**call, "times": 1})

    def take(self) -> list[dict[str, Any]]:
        """What was heard since the last time."""
        taken, self._heard = self._heard, []
        return taken


@dataclass
class Record:
    """The record of one run. `facts` are the target, the region, what was estimated and so on."""

    facts: dict[str, Any]
    calls: Calls
    say: Callable[[str], None] = print
    steps: list[dict[str, Any]] = field(default_factory=list)

    def play(self, step: Step, system: Any) -> bool:
        """Play one step and keep what came; whether the way can go on.

        An exception becomes the answer of the step, with an interrupt's name too, which is then raised on.
        """
        begun = time.monotonic()
        self.calls.take()
        try:
            said, expected = step.play(system)
            result = "ok" if expected else "differs"
        except Exception as error:  # noqa: BLE001 - whatever ends a step, its answer is kept and the environment removed
            said, result = f"{type(error).__name__}: {error}", "failed"
        except BaseException as error:
            self._keep(step, "failed", f"ended by {type(error).__name__}", time.monotonic() - begun)
            raise
        self._keep(step, result, said, time.monotonic() - begun)
        return result != "failed" or step.question

    def leave_out(self, step: Step, reason: str) -> None:
        """Say that a step was not played, and why."""
        self._keep(step, "not played", reason, 0.0)

    def _keep(self, step: Step, result: str, said: str, seconds: float) -> None:
        said = masked(said)
        self.steps.append(
            {
                "step": step.name,
                "asked": step.asked,
                "expected": step.expected,
                # An error says at its end what is wrong, a program at its end what came out.
                "answered": said[-_SAID_CHARACTERS_MAX:],
                "calls": self.calls.take(),
                "result": result,
                "seconds": round(seconds, 1),
            }
        )
        self.say(f"  {result:<10} {seconds:6.0f} s  {step.name}: {_one_line(said)}")

    def differs(self) -> list[str]:
        """The names of the steps that went otherwise than expected, or not at all where they should have."""
        return [step["step"] for step in self.steps if step["result"] in ("differs", "failed")]

    def document(self) -> dict[str, Any]:
        return {**self.facts, "steps": self.steps, "differs": self.differs()}

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(masked(json.dumps(self.document(), indent=2, ensure_ascii=False)) + "\n")

    def table(self) -> str:
        """One line a step: what was asked, what came, its last error of AWS."""
        rows = [("RESULT", "SECONDS", "STEP", "ASKED", "ANSWERED")]
        for step in self.steps:
            refused = [call for call in step["calls"] if call["code"]]
            came = f"{refused[-1]['status']} {refused[-1]['code']}: " if refused else ""
            answered = came + step["answered"]
            rows.append((step["result"], f"{step['seconds']:.0f}", step["step"], step["asked"], answered))
        return "\n".join(_aligned(rows))


def _one_line(text: str, characters_max: int = _LINE_CHARACTERS_MAX) -> str:
    line = " ".join(text.split())
    return line if len(line) <= characters_max else f"{line[: characters_max - 3]}..."


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    short = [[*(_one_line(cell, _COLUMN_CHARACTERS_MAX) for cell in row[:-1]), _one_line(row[-1])] for row in rows]
    widths = [max(len(row[column]) for row in short) for column in range(len(short[0]))]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in short]
