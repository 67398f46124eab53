"""The rule table as a file: what is checked when it is opened, and that nothing damaged is taken for a table."""

import json
import re
from pathlib import Path

import pytest

from scoring.model import ACTION_NUMBERS, ACTION_RISKS, FIELD_NUMBERS, FIELDS, MODE_NUMBERS
from scoring.table import (
    FORMAT_VERSION,
    HEADER,
    HEADER_SIZE,
    SECTION_TABLE,
    RuleTableError,
    Table,
    hash_value,
    header_checksum,
    open_table,
)
from tests.support.build_scripts import ROOT, load

BUILT_IN = ROOT / "scoring" / "rules.table"


def repaired(data: bytes) -> bytes:
    """Put the right header checksum into a damaged table."""
    return data[:24] + header_checksum(data[:HEADER_SIZE]).to_bytes(4, "little") + data[28:]


def test_built_in_table_opens_and_its_checksum_fits() -> None:
    table = open_table(BUILT_IN)
    table.verify()
    assert table.version == FORMAT_VERSION
    assert len(table.checksum) == 64
    assert table.rule(1001).literal == b"mailinator.com"
    assert table.rule(1001).fields == ("email_domain",)


def test_unknown_rule_id_is_a_key_error() -> None:
    table = open_table(BUILT_IN)
    for rule_id in (0, 1000, 2**32 - 1):
        with pytest.raises(KeyError):
            table.rule(rule_id)


def test_missing_file_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(RuleTableError, match=r"none\.table: cannot be read .*RULE_TABLE_PATH"):
        open_table(tmp_path / "none.table")


@pytest.mark.parametrize("size", [0, 1, 8, HEADER_SIZE - 1, HEADER_SIZE, -1])
def test_truncated_file_is_refused(tmp_path: Path, size: int) -> None:
    path = tmp_path / "cut.table"
    path.write_bytes(BUILT_IN.read_bytes()[:size])
    with pytest.raises(RuleTableError, match=r"cut\.table"):
        open_table(path)


def test_any_damaged_header_byte_is_refused() -> None:
    data = BUILT_IN.read_bytes()
    for at in range(HEADER_SIZE):
        damaged = data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1 :]
        with pytest.raises(RuleTableError):
            Table(memoryview(damaged), "damaged")


def test_file_that_grew_is_refused() -> None:
    with pytest.raises(RuleTableError, match="truncated or has grown"):
        Table(memoryview(BUILT_IN.read_bytes() + b"\0"), "grown")


@pytest.mark.parametrize(("version", "age"), [(FORMAT_VERSION - 1, "older"), (FORMAT_VERSION + 1, "newer")])
@pytest.mark.parametrize("size", [12, -1])
def test_table_of_another_format_is_refused_with_the_command_that_compiles_it_anew(
    tmp_path: Path, version: int, age: str, size: int
) -> None:
    data = bytearray(BUILT_IN.read_bytes())
    data[8] = version
    path = tmp_path / "mine.table"
    path.write_bytes(repaired(bytes(data))[:size])
    with pytest.raises(RuleTableError) as refused:
        open_table(path)
    assert str(refused.value) == (
        f"{path}: format version {version} is {age} than version {FORMAT_VERSION}, which this code reads; "
        f'compile it anew: make rules RULES="..." TABLE={path}'
    )


def test_built_in_table_is_compiled_anew_without_options() -> None:
    data = bytearray(BUILT_IN.read_bytes())
    data[-1] ^= 1
    with pytest.raises(RuleTableError, match=r"compile it anew: make rules$"):
        Table(memoryview(data), str(BUILT_IN)).verify()


def test_numbers_that_tables_hold_stay_as_they_are() -> None:
    texts = "order_id customer_id customer_name customer_email description payment_method street city state zip"
    assert {name: number for number, name in enumerate(texts.split())}.items() <= FIELD_NUMBERS.items()
    assert {"email_domain": 14, "fingerprint": 15}.items() <= FIELD_NUMBERS.items()
    assert {"substring": 1, "token": 2, "value": 3}.items() <= MODE_NUMBERS.items()
    assert {"score": 1, "review": 2, "decline": 3}.items() <= ACTION_NUMBERS.items()


@pytest.mark.parametrize(("numbers", "limit"), [(FIELD_NUMBERS, 16), (MODE_NUMBERS, 256), (ACTION_NUMBERS, 256)])
def test_numbers_that_tables_hold_differ_and_fit_their_place(numbers: dict[str, int], limit: int) -> None:
    assert len(set(numbers.values())) == len(numbers)
    assert all(0 <= number < limit for number in numbers.values())


def test_number_of_a_text_field_is_its_position_in_a_payment() -> None:
    assert [FIELD_NUMBERS[name] for name in FIELDS] == list(range(len(FIELDS)))


def test_every_action_has_a_risk_of_its_own_so_that_one_is_the_strongest() -> None:
    assert ACTION_RISKS.keys() == ACTION_NUMBERS.keys()
    assert len(set(ACTION_RISKS.values())) == len(ACTION_RISKS)
    assert min(ACTION_RISKS, key=ACTION_RISKS.__getitem__) == "score"  # what a payment without hits has


@pytest.mark.parametrize(
    ("row", "names"), [("mode", MODE_NUMBERS), ("fields", FIELD_NUMBERS), ("action", ACTION_NUMBERS)]
)
def test_the_page_of_rules_has_all_that_a_rule_may_say(row: str, names: dict[str, int]) -> None:
    page = (ROOT / "docs" / "rules.md").read_text()
    (allowed,) = (line for line in page.splitlines() if line.startswith(f"| `{row}` |"))
    assert names.keys() <= set(re.findall(r"\w+", allowed.partition("|")[2]))


def test_every_action_is_the_strongest_in_a_golden_vector() -> None:
    vectors = json.loads((ROOT / "tests" / "golden" / "scoring.json").read_text())
    strongest = {action for *_, (_, _, _, action, _) in vectors["scores"]}
    assert strongest == ACTION_NUMBERS.keys(), "golden.rules: stronger actions hide the one that is missing"


def test_c_header_is_what_the_description_of_the_format_makes() -> None:
    table_header = load("table_header")
    committed = table_header.HEADER_PATH.read_text(encoding="ascii")
    assert committed == table_header.header(), "run: .venv/bin/python build/table_header.py"


@pytest.mark.parametrize("constant", ["FORMAT_VERSION", "HEADER_SIZE", "CHAIN_LENGTH_MAX", "GRAM_HASH", "MORE"])
def test_c_header_follows_a_change_of_the_description(monkeypatch: pytest.MonkeyPatch, constant: str) -> None:
    table_header = load("table_header")
    before = table_header.header()
    monkeypatch.setattr(table_header.fmt, constant, getattr(table_header.fmt, constant) + 1)
    assert table_header.header() != before


def test_section_out_of_bounds_is_refused_though_the_checksum_fits() -> None:
    data = bytearray(BUILT_IN.read_bytes())
    for at in range(28, HEADER_SIZE - 8, 4):
        damaged = bytearray(data)
        damaged[at : at + 4] = b"\xff\xff\xff\x7f"
        try:
            Table(memoryview(repaired(bytes(damaged))), "foreign")
        except RuleTableError:
            continue
        # The body's checksum, the limits of a scan and the padding are not what the header check is about.
        assert 32 <= at < 64 or 92 <= at < 104 or 112 <= at < 128 or at >= 320, at


@pytest.mark.parametrize("one", [(1, 2), (13, 2), (6, 0), (6, 3), (6, 8)])
def test_pass_of_a_size_or_stride_that_does_not_exist_is_refused(one: tuple[int, int]) -> None:
    data = bytearray(BUILT_IN.read_bytes())
    at = HEADER.size + SECTION_TABLE.size
    assert (data[at], data[at + 1]) == open_table(BUILT_IN).header.passes[0][:2]
    data[at : at + 2] = bytes(one)
    with pytest.raises(RuleTableError, match="the passes in the header cannot be"):
        Table(memoryview(repaired(bytes(data))), "foreign")


def test_damaged_body_opens_and_fails_verification() -> None:
    data = bytearray(BUILT_IN.read_bytes())
    data[-1] ^= 1
    with pytest.raises(RuleTableError, match="checksum does not fit"):
        Table(memoryview(data), "damaged").verify()


def test_damaged_rule_record_is_an_error_not_a_rule() -> None:
    data = bytearray(BUILT_IN.read_bytes())
    table = Table(memoryview(data), "damaged")
    start = table.header.sections["rules"][0]
    for at, value in ((7, 0xFF), (8, 9), (9, 9), (15, 0xFF)):
        old, data[start + at] = data[start + at], value
        with pytest.raises(RuleTableError, match="rule at index 0 is damaged"):
            table.rule_at(0)
        data[start + at] = old


def test_hash_of_a_whole_value_is_fnv_1a_over_the_reversed_bytes() -> None:
    # Test vectors of FNV-1a, 64 bits: draft-eastlake-fnv, appendix C.
    assert hash_value(b"") == 0xCBF29CE484222325
    assert hash_value(b"a") == 0xAF63DC4C8601EC8C
    assert hash_value(b"raboof") == 0x85944171F73967E8
