"""Reads rule texts: every fault is told at once, with its file and line.

A rule file is UTF-8 text: sections of rules that share their properties.

    # A comment.
    [Disposable mailboxes]
    mode = value                       substring | token | value
    fields = email_domain              names from scoring.model.FIELD_NUMBERS, by commas, or: any
    weight = 2500                      0 to 10000: parts of 10**4 of the survival that the rule takes
    action = score                     score | review | decline
    reason = Anybody can read this mailbox, so the buyer cannot be reached later.

    1001 mailinator.com
    1002 trashmail.example  # A reason of its own, after two spaces.
    1003 "  quoted as in JSON, where spaces, quotes or # matter"

A blocklist leaves the ids out: with `first_id = 500000` among the properties, every line is a literal, numbered from
there on (so append to it, and never reorder it). Rule ids are unique over all files compiled together.
"""

import json
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from scoring.model import ACTION_NUMBERS, FIELD_NUMBERS, FIELDS, MODE_NUMBERS, REASON_LENGTH_MAX, WEIGHT_FULL, Rule
from scoring.screening_view import literal_view, screening_view
from scoring.table import LITERAL_LENGTH_MAX

ID_MAX = 2**32 - 1
FAULTS_SHOWN = 20
PROPERTY = re.compile(r"([a-z_]+)\s*=\s*(.*)")
NUMBERED = re.compile(r"([0-9]{1,10})\s+(.*)")
OWN_REASON = re.compile(r"(.*?)\s{2,}# (.+)")
JSON = json.JSONDecoder()
PROPERTIES = ("mode", "fields", "weight", "action", "reason", "first_id")
DOMAIN = re.compile(rb"[a-z0-9\x80-\xff_-]+(\.[a-z0-9\x80-\xff_-]+)*")
FINGERPRINT_VALUE = re.compile(rb"[0-9a-f]{64}")

# What is being done, how far, of how much.
Progress = Callable[[str, int, int], None]


class RuleTextError(Exception):
    """Rule texts that cannot be compiled; one line per fault, each with file and line."""


class Source(NamedTuple):
    """A rule and where it stands."""

    rule: Rule
    place: str  # file:line


class _Reader:
    """Reads rule files line by line, and gathers faults instead of stopping at the first."""

    def __init__(self) -> None:
        self.sources: list[Source] = []
        self.faults: list[str] = []
        self.ids: dict[int, str] = {}
        self.same: dict[tuple[bytes, str, tuple[str, ...]], str] = {}
        self.properties: dict[str, str] | None = None
        self.parsed: tuple[str, tuple[str, ...], int, str, str] | None = None
        self.next_id: int | None = None
        self.section_refused = False

    def read(self, path: str, progress: Progress) -> None:
        try:
            lines = Path(path).read_text(encoding="utf-8-sig").split("\n")
        except OSError as error:
            self.faults.append(f"{path}: cannot be read ({error.strerror})")
            return
        except UnicodeDecodeError as error:
            self.faults.append(f"{path}: not UTF-8 at byte {error.start}")
            return
        self.properties = self.parsed = self.next_id = None
        self.section_refused = False
        for number, line in enumerate(lines, 1):
            if number % 5000 == 0:
                progress(f"reading {os.path.basename(path)}", number, len(lines))
            try:
                self._line(line.strip(" \t\r"), f"{path}:{number}")
            except ValueError as fault:
                self.faults.append(f"{path}:{number}: {fault}")

    def _line(self, line: str, place: str) -> None:
        if not line or line.startswith("#"):
            return
        if line.startswith("[") and line.endswith("]"):
            self.properties, self.parsed, self.next_id, self.section_refused = {}, None, None, False
            return
        if self.section_refused:  # said once is enough
            return
        if self.properties is None:
            raise ValueError("a rule before the first [section]")
        found = PROPERTY.fullmatch(line)
        if found and self.parsed is None and found[1] in PROPERTIES:
            if found[1] in self.properties:
                raise ValueError(f"{found[1]} is given twice in one section")
            self.properties[found[1]] = found[2]
            return
        if self.parsed is None:
            self.section_refused = True
            self.parsed = self._section(self.properties)
            self.section_refused = False
        if self.next_id is not None:
            rule_id, text = self.next_id, line
            self.next_id += 1
        else:
            numbered = NUMBERED.fullmatch(line)
            if not numbered:
                raise ValueError(
                    f"neither a rule (`<id> <literal>`) nor a property ({', '.join(PROPERTIES)}): {line!r}"
                )
            rule_id, text = int(numbered[1]), numbered[2]
        self._rule(rule_id, text, place)

    def _section(self, properties: dict[str, str]) -> tuple[str, tuple[str, ...], int, str, str]:
        missing = [name for name in PROPERTIES[:5] if not properties.get(name)]
        if missing:
            raise ValueError(f"the section lacks {', '.join(missing)} before its first rule")
        mode, action = properties["mode"], properties["action"]
        if mode not in MODE_NUMBERS:
            raise ValueError(f"mode is {mode!r}, allowed: {', '.join(MODE_NUMBERS)}")
        if action not in ACTION_NUMBERS:
            raise ValueError(f"action is {action!r}, allowed: {', '.join(ACTION_NUMBERS)}")
        names = [name.strip() for name in properties["fields"].split(",")]
        fields = FIELDS if names == ["any"] else tuple(name for name in FIELD_NUMBERS if name in names)
        unknown = [name for name in names if name not in FIELD_NUMBERS and names != ["any"]]
        if unknown:
            raise ValueError(f"unknown field {', '.join(unknown)}, allowed: any, {', '.join(FIELD_NUMBERS)}")
        if set(fields) & {"email_domain", "fingerprint"} and (len(fields) > 1 or mode != "value"):
            raise ValueError(f"{', '.join(fields)}: email_domain and fingerprint stand alone, with mode = value")
        if "fingerprint" in fields and action != "decline":
            raise ValueError("a blocklisted fingerprint is declined: action = decline")
        if not re.fullmatch(r"[0-9]{1,5}", properties["weight"]) or int(properties["weight"]) > WEIGHT_FULL:
            raise ValueError(f"weight is {properties['weight']!r}, allowed: 0 to {WEIGHT_FULL}")
        if "first_id" in properties:
            if not re.fullmatch(r"[0-9]{1,10}", properties["first_id"]):
                raise ValueError(f"first_id is {properties['first_id']!r}, allowed: 1 to {ID_MAX}")
            self.next_id = int(properties["first_id"])
        return mode, fields, int(properties["weight"]), action, properties["reason"]

    def _rule(self, rule_id: int, text: str, place: str) -> None:
        mode, fields, weight, action, reason = self.parsed  # type: ignore[misc]
        if not 1 <= rule_id <= ID_MAX:
            raise ValueError(f"id {rule_id}, allowed: 1 to {ID_MAX}")
        if rule_id in self.ids:
            raise ValueError(f"id {rule_id} is taken by {self.ids[rule_id]}")
        self.ids[rule_id] = place
        text, reason = _literal_and_reason(text, reason)
        raw = text.encode("utf-8", "surrogatepass")
        literal = literal_view(raw, mode)
        if not raw:
            raise ValueError("the literal is empty")
        if not literal.strip(b" "):
            raise ValueError(f"nothing but spaces is left of {text!r} in the screening view")
        if len(literal) > LITERAL_LENGTH_MAX:
            raise ValueError(f"the literal has {len(literal)} bytes, at most {LITERAL_LENGTH_MAX} are allowed")
        reason_length = len(reason.encode())
        if reason_length > REASON_LENGTH_MAX:
            raise ValueError(f"the reason has {reason_length} bytes, at most {REASON_LENGTH_MAX} are allowed")
        if mode == "value" and literal != screening_view(raw):
            raise ValueError("a whole value never begins or ends with white space, so this rule can never hit")
        if fields == ("email_domain",) and not DOMAIN.fullmatch(literal):
            raise ValueError(f"not a domain: {text!r}")
        if fields == ("fingerprint",) and not FINGERPRINT_VALUE.fullmatch(literal):
            raise ValueError(f"a fingerprint has 64 hex digits: {text!r}")
        key = (literal, mode, fields)
        if key in self.same:
            raise ValueError(f"the same literal (in the screening view), mode and fields as {self.same[key]}")
        self.same[key] = place
        self.sources.append(Source(Rule(rule_id, mode, fields, weight, action, reason, literal), place))  # type: ignore[arg-type]


def _literal_and_reason(text: str, reason: str) -> tuple[str, str]:
    """A rule's literal without its quotes, and its own reason or, where it has none, its section's `reason`."""
    if text.startswith('"'):
        try:
            literal, end = JSON.raw_decode(text)
        except ValueError:
            literal, end = "", 0
        own = OWN_REASON.fullmatch(text, end)
        if not end or (end < len(text) and not (own and not own[1])):
            raise ValueError(f"not a literal in JSON quotes: {text}")
    else:
        own = OWN_REASON.fullmatch(text)
        literal = own[1] if own else text
    return literal, own[2] if own else reason


def read_rules(paths: Iterable[str], progress: Progress = lambda *_: None) -> list[Source]:
    """Read rule files; rules come back with ids ascending. Raises RuleTextError with every fault's file and line."""
    reader = _Reader()
    for path in paths:
        reader.read(path, progress)
    if reader.faults:
        shown = reader.faults[:FAULTS_SHOWN]
        if len(reader.faults) > len(shown):
            shown.append(f"... and {len(reader.faults) - len(shown)} more")
        raise RuleTextError("\n".join(shown))
    return sorted(reader.sources, key=lambda source: source.rule.id)
