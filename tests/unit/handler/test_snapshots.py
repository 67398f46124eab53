"""What init leaves for a snapshot under SnapStart, from which many environments wake up at any later time."""

from __future__ import annotations

import socket
import time
from unittest import mock

import pytest

from handler.adapters.connection import Peer, Url


@pytest.mark.parametrize("initialization", ["snap-start", "on-demand"])
def test_a_snapshot_has_no_connection_of_init(monkeypatch, initialization):
    registered = mock.Mock()
    monkeypatch.setattr("snapshot_restore_py.register_before_snapshot", registered)
    monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", initialization)
    peer = Peer(Url("http", "127.0.0.1", 1), None, body_bytes_max=10)
    if initialization == "on-demand":
        registered.assert_not_called()
        return
    ours, its = socket.socketpair()
    peer._idle.append((ours, time.monotonic()))
    for call in registered.call_args_list:
        call.args[0]()
    # The next call opens one of its own.
    assert peer._kept() is None
    assert its.recv(1) == b""
    its.close()
