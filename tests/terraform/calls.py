"""What each function asks of AWS, read off its code: an entry is composed for real, from the variables that Terraform
gives it, and then its code is followed from there to every adapter that holds a client of AWS.

The rule it keeps: nothing is listed by hand. Followed is by name: `ports.log.get` is the method `get` of the object
that is somewhere held as `log`. An object that goes by another name is missed, and its permission then has no call.
"""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.util
import inspect
import pkgutil
import re
import textwrap
import types
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import handler
import operations
from handler.adapters.table.transaction_log import DynamoDbTransactionLog
from handler.adapters.table.writes import Write


@dataclass(frozen=True, order=True)
class Call:
    """An operation and what it is asked of, as the request names it: a URL, a name or an ARN."""

    service: str
    operation: str
    target: str
    attributes: tuple[str, ...] = ()
    """All that a write of the protocol names, in its update and its condition alike."""


# A module and a name in it; a method's begins with a dot.
Name = tuple[str, str]

# What names the resource in a request of each service.
TARGETS = {
    "dynamodb": "TableName",
    "events": "EventBusName",
    "kms": "KeyId",
    "lambda": "FunctionName",
    "s3": "Bucket",
    "secretsmanager": "SecretId",
    "sns": "TopicArn",
    "sqs": "QueueUrl",
}


class Client:
    """Stands for a client of AWS: notes what is called in init, and answers what init needs."""

    def __init__(self, service: str, calls: set[Call]) -> None:
        self.service = service
        self._calls = calls

    def __getattr__(self, operation: str) -> Callable[..., dict[str, Any]]:
        if operation.startswith("__"):
            raise AttributeError(operation)

        def call(**request: Any) -> dict[str, Any]:
            target = request["QueueName"] if operation == "get_queue_url" else request[TARGETS[self.service]]
            self._calls.add(Call(self.service, operation, target))
            secret = "whsec_of_nobody_at_all" if "secret:webhook" in target else "sk_test_of_nobody"
            made = {"TableArn": target, "CreationDateTime": datetime.now(UTC)}
            return {
                **{"SecretString": secret, "VersionId": "1", "CreatedDate": datetime.now(UTC)},
                **{"QueueUrl": target, "Table": made},
            }

        return call


def calls_of(
    begins: Collection[Name], create: Callable[[], Any], supports: Iterable[str], patch: pytest.MonkeyPatch
) -> set[Call]:
    """Every call of code that begins at these functions; `create` composes it, with clients of `supports`."""
    calls: set[Call] = set()

    def create_clients(*_: object) -> Callable[[str], Client]:
        return lambda service: Client(service, calls)

    for name in supports:
        patch.setattr(importlib.import_module(name), "create_clients", create_clients)
    held = _held(create())
    taken = _taken(begins, {name for _, names in held for name in names})
    for adapter, names in held:
        client = _client(adapter)
        if client is None:
            continue
        methods = [method for kind in type(adapter).__mro__[:-1] for method in _methods(kind)]
        used = {after for before, after in taken if before in names}
        while more := {each for one in methods if one.name in used for each in one.own} - used:
            used |= more
        for method in methods:
            if method.name in used:
                target = _target(adapter, method, client.service) if method.operations else ""
                calls |= {Call(client.service, operation, target) for operation in method.operations}
                calls |= set(_updates(adapter, method))
    return calls


def _updates(adapter: Any, method: Method) -> Iterator[Call]:
    """The writes that a method of the log sends by its `update`."""
    for name in method.writes:
        write: Write = vars(importlib.import_module(method.module))[name]
        named = {each for part in (*write.condition, *write.set, *write.remove) for each in re.findall(r"#(\w+)", part)}
        yield Call("dynamodb", "update_item", adapter._table_name, tuple(sorted({*named, "transaction_id"})))


# ---- what was composed ------------------------------------------------------------------------------------------


def _held(root: Any) -> list[tuple[Any, set[str]]]:
    """Objects of ours that can be reached from `root`, and the names that they go by there, without underscores."""
    found: dict[int, tuple[Any, set[str]]] = {}
    waiting = [("", root)]
    while waiting:
        name, value = waiting.pop()
        if id(value) not in found:
            found[id(value)] = (value, set())
            waiting += _parts(name, value)
            # What makes a client or asks it is made at once: `lambda: read_text(aws_client("secretsmanager"), arn)`.
            is_function = isinstance(value, types.FunctionType) and not inspect.signature(value).parameters
            if is_function and "aws_client" in value.__code__.co_freevars:
                value()
        found[id(value)][1].add(name.lstrip("_"))
    return [(value, names) for value, names in found.values() if _is_ours(type(value))]


def _parts(name: str, value: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(value, functools.partial):
        return [(name, each) for each in (value.func, *value.args, *value.keywords.values())]
    if isinstance(value, types.MethodType):
        return [(name, value.__self__), (name, value.__func__)]
    if isinstance(value, types.FunctionType):
        cells = zip(value.__code__.co_freevars, value.__closure__ or (), strict=True)
        return [(free, cell.cell_contents) for free, cell in cells]
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return [(each, getattr(value, each)) for each in value._fields]
    if isinstance(value, dict):
        return [(name, each) for each in value.values()]
    if isinstance(value, list | tuple | set | frozenset):
        return [(name, each) for each in value]
    if not _is_ours(type(value)):
        return []
    slots = (slot for kind in type(value).__mro__ for slot in getattr(kind, "__slots__", ()))
    # The log of refunds is made when the first one comes, by a payment's log, and goes by both names.
    made = [(each, value.refunds()) for each in ("refunds", "log") if isinstance(value, DynamoDbTransactionLog)]
    return [*getattr(value, "__dict__", {}).items(), *((slot, getattr(value, slot)) for slot in slots), *made]


def _is_ours(kind: type) -> bool:
    return str(kind.__module__).startswith(("handler", "operations"))


def _client(adapter: Any) -> Client | None:
    client = getattr(adapter, "_client", None)
    if isinstance(client, types.FunctionType):
        client = client()
    return client if isinstance(client, Client) else None


# ---- what an adapter calls --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Method:
    name: str
    module: str
    operations: set[str]
    """Those that it takes from the client."""
    own: set[str]
    """What it takes from its own object."""
    values: dict[str, ast.expr]
    """By the names that they have in its requests."""
    writes: set[str]
    """Names of the protocol's writes that it hands to `update`."""


def _methods(kind: type) -> Iterator[Method]:
    for name, method in vars(kind).items():
        if not isinstance(method, types.FunctionType):
            continue
        nodes = list(ast.walk(ast.parse(textwrap.dedent(inspect.getsource(method)))))
        for call in [each for each in nodes if isinstance(each, ast.Call)]:
            nodes += _shared(call, method.__globals__)
        operations: set[str] = set()
        own: set[str] = set()
        writes: set[str] = set()
        values: dict[str, ast.expr] = {}
        for node in nodes:
            if isinstance(node, ast.Call):
                values |= {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
                if ast.unparse(node.func) == "self.update":
                    writes.add(ast.unparse(node.args[0]))
            elif isinstance(node, ast.Dict):
                pairs = zip(node.keys, node.values, strict=True)
                values |= {str(key.value): value for key, value in pairs if isinstance(key, ast.Constant)}
            elif isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("self._client", "self._client()"):
                operations.add(node.attr)
            elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "self":
                own.add(node.attr)
        yield Method(name, kind.__module__, operations, own, values, writes)


def _shared(call: ast.Call, names: Mapping[str, Any]) -> list[ast.AST]:
    """What a function does with the client that a method hands to it, as if the method did it."""
    function = names.get(ast.unparse(call.func))
    given = [ast.unparse(each) for each in call.args]
    if not isinstance(function, types.FunctionType) or "self._client" not in given:
        return []
    values = dict(zip(inspect.signature(function).parameters, call.args, strict=False))
    constants = function.__globals__

    class Given(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> ast.expr:
            constant = constants.get(node.id)
            return ast.Constant(constant) if isinstance(constant, str) else values.get(node.id, node)

    return list(ast.walk(Given().visit(ast.parse(inspect.getsource(function)))))


def _target(adapter: Any, method: Method, service: str) -> str:
    """What the requests of a method name; nothing where it comes with the payment, such as a callback's id."""
    named = method.values.get(TARGETS[service])
    if named is None and service == "dynamodb":
        # It is in a part of the request that another method makes; an adapter has one table.
        return str(adapter._table_name)
    if named is None or not ast.unparse(named).startswith("self."):
        return ""
    target = str(getattr(adapter, ast.unparse(named).removeprefix("self.")))
    index = method.values.get("IndexName")
    if index is None:
        return target
    names = vars(importlib.import_module(method.module))
    return f"{target}/index/{names.get(ast.unparse(index)) or ast.literal_eval(index)}"


# ---- what the code reaches --------------------------------------------------------------------------------------


@dataclass
class Module:
    """What a module of ours defines, and where what it imports comes from."""

    definitions: dict[str, list[ast.FunctionDef | ast.ClassDef]]
    imported: dict[str, Name]


@functools.cache
def _modules() -> dict[str, Module]:
    packages = ((handler.__path__, "handler."), (operations.__path__, "operations."))
    found = (each.name for path, prefix in packages for each in pkgutil.walk_packages(path, prefix))
    sources = {name: _source(name) for name in found}
    return {name: _module(ast.parse(source), sources.keys()) for name, source in sources.items()}


def _source(module: str) -> str:
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).read_text()


def _module(tree: ast.Module, known: Collection[str]) -> Module:
    found = Module({}, {})
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.definitions.setdefault(node.name, []).append(node)
        for method in node.body if isinstance(node, ast.ClassDef) else []:
            if isinstance(method, ast.FunctionDef):
                found.definitions.setdefault(f".{method.name}", []).append(method)
    for line in ast.walk(tree):
        if isinstance(line, ast.ImportFrom) and line.module and line.module.startswith(("handler", "operations")):
            for each in line.names:
                whole = f"{line.module}.{each.name}"
                found.imported[each.asname or each.name] = (whole, "") if whole in known else (line.module, each.name)
    return found


def all_of(module: str) -> set[Name]:
    """All that a module of ours defines."""
    return {(module, name) for name in _modules()[module].definitions}


def _taken(begins: Collection[Name], held: set[str]) -> set[tuple[str, str]]:
    """What the code takes from objects that is reached from where it begins.

    As pairs: the last name before the dot, without underscore, and the name after it. `held` are names of what was
    composed.
    """
    imported, waiting = set(), {module for module, _ in begins}
    while waiting:
        module = waiting.pop()
        imported.add(module)
        waiting |= {name for name, _ in _modules()[module].imported.values() if name in _modules()} - imported
    taken: set[tuple[str, str]] = set()
    seen: set[Name] = set()
    names = set(begins)
    while names:
        seen.add(reached := names.pop())
        module, defined = reached
        for node in _modules()[module].definitions.get(defined, []) if module in imported else []:
            called = {id(each.func) for each in ast.walk(node) if isinstance(each, ast.Call)}
            for part in (each for line in _at_once(node) for each in ast.walk(line)):
                if isinstance(part, ast.Name):
                    names.add(_defined(module, part.id))
                elif isinstance(part, ast.Attribute):
                    before = _last(part.value)
                    taken.add((before, part.attr))
                    # `item.status` is no method of a gateway, only because one is called so.
                    if id(part) in called or before in held | {"self"}:
                        name = f".{part.attr}"
                        names |= {(each, name) for each in imported if name in _modules()[each].definitions}
                    names.add((_defined(module, before)[0], part.attr))
        names -= seen
    return taken


def _last(node: ast.expr) -> str:
    """The last name of `ports.log` or `self._client()`, without underscore."""
    if isinstance(node, ast.Call):
        return _last(node.func)
    return node.attr.lstrip("_") if isinstance(node, ast.Attribute) else getattr(node, "id", "").lstrip("_")


def _defined(module: str, name: str) -> Name:
    return _modules()[module].imported.get(name, (module, name))


def _at_once(node: ast.FunctionDef | ast.ClassDef) -> list[ast.stmt]:
    """What runs when a function is called, or a class is made; its other methods are reached by their own names."""
    if isinstance(node, ast.FunctionDef):
        return node.body
    return [
        each for each in node.body if not isinstance(each, ast.FunctionDef) or each.name in ("__init__", "__call__")
    ]
