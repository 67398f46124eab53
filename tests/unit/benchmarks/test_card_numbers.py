"""The corpus is made by its generator, and the comparison counts a card as caught only where all of it is hidden."""

import json

import pytest

from benchmarks.card_numbers import comparison, corpus
from benchmarks.card_numbers.comparison import Count, Group, is_caught, judge, none, shown_digits, whole

CARD = "4111111111111111"
SENTENCE_LEAD = comparison.SENTENCE.index("{}")


def test_the_committed_corpus_is_what_its_generator_makes():
    assert corpus.CORPUS.read_text() == corpus.text_of(corpus.make())


def test_the_corpus_has_cards_of_every_issuer_in_every_spelling():
    made = json.loads(corpus.CORPUS.read_text())
    sizes = {len(texts) for texts in made["cards"].values()}
    assert sizes == {sum(len(issuer.lengths) for issuer in corpus.ISSUERS)}
    assert set(made["cards"]) == set(corpus.SPELLINGS)


def test_every_card_of_the_corpus_has_a_right_check_digit():
    made = json.loads(corpus.CORPUS.read_text())
    assert all(corpus.luhn_digit(card[:-1]) == card[-1] for card in made["cards"]["one run"])


@pytest.mark.parametrize(
    ("text", "end", "spans", "shown"),
    [
        (CARD, 16, [(0, 16)], 0),
        (CARD, 16, [(0, 12)], 0),
        (CARD, 16, [(0, 11)], 1),
        (CARD, 16, [(4, 16)], 4),
        (CARD, 16, [], 12),
        ("4111%201111%201111%201111", 25, [(0, 4), (7, 11), (14, 18)], 0),
    ],
)
def test_all_digits_but_the_last_four_have_to_be_hidden(text, end, spans, shown):
    assert shown_digits(text, 0, end, spans) == shown
    assert is_caught(text, 0, end, spans) is (shown == 0)


def test_each_text_that_ours_has_wrong_is_listed_with_its_reason(monkeypatch):
    monkeypatch.setattr(comparison, "MISSES", [("a", "^2", "because")])
    here = [(SENTENCE_LEAD, SENTENCE_LEAD + 16)]
    found = {"ours": [here, [], []], "presidio": [[], here, []], "scrubadub": [[], [], []]}
    cards = judge([Group("a", whole([CARD, "2" + CARD[1:]])), Group("b", whole([CARD]))], found, cards=True)
    assert cards.counts["a"] == {"ours": Count(1, 2), "presidio": Count(1, 2), "scrubadub": Count(0, 2)}
    assert cards.wrong == [("a", "2" + CARD[1:], "because"), ("b", CARD, "")]
    no_cards = judge([Group("a", none([CARD, "2"])), Group("b", none(["x"]))], found, cards=False)
    assert no_cards.wrong == [("a", CARD, "")]


def test_a_wrong_text_without_a_reason_misses_its_bar():
    row = {"ours": Count(1, 2), "presidio": Count(2, 2), "scrubadub": Count(0, 2)}
    results = {
        "cards": comparison.Result({"cases": row}, [("cases", CARD, "")]),
        "no cards": comparison.Result({"uuids": row}, []),
    }
    missed = [bar.name for bar in comparison.bars_of(results, []) if not bar.ok]
    assert missed == [
        "wrong_without_a_reason",
        "recall_cases_beside_presidio",
        "recall_beside_presidio",
        "false_hits_uuids",
    ]


def test_no_id_of_a_declared_shape_is_refused_and_some_are_where_it_is_not():
    made = json.loads(corpus.CORPUS.read_text())["digit_ids"]
    groups = [Group(kind, none(texts)) for kind, texts in made.items()]
    assert comparison.refused_as_declared(groups) == dict.fromkeys(corpus.DIGIT_IDS, 0)
    (spans,) = comparison.ours([CARD])
    assert spans


def test_the_rate_of_what_is_refused_is_said_where_nothing_is_declared():
    assert comparison.rates({"a": {"ours": Count(2, 66)}, "b": {"ours": Count(0, 9)}}).splitlines() == [
        "refused where not declared: a: 1 in 33 of 66",
        "refused where not declared: b: none of 9",
    ]
