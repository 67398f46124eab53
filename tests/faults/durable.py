"""ministack whose queues and table survive `kill -9`: each change is in a journal before its answer leaves.

It runs in ministack's own Python environment, in place of `ministack.app`: nothing of ours can be imported here. The
rule: what was answered is in STATE_DIR. `POST /_snapshot` saves everything by ministack's own persistence, which
otherwise saves only when it is stopped politely, and begins the journal anew; of what is neither a queue nor an item,
changes after the last snapshot (log lines, metrics) die with the process.
"""

import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import ministack.app as _ministack  # type: ignore[import-not-found]
from ministack.core import persistence  # type: ignore[import-not-found]
from ministack.services import dynamodb, sqs  # type: ignore[import-not-found]

_STATE = Path(os.environ["STATE_DIR"])
_JOURNAL = _STATE / "journal"
_READS = ("AmazonSQS.Get", "AmazonSQS.List", "DynamoDB_", "Logs_", "GraniteServiceVersion")
_DEDUPLICATION_SECONDS = 300
# What of a message changes after it was sent.
_Mark = tuple[Any, ...]


class _Journal:
    """One line a change: an item as it now is, or a message of a queue; null where it is gone."""

    def __init__(self) -> None:
        _STATE.mkdir(parents=True, exist_ok=True)
        self._seen: dict[tuple[str, ...], dict[str, _Mark]] = {}
        self._file = os.open(_JOURNAL, os.O_CREAT | os.O_APPEND | os.O_RDWR)

    def snapshot(self) -> None:
        """Everything, and then nothing in the journal. Raises OSError where it was not saved."""
        persistence.save_all(_ministack._build_persistence_save_dict())
        for name in ("sqs", "dynamodb"):
            json.loads((_STATE / f"{name}.json").read_text())
        os.ftruncate(self._file, 0)
        self._remember()

    def replay(self) -> None:
        """What happened since the snapshot. A line that was cut had no answer, and nothing is written behind it."""
        whole, _, cut = _JOURNAL.read_bytes().rpartition(b"\n")
        os.ftruncate(self._file, os.fstat(self._file).st_size - len(cut))
        for line in whole.splitlines():
            change = json.loads(line)
            if "table" in change:
                self._replay_item(**change)
            else:
                self._replay_message(**change)
        self._remember()

    def item(self, table: str, item: dict[str, Any] | None, old: dict[str, Any] | None) -> None:
        self._write({"table": table, "item": item, "old": old if item is None else None})

    def queues(self) -> None:
        """Write down what changed in any queue since the last call."""
        for scope, queue in list(sqs._queues._data.items()):
            seen, now = self._seen.setdefault(scope, {}), {}
            for message in queue["messages"]:
                mark = now[message["id"]] = _mark(message)
                if seen.get(message["id"]) != mark:
                    self._write({"queue": scope, "name": message["id"], "message": message})
            for name in seen.keys() - now.keys():
                self._write({"queue": scope, "name": name, "message": None})
            self._seen[scope] = now

    def _write(self, change: dict[str, Any]) -> None:
        line = json.dumps(change, separators=(",", ":")).encode() + b"\n"
        size = os.fstat(self._file).st_size
        try:
            written = os.write(self._file, line)
        except OSError:
            written = 0
        if written < len(line):
            # A full disk: what is in memory was not answered and must not stand. It starts again from the journal.
            os.ftruncate(self._file, size)
            os._exit(1)

    def _remember(self) -> None:
        self._seen = {
            scope: {message["id"]: _mark(message) for message in queue["messages"]}
            for scope, queue in sqs._queues._data.items()
        }

    @staticmethod
    def _replay_item(table: str, item: dict[str, Any] | None, old: dict[str, Any] | None) -> None:
        for (_, _, name), found in dynamodb._tables._data.items():
            if name == table:
                key = dynamodb._extract_key_val((item or old or {})[found["pk_name"]])
                if item is None:
                    dynamodb._remove_item(found, key, "__no_sort__")
                else:
                    dynamodb._set_item(found, key, "__no_sort__", item)

    @staticmethod
    def _replay_message(queue: list[str], name: str, message: dict[str, Any] | None) -> None:
        found = sqs._queues._data[tuple(queue)]
        places = {each["id"]: place for place, each in enumerate(found["messages"])}
        if message is None:
            if name in places:
                del found["messages"][places[name]]
            return
        if name in places:
            found["messages"][places[name]] = message
            return
        found["messages"].append(message)
        if message.get("seq"):
            found["fifo_seq"] = max(found["fifo_seq"], int(message["seq"]))
            found["dedup_cache"][message["dedup_cache_key"]] = {
                "expire": message["sent_at"] + _DEDUPLICATION_SECONDS,
                "id": name,
                "md5": message["md5_body"],
                "md5a": message["md5_attrs"],
                "seq": message["seq"],
            }


def _mark(message: dict[str, Any]) -> _Mark:
    return tuple(message.get(name) for name in ("receipt_handle", "visible_at", "receive_count"))


_journal = _Journal()
_emit = dynamodb._emit_stream_event
_load = _ministack._load_persisted_state


def _emitted(table: str, event: str, old: Any, new: Any, replicate: bool = True) -> None:
    _journal.item(table, new, old)
    _emit(table, event, old, new, replicate)


def _loaded() -> None:
    _load()
    _journal.replay()


dynamodb._emit_stream_event = _emitted
_ministack._load_persisted_state = _loaded


async def app(scope: dict[str, Any], receive: Callable[[], Any], send: Callable[[Any], Awaitable[None]]) -> None:
    """ministack's, with the journal before each answer."""
    if scope["type"] == "http" and scope["path"] == "/_snapshot":
        _journal.snapshot()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})
        return
    target = next((value.decode() for name, value in scope.get("headers", ()) if name == b"x-amz-target"), "")
    if scope["type"] != "http" or target.startswith(_READS) or scope["method"] == "GET":
        await _ministack.app(scope, receive, send)
        return

    async def answer(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            _journal.queues()
        await send(message)

    await _ministack.app(scope, receive, answer)
