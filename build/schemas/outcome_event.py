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
from handler.domain.payment import DisputeSeen, Fault, RefundSeen
from handler.domain.refund_event import TOLD_OF_REFUND
from handler.domain.refund_item import REFUND_REQUIRED

NAME: Final = f"outcome-event-{SCHEMA_VERSION}.schema.json"
_TEXT: Final = {"type": "string"}
_WHOLE: Final = {"type": "integer"}


def _rows_of(shape: type[Fault] | type[RefundSeen] | type[DisputeSeen]) -> Mapping[str, Any]:
    kinds = {name: _WHOLE if kind == "int" else _TEXT for name, kind in shape.__annotations__.items()}
    return {"type": "array", "items": {"type": "object", "properties": kinds, "required": list(shape._fields)}}


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
    "RefundStatus": _TEXT,
    'Literal["payment", "conflict", "refund"]': _TEXT,
    "tuple[Fault, ...]": _rows_of(Fault),
    "tuple[RefundSeen, ...]": _rows_of(RefundSeen),
    "tuple[DisputeSeen, ...]": _rows_of(DisputeSeen),
    "GatewayResponse | None": {
        "type": "object",
        "properties": dict.fromkeys(GatewayResponse._fields, _TEXT),
    },
}
_ALWAYS: Final = tuple(name for name in Envelope._fields if name not in Envelope._field_defaults)

Attributes = tuple[Mapping[str, str], Mapping[str, str]]


def schema(item: Attributes, envelope: Attributes, refund: Attributes) -> str:
    """The schema as JSON; each argument has the meanings and the annotations of a type's attributes."""
    properties = {
        name: {**_TYPES[kinds[name]], "description": meanings[name].replace("`", "")}
        for names, (meanings, kinds) in _properties(item, envelope, refund)
        for name in names
    }
    payments: dict[str, list[str]] = {
        status: [name for name in TOLD if name in REQUIRED[status]] for status in OUTCOMES
    }
    refunds: dict[str, list[str]] = {
        status: [name for name in TOLD_OF_REFUND if name in REFUND_REQUIRED[status]] for status in REFUND_REQUIRED
    }
    both = [*payments.values(), *refunds.values()]
    always = [name for name in TOLD if all(name in names for names in both) or name == "version"]
    document = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": f"urn:cloudcafe:payments:outcome-event:{SCHEMA_VERSION}",
        "title": f"Outcome event, version {SCHEMA_VERSION}",
        "description": "What became of one payment or refund, or of a message that contradicts one (docs/events.md). "
        "Properties and kinds may be added to this version: pass over what you do not know.",
        "type": "object",
        "properties": properties,
        "required": [*_ALWAYS, *always],
        "allOf": [_of(["payment", "conflict"], payments, always), _of(["refund"], refunds, always)],
    }
    return json.dumps(document, indent=2) + "\n"


def _of(kinds: list[str], told: Mapping[str, list[str]], always: list[str]) -> dict[str, Any]:
    """What an event of one of the kinds must have, by its state."""
    return {
        "if": {"properties": {"kind": {"enum": kinds}}},
        "then": {
            "properties": {"status": {"enum": list(told)}},
            "allOf": [
                {
                    "if": {"properties": {"status": {"const": status}}},
                    "then": {"required": [name for name in names if name not in always]},
                }
                for status, names in told.items()
            ],
        },
    }


def _properties(item: Attributes, envelope: Attributes, refund: Attributes) -> list[tuple[tuple[str, ...], Attributes]]:
    """Every property once: what a refund's event has as a payment's has it, is the payment's."""
    own = tuple(name for name in TOLD_OF_REFUND if name not in TOLD)
    return [(Envelope._fields, envelope), (TOLD, item), (own, refund)]


def rows(item: Attributes, envelope: Attributes, refund: Attributes) -> list[tuple[str, str, str, str]]:
    """Property, JSON type, where it is, and meaning, of every property."""
    made = []
    for names, (meanings, kinds) in _properties(item, envelope, refund):
        for name in names:
            kind = _TYPES[kinds[name]]
            made.append((f"`{name}`", str(kind.get("type", kind.get("const"))), _where(name), meanings[name]))
    return made


def _where(name: str) -> str:
    if name in _ALWAYS or name == "version":
        return "always"
    states = [status for status in OUTCOMES if name in REQUIRED[status]]
    of_refunds = [status for status in REFUND_REQUIRED if name in REFUND_REQUIRED[status]]
    if len(states) == len(OUTCOMES) and len(of_refunds) == len(REFUND_REQUIRED):
        return "always"
    told = [", ".join(states) if name in TOLD else "", ", ".join(of_refunds) if name in TOLD_OF_REFUND else ""]
    if len(of_refunds) == len(REFUND_REQUIRED):
        told[1] = "every refund"
    found = "; ".join(filter(None, told))
    return f"always in {found}" if found else "where there is one"
