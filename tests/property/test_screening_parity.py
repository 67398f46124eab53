"""Screening and scores: both engines, a naive search and another library's automaton find the same.

The compiled engine looks for grams, then compares literals or runs an automaton in eight lanes; the pure engine looks
literals up by their first bytes. What they share is the rule texts alone, so that an error in either shows.
"""

import re

import ahocorasick_rs
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scoring import _compiled, _pure
from scoring.model import FIELDS, Payment
from scoring.screening_view import literal_view, screening_view, words_of
from scoring.table import ASK_THE_AUTOMATON, GRAM, GRAM_RULES_MAX
from tests.support.rule_compiler import compile_table

# Few letters make literals that begin, end and repeat inside one another; the rest are edges of tokens and of classes.
LETTERS = st.sampled_from("aAbBc -@.é\0\ud800")
LITERALS = st.text(LETTERS, min_size=1, max_size=12)
TEXTS = st.text(LETTERS, max_size=60)
SCANNED = st.tuples(
    st.sampled_from(["substring", "token"]), st.sets(st.sampled_from(FIELDS), min_size=1).map(tuple), LITERALS
)
WHOLE = st.tuples(st.just("value"), st.sets(st.sampled_from(FIELDS), min_size=1).map(tuple), LITERALS)
DOMAINS = st.tuples(
    st.just("value"), st.just(("email_domain",)), st.from_regex(r"[ab]{1,2}(\.[ab]{1,2}){0,2}", fullmatch=True)
)
RULES = st.lists(st.one_of(SCANNED, SCANNED, WHOLE, DOMAINS), max_size=30)
PAYMENTS = st.lists(st.lists(TEXTS, max_size=len(FIELDS)), max_size=12)
DENSE_BYTES = st.sampled_from([1, 400, 2000, 100_000])


def encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def table_of(rules: list, dense_bytes: int):
    sources = [(mode, fields, encoded(literal)) for mode, fields, literal in rules]
    usable = [source for source in dict.fromkeys(sources) if literal_view(source[2], source[0]).strip(b" ")]
    return compile_table(usable, dense_bytes=dense_bytes)


@given(rules=RULES, payments=PAYMENTS, dense_bytes=DENSE_BYTES)
@example(rules=[("token", FIELDS, "é")], payments=[["é", "aé", " é "]] * 9, dense_bytes=1)
@settings(max_examples=400, deadline=None)
def test_engines_screen_alike(rules: list, payments: list, dense_bytes: int) -> None:
    table = table_of(rules, dense_bytes)
    assert _compiled.screen(table, payments) == _pure.screen(table, payments)


# What the screening view has to do with: characters of every kind of fold, pieces of UTF-8 and what only looks like it.
FOLDED = st.sampled_from(
    "\u00ad\u200b\u2060\ufeff\ufe0f\u0301\u0336"  # nothing
    "\u00a0\u2003\u3000\u2028\u0085\u2022\u2122\U0001f381"  # a space
    "\u2014\u2011\u2212\u2018\u201c\u2026\u3002\uff0e"  # ASCII punctuation
    "\u0430\u0412\u03b1\u00e9\u00c9\uff21\U0001d41a\u24d0\u0661\ufb01\u1d00"  # ASCII letters and digits
    "\u0439\u0438\u0403\u0436\u6f22\u20ac\ud800\udc80\udfff\U0010ffff\ufffe"  # another letter, or what stays
)
BROKEN = st.sampled_from(
    [
        b"\x80",
        b"\xc0\xaf",
        b"\xc2",
        b"\xe2\x80",
        b"\xed\xa0\x80",
        b"\xf0\x9f\x8e",
        b"\xf4\x90\x80\x80",
        b"\xe0\x80\x80",
        b"\xff",
    ]
)
ASCII = st.sampled_from(
    ["a", "B", "i", "f", "box", "po box", " ", "-", "  ", " - ", "\t", "\n", ".", "@", "<", ">", "\0"]
)
ANY_BYTES = st.lists(st.one_of(ASCII.map(str.encode), FOLDED.map(encoded), BROKEN, st.binary(max_size=4)), max_size=40)
ANY_TEXT = st.one_of(
    ANY_BYTES.map(b"".join),
    st.lists(st.one_of(ASCII, FOLDED, st.text(max_size=2), st.characters()), max_size=40).map("".join),
    st.text(max_size=80),
    st.binary(max_size=80),
)
ANY_RULES = st.lists(
    st.tuples(
        st.sampled_from(["substring", "token", "value"]),
        st.sets(st.sampled_from(FIELDS), min_size=1).map(tuple),
        st.lists(st.one_of(ASCII, FOLDED), min_size=1, max_size=6).map("".join),
    ),
    max_size=20,
)


@given(
    rules=st.one_of(ANY_RULES, st.lists(DOMAINS, max_size=6)),
    payments=st.lists(st.lists(ANY_TEXT, max_size=len(FIELDS)), max_size=10),
    dense_bytes=DENSE_BYTES,
)
@settings(max_examples=500, deadline=None)
def test_engines_screen_alike_whatever_the_bytes_and_characters(rules: list, payments: list, dense_bytes: int) -> None:
    table = table_of(rules, dense_bytes)
    assert _compiled.screen(table, payments) == _pure.screen(table, payments)


@given(texts=st.lists(ANY_TEXT, min_size=1, max_size=20))
@settings(max_examples=500, deadline=None)
def test_a_texts_own_view_is_found_in_it_by_both_engines(texts: list) -> None:
    # Whole values, so that all of the view is compared, and not only what is around a literal.
    views = dict.fromkeys(literal_view(_pure.as_bytes(text), "value")[:1000] for text in texts)
    table = compile_table([("value", FIELDS, view) for view in views if view])
    found = _pure.screen(table, [[text] for text in texts])
    assert _compiled.screen(table, [[text] for text in texts]) == found


@given(text=ANY_TEXT)
@settings(max_examples=500, deadline=None)
def test_a_view_is_no_longer_than_its_text_and_words_of_it_are_no_longer_still(text: str | bytes) -> None:
    raw = _pure.as_bytes(text)
    view = screening_view(raw)
    words = words_of(view)
    assert len(words) <= len(view) <= len(raw)
    assert b"  " not in view
    assert not {b"--", b"- ", b" -", b"-"} & {words[i : i + n] for i in range(len(words)) for n in (1, 2)}


ASCII_TEXT = st.text(st.sampled_from("aAbB0 -.@_\t\n<"), max_size=40)
ASCII_LITERAL = st.text(st.sampled_from("aAb0 -."), min_size=1, max_size=5).filter(lambda literal: literal.strip(" -"))


def is_there(mode: str, literal: str, text: str) -> bool:
    """Whether a rule hits an ASCII text as it is, case ignored: what there was before the view."""
    literal, text = literal.lower(), text.lower()
    if mode == "value":
        return text.strip(" \t\n") == literal.strip(" \t\n")
    found = f"(?={re.escape(literal)})" if mode == "substring" else None
    if found:
        return re.search(found, text) is not None

    def is_edge(at: int) -> bool:
        return at in (0, len(text)) or not (text[at - 1].isalnum() and text[at].isalnum())

    return any(
        text.startswith(literal, at) and is_edge(at) and is_edge(at + len(literal)) for at in range(len(text) + 1)
    )


@given(mode=st.sampled_from(["substring", "token", "value"]), literal=ASCII_LITERAL, text=ASCII_TEXT)
@example(mode="substring", literal="a-", text="-a- b")
@example(mode="token", literal="b", text="a--b")
@settings(max_examples=2000, deadline=None)
def test_ascii_texts_keep_their_hits_and_get_others_by_spaces_and_dashes_only(
    mode: str, literal: str, text: str
) -> None:
    table = compile_table([(mode, ("street",), literal.encode())])
    payment = ["" if name != "street" else text for name in FIELDS]
    ((found,),) = [screened[6:7] for screened in _pure.screen(table, [payment])]
    assert _compiled.screen(table, [payment]) == _pure.screen(table, [payment])
    if is_there(mode, literal, text):
        assert found == (1,)
    elif not re.search(r"  |[\t\n]" if mode == "value" else r"  |[\t\n-]", f"{literal}\0{text}"):
        assert found == ()


# Literals that all have grams, of several sizes, in texts made of them and of their pieces.
LONGER = st.text(st.sampled_from("aAb.é"), min_size=2, max_size=40)
PIECES = st.lists(st.tuples(st.integers(0, 29), st.integers(0, 3), st.sampled_from(["", " ", "a", "b."])), max_size=12)


@given(
    rules=st.lists(
        st.tuples(
            st.sampled_from(["substring", "token"]), st.sets(st.sampled_from(FIELDS), min_size=1).map(tuple), LONGER
        ),
        min_size=1,
        max_size=30,
    ),
    payments=st.lists(st.lists(PIECES, max_size=len(FIELDS)), max_size=10),
)
@settings(max_examples=300, deadline=None)
def test_engines_screen_alike_what_is_made_of_literals(rules: list, payments: list) -> None:
    table = table_of(rules, 2000)
    assert table.header.passes
    texts = [
        ["".join(rules[i % len(rules)][2][cut:] + joint for i, cut, joint in pieces) for pieces in payment]
        for payment in payments
    ]
    assert _compiled.screen(table, texts) == _pure.screen(table, texts)


def gram_rules(table) -> list[int]:
    """The first number of each entry of a table's grams."""
    offset, size = table.header.sections["grams"]
    return [rule for rule, _, _ in GRAM.iter_unpack(table.data[offset : offset + size])]


def test_grams_that_too_many_literals_share_are_left_to_the_automaton() -> None:
    fields = ("street", "description")
    table = compile_table(
        [("substring", fields, b"%c%cshared" % (first, second)) for first in b"abcdefgh" for second in b"abcdefgh"]
        + [("token", ("street",), b"%cshared" % first) for first in b"abcdefgh"]
    )
    assert ASK_THE_AUTOMATON in gram_rules(table)
    texts = [["aashared, bshared!hhshared" + "-" * i] * 10 for i in range(9)]
    assert _compiled.screen(table, texts) == _pure.screen(table, texts)


def test_literals_that_share_a_gram_are_all_compared_until_that_costs_too_much() -> None:
    literals = [b"shared%d" % i for i in range(GRAM_RULES_MAX)]
    table = compile_table([("substring", FIELDS, literal) for literal in literals])
    assert ASK_THE_AUTOMATON not in gram_rules(table)
    texts = [[b"-" * i + literal, literal + b"shared" * i] for literal in literals for i in range(40)]
    texts += [[b"-" * i + literals[3] * 200, b"-" * i + b"shar" * 200] for i in range(2)]
    assert _compiled.screen(table, texts) == _pure.screen(table, texts)
    wasteful = [[b"-" * i + b"shared" * 90 + literals[3], literals[2] + b"shared" * 90 + literals[5]] for i in range(2)]
    assert _compiled.screen(table, wasteful) == [((4,), (3, 6))] * 2


@given(rules=st.lists(SCANNED, max_size=30), texts=st.lists(TEXTS, max_size=20), dense_bytes=DENSE_BYTES)
@settings(max_examples=200, deadline=None)
def test_substring_rules_find_what_a_naive_search_finds(rules: list, texts: list, dense_bytes: int) -> None:
    table = table_of([("substring", ("order_id",), literal) for _, _, literal in rules], dense_bytes)
    literals = {table.rule_at(i).id: table.rule_at(i).literal for i in range(table.rule_count)}
    seen = [words_of(screening_view(encoded(text))) for text in texts]
    expected = [(tuple(i for i, literal in literals.items() if literal in text),) for text in seen]
    assert _compiled.screen(table, [[text] for text in texts]) == expected
    assert _pure.screen(table, [[text] for text in texts]) == expected


WORDS = st.text(st.sampled_from("aeioubcdst "), min_size=1, max_size=20)


@pytest.mark.parametrize("many", [1, 60])
@given(words=st.lists(WORDS, min_size=1, max_size=40, unique=True), data=st.data())
@settings(max_examples=50, deadline=None)
def test_substring_rules_find_what_ahocorasick_rs_finds(many: int, words: list[str], data: st.DataObject) -> None:
    # Repeated with numbers, so that the table passes the sizes at which its filter takes larger grams.
    literals = sorted({re.sub(" +", " ", f"{word}{i or ''}") for word in words for i in range(many)} - {" "})
    pieces = st.lists(st.sampled_from([*words, *literals]), max_size=8)
    texts = data.draw(st.lists(pieces.map(lambda each: re.sub(" +", " ", " ".join(each))), max_size=20))
    table = compile_table([("substring", ("order_id",), literal.encode()) for literal in literals], dense_bytes=2000)
    automaton = ahocorasick_rs.AhoCorasick(literals)
    expected = [
        (tuple(sorted({i + 1 for i, _, _ in automaton.find_matches_as_indexes(text, overlapping=True)})),)
        for text in texts
    ]
    assert _compiled.screen(table, [[text] for text in texts]) == expected


def test_ten_thousand_literals_are_all_found_wherever_they_stand() -> None:
    literals = [f"{'xyzw'[i % 4]}{i * 7919 % 100003:05d}{'q' * (i % 19)}" for i in range(10_000)]
    table = compile_table([("substring", ("order_id",), literal.encode()) for literal in literals])
    texts = [f"{'-' * (i % 9)}{literal.upper()}{'-' * (i % 5)}" for i, literal in enumerate(literals)]
    automaton = ahocorasick_rs.AhoCorasick(literals)
    found = _compiled.screen(table, [[text] for text in texts])
    assert found == [
        (
            tuple(
                sorted({j + 1 for j, _, _ in automaton.find_matches_as_indexes(text.lower(), overlapping=True)}),
            ),
        )
        for text in texts
    ]
    assert all(i + 1 in hits for i, (hits,) in enumerate(found))


def test_long_texts_and_many_hits_screen_alike() -> None:
    table = compile_table([("substring", FIELDS, b"ab" * n) for n in range(1, 30)] + [("token", FIELDS, b"zz")])
    texts = [["ab" * 5000, "zz " * 3000, "a" * 4095 + "b", "a" * 4096 + "b", "ba" * 3000 + "zz"]] * 3
    assert _compiled.screen(table, texts) == _pure.screen(table, texts)


@given(
    rules=RULES,
    payments=st.lists(
        st.builds(
            Payment,
            identity=st.binary(max_size=80),
            amount_minor=st.one_of(st.integers(1, 100_000), st.integers(1, 10**30)),
            fields=st.lists(TEXTS, max_size=len(FIELDS)).map(tuple),
        ),
        max_size=20,
    ),
    iterations=st.integers(0, 3),
    pepper=st.binary(max_size=20),
)
@settings(max_examples=200, deadline=None)
def test_engines_score_alike(rules: list, payments: list[Payment], iterations: int, pepper: bytes) -> None:
    table = table_of(rules, 2000)
    assert _compiled.score_batch(table, payments, iterations=iterations, pepper=pepper) == _pure.score_batch(
        table, payments, iterations=iterations, pepper=pepper
    )
