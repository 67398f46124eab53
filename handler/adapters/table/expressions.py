"""A write as DynamoDB takes it, and items as its attribute values; every name is an alias, and no float is stored."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

from handler.adapters.table.writes import Write

AttributeValue = dict[str, Any]
Attributes = dict[str, AttributeValue]
_CONSTANTS: Mapping[str, Any] = {
    ":processing": "processing",
    ":pending": "pending_approval",
    ":parked": "parked",
    ":cancelled": "cancelled",
    ":declined": "declined",
    ":gateway_refused": "gateway_refused",
    ":expired": "expired",
    ":rejected": "rejected",
    ":completed": "completed",
    ":refund_waiting": "waiting",
    ":refund_pending": "pending",
    ":refund_refunded": "refunded",
    ":refund_failed": "failed",
    ":approval_rejected": "approval_rejected",
    ":approve": "approve",
    ":reject": "reject",
    ":conflict": "conflict",
    ":zero": 0,
    ":one": 1,
}
# A union would be made anew at each value.
_NUMBERS = (int, Decimal)
_NAME = re.compile(r"#(\w+)")
_VALUE = re.compile(r":\w+")


if TYPE_CHECKING:
    from typing import NotRequired, TypedDict

    class Expressions(TypedDict):
        """The parameters by which a write is conditional; names are aliases throughout."""

        ConditionExpression: str
        ExpressionAttributeNames: dict[str, str]
        ExpressionAttributeValues: NotRequired[dict[str, AttributeValue]]
        ReturnValuesOnConditionCheckFailure: str

    class UpdateExpressions(Expressions):
        UpdateExpression: str


@cache
def assignments(write: Write) -> str:
    return f"SET {', '.join(write.set)}" + (f" REMOVE {', '.join(write.remove)}" if write.remove else "")


def condition(write: Write, values: Mapping[str, Any]) -> Expressions:
    """A write's condition, with the names and values of its update too: `status` and `owner` are reserved words."""
    text, names, used, constants = _spelled(write)
    parameters: Expressions = {
        "ConditionExpression": text,
        "ExpressionAttributeNames": dict(names),
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    if used:
        parameters["ExpressionAttributeValues"] = {
            name: to_attribute(values[name]) if name in values else constants[name] for name in used
        }
    return parameters


# The writes are constants of the code, a dozen in a payment's path: each is taken apart once.
@cache
def _spelled(write: Write) -> tuple[str, dict[str, str], list[str], dict[str, AttributeValue]]:
    """The condition; its names and the update's, by their aliases; its values' names; and those that are constant."""
    condition = " AND ".join(write.condition)
    text = f"{condition} {assignments(write)}" if write.set else condition
    used = sorted(set(_VALUE.findall(text)))
    return (
        condition,
        {f"#{name}": name for name in sorted(set(_NAME.findall(text)))},
        used,
        {name: to_attribute(_CONSTANTS[name]) for name in used if name in _CONSTANTS},
    )


def to_attributes(item: Mapping[str, Any]) -> dict[str, AttributeValue]:
    """A plain mapping as DynamoDB attribute values. Raises TypeError for a float or any other foreign type."""
    return {name: to_attribute(value) for name, value in item.items()}


def from_attributes(attributes: Mapping[str, AttributeValue]) -> dict[str, Any]:
    """DynamoDB attribute values as a plain mapping; numbers are int where they are whole, else Decimal."""
    return {name: _from_attribute(value) for name, value in attributes.items()}


def to_attribute(value: Any) -> AttributeValue:
    if isinstance(value, str):
        return {"S": value}
    # bool before int, of which it is a subclass.
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, _NUMBERS):
        return {"N": str(value)}
    # Named tuples are rows of named values, as reasons and faults are.
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {"M": to_attributes(value._asdict())}
    if isinstance(value, list | tuple):
        return {"L": [to_attribute(element) for element in value]}
    if isinstance(value, dict):
        return {"M": to_attributes(value)}
    raise TypeError(f"{type(value).__name__} is not stored: {value!r}")


def _from_attribute(attribute: AttributeValue) -> Any:
    kind, value = next(iter(attribute.items()))
    if kind == "N":
        number = Decimal(value)
        return int(number) if number == number.to_integral_value() else number
    if kind == "L":
        return [_from_attribute(element) for element in value]
    if kind == "M":
        return from_attributes(value)
    return value
