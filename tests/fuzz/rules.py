"""Rule texts: refused with their line, or a table in which both engines and a naive search find the same.

The rule it keeps: the naive search knows nothing of tables, automata and filters; only the screening view is shared,
which has tests of its own. Input: UTF-8, a rule file and the texts to screen, each behind `\\0`.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Hashable
from pathlib import Path

from scoring import _compiled, _pure
from scoring.model import FIELDS, Rule
from scoring.screening_view import domain_of, screening_view, words_of
from scoring.table import Table
from tests.support.rule_compiler import compiler, texts

WORDS = (
    "[a]\nmode = substring\nfields = any\nweight = 1\naction = score\nreason = r\n",
    *("mode = token\n", "mode = value\n", "fields = street, city\n", "fields = email_domain\n", "first_id = 7\n"),
    *(
        "\n1 ab",
        "\n2 ",
        "\n4294967295 x",
        '\n3 "a b"',
        "  # own",
        "[b]\n",
        "#",
        "\0",
        "ab",
        "abab",
        "-",
        " ",
        ".",
        "@",
        "x@ab",
    ),
    *("é", "\u0430", "\u200b", "\uff21", "\ufb01", "--", "\t", "\\u00e9", "weight = 10000\n", "action = decline\n"),
)
_FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-rules-"))


def check(data: bytes) -> set[Hashable]:
    """Compile one rule text and screen the texts behind it; what is refused, and what kinds of rules hit."""
    source, *screened = data[:4096].decode("utf-8", "replace").split("\0")
    path = _FOLDER / "a.rules"
    path.write_text(source, encoding="utf-8", newline="")
    try:
        rules = texts.read_rules([str(path)])
    except texts.RuleTextError as refused:
        assert f"{path}:" in str(refused)  # noqa: PT017
        return {re.sub("[^a-z ]|'.*", "", line[:80]) for line in str(refused).replace(str(path), "").splitlines()}
    seen: set[Hashable] = set()
    for dense_bytes in (1, 100_000):
        table = Table(memoryview(compiler.compile_rules(rules, dense_bytes=dense_bytes)), "fuzzed")
        table.verify()
        made = [each.rule for each in rules]
        assert [table.rule_at(at) for at in range(table.rule_count)] == made, "a rule is not stored as it was read"
        payments = [[text] * len(FIELDS) for text in screened[:6]]
        found = _compiled.screen(table, payments)
        assert _pure.screen(table, payments) == found, "the engines differ"
        for payment, hits in zip(payments, found, strict=True):
            for field, text, ids in zip(FIELDS, payment, hits, strict=True):
                assert ids == tuple(rule.id for rule in made if _hits(rule, field, text)), (field, text)
                seen |= {(rule.mode, rule.fields, rule.id in ids, len(rule.literal)) for rule in made}
    return seen


def _hits(rule: Rule, field: str, text: str) -> bool:
    view = screening_view(text.encode("utf-8", "surrogatepass"))
    value, literal = view.strip(b" "), rule.literal
    if rule.fields == ("email_domain",):
        domain = domain_of(value)
        return (
            field == "customer_email"
            and bool(domain)
            and f".{domain.decode('latin-1')}".endswith(f".{literal.decode('latin-1')}")
        )
    if field not in rule.fields:
        return False
    if rule.mode == "value":
        return value == literal
    words = words_of(view)
    places = [at for at in range(len(words)) if words.startswith(literal, at)]
    return any(rule.mode == "substring" or (_edge(words, at) and _edge(words, at + len(literal))) for at in places)


def _edge(text: bytes, at: int) -> bool:
    return at in (0, len(text)) or re.fullmatch(rb"[0-9A-Za-z\x80-\xff]{2}", text[at - 1 : at + 1]) is None
