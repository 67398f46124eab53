"""`python -m handler` where something is wrong: one sentence that says what to do, and never a traceback."""

from __future__ import annotations

import pytest

import handler
from handler.__main__ import main
from handler.settings import OUTSIDE


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    for name in OUTSIDE:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delitem(vars(handler), "lambda_handler", raising=False)
    monkeypatch.setenv("FRAUD_ITERATIONS", "10")


def refused(capsys, *arguments):
    assert main(arguments) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("handler: ")
    return said


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, r"event.json"),
        (b"not json", "is no JSON"),
        (b"\xff\xfe\x00", "is no JSON"),
        (b'{"Records": 5}', "its Records are int"),
    ],
)
def test_a_file_that_holds_no_event_is_named(tmp_path, capsys, content, says):
    path = tmp_path / "event.json"
    if content is not None:
        path.write_bytes(content)
    assert says in refused(capsys, str(path))


def test_no_file_is_processed_where_one_cannot_be_read(tmp_path, capsys):
    assert main(["events/low_risk.json", str(tmp_path)]) == 1
    assert "processed" not in capsys.readouterr().out


@pytest.mark.parametrize("content", ["5", "[]", '"text"', "null"])
def test_a_message_may_be_any_json(tmp_path, content):
    (tmp_path / "event.json").write_text(content)
    assert main([str(tmp_path / "event.json")]) == 0


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("GATEWAY", "banana", "GATEWAY is 'banana'; allowed: simulated | stripe"),
        ("POWERTOOLS_LOG_LEVEL", "banana", "POWERTOOLS_LOG_LEVEL is 'BANANA'"),
        ("SCORING_KERNEL", "banana", "set it to one of auto"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_allowed(monkeypatch, capsys, variable, value, says):
    monkeypatch.setenv(variable, value)
    assert says in refused(capsys)


@pytest.mark.usefixtures("credentials")
def test_a_shell_that_means_something_outside_hears_what_to_paste_or_to_unset(capsys):
    said = refused(capsys)
    assert "REJECTED_QUEUE_URL is not set" in said
    assert "as AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID of this shell say: paste what `make up` prints, or unset" in said
