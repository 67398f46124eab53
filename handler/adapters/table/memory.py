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
_LESS = re.compile(r"(?P<alias>#\w+) - (?P<value>:\w+)")
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
        with self._lock:
            self._check(Item["transaction_id"]["S"], parameters, "PutItem")
            self._put(Item)
        return {}

    def update_item(self, *, Key: Mapping[str, AttributeValue], **parameters: Any) -> dict[str, Any]:
        with self._lock:
            self._check(Key["transaction_id"]["S"], parameters, "UpdateItem")
            self._update(Key, parameters)
        return {}

    def transact_write_items(
        self, *, TransactItems: list[dict[str, dict[str, Any]]], ClientRequestToken: str
    ) -> dict[str, Any]:
        """All of the puts and updates, or none; without the memory of tokens that the service has."""
        parts = [next(iter(part.items())) for part in TransactItems]
        with self._lock:
            reasons: list[dict[str, Any]] = []
            for _, parameters in parts:
                key = parameters.get("Item") or parameters["Key"]
                try:
                    self._check(key["transaction_id"]["S"], parameters, "TransactWriteItems")
                    reasons.append({"Code": "None"})
                except AwsError as error:
                    reasons.append({"Code": "ConditionalCheckFailed", **error.document})
            if any(reason["Code"] != "None" for reason in reasons):
                said = {"CancellationReasons": reasons}
                raise AwsError("TransactWriteItems", "TransactionCanceledException", "Transaction cancelled", said)
            for kind, parameters in parts:
                if kind == "Put":
                    self._put(parameters["Item"])
                else:
                    self._update(parameters["Key"], parameters)
        return {}

    def query(self, **parameters: Any) -> dict[str, Any]:
        """The items of an index that a key condition takes, in order of time and in one page."""
        test = _compiled(parameters["KeyConditionExpression"])
        names, values = parameters["ExpressionAttributeNames"], parameters["ExpressionAttributeValues"]
        found = [dict(item) for item in self.items.values() if test(item, names, values)]
        forward = parameters.get("ScanIndexForward", True)
        found.sort(key=lambda item: int(item["created_at"]["N"]), reverse=not forward)
        return {"Items": found[: parameters.get("Limit")]}

    def _put(self, item: _Item) -> None:
        self.items[item["transaction_id"]["S"]] = dict(item)

    def _update(self, key: Mapping[str, AttributeValue], parameters: Mapping[str, Any]) -> None:
        names, values = parameters["ExpressionAttributeNames"], parameters["ExpressionAttributeValues"]
        settings, _, removals = parameters["UpdateExpression"].removeprefix("SET ").partition(" REMOVE ")
        item = dict(self.items.get(key["transaction_id"]["S"], key))
        for assignment in _ASSIGNMENTS.split(settings):
            alias, _, value = assignment.partition(" = ")
            item[names[alias]] = _assigned(value, item, names, values)
        for name in filter(None, removals.split(", ")):
            item.pop(names[name], None)
        self.items[key["transaction_id"]["S"]] = item

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


def _assigned(
    value: str, item: _Item, names: Mapping[str, str], values: Mapping[str, AttributeValue]
) -> AttributeValue:
    """What an assignment's right side comes to."""
    less = _LESS.fullmatch(value)
    if less is not None:
        return {"N": str(int(item[names[less["alias"]]]["N"]) - int(values[less["value"]]["N"]))}
    first = _FIRST.fullmatch(value)
    if first is None:
        return values[value]
    stands, added = item.get(names[first["alias"]], values[first["value"]]), first["added"]
    return {"N": str(int(stands["N"]) + int(values[added]["N"]))} if added else stands


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
