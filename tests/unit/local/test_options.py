"""Wrong options of `make up` and `make run` are refused before anything starts, in a sentence."""

from __future__ import annotations

import socket

import pytest

from local import run, up


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--port", "99999"], "99999 is not a port from 1 to 65535"),
        (["--port", "-1"], "-1 is not a port"),
        (["--page-port", "http"], "http is not a port"),
        (["--concurrency", "0"], "0 is not 1 or more"),
        (["--concurrency", "99999999999"], "is not 1 or more"),
        (["--environment", "BAD_NAME"], "'BAD_NAME' is not 1 to 15 of a-z"),
        (["--package", "/nowhere"], "/nowhere is no folder"),
    ],
)
def test_a_wrong_option_of_up_is_named(capsys, arguments, says):
    with pytest.raises(SystemExit) as ended:
        up.main(arguments)
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--payments", "0"], "0 is not 1 or more"),
        (["--json", "/nowhere/run.json"], "/nowhere/run.json cannot be written"),
        (["--json", "/"], "/ cannot be written"),
        (["--package", "/nowhere"], "/nowhere is no folder"),
    ],
)
def test_a_wrong_option_of_run_is_named(capsys, arguments, says):
    with pytest.raises(SystemExit) as ended:
        run.main(arguments)
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


def test_a_page_port_in_use_is_told_with_its_owner(capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert up.main(["--port", "0", "--page-port", port]) == 1
    assert f"port {port} on 127.0.0.1 is in use by pid" in capsys.readouterr().err
