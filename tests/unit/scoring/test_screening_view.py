"""The screening view: what evades no rule, what hits none, and that both engines fold every character alike.

What the rules say of a text is asked of the built-in table, so that nobody has to believe in a table of the tests' own.
"""

import unicodedata

import pytest

from scoring import _compiled, _pure
from scoring.kernel import Engine
from scoring.model import FIELDS
from scoring.screening_view import literal_view, screening_view, words_of
from scoring.screening_view_table import FOLDS
from scoring.table import Table, open_table
from tests.support.build_scripts import ROOT, load
from tests.support.engines import ENGINES
from tests.support.rule_compiler import compile_table

TABLE = open_table(ROOT / "scoring" / "rules.table")
EMAIL, TEXT, STREET, NAME = "customer_email", "description", "street", "customer_name"
MAILINATOR, GIFT_CARD, PO_BOX, P_O_BOX, JOHN_DOE, BOITE_POSTALE, DASH = 1001, 2001, 3001, 3002, 4007, 3013, 3420


@pytest.fixture(params=ENGINES, ids=lambda engine: engine.__name__)
def engine(request: pytest.FixtureRequest) -> Engine:
    chosen: Engine = request.param
    return chosen


def hits(engine: Engine, table: Table, field: str, text: str | bytes) -> tuple[int, ...]:
    return engine.screen(table, [[text if name == field else "" for name in FIELDS]])[0][FIELDS.index(field)]


# Seen to evade the rules before there was a view.
EVADED = [
    (EMAIL, "x@mailinator.com.", MAILINATOR),
    (EMAIL, "Foo Bar <x@mailinator.com>", MAILINATOR),
    (EMAIL, "x@mailinator.com;", MAILINATOR),
    (EMAIL, "x@mailinator.com\u200b", MAILINATOR),
    (EMAIL, "x@mailinator\u3002com", MAILINATOR),
    (TEXT, "buy a \u201cgift card\u201d now", GIFT_CARD),
    (TEXT, "a gift card\u2019s code", GIFT_CARD),
    (TEXT, "gift card\u2014today", GIFT_CARD),
    (TEXT, "gift  card", GIFT_CARD),
    (TEXT, "gift-card", GIFT_CARD),
    (STREET, "P.O.  Box 7", P_O_BOX),
    (STREET, "PO-Box 7", PO_BOX),
    (NAME, "John\u00a0Doe", JOHN_DOE),
]
# Their siblings.
EVADED += [
    (EMAIL, "x@mailinator.com\u3002", MAILINATOR),
    (EMAIL, "x@ma\u00adilinator.com", MAILINATOR),
    (EMAIL, "x@\u217f\u0430il\u026anator.com", MAILINATOR),
    (EMAIL, "x\uff20mailinator\uff0ecom", MAILINATOR),
    (EMAIL, "\u201cFoo\u201d <x@sub.MAILINATOR.com.>;", MAILINATOR),
    (EMAIL, "x@mailinator.com (home)", MAILINATOR),
    (TEXT, "gift card\u2026", GIFT_CARD),
    (TEXT, "gift\u00a0card", GIFT_CARD),
    (TEXT, "gift\t\r\n card", GIFT_CARD),
    (TEXT, "gift \u2013 card", GIFT_CARD),
    (TEXT, "gift\u2011card", GIFT_CARD),
    (TEXT, "gift \u2022 card", GIFT_CARD),
    (TEXT, "gift\u2028card", GIFT_CARD),
    (TEXT, "g\u200bi\u2060f\ufefft c\u00adard", GIFT_CARD),
    (TEXT, "gift card\u2122", GIFT_CARD),
    (TEXT, "gift card\U0001f381", GIFT_CARD),
    (TEXT, "\u00bfgift card?", GIFT_CARD),
    (TEXT, "\uff27\uff29\uff26\uff34\u3000\uff23\uff21\uff32\uff24", GIFT_CARD),
    (TEXT, "g\u0456ft c\u0430rd", GIFT_CARD),
    (TEXT, "GIFT \u0421\u0410RD", GIFT_CARD),
    (TEXT, "gift c\u03b1rd", GIFT_CARD),
    (TEXT, "\U0001d420\U0001d422\U0001d41f\U0001d42d \U0001d4b8\U0001d4b6\U0001d4c7\U0001d4b9", GIFT_CARD),
    (TEXT, "\u0262\u026a\ua730\u1d1b \u1d04\u1d00\u0280\u1d05", GIFT_CARD),
    (TEXT, "\u24d6\u24d8\u24d5\u24e3 card", GIFT_CARD),
    (TEXT, "g\u00edft c\u00e1rd", GIFT_CARD),
    (TEXT, "gi\u0301ft ca\u0336r\u0336d", GIFT_CARD),
    (STREET, "12 Bo\u00eete Postale", BOITE_POSTALE),
    (STREET, "12 Boi\u0302te Postale", BOITE_POSTALE),
    (STREET, " \u2014\u2009", DASH),
    (NAME, "\u3000John \u2003 Doe\u200b", JOHN_DOE),
]


@pytest.mark.parametrize(("field", "text", "rule"), EVADED, ids=ascii)
def test_what_a_person_reads_is_what_the_rule_reads(engine: Engine, field: str, text: str, rule: int) -> None:
    assert rule in hits(engine, TABLE, field, text)
    assert rule in hits(engine, TABLE, field, text.encode())


@pytest.mark.parametrize(
    ("field", "text", "rule"),
    [
        (TEXT, "gift\u200bcard", GIFT_CARD),
        (TEXT, "giftcard", GIFT_CARD),
        (TEXT, "gift/card", GIFT_CARD),
        (TEXT, "gift.card", GIFT_CARD),
        (TEXT, "gift, card", GIFT_CARD),
        (TEXT, "gift card\u0436", GIFT_CARD),
        (TEXT, "gift card\u6f22", GIFT_CARD),
        (TEXT, "gift card\u20ac", GIFT_CARD),
        (TEXT, "gift card\u00e9", GIFT_CARD),
        (TEXT, b"gift card\xff", GIFT_CARD),
        (TEXT, b"gift\xe2\x80card", GIFT_CARD),
        (TEXT, b"gift\xe0\x82\xa0card", GIFT_CARD),  # a no-break space, were it not too long
        (TEXT, b"gift\xf0\x80\x82\xa0card", GIFT_CARD),
        (NAME, "John-Doe", JOHN_DOE),
        (NAME, "John Doe-", JOHN_DOE),
        (STREET, "- -", DASH),
        (EMAIL, "mailinator.com <x@y.example>", MAILINATOR),
        (EMAIL, "x@mailinator-com", MAILINATOR),
        (EMAIL, "x@mail inator.com", MAILINATOR),
    ],
    ids=ascii,
)
def test_what_reads_otherwise_hits_nothing(engine: Engine, field: str, text: str | bytes, rule: int) -> None:
    assert rule not in hits(engine, TABLE, field, text)


@pytest.mark.parametrize(
    ("mode", "literal", "text"),
    [
        ("token", "\u201cgift\u201d \u2014 card\u2026", '"gift"-card...'),
        ("token", "gift-card", "gift card"),
        ("substring", "caf\u00e9 \u2013 bar", "the cafe bars"),
        ("substring", "\u0441\u043e\u0440", "scop"),
        ("value", "\uff2e\uff0f\uff21", "n/a"),
        ("value", "\u043d\u0435\u0442", "\u043d\u0435\u0442"),
        ("value", "a\u2014b", "a-b"),
    ],
)
def test_rule_may_be_written_as_texts_are(engine: Engine, mode: str, literal: str, text: str) -> None:
    assert hits(engine, compile_table([(mode, (TEXT,), literal.encode())]), TEXT, text) == (1,)


@pytest.mark.parametrize("gap", ["  ", "--", " -", "\t", "-\t", "\u00a0"])
def test_a_gap_is_seen_at_every_place_of_texts_of_every_length(engine: Engine, gap: str) -> None:
    table = compile_table([("substring", (TEXT,), b"a b"), ("token", (TEXT,), b"zz")])
    places = [(before, behind) for before in range(40) for behind in range(40 - before)]
    texts = [f"{'x' * before}a{gap}b{'x' * behind}" for before, behind in places]
    found = engine.screen(table, [("", "", "", "", text) for text in texts])
    assert [place for place, payment in zip(places, found, strict=True) if payment[FIELDS.index(TEXT)] != (1,)] == []


def test_accents_are_the_same_composed_and_decomposed() -> None:
    for code in range(0x250, 0x1E00):
        character = chr(code)
        if unicodedata.name(character, "").startswith(("LATIN", "GREEK", "CYRILLIC")):
            forms = {screening_view(unicodedata.normalize(form, character).encode()) for form in ("NFC", "NFD")}
            assert len(forms) == 1, ascii(character)


def test_marks_that_are_letters_of_their_script_stay() -> None:
    for text in (
        "\u0939\u093f\u0928\u094d\u0926\u0940",
        "\u0639\u064e\u0631",
        "\u05e9\u05c1\u05dc",
        "\u0e44\u0e17\u0e22",
    ):
        assert screening_view(text.encode()).decode() == text


# ---- the table ----------------------------------------------------------------------------------------------------


def folds() -> dict[int, str]:
    found: dict[int, str] = {}
    for fold, codes in FOLDS:
        for each in codes.split():
            first, _, last = each.partition("-")
            for code in range(int(first, 16), int(last or first, 16) + 1):
                assert code not in found, f"{code:x} folds twice"
                found[code] = fold
    return found


def test_table_is_what_the_script_makes_of_every_character_that_this_interpreter_knows() -> None:
    made, committed = load("screening_view").folds(), folds()
    known = [code for code in range(0x110000) if unicodedata.category(chr(code)) != "Cn"]
    differ = [f"{code:x}" for code in known if made.get(code) != committed.get(code)]
    assert not differ, "run: python3.13 build/screening_view.py"


def test_both_files_are_made_from_one_table() -> None:
    script = load("screening_view")
    committed = folds()
    assert script.TABLE_PATH.read_text(encoding="ascii") == script.table(committed)
    assert script.HEADER_PATH.read_text(encoding="ascii") == script.header(committed)


def test_a_fold_is_never_longer_and_folds_no_further() -> None:
    committed = folds()
    assert min(committed) >= 0x80
    for code, fold in committed.items():
        assert len(fold.encode()) <= len(chr(code).encode()), f"{code:x}"
        assert not committed.keys() & set(map(ord, fold)), f"{code:x}"
        assert fold == fold.lower() or not fold.isascii(), f"{code:x}"


def test_every_code_point_folds_in_both_engines_as_the_table_has_it() -> None:
    # A rule on the whole value for each fold: which one hits says what the character between the letters became.
    committed = folds()
    distinct = sorted({f"q{fold}q" for fold in committed.values()})
    table = compile_table([("value", (TEXT,), text.encode()) for text in distinct])
    assert [table.rule(i).literal for i in range(1, len(distinct) + 1)] == [text.encode() for text in distinct]
    number = {text: i for i, text in enumerate(distinct, 1)}

    def check(engine: Engine, codes: list[int]) -> None:
        texts = [f"q{chr(code)}q" for code in codes]
        found = engine.screen(table, [("", "", "", "", text) for text in texts])
        for code, text, payment in zip(codes, texts, found, strict=True):
            own = number.get(f"q{committed[code]}q" if code in committed else text.lower() if code < 0x80 else text)
            white = number["q q"] if chr(code) in "\t\n\v\f\r" else own
            assert payment[FIELDS.index(TEXT)] == ((white,) if white else ()), f"{engine} {code:x}"

    for start in range(0, 0x110000, 0x4000):
        check(_compiled, list(range(start, start + 0x4000)))
    check(_pure, sorted({near for code in committed for near in (code - 1, code, code + 1)} | set(range(0x100))))


def test_view_of_whole_values_keeps_dashes_and_that_of_words_does_not() -> None:
    assert literal_view("A\u2014 B\t--".encode(), "value") == b"a- b --"
    assert literal_view("A\u2014 B\t--".encode(), "token") == b"a b "
    assert words_of(screening_view(b"\xf0\x9f\x98 \xed\xa0\x80 \xc0\xaf")) == b"\xf0\x9f\x98 \xed\xa0\x80 \xc0\xaf"
