"""The two supports of the queue function: which one is imported, and that a choice never falls back."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest
from botocore.exceptions import ReadTimeoutError
from botocore.parsers import ResponseParserError

from handler.adapters import support
from handler.adapters.support.errors import AwsError
from handler.adapters.support.standard import BotocoreClient
from handler.domain.errors import ConfigurationError
from handler.queue_function import create
from handler.support import load_support
from tests.support.payments import body, record
from tests.support.queue_function import Context, batch, metrics_of

ROOT = Path(__file__).parents[3]
SUPPORTS = ("lean", "standard")


@pytest.mark.parametrize("name", SUPPORTS)
def test_the_support_that_is_named_is_loaded_and_no_other(name):
    source = (
        "import sys; from handler.support import load_support\n"
        f"print(load_support({name!r}).__name__, 'aws_lambda_powertools' in sys.modules,"
        " 'handler.adapters.support.lean' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, cwd=ROOT, check=True)
    other = (True, False) if name == "standard" else (False, True)
    assert done.stdout.split() == [f"handler.adapters.support.{name}", *map(str, other)]


@pytest.mark.parametrize("name", SUPPORTS)
def test_a_support_that_was_not_packaged_is_an_error_and_nothing_falls_back(name, monkeypatch):
    load_support(name)
    monkeypatch.delattr(support, name)
    monkeypatch.setitem(sys.modules, f"handler.adapters.support.{name}", None)
    with pytest.raises(ConfigurationError, match=f"^SUPPORT is '{name}'; allowed: a support that was packaged"):
        create({"SUPPORT": name, "SCORING_ENGINE": "pure"})


@pytest.mark.parametrize("name", SUPPORTS)
def test_a_payment_is_processed_counted_and_logged_with_either(name, capsys):
    function = create({"SUPPORT": name, "SCORING_ENGINE": "pure"})
    assert function(batch(record(body())), Context())["body"]["processed"] == 1
    assert metrics_of(capsys.readouterr().out)["ProcessedPayments"] == [1.0]


@pytest.mark.parametrize("name", SUPPORTS)
def test_a_line_says_its_level_place_message_time_and_service(name):
    stream = io.StringIO()
    load_support(name).create_logger(f"service-{name}", stream).info("completed", extra={"message_id": "m-1"})
    line = json.loads(stream.getvalue())
    assert list(line) == ["level", "location", "message", "timestamp", "service", "message_id"]
    assert line["location"].startswith("test_a_line_says_its_level_place_message_time_and_service:")


@pytest.mark.parametrize(
    "error",
    [
        UnicodeDecodeError("utf-8", b"\x8b", 0, 1, "invalid start byte"),
        RuntimeError("Credentials were refreshed, but the refreshed credentials are still expired."),
        ResponseParserError("no JSON"),
        ReadTimeoutError(endpoint_url="http://127.0.0.1:1"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_the_reference_ends_a_call_with_is_an_aws_error(error):
    client = BotocoreClient(mock.Mock(get_item=mock.Mock(side_effect=error)))
    with pytest.raises(AwsError, match=r"^get_item: ") as caught:
        client.get_item(TableName="t")
    assert caught.value.code == ""
    assert caught.value.__cause__ is error
