"""The fuzz targets as tests: their corpora pass, and each finds a fault that is planted in what it looks at.

`make fuzz` is the search itself. The faults here are planted from outside, in Python; in C code, under the sanitizers,
they were planted by hand (docs/fuzzing.md).
"""

from __future__ import annotations

import argparse
import base64
import itertools
import json
import re
import sys
from collections.abc import Hashable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl

import pytest

from handler.adapters.gateways.stripe import StripeGateway
from handler.domain.money import to_minor
from handler.domain.payment import GatewayResult
from scoring import _pure
from tests.fuzz import __main__ as campaign
from tests.fuzz.mutate import LENGTH_MAX, Mutator
from tests.fuzz.search import FoundError, search, smallest
from tests.fuzz.targets import CORPORA, TARGETS, Target, load, read_corpus


@pytest.mark.parametrize("name", TARGETS)
def test_every_input_of_a_corpus_passes(name: str) -> None:
    target, corpus = load(name), read_corpus(name)
    assert corpus, "a target begins with inputs of its own"
    for data in corpus:
        target.check(data)


def test_a_corpus_is_small_and_every_file_is_a_targets() -> None:
    assert {path.stem for path in CORPORA.iterdir()} == set(TARGETS)
    for name in TARGETS:
        corpus = read_corpus(name)
        assert corpus == sorted(set(corpus))
        assert sum(map(len, corpus)) < 32_768
        assert max(map(len, corpus)) <= LENGTH_MAX


def _in_cents(text: str, currency: str) -> int | None:
    return to_minor(re.sub(r"(\.[0-9]{2})[0-9]+$", r"\1", text), currency)


def _in_some_mode(self: StripeGateway, intent: Any, gateway_ref: str, answer: Any) -> GatewayResult:
    if isinstance(intent, dict):
        intent = {**intent, "livemode": bool(intent.get("livemode"))}
    return _RESULT(self, intent, gateway_ref, answer)


_RESULT = StripeGateway._result
_IS_WORD = _pure._is_word
PLANTED: dict[str, tuple[str, Any]] = {
    "messages": ("handler.domain.money.to_minor", _in_cents),
    "cards": ("scoring._pure_cards._BEYOND_F", re.compile("[S-Zs-z]")),
    "rules": ("scoring._pure._is_word", lambda byte: byte != 0x62 and _IS_WORD(byte)),
    "page": ("handler.approval_page._fields", lambda text: dict(parse_qsl(text, keep_blank_values=True))),
    "tokens": ("handler.domain.approval.token._decode", lambda text: base64.urlsafe_b64decode(text + "==")),
    "answers": ("handler.adapters.gateways.stripe.StripeGateway._result", _in_some_mode),
    # The whole of an id is no longer looked at.
    "webhook": ("handler.adapters.webhook.stripe_events._INTENT", SimpleNamespace(fullmatch=re.compile("pi_").match)),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    target = load(name)
    monkeypatch.setattr(*PLANTED[name])
    with pytest.raises(FoundError) as found:
        search(target, read_corpus(name), 1, lambda count: count < 6_000)
    # For whoever asks how far it had to look: pytest -rP.
    print(found.value)


def test_a_seed_is_the_same_inputs_each_time() -> None:
    def first(seed: int) -> list[bytes]:
        mutator = Mutator(["word", b"\xff"], seed)
        mutator.keep(b'{"amount": 25.99}')
        return list(itertools.islice(mutator, 300))

    assert first(1) == first(1) != first(2)
    assert len(set(first(1))) > 200


def test_inputs_that_show_something_new_are_where_others_come_from() -> None:
    def check(data: bytes) -> set[Hashable]:
        assert not data.startswith(b"abcd"), "four letters, one after the other"
        return {len(data[:4]) if b"abcd".startswith(data[:4]) else -1}

    with pytest.raises(FoundError) as found:
        search(Target("letters", check, ["a", "b", "c", "d"]), [b""], 1, lambda count: count < 20_000)
    assert found.value.data == b"abcd"


def test_a_target_that_found_a_fault_leaves_its_smallest_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    present = tmp_path / "letters.present"
    present.write_bytes(bytes(8 + LENGTH_MAX))
    options = argparse.Namespace(input=None, folder=tmp_path, seconds=60, seed=1, keep=False)

    def check(data: bytes) -> set[Hashable]:
        assert b"ab" not in data, "two letters beside each other"
        return set()

    assert campaign.inside(Target("letters", check, ["xxabxx"]), options) == 1
    assert campaign.present_input(present) == b"ab"
    assert "two letters beside each other" in capsys.readouterr().err


def test_whatever_ends_a_targets_process_its_input_is_kept_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = tmp_path / "python"
    ended.write_text('#!/bin/sh\nprintf "\\003\\0\\0\\0\\0\\0\\0\\0bad" >"$5/$3.present"\nkill -9 $$\n')
    ended.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(ended))
    monkeypatch.setattr(campaign, "FOLDER", tmp_path)
    options = argparse.Namespace(input=None, seconds=1, seed=1, keep=False, sanitized=None)
    assert not campaign.run("tokens", options)
    assert (tmp_path / "tokens.found").read_bytes() == b"bad"
    assert "tokens ended with -9 over b'bad'" in capsys.readouterr().out


def test_what_is_left_of_an_input_still_shows_its_fault() -> None:
    assert smallest(b"x" * 300 + b"needle" + b"y" * 200, lambda data: b"needle" in data) == b"needle"


def test_a_text_that_begins_as_a_code_that_is_told_is_not_told_itself() -> None:
    error = {"code": "card_declined", "a": {"message": " card_decline"}}
    load("answers").check(b"c\x00HTTP/1.1 402\r\n\r\n" + json.dumps({"error": error}).encode())
