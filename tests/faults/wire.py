"""A wire between two processes on loopback that is cut, or lets bytes through one by one, when it is told to.

The rule: an order strikes one answer or one request, once, and only then it counts.
"""

from __future__ import annotations

import random
import socket
import struct
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from local import threads
from local.loopback import HOST

CUT_REQUEST, CUT_ANSWER, TRICKLED = "request cut", "answer cut", "bytes trickled"
KINDS = (CUT_REQUEST, CUT_ANSWER, TRICKLED)
# A full answer of some 1,500 bytes takes longer than a campaign's gateway deadline of a second.
_TRICKLE_BYTES, _TRICKLE_SECONDS = 24, 0.02
_RESET = struct.pack("ii", 1, 0)


class Wire:
    """Takes connections at `port` for `upstream`, (host, port) of the real thing, which may come later."""

    def __init__(self, name: str, seed: int, problem: Callable[[str], None]) -> None:
        self.name = name
        self.upstream = ("", 0)
        self.struck: Counter[str] = Counter()
        self._choose = random.Random(f"wire:{name}:{seed}")
        self._problem = problem
        self._orders: dict[bool, deque[str]] = {True: deque(), False: deque()}
        self._lock = threading.Lock()
        self._stopped = False
        self._listener = socket.create_server((HOST, 0), backlog=128)
        self.port = int(self._listener.getsockname()[1])
        self.url = f"http://{HOST}:{self.port}"
        threads.start(f"wire-{name}", self._accept, problem)

    def order(self, kind: str) -> None:
        """Let the next request (`CUT_REQUEST`) or answer be struck."""
        self._orders[kind == CUT_REQUEST].append(kind)

    def clear(self) -> None:
        """Forget the orders that struck nothing."""
        for orders in self._orders.values():
            orders.clear()

    def stop(self) -> None:
        self._stopped = True
        # Closing alone does not wake who waits for a connection.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                if self._stopped:
                    return
                raise
            try:
                server = socket.create_connection(self.upstream, timeout=5)
            except OSError:
                # The real thing is down: so is its wire.
                _reset(client)
                continue
            for each in (client, server):
                each.settimeout(None)
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threads.start("wire-down", partial(self._carry, client, server), self._problem)

    def _carry(self, client: socket.socket, server: socket.socket) -> None:
        """One connection, until both sides have ended it."""
        with client, server:
            up = threads.start("wire-up", partial(self._pump, client, server, up=True), self._problem)
            self._pump(server, client, up=False)
            up.join()

    def _pump(self, source: socket.socket, sink: socket.socket, *, up: bool) -> None:
        try:
            while chunk := source.recv(65_536):
                fault = self._next(up)
                if fault == TRICKLED:
                    for start in range(0, len(chunk), _TRICKLE_BYTES):
                        sink.sendall(chunk[start : start + _TRICKLE_BYTES])
                        time.sleep(_TRICKLE_SECONDS)
                elif fault:
                    sink.sendall(chunk[: self._choose.randrange(len(chunk))])
                    raise ConnectionResetError(fault)
                else:
                    sink.sendall(chunk)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            _reset(source)
            _reset(sink)

    def _next(self, up: bool) -> str:
        with self._lock:
            fault = self._orders[up].popleft() if self._orders[up] else ""
            if fault:
                self.struck[f"{self.name} {fault}"] += 1
        return fault


def _reset(end: socket.socket) -> None:
    """Close so that the other side sees a reset, whoever still reads from it here."""
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        end.shutdown(socket.SHUT_RDWR)
    end.close()
