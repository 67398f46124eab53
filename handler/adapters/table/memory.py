"""An in-memory stand-in of DynamoDB for one process: nothing outlives it and nothing leaves it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from threading import Lock
from typing import Any

from handler.adapters.support.errors import AwsError
from handler.adapters.table.expressions import AttributeValue

_TOKEN = re.compile(r"\s*(\(|\)|<=|>=|<>|=|<|>|,|AND\b|OR\b|attribute_not_exists|attribute_exists|[#:]\w+)")
_ASSIGNMENTS = re.compile(r", (?=#)")
_FIRST = re.compile(r"if_not_exists\((?P<alias>#\w+), (?P<value>:\w+)\)(?: \+ (?P<added>:\w+))?")
_Item = dict[str, AttributeValue]
_Test = Callable[[Mapping[str, AttributeValue], Mapping[str, str], Mapping[str, AttributeValue]], bool]


class MemoryDynamoDb:
    """A DynamoDB client for tables with the key `transaction_id`, with conditions and updates as this project uses.

    Raises AwsError as the service does, with the item of ALL_OLD in its document.
    """

    def __init__(self) -> None:
        self.items: dict[str, _Item] = {}
        # A condition and its write are one to everybody.
        self._lock = Lock()

    def get_item(self, *, Key: Mapping[str, AttributeValue], **_: Any) -> dict[str, Any]:
        item = self.items.get(Key["transaction_id"]["S"])
        return {} if item is None else {"Item": dict(item)}

    def put_item(self, *, Item: _Item, **parameters: Any) -> dict[str, Any]:
        key = Item["transaction_id"]["S"]
        with self._lock:
            self._check(key, parameters, "PutItem")
            self.items[key] = dict(Item)
        return {}

    def update_item(
        self, *, Key: Mapping[str, AttributeValue], UpdateExpression: str, **parameters: Any
    ) -> dict[str, Any]:
        key = Key["transaction_id"]["S"]
        names = parameters["ExpressionAttributeNames"]
        values = parameters["ExpressionAttributeValues"]
        settings, _, removals = UpdateExpression.removeprefix("SET ").partition(" REMOVE ")
        with self._lock:
            self._check(key, parameters, "UpdateItem")
            item = dict(self.items.get(key, Key))
            for assignment in _ASSIGNMENTS.split(settings):
                alias, _, value = assignment.partition(" = ")
                first = _FIRST.fullmatch(value)
                if first is None:
                    item[names[alias]] = values[value]
                    continue
                stands = item.get(names[first["alias"]], values[first["value"]])
                added = first["added"]
                item[names[alias]] = {"N": str(int(stands["N"]) + int(values[added]["N"]))} if added else stands
            for name in filter(None, removals.split(", ")):
                item.pop(names[name], None)
            self.items[key] = item
        return {}

    def query(self, **parameters: Any) -> dict[str, Any]:
        """All items of one key of an index, in one page."""
        name, value = parameters["KeyConditionExpression"].split(" = ")
        attribute = parameters["ExpressionAttributeNames"][name]
        wanted = parameters["ExpressionAttributeValues"][value]
        return {"Items": [dict(item) for item in self.items.values() if item.get(attribute) == wanted]}

    def _check(self, key: str, parameters: Mapping[str, Any], operation: str) -> None:
        condition = parameters.get("ConditionExpression")
        item = self.items.get(key)
        if not condition or _compiled(condition)(
            item or {}, parameters["ExpressionAttributeNames"], parameters.get("ExpressionAttributeValues", {})
        ):
            return
        shown = item is not None and parameters.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
        document = {"Item": dict(item or {})} if shown else {}
        raise AwsError(operation, "ConditionalCheckFailedException", "The conditional request failed", document)


@lru_cache(maxsize=256)
def _compiled(condition: str) -> _Test:
    tokens = _TOKEN.findall(condition)
    if "".join(tokens) != re.sub(r"\s", "", condition):
        raise ValueError(f"not a condition this stand-in reads: {condition!r}")
    test, end = _any_of(tokens, 0)
    if end != len(tokens):
        raise ValueError(f"not a condition this stand-in reads: {condition!r}")
    return test


def _any_of(tokens: list[str], at: int) -> tuple[_Test, int]:
    test, at = _all_of(tokens, at)
    tests = [test]
    while at < len(tokens) and tokens[at] == "OR":
        test, at = _all_of(tokens, at + 1)
        tests.append(test)
    return (lambda item, names, values: any(each(item, names, values) for each in tests)), at


def _all_of(tokens: list[str], at: int) -> tuple[_Test, int]:
    test, at = _one(tokens, at)
    tests = [test]
    while at < len(tokens) and tokens[at] == "AND":
        test, at = _one(tokens, at + 1)
        tests.append(test)
    return (lambda item, names, values: all(each(item, names, values) for each in tests)), at


def _one(tokens: list[str], at: int) -> tuple[_Test, int]:
    token = tokens[at]
    if token == "(":
        test, at = _any_of(tokens, at + 1)
        return test, at + 1
    if token.startswith("attribute_"):
        expected, alias = token == "attribute_exists", tokens[at + 2]
        return (lambda item, names, values: (names[alias] in item) == expected), at + 4
    return _comparison(token, tokens[at + 1], tokens[at + 2]), at + 3


def _comparison(alias: str, operator: str, value: str) -> _Test:
    def test(
        item: Mapping[str, AttributeValue], names: Mapping[str, str], values: Mapping[str, AttributeValue]
    ) -> bool:
        left = item.get(names[alias])
        right = item.get(names[value]) if value.startswith("#") else values[value]
        # As the service: an attribute that is missing, or of another type, satisfies no comparison but `<>`.
        if left is None or right is None or left.keys() != right.keys():
            return operator == "<>"
        if "N" in left:
            return _ordered(int(left["N"]), operator, int(right["N"]))
        return _ordered(next(iter(left.values())), operator, next(iter(right.values())))

    return test


def _ordered(left: Any, operator: str, right: Any) -> bool:
    if operator == "=":
        return bool(left == right)
    if operator == "<>":
        return bool(left != right)
    if operator == "<":
        return bool(left < right)
    if operator == "<=":
        return bool(left <= right)
    return bool(left > right) if operator == ">" else bool(left >= right)
