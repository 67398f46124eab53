"""The ids that senders use are looked through for card numbers: a small size of `make check-card-ids`."""

import random
import re
import sys
from types import SimpleNamespace

import pytest

from benchmarks import card_ids

SHAPES = {
    "uuids": r"[0-9a-f]{8}-[0-9a-f]{4}-[47][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
    "hex_ids": r"[0-9a-f]{24}|[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}",
    "ulids": r"0[0-9A-HJKMNP-TV-Z]{25}",
}


LIMITS = {"pure": 1000, "compiled": 100}


@pytest.fixture
def run(monkeypatch, capsys):
    monkeypatch.setattr(card_ids, "SLOW", ())  # no time is judged in a test

    def run(*options):
        monkeypatch.setattr(sys, "argv", ["card-ids", *options])
        status = card_ids.main()
        lines = capsys.readouterr().out.splitlines()
        return status, [line for line in lines if line.startswith("bar ")], lines

    return run


def test_no_engine_finds_a_card_number_in_ids(run):
    status, bars, _ = run("--ids", "20000", "--seed", "1")
    names = [f"{kind}_{engine}" for kind in ("uuids", "hex_ids", "ulids") for engine in ("pure", "compiled")]
    expected = [f"bar card_numbers_in_20000_{name} 0 <=0 ok" for name in names]
    expected += [f"bar card_numbers_in_250000_characters_{name}_ms 0 <={limit} ok" for name, limit in LIMITS.items()]
    assert bars == expected
    assert status == 0


def test_an_id_that_is_taken_for_a_card_number_is_named_and_misses_the_bar(run, monkeypatch):
    monkeypatch.setitem(card_ids.KINDS, "uuids", lambda choose: "4111-1111-1111-1111")
    status, bars, lines = run("--ids", "3")
    assert status == 1
    assert [bar for bar in bars if "uuids" in bar] == [
        f"bar card_numbers_in_3_uuids_{engine} 3 <=0 missed" for engine in ("pure", "compiled")
    ]
    assert "pure: 4111-1111-1111-1111 is taken for a card number" in lines


def test_an_engine_that_finds_nothing_is_an_error():
    blind = SimpleNamespace(find_card_numbers=lambda texts: [[] for _ in texts])
    with pytest.raises(ValueError, match="the blind engine does not find 4111 1111 1111 1111"):
        card_ids.hits("blind", blind, ["id"], 1)


@pytest.mark.parametrize("kind", card_ids.KINDS)
def test_ids_have_their_kinds_shape_and_come_from_the_seed(kind):
    ids = [each for portion in card_ids.portions(kind, 300, 7) for each in portion]
    assert len(set(ids)) == 300
    assert all(re.fullmatch(SHAPES[kind], each) for each in ids)
    assert ids == [card_ids.KINDS[kind](choose) for choose in [random.Random(f"7 {kind}")] for _ in range(300)]


def test_the_slowest_text_is_the_engines_time(monkeypatch):
    clock = iter([0.0, 0.9, 1.0, 1.2, 2.0, 2.3, 3.0, 3.5, 4.0, 4.4, 5.0, 5.6])
    monkeypatch.setattr("time.process_time", lambda: next(clock))
    monkeypatch.setattr(card_ids, "SLOW", ("4 ", "36 "))
    seen: list[str] = []
    assert card_ids.slowest_ms(SimpleNamespace(find_card_numbers=seen.extend)) == pytest.approx(400)
    assert [text[:4] for text in seen] == ["4 4 "] * 3 + ["36 3"] * 3
    assert {len(text) for text in seen} == {250_000}
