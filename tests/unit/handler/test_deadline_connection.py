"""The connection to a gateway whose host has several addresses, of which one is silent."""

from __future__ import annotations

import socket

import pytest

from handler.adapters.gateways.deadline_connection import DeadlineConnection
from handler.domain.errors import GatewayNotReachedError


def test_an_address_that_is_silent_in_tls_leaves_time_for_the_next_one(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.create_server(("127.0.0.1", 0)) as next_one:
        real = socket.getaddrinfo
        monkeypatch.setattr(
            socket,
            "getaddrinfo",
            lambda *_, **named: real(*silent.getsockname(), **named) + real(*next_one.getsockname(), **named),
        )
        connection = DeadlineConnection("https://gateway.example", 0.5)
        with pytest.raises(GatewayNotReachedError):
            connection.call("GET", "/", {}, None)
        for listening in (silent, next_one):
            listening.settimeout(0)
            asked, _ = listening.accept()
            with asked:
                assert asked.recv(1) == b"\x16"
