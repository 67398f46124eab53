"""What every command of `payments` says with --json: documents alone, on standard error too."""

from __future__ import annotations

import io
import json
import os
import sys
from decimal import Decimal

import pytest

from operations import __main__ as cli
from operations.options import Call


def test_where_nobody_answers_the_refusal_has_a_line_of_its_own(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert cli.main(["start", "--json"], {}) == 6
    question, refusal = capsys.readouterr().err.splitlines()
    assert (question[-17:], json.loads(refusal)["exit_code"]) == ("Continue? [y/N]: ", 6)


def test_what_was_not_done_of_several_things_is_a_document_too_where_json_is_asked_for(capsys):
    call = Call({})
    call.warn("txn-a: no")
    call.given["json"] = True
    call.warn("txn-b: no")
    assert capsys.readouterr().err == 'payments: txn-a: no\n{"error": "txn-b: no"}\n'


def test_a_cost_is_a_document_a_line_with_exact_amounts_where_json_is_asked_for(capfd):
    assert cli.main(["cost", "--json"], dict(os.environ)) == 0
    *lines, total = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert total["what"] == "total"
    for name, usd in total["usd"].items():
        assert sum(Decimal(line["usd"][name]) for line in lines) == Decimal(usd) > 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--json parked show", "Missing argument 'PAYMENT'"),
        ("list --state settled --json", "'settled' is not one of"),
        ("list --since today --json", "No such option"),
    ],
)
def test_wrong_usage_is_told_as_json_too_wherever_that_is_asked_for(words, said, capsys):
    assert cli.main(words.split(), {}) == 2
    assert said in json.loads(capsys.readouterr().err)["error"]
