"""The table: DynamoDB's conditional writes over a network that throttles, loses answers and delays requests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from handler.adapters.support.errors import AwsError
from handler.adapters.table.expressions import from_attributes
from handler.adapters.table.memory import MemoryDynamoDb
from tests.simulation.world import Environment, Invocation, NoAnswerError, RefusedError, World


@dataclass(frozen=True)
class SentWrite:
    """A write as its sender knew it: the port call, and the sender's clock when it called."""

    intent: str
    clock_ms: int


# (invocation, write, item before, item after), after each write that took effect.
Observer = Callable[[Invocation, SentWrite, dict[str, Any] | None, dict[str, Any]], None]

_COUNTED = ", #version = if_not_exists(#version, :zero) + :one"
_TIMEOUT_MS = 1_000
_ATTEMPTS = 3


class Table:
    """The one table of a world. `observe` is called with every write that took effect."""

    def __init__(self, observe: Observer) -> None:
        self.memory = MemoryDynamoDb()
        self._observe = observe
        # Plain items, kept beside the memory's attribute values because the auditor reads them all the time.
        self._items: dict[str, dict[str, Any]] = {}
        # How often it was restored: what was sent to the table before goes nowhere.
        self.era = 0

    def backup(self) -> Callable[[], None]:
        """What puts the table back to what it is now."""
        stored, items = dict(self.memory.items), dict(self._items)

        def restore() -> None:
            self.memory.items, self._items, self.era = stored, items, self.era + 1

        return restore

    def item(self, key: str) -> dict[str, Any] | None:
        return self._items.get(key)

    def items(self) -> dict[str, dict[str, Any]]:
        return self._items

    def write(self, invocation: Invocation, write: SentWrite, operation: str, request: Mapping[str, Any]) -> Any:
        key = (request.get("Item") or request["Key"])["transaction_id"]["S"]
        before = self._items.get(key)
        answer = getattr(self.memory, operation)(**request)
        after = self._items[key] = from_attributes(self.memory.items[key])
        self._observe(invocation, write, before, after)
        return answer

    def transact(
        self, invocation: Invocation, writes: Sequence[SentWrite], parts: Sequence[Mapping[str, Any]], request: Any
    ) -> Any:
        """Both writes of a transaction, or none; they are observed once both are there, in their order."""
        keys = [(part.get("Item") or part["Key"])["transaction_id"]["S"] for part in parts]
        before = [self._items.get(key) for key in keys]
        answer = self.memory.transact_write_items(**request)
        for key in keys:
            self._items[key] = from_attributes(self.memory.items[key])
        for key, write, was in zip(keys, writes, before, strict=True):
            self._observe(invocation, write, was, self._items[key])
        return answer


class TableClient:
    """The DynamoDB client of one environment, with the retries that both supports have."""

    def __init__(
        self,
        world: World,
        table: Table,
        environment: Environment,
        sent: Callable[[Invocation, str, Mapping[str, Any]], None],
        answered: Callable[[Invocation, SentWrite, Mapping[str, Any], Mapping[str, Any] | None], None],
    ) -> None:
        self._world = world
        self._table = table
        self._environment = environment
        self._sent = sent
        self._answered = answered

    def get_item(self, **request: Any) -> Any:
        return self._read("get_item", request["Key"]["transaction_id"]["S"], request)

    def query(self, **request: Any) -> Any:
        # Without faults of its own: fifteen of sixteen shards are empty, and a failed listing tells nothing new.
        self._environment.invocation.leaves("query")
        return self._table.memory.query(**request)

    def put_item(self, **request: Any) -> Any:
        release = self._environment.release
        unknown = {"canonical_version": not release.stores_version, "version": not release.counts_writes}
        request["Item"] = {name: value for name, value in request["Item"].items() if not unknown.get(name)}
        return self._write("put_item", request["Item"]["transaction_id"]["S"], request)

    def update_item(self, **request: Any) -> Any:
        if not self._environment.release.counts_writes:
            request["UpdateExpression"] = request["UpdateExpression"].replace(_COUNTED, "")
        return self._write("update_item", request["Key"]["transaction_id"]["S"], request)

    def transact_write_items(self, **request: Any) -> Any:
        """The payment's half has the intent's own name, and the refund's is the port call."""
        invocation, era = self._environment.invocation, self._table.era
        half = "give_reservation_back" if invocation.intent == "refund_fail" else "reserve_refund"
        intents = [half, invocation.intent]
        writes = [SentWrite(intent, invocation.now_ms()) for intent in intents]
        parts = [next(iter(part.values())) for part in request["TransactItems"]]
        for write, part in zip(writes, parts, strict=True):
            self._sent(invocation, write.intent, part)
        key = (parts[1].get("Item") or parts[1]["Key"])["transaction_id"]["S"]

        def effect() -> Any:
            if self._table.era != era:
                raise AwsError("transact_write_items", "ResourceNotFoundException", "this table is lost")
            try:
                return self._table.transact(invocation, writes, parts, request)
            except AwsError:
                self._world.tell(f"{invocation.name} {intents[1]} {key}: refused by its conditions")
                raise

        return self._send(intents[1], key, effect)

    def _read(self, operation: str, key: str, request: Mapping[str, Any]) -> Any:
        answer = self._send("get", key, lambda: getattr(self._table.memory, operation)(**request))
        return answer if "Item" not in answer else {"Item": self._known(answer["Item"])}

    def _write(self, operation: str, key: str, request: Mapping[str, Any]) -> Any:
        invocation = self._environment.invocation
        write = SentWrite(invocation.intent, invocation.now_ms())
        self._sent(invocation, write.intent, request)

        era = self._table.era

        def effect() -> Any:
            if self._table.era != era:
                raise AwsError(operation, "ResourceNotFoundException", "this table is lost")
            try:
                return self._table.write(invocation, write, operation, request)
            except AwsError:
                self._world.tell(f"{invocation.name} {write.intent} {key}: refused by its condition")
                raise

        try:
            answer = self._send(write.intent, key, effect)
        except AwsError as error:
            if "Item" in error.document:
                item = self._known(error.document["Item"])
                self._answered(invocation, write, request, item)
                error.document = {**error.document, "Item": item}
            raise
        self._answered(invocation, write, request, None)
        return answer

    def _known(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """What the release makes of an item: what it does not know is passed over."""
        corrects = self._environment.release.corrects
        return {name: value for name, value in item.items() if corrects or name != "superseded"}

    def _send(self, intent: str, key: str, effect: Callable[[], Any]) -> Any:
        invocation = self._environment.invocation
        again = ""
        for attempt in range(_ATTEMPTS):
            last = attempt == _ATTEMPTS - 1
            try:
                return invocation.request(intent, key, effect, deadline=_TIMEOUT_MS, latency=(1, 8), again=again)
            except RefusedError as failure:
                again = failure.fault
                if last:
                    raise AwsError(intent, "ThrottlingException", "Rate exceeded") from None
            except NoAnswerError as failure:
                again = failure.fault
                if last:
                    raise AwsError(intent, "", "no answer") from None
            invocation.sleep(self._world.between("back-off", 1, 1_000 << attempt))
        raise AssertionError("unreachable")


class ObservedLog:
    """The shipped transaction log; notes which port call is under way, as a request does not say what it is for."""

    def __init__(self, log: Any, environment: Environment, prefix: str = "") -> None:
        self._log = log
        self._environment = environment
        self._prefix = prefix

    def refunds(self) -> Any:
        return ObservedLog(self._log.refunds(), self._environment, "refund_")

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._log, name)

        def call(*positional: Any, **named: Any) -> Any:
            self._environment.invocation.require_alive()
            self._environment.invocation.intent = f"{self._prefix}{name}"
            if name == "next_key" and not self._prefix and not self._environment.release.gives_keys_up:
                return None
            return method(*positional, **named)

        return call
