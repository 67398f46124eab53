"""The rule compiler: what it accepts, what it refuses and where, and that equal input makes equal files."""

import subprocess
import sys
from pathlib import Path

import pytest

from scoring.model import FIELDS
from scoring.table import CHAIN_LENGTH_MAX, FORMAT_VERSION, Table
from tests.support.build_scripts import ROOT
from tests.support.rule_compiler import compile_files, compile_table, texts

BUILT_IN = sorted((ROOT / "scoring" / "rules").glob("*.rules"))
SECTION = """[Section]
mode = token
fields = street, city
weight = 100
action = score
reason = why
"""


def read(tmp_path: Path, text: str) -> list:
    path = tmp_path / "mine.rules"
    path.write_text(text, encoding="utf-8")
    return texts.read_rules([str(path)])


def test_committed_table_equals_a_fresh_compile_of_the_built_in_rules() -> None:
    assert (ROOT / "scoring" / "rules.table").read_bytes() == compile_files(BUILT_IN)


def test_built_in_table_is_small_and_has_200_rules_with_reasons() -> None:
    data = compile_files(BUILT_IN)
    table = Table(memoryview(data), "built in")
    assert len(data) <= 200_000
    assert table.rule_count >= 200
    assert all(len(table.rule_at(i).reason) > 20 for i in range(table.rule_count))


def test_order_of_files_does_not_change_the_table() -> None:
    assert compile_files(BUILT_IN) == compile_files(reversed(BUILT_IN))


def test_no_rules_at_all_make_a_valid_table() -> None:
    table = compile_table([])
    table.verify()
    assert table.rule_count == 0


def test_rule_keeps_what_its_text_says(tmp_path: Path) -> None:
    text = SECTION + '\n7 PO Box\n8 "a  # b\\u00e9"  # Its own reason.\n9 нж  # Än\n'
    seven, eight, nine = (source.rule for source in read(tmp_path, text))
    assert seven == (7, "token", ("street", "city"), 100, "score", "why", b"po box")
    assert (eight.literal, eight.reason) == (b"a # be", "Its own reason.")
    assert (nine.literal, nine.reason) == ("нж".encode(), "Än")


def test_blocklist_numbers_its_lines_and_takes_them_as_they_are(tmp_path: Path) -> None:
    text = SECTION.replace("token", "value") + "first_id = 500\n\n12 main street\nmode = value\n# comment\nx\n"
    assert [(source.rule.id, source.rule.literal) for source in read(tmp_path, text)] == [
        (500, b"12 main street"),
        (501, b"mode = value"),
        (502, b"x"),
    ]


def test_the_longest_reason_is_compiled(tmp_path: Path) -> None:
    assert len(read(tmp_path, SECTION + "1 a  # " + "é" * 250)[0].rule.reason.encode()) == 500


def test_any_means_every_text_field(tmp_path: Path) -> None:
    assert read(tmp_path, SECTION.replace("street, city", "any") + "1 x")[0].rule.fields == FIELDS


@pytest.mark.parametrize(
    ("text", "line", "fault"),
    [
        (SECTION + "1 a\n1 b", 8, "id 1 is taken by"),
        (SECTION + "0 a", 7, "id 0, allowed"),
        (SECTION + "4294967296 a", 7, "id 4294967296, allowed"),
        (SECTION + '1 ""', 7, "the literal is empty"),
        (SECTION + '1 "a', 7, "not a literal in JSON quotes"),
        (SECTION + '1 "a" b', 7, "not a literal in JSON quotes"),
        (SECTION + "a", 7, "neither a rule"),
        (SECTION + "1", 7, "neither a rule"),
        (SECTION + "1 " + "a" * 1001, 7, "1001 bytes"),
        (SECTION + "1 a  # " + "é" * 251, 7, "the reason has 502 bytes, at most 500"),
        (SECTION.replace("= why", "= " + "w" * 501) + "1 a", 7, "the reason has 501 bytes, at most 500"),
        (SECTION + "1 a\n2 A", 8, "the same literal (in the screening view), mode and fields as"),
        (
            SECTION + "1 gift card\n2 Gíft\u2014c\u0430rd",
            8,
            "the same literal (in the screening view), mode and fields as",
        ),
        (SECTION + "1 --", 7, "nothing but spaces is left of '--'"),
        (SECTION + '1 " "', 7, "nothing but spaces is left of ' '"),
        (SECTION + "1 \u200b", 7, "nothing but spaces is left of"),
        (SECTION + "weight = 1\n1 a", 7, "weight is given twice"),
        (SECTION.replace("100", "10001") + "1 a", 7, "weight is '10001'"),
        (SECTION.replace("100", "-1") + "1 a", 7, "weight is '-1'"),
        (SECTION.replace("100", "0.5") + "1 a", 7, "weight is '0.5'"),
        (SECTION.replace("token", "regex") + "1 a", 7, "mode is 'regex'"),
        (SECTION.replace("= score", "= block") + "1 a", 7, "action is 'block'"),
        (SECTION.replace("city", "planet") + "1 a", 7, "unknown field planet"),
        (SECTION.replace("reason = why\n", "") + "1 a", 6, "lacks reason"),
        ("1 a\n" + SECTION, 1, "before the first [section]"),
        (SECTION.replace("street, city", "email_domain") + "1 a", 7, "stand alone"),
        (SECTION.replace("street, city", "email_domain").replace("token", "value") + "1 @a", 7, "not a domain"),
        (SECTION.replace("street, city", "fingerprint").replace("token", "value") + "1 a", 7, "action = decline"),
        (
            SECTION.replace("street, city", "fingerprint").replace("token", "value").replace("= score", "= decline")
            + "1 abc",
            7,
            "64 hex digits",
        ),
        (SECTION.replace("token", "value") + '1 " a"', 7, "can never hit"),
        (SECTION.replace("token", "value") + '1 "a\u00a0"', 7, "can never hit"),
    ],
)
def test_bad_rule_is_refused_with_file_and_line(tmp_path: Path, text: str, line: int, fault: str) -> None:
    with pytest.raises(texts.RuleTextError) as refused:
        read(tmp_path, text)
    assert f"mine.rules:{line}: {fault}" in str(refused.value) or (
        f"mine.rules:{line}: " in str(refused.value) and fault in str(refused.value)
    )


def test_all_faults_are_told_at_once_and_the_list_is_cut(tmp_path: Path) -> None:
    with pytest.raises(texts.RuleTextError) as refused:
        read(tmp_path, SECTION + "".join(f"{i} \n" for i in range(1, 31)))
    lines = str(refused.value).splitlines()
    assert len(lines) == 21
    assert lines[-1] == "... and 10 more"


def test_same_id_in_two_files_is_refused_naming_both(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_text(SECTION + f"5 {name}")
    with pytest.raises(texts.RuleTextError, match=r"two:7: id 5 is taken by .*one:7"):
        texts.read_rules([str(tmp_path / "one"), str(tmp_path / "two")])


def test_missing_file_and_bad_encoding_are_named(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"# caf\xe9")
    with pytest.raises(texts.RuleTextError, match=r"(?s)none: cannot be read.*latin: not UTF-8 at byte 5"):
        texts.read_rules([str(tmp_path / "none"), str(tmp_path / "latin")])


def test_too_many_literals_inside_one_another_are_refused() -> None:
    nested = [("substring", ("street",), b"a" * n) for n in range(1, CHAIN_LENGTH_MAX + 1)]
    assert compile_table(nested).header.counts["output_chain_max"] == CHAIN_LENGTH_MAX
    with pytest.raises(texts.RuleTextError, match="rule 65: more than 64"):
        compile_table([*nested, ("substring", ("street",), b"a" * 65)])


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "build" / "rules.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)


def test_command_writes_the_table_and_says_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "a.rules").write_text(SECTION + "1 a")
    done = run("--output", "a.table", "a.rules", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "a.table: 1 rules, 2 states" in done.stdout
    assert f"format version {FORMAT_VERSION}, sha256 " in done.stdout
    assert Table(memoryview((tmp_path / "a.table").read_bytes()), "a").rule(1).literal == b"a"
    assert {path.name for path in tmp_path.iterdir()} == {"a.rules", "a.table"}


def test_command_refuses_bad_rules_and_leaves_the_old_table(tmp_path: Path) -> None:
    (tmp_path / "a.rules").write_text("x")
    (tmp_path / "a.table").write_text("old")
    done = run("--output", "a.table", "a.rules", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("a.rules:1: ")
    assert (tmp_path / "a.table").read_text() == "old"


def test_command_refuses_to_overwrite_the_built_in_table_with_other_rules(tmp_path: Path) -> None:
    done = run("a.rules", cwd=tmp_path)
    assert done.returncode == 2
    assert "--output is needed" in done.stderr
