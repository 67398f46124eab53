"""Scoring, both engines: golden vectors, and the sentences of the specification one by one."""

import json

import pytest

from scoring.kernel import Engine
from scoring.model import FIELDS, Payment, Rule
from scoring.table import Table, open_table
from tests.golden import generate_scoring
from tests.support.build_scripts import ROOT
from tests.support.engines import ENGINES
from tests.support.rule_compiler import compile_files, compile_table, compiler, texts

GOLDEN = json.loads(generate_scoring.VECTORS.read_text(encoding="ascii"))
STREET = FIELDS.index("street")
EMAIL = FIELDS.index("customer_email")


@pytest.fixture(params=ENGINES, ids=lambda engine: engine.__name__)
def engine(request: pytest.FixtureRequest) -> Engine:
    chosen: Engine = request.param
    return chosen


@pytest.fixture(scope="module")
def table() -> Table:
    return Table(memoryview(compile_files([generate_scoring.HERE / "golden.rules"])), "golden.rules")


def fields(**contents: str | bytes) -> tuple[str | bytes, ...]:
    return tuple(contents.get(name, "") for name in FIELDS)


def test_committed_vectors_equal_what_the_pure_engine_generates() -> None:
    assert generate_scoring.VECTORS.read_text(encoding="ascii") == generate_scoring.as_text()


# ---- golden vectors ---------------------------------------------------------------------------------------------


def test_golden_chains(engine: Engine) -> None:
    for message, rounds, digest in GOLDEN["chains"]:
        assert engine.sha256_chain(bytes.fromhex(message), rounds).hex() == digest
        assert engine.sha256_chains([bytes.fromhex(message)] * 3, rounds) == [bytes.fromhex(digest)] * 3


def test_golden_cold_start_work(engine: Engine) -> None:
    for operations, lanes, digest in GOLDEN["cold_start_work"]:
        assert engine.cold_start_work(operations, lanes).hex() == digest


def test_golden_screening(engine: Engine, table: Table) -> None:
    expected = [tuple(tuple(hits) for hits in payment) for _, payment in GOLDEN["screen"]]
    assert engine.screen(table, [payment for payment, _ in GOLDEN["screen"]]) == expected


def test_golden_card_numbers(engine: Engine) -> None:
    expected = [[tuple(span) for span in spans] for _, spans in GOLDEN["cards"]]
    assert engine.find_card_numbers([text for text, _ in GOLDEN["cards"]]) == expected


def test_golden_scores(engine: Engine, table: Table) -> None:
    payments = [Payment(bytes.fromhex(i), amount, tuple(contents)) for i, amount, contents, _ in GOLDEN["scores"]]
    scores = engine.score_batch(table, payments, iterations=3, pepper=b"pepper")
    assert json.loads(json.dumps(scores)) == [score for *_, score in GOLDEN["scores"]]


# ---- screening --------------------------------------------------------------------------------------------------


def hits(engine: Engine, mode: str, literal: bytes, text: str | bytes) -> bool:
    made = compile_table([(mode, ("street",), literal)])
    return engine.screen(made, [fields(street=text)])[0][STREET] == (1,)


@pytest.mark.parametrize(
    ("text", "hit"),
    [
        ("box", True),
        ("BoX", True),
        ("a box.", True),
        ("box_", True),
        ("boxes", False),
        ("inbox", False),
        ("box9", False),
        ("boxé", False),
        ("éBox", False),
        ("inbox box", True),
        (b"\xffbox", False),
        (b"\x7fbox\x00", True),
    ],
)
def test_token_rule_needs_an_edge_on_both_sides(engine: Engine, text: str | bytes, hit: bool) -> None:
    assert hits(engine, "token", b"box", text) is hit
    assert hits(engine, "substring", b"box", text)


def test_every_byte_of_a_literal_counts_however_long_it_is(engine: Engine) -> None:
    for length in (*range(1, 75), 127, 128, 129, 200):
        literal = bytes(0x61 + i % 26 for i in range(length))
        made = compile_table([("substring", ("street",), literal)])
        texts = [literal, b"." + literal + b".", literal[1:], literal[:-1] + b".", b"." + literal[1:]]
        texts += [literal[:i] + b"." + literal[i + 1 :] for i in range(length)]
        found = engine.screen(made, [fields(street=text) for text in texts])
        assert [i for i, payment in enumerate(found) if payment[STREET]] == [0, 1], length


@pytest.mark.parametrize(("text", "hit"), [("n/a", True), (" N/A\r\n", True), ("n/a.", False), ("n/a\u00a0", True)])
def test_value_rule_needs_the_whole_field(engine: Engine, text: str, hit: bool) -> None:
    assert hits(engine, "value", b"n/a", text) is hit


@pytest.mark.parametrize(("literal", "text"), [("ss", "ß"), ("ж", "Ж"), ("λ", "Λ"), ("\u056a", "\u053a"), ("€", "£")])
def test_case_is_ignored_for_what_is_ascii_in_the_screening_view_only(engine: Engine, literal: str, text: str) -> None:
    assert not hits(engine, "substring", literal.encode(), text)
    assert hits(engine, "substring", text.encode(), f"x{text}x")


def test_rule_looks_at_its_own_fields_only(engine: Engine) -> None:
    made = compile_table([("substring", ("street", "zip"), b"x"), ("value", ("city",), b"x")])
    assert engine.screen(made, [["x"] * 10]) == [((), (), (), (), (), (), (1,), (2,), (), (1,))]


def test_rules_of_all_sizes_look_at_their_own_fields_only(engine: Engine) -> None:
    # Sizes that one look through a text finds, and others; the last is a field that no rule looks at.
    literals = [b"ab", b"cdefg", b"cdefh", b"ijklmnopq", b"ijklmnopr", b"stuvwxyz-stuvwxyz"]
    names = [FIELDS[i : i + 2] for i in range(len(literals))]
    made = compile_table([("substring", name, text) for name, text in zip(names, literals, strict=True)])
    text = b" ".join(literals)
    expected = [tuple(i for i, name in enumerate(names, 1) if field in name) for field in FIELDS]
    assert engine.screen(made, [[text] * len(FIELDS)]) == [tuple(expected)]


@pytest.mark.parametrize(
    ("address", "hit"),
    [
        ("a@b.example", True),
        ("a@B.EXAMPLE ", True),
        ("a@x.y.b.example", True),
        ("a@c@b.example", True),
        ("b.example", False),
        ("a@ab.example", False),
        ("a@b.example@c", False),
        ("a@b.example.", True),
        ("a@b.example..", True),
        ("a@b.example;", True),
        ("A Name <a@b.example>", True),
        ('"b.example" <a@x.b.example>, ', True),
        ("a@ b.example (home)", True),
        ("b.example <a@c.example>", False),
        ("a@b.example <a@c.example>", False),
        ("a@b-.example", False),
        ("a@b.example-", False),
        ("a@b.example_", False),
        ("a@b .example", False),
        ("a@", False),
        ("a@ ", False),
        ("a@.", False),
        ("a@.b.example", True),
        ("@b.example", True),
        ("a@example", False),
    ],
)
def test_domain_rule_looks_at_the_domain_and_its_parents(engine: Engine, address: str, hit: bool) -> None:
    made = compile_table([("value", ("email_domain",), b"b.example")])
    assert (engine.screen(made, [fields(customer_email=address)])[0][EMAIL] == (1,)) is hit


def test_str_bytes_and_other_buffers_screen_alike(engine: Engine, table: Table) -> None:
    text = "ushers, p.o. box é"
    forms = [text, text.encode(), bytearray(text.encode()), memoryview(text.encode())]
    assert len(set(engine.screen(table, [fields(description=form) for form in forms]))) == 1


def test_lone_surrogates_and_nul_are_content_like_any_other(engine: Engine, table: Table) -> None:
    screened = engine.screen(table, [fields(street="\ud800", city="\udfff\0", zip="\udfff")])[0]
    assert screened[STREET] == (10,)
    assert screened[FIELDS.index("city")] == (8,)
    assert screened[FIELDS.index("zip")] == ()


def test_fields_may_be_left_out_but_not_invented(engine: Engine, table: Table) -> None:
    assert engine.screen(table, []) == []
    assert engine.screen(table, [(), ("his",)]) == [(), ((4,),)]
    too_many = len(FIELDS) + 1
    with pytest.raises(ValueError, match=f"at most {len(FIELDS)} fields, not {too_many}"):
        engine.screen(table, [["x"] * too_many])


def test_kinds_of_str_and_bytes_are_text_too(engine: Engine, table: Table) -> None:
    class Name(str): ...

    class Raw(bytes): ...

    assert engine.screen(table, [(Name("ushers"), Raw(b"ushers"), Name("\ud800"))]) == [
        ((2, 3, 5, 6), (2, 3, 5, 6), (10,))
    ]
    assert engine.find_card_numbers([Name("é4111111111111111"), Raw(b"4111111111111111")]) == [[(1, 13)], [(0, 12)]]


@pytest.mark.parametrize("wrong", [None, 5, 1.5, ["x"]])
def test_other_types_are_refused(engine: Engine, table: Table, wrong: object) -> None:
    with pytest.raises(TypeError):
        engine.screen(table, [[wrong]])
    with pytest.raises(TypeError):
        engine.find_card_numbers([wrong])


# ---- scores -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount_minor", "risk", "fraud_score"),
    [
        (1, 30_000, 0),
        (10_000, 300_000_000, 30),
        (50_000, 600_000_000, 60),
        (66_666, 699_997_000, 69),
        (66_667, 700_001_500, 70),
        (1_000_000, 980_000_000, 98),
        (10**40, 1_000_000_000, 100),
    ],
)
def test_amount_alone_gives_the_published_risk(
    engine: Engine, table: Table, amount_minor: int, risk: int, fraud_score: int
) -> None:
    (score,) = engine.score_batch(table, [Payment(b"", amount_minor, fields())], iterations=0, pepper=b"")
    assert (score.risk, score.fraud_score, score.action, score.reasons) == (risk, fraud_score, "score", ((0, risk),))


@pytest.mark.parametrize("action", ["score", "review", "decline"])
def test_action_raises_the_risk(engine: Engine, action: str, tmp_path: object) -> None:
    rule = Rule(9, "value", ("street",), 1000, action, "why", b"x")
    made = Table(memoryview(compiler.compile_rules([texts.Source(rule, "here")])), "made")
    (score,) = engine.score_batch(made, [Payment(b"", 10_000, fields(street="x"))], iterations=0, pepper=b"")
    assert score.reasons == ((0, 300_000_000), (9, 70_000_000))
    assert score.risk == {"score": 370_000_000, "review": 700_000_000, "decline": 1_000_000_000}[action]
    assert score.action == action


def test_rule_that_hits_two_fields_counts_once(engine: Engine) -> None:
    made = compile_table([("substring", FIELDS, b"x")])
    one, two = engine.score_batch(
        made,
        [Payment(b"", 1, fields(street="x")), Payment(b"", 1, fields(street="xx", city="x"))],
        iterations=0,
        pepper=b"",
    )
    assert one == two


def test_fingerprint_is_the_pepper_a_separator_and_the_identity_hashed(engine: Engine, table: Table) -> None:
    import hashlib

    digest = hashlib.sha256(b"pepper\x1fme").digest()
    for _ in range(7):
        digest = hashlib.sha256(digest).digest()
    (score,) = engine.score_batch(table, [Payment(b"me", 1, fields())], iterations=7, pepper=b"pepper")
    assert score.fingerprint == digest.hex()


def test_blocklisted_fingerprint_is_declined(engine: Engine, table: Table) -> None:
    blocked, other = engine.score_batch(
        table, [Payment(b"blocked", 1, fields()), Payment(b"blocke", 1, fields())], iterations=3, pepper=b"pepper"
    )
    assert (blocked.action, blocked.risk, blocked.reasons) == ("decline", 10**9, ((0, 30_000), (50, 0)))
    assert (other.action, other.risk) == ("score", 30_000)


@pytest.mark.parametrize("amount_minor", [0, -1, -(10**30)])
def test_amount_of_nothing_or_less_is_refused(engine: Engine, table: Table, amount_minor: int) -> None:
    with pytest.raises(ValueError, match="amount_minor must be above 0"):
        engine.score_batch(table, [Payment(b"", amount_minor, fields())], iterations=0, pepper=b"")


@pytest.mark.parametrize("amount", [1.0, "1", None, True])
def test_amount_that_is_no_int_is_refused(engine: Engine, table: Table, amount: object) -> None:
    with pytest.raises(TypeError, match="amount_minor must be int"):
        engine.score_batch(table, [Payment(b"", amount, fields())], iterations=0, pepper=b"")  # type: ignore[arg-type]


def test_negative_iterations_are_refused(engine: Engine, table: Table) -> None:
    with pytest.raises(ValueError, match="must be 0 or more"):
        engine.score_batch(table, [Payment(b"", 1, fields())], iterations=-1, pepper=b"")


def test_empty_batch_is_an_empty_list(engine: Engine, table: Table) -> None:
    assert engine.score_batch(table, [], iterations=10, pepper=b"") == []


def test_built_in_rules_notice_what_they_are_for(engine: Engine) -> None:
    built_in = open_table(ROOT / "scoring" / "rules.table")
    (clean, risky) = engine.score_batch(
        built_in,
        [
            Payment(b"a", 2599, fields(street="123 Main St", city="Seattle", state="WA", zip="98101",
                                       payment_method="credit_card")),
            Payment(b"b", 2599, fields(customer_name="Test Test", customer_email="x@mailinator.com",
                                       street="P.O. Box 12", description="2 x iTunes card")),
        ],
        iterations=1,
        pepper=b"",
    )  # fmt: skip
    assert [rule for rule, _ in clean.reasons] == [0]
    assert {1001, 2006, 3002} < {rule for rule, _ in risky.reasons}
    assert risky.risk > clean.risk
