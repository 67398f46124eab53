"""The writes as docs/protocol.md has them, and what a request's condition lets through that its clauses do not.

Conditions are read and evaluated here once more, independently of the handler and of its in-memory DynamoDB.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

PROTOCOL = Path(__file__).resolve().parents[2] / "docs" / "protocol.md"

_CLAUSE = re.compile(r"(\w+) (=|<=|>=|<>|<|>) :(\w+)")
_PAIR = re.compile(r"(\w+) = (\w+)")
_ABSENT = re.compile(r"attribute_not_exists\((\w+)\)")
_PRESENT = re.compile(r"attribute_exists\((\w+)\)")
_CONSTANTS: Mapping[str, Any] = {"processing": {"S": "processing"}, "parked": {"S": "parked"}}

# Attribute name -> DynamoDB attribute value.
Item = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class DocumentedWrite:
    """One write: clauses of its condition, assignments and removals, spelled without `#`."""

    name: str
    condition: tuple[str, ...]
    set: tuple[str, ...]
    remove: tuple[str, ...]


@cache
def documented_writes() -> dict[str, DocumentedWrite]:
    """The sections `### Write: <name>` of docs/protocol.md."""
    writes: dict[str, DocumentedWrite] = {}
    for section in re.split(r"^### Write: ", PROTOCOL.read_text(), flags=re.MULTILINE)[1:]:
        name, _, body = section.partition("\n")
        body = re.split(r"^##", body, flags=re.MULTILINE)[0]
        parts = {title: _listed(body, title) for title in ("Only if", "Sets", "Removes")}
        writes[name] = DocumentedWrite(name, parts["Only if"], parts["Sets"], parts["Removes"])
    return writes


def _listed(body: str, title: str) -> tuple[str, ...]:
    match = re.search(rf"^{title}:\n\n((?:(?:- |  ).*\n)+)", body, flags=re.MULTILINE)
    return tuple(re.findall(r"^- `([^`]+)`", match[1], flags=re.MULTILINE)) if match else ()


def accepted_without(name: str, request: Mapping[str, Any]) -> list[str]:
    """Clauses of the documented write that the request's condition does not need.

    For each clause: an item for which it alone does not hold, and the question whether the request would be let
    through. Beyond what a history meets, this sees clauses that stand behind others.
    """
    values = request.get("ExpressionAttributeValues", {})
    condition = re.sub(r"#(\w+)", lambda match: request["ExpressionAttributeNames"][match[0]], _condition(request))
    clauses = documented_writes()[name].condition
    return [clause for clause in clauses if _holds(condition, _item(clauses, values, broken=clause), values)]


def _condition(request: Mapping[str, Any]) -> str:
    return str(request.get("ConditionExpression", ""))


def _item(clauses: tuple[str, ...], values: Mapping[str, Any], broken: str) -> Item:
    """An item for which all clauses hold but the broken one."""
    item: Item = {}
    for clause in clauses:
        pair = _PAIR.fullmatch(clause)
        if pair:
            item[pair[1]], item[pair[2]] = {"N": "1"}, {"N": "2" if clause == broken else "1"}
        attributes = _CLAUSE.findall(clause)
        for attribute in _ABSENT.findall(clause):
            if clause == broken and not any(attribute == each[0] for each in attributes):
                item[attribute] = {"S": "something"}
        for attribute in _PRESENT.findall(clause):
            if clause != broken:
                item[attribute] = {"S": "something"}
        for attribute, operator, value in attributes:
            bound = values.get(f":{value}") or _CONSTANTS.get(value, {"S": "never sent"})
            item[attribute] = _beyond(bound, operator) if clause == broken else _within(bound, operator)
    return item


def _within(bound: dict[str, Any], operator: str) -> dict[str, Any]:
    if operator == "<>":
        return {"S": f"not {bound['S']}"}
    if operator == "<" and "S" in bound:
        return {"S": ""}
    step = {"<": -1, ">": 1}.get(operator, 0)
    return {"N": str(int(bound["N"]) + step)} if "N" in bound else bound


def _beyond(bound: dict[str, Any], operator: str) -> dict[str, Any]:
    if operator == "<>":
        return bound
    if "N" not in bound:
        return {"S": f"not {bound['S']}"}
    if operator == ">":
        return bound
    return {"N": str(int(bound["N"]) + (-1 if operator == ">=" else 1))}


def _holds(condition: str, item: Item, values: Mapping[str, Any]) -> bool:
    """Whether a condition of clauses joined by AND, some of them `(a OR b)`, lets an item through."""
    if not condition:
        return True
    return all(
        any(_clause_holds(part, item, values) for part in clause.strip("()" if " OR " in clause else "").split(" OR "))
        for clause in condition.split(" AND ")
    )


def _clause_holds(clause: str, item: Item, values: Mapping[str, Any]) -> bool:
    absent = _ABSENT.fullmatch(clause) or _ABSENT.fullmatch(clause + ")")
    if absent:
        return absent[1] not in item
    present = _PRESENT.fullmatch(clause)
    if present:
        return present[1] in item
    pair = _PAIR.fullmatch(clause)
    if pair:
        return pair[1] in item and item[pair[1]] == item.get(pair[2])
    compared = _CLAUSE.fullmatch(clause)
    if compared is None:
        raise ValueError(f"not a clause that the simulation reads: {clause!r}")
    attribute, operator, name = compared.groups()
    left, right = item.get(attribute), values[f":{name}"]
    if operator == "<>":
        return bool(left != right)
    if left is None or left.keys() != right.keys():
        return False
    if "S" in left:
        return left == right if operator == "=" else operator == "<" and left["S"] < right["S"]
    difference = int(left["N"]) - int(right["N"])
    return {
        "=": difference == 0,
        "<": difference < 0,
        "<=": difference <= 0,
        ">": difference > 0,
        ">=": difference >= 0,
    }[operator]
