"""The JSON Schema of an outcome event, and its properties for people, from the types of event and item.

The rule it keeps: a property's type, meaning and when it is there come from the code that makes the event, so that a
schema says what is sent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from handler.domain.item import REQUIRED, GatewayResponse
from handler.domain.outcome_event import OUTCOMES, SCHEMA_VERSION, TOLD, Envelope
from handler.domain.payment import Fault

NAME: Final = f"outcome-event-{SCHEMA_VERSION}.schema.json"
_TEXT: Final = {"type": "string"}
_WHOLE: Final = {"type": "integer"}
# How JSON has an annotation of Item or Envelope.
_TYPES: Final[Mapping[str, Mapping[str, Any]]] = {
    "str": _TEXT,
    "int": _WHOLE,
    "int | None": _WHOLE,
    "bool": {"type": "boolean"},
    "Decimal | None": {"type": "string", "pattern": "^[0-9]+([.][0-9]+)?$"},
    # What they may be belongs to the kind, and a kind may be added.
    'Status | Literal["conflict"]': _TEXT,
    "Literal[1]": {"const": SCHEMA_VERSION},
    'Literal["payment", "conflict"]': _TEXT,
    "tuple[Fault, ...]": {
        "type": "array",
        "items": {
            "type": "object",
            "properties": dict.fromkeys(Fault._fields, _TEXT),
            "required": list(Fault._fields),
        },
    },
    "GatewayResponse | None": {
        "type": "object",
        "properties": dict.fromkeys(GatewayResponse._fields, _TEXT),
    },
}
_ALWAYS: Final = tuple(name for name in Envelope._fields if name not in Envelope._field_defaults)

Attributes = tuple[Mapping[str, str], Mapping[str, str]]


def schema(item: Attributes, envelope: Attributes) -> str:
    """The schema as JSON; each argument has the meanings and the annotations of a type's attributes."""
    properties = {
        name: {**_TYPES[kinds[name]], "description": meanings[name].replace("`", "")}
        for names, (meanings, kinds) in ((Envelope._fields, envelope), (TOLD, item))
        for name in names
    }
    told = {status: [name for name in TOLD if name in REQUIRED[status]] for status in OUTCOMES}
    always = [name for name in TOLD if all(name in names for names in told.values()) or name == "version"]
    document = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": f"urn:cloudcafe:payments:outcome-event:{SCHEMA_VERSION}",
        "title": f"Outcome event, version {SCHEMA_VERSION}",
        "description": "What became of one payment, or of a message that contradicts one (docs/events.md). Properties "
        "and kinds may be added to this version: pass over what you do not know.",
        "type": "object",
        "properties": properties,
        "required": [*_ALWAYS, *always],
        "if": {"properties": {"kind": {"enum": ["payment", "conflict"]}}},
        "then": {
            "properties": {"status": {"enum": list(OUTCOMES)}},
            "allOf": [
                {
                    "if": {"properties": {"status": {"const": status}}},
                    "then": {"required": [name for name in names if name not in always]},
                }
                for status, names in told.items()
            ],
        },
    }
    return json.dumps(document, indent=2) + "\n"


def rows(item: Attributes, envelope: Attributes) -> list[tuple[str, str, str, str]]:
    """Property, JSON type, where it is, and meaning, of every property."""
    made = []
    for names, (meanings, kinds) in ((Envelope._fields, envelope), (TOLD, item)):
        for name in names:
            kind = _TYPES[kinds[name]]
            made.append((f"`{name}`", str(kind.get("type", kind.get("const"))), _where(name), meanings[name]))
    return made


def _where(name: str) -> str:
    if name in _ALWAYS or name == "version":
        return "always"
    states = [status for status in OUTCOMES if name in REQUIRED[status]]
    if len(states) == len(OUTCOMES):
        return "always"
    return f"always in {', '.join(states)}" if states and name in TOLD else "where there is one"
