"""Recall and precision of card numbers beside two peers: `python -m benchmarks card-numbers [--ids 20000] [--record]`.

Three finders look at the same texts in one run, each in the same sentence: ours, presidio's CreditCardRecognizer and
scrubadub's CreditCardDetector alone. The rule it keeps: a card is caught only where all of it but its last four digits
is hidden, and whatever we miss or hide wrongly is listed with its reason; one without a reason misses the bar.
"""

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.card_numbers.corpus import CORPUS, DIGIT_IDS, ISSUERS, NO_CARDS, SEED, SPELLINGS, ids
from benchmarks.measure import RECORDS, Bar, new_record, write_record
from handler.domain.card_data import mask_group
from scoring import _compiled

ROOT = Path(__file__).resolve().parents[2]
CASES = ROOT / "tests" / "golden" / "card_data.json"
PEERS_PYTHON = ROOT / ".build" / "card-peers" / "bin" / "python"
OURS, PEERS = "ours", ("presidio", "scrubadub")
SENTENCE = "about {} today"
SHOWN = 4

Spans = list[tuple[int, int]]

# The numbers that the peers test themselves with, as facts: what they must find, and what they must leave.
# presidio: github.com/microsoft/presidio, presidio-analyzer/tests/test_credit_card_recognizer.py at f6a249d.
# scrubadub: github.com/LeapBeyond/scrubadub, tests/test_detector_credit_card.py at 02a2893.
PEER_CARDS: dict[str, tuple[str, ...]] = {
    "presidio": (
        *("4012888888881881", "4012-8888-8888-1881", "4012 8888 8888 1881", "122000000000003", "371449635398431"),
        *("5555555555554444", "5019717010103742", "30569309025904", "6011000400000000", "3528000700000000"),
        *("6759649826438453", "4111111111111111", "4917300800000000", "4484070000000000"),
    ),
    "scrubadub": (
        *("378282246310005", "371449635398431", "378734493671000", "30569309025904", "38520000023237"),
        *("6011111111111117", "6011000990139424", "3530111333300000", "3566002020360505", "5555555555554444"),
        *("5105105105105100", "4111111111111111", "4012888888881881"),
    ),
}
PEER_NO_CARDS = ("4012-8888-8888-1882", "36168002586008")

# Why a card stays: the group that it is in, a pattern of its text, and the reason.
MISSES: Sequence[tuple[str, str, str]] = (
    ("numbers of presidio", "1[0-9]{14}", "UATP, no shop's card: one in ten numbers of 15 digits that begin with 1"),
    ("commas", ", ", "a comma and a space part the numbers of a list"),
    ("mixed separators", "[.]", "a point among other separators ends a number: 4111-1111 1111.50"),
)


class Group(NamedTuple):
    """Texts of one kind, each with the part of it that is the card; an empty part where nothing is."""

    name: str
    texts: Sequence[tuple[str, int, int]]


class Count(NamedTuple):
    hits: int
    of: int

    def __str__(self) -> str:
        return f"{self.hits}/{self.of}"


def whole(texts: Iterable[str]) -> list[tuple[str, int, int]]:
    return [(text, 0, len(text)) for text in texts]


def none(texts: Iterable[str]) -> list[tuple[str, int, int]]:
    return [(text, 0, 0) for text in texts]


def card_groups(corpus: dict[str, Any], cases: dict[str, Any]) -> list[Group]:
    """All that hides a card: the cases, the peers' own numbers, and the corpus by spelling."""
    groups = [Group("cases", whole(each["text"] for each in cases["texts"]))]
    groups += [Group(f"numbers of {peer}", whole(numbers)) for peer, numbers in PEER_CARDS.items()]
    for name, texts in corpus["cards"].items():
        before, behind = len(SPELLINGS[name].before), len(SPELLINGS[name].behind)
        groups.append(Group(name, [(text, before, len(text) - behind) for text in texts]))
    return groups


def no_card_groups(corpus: dict[str, Any], cases: dict[str, Any], seed: int, count: int) -> list[Group]:
    """All that is no card and can be told from one: the cases, the peers' own, the corpus, and `count` more of each."""
    groups = [Group("cases", none([*cases["no_cards"], *cases["ids_that_are_no_cards"]]))]
    groups.append(Group("numbers of presidio", none(PEER_NO_CARDS)))
    return groups + [
        Group(kind, none([*texts, *ids(kind, NO_CARDS[kind], count, seed + 1)]))
        for kind, texts in corpus["no_cards"].items()
    ]


def digit_groups(corpus: dict[str, Any], seed: int, count: int) -> list[Group]:
    """Bare digits, of which nothing can tell some from cards."""
    return [
        Group(kind, none([*texts, *ids(kind, DIGIT_IDS[kind].make, count, seed + 1)]))
        for kind, texts in corpus["digit_ids"].items()
    ]


def ours(texts: Sequence[str]) -> list[Spans]:
    return _compiled.find_card_numbers(texts)


def peers(texts: Sequence[str]) -> tuple[dict[str, str], dict[str, list[Spans]]]:
    """Versions, and spans by peer, from the peers' own environment. Raises FileNotFoundError where it was not made."""
    if not PEERS_PYTHON.exists():
        raise FileNotFoundError(f"{PEERS_PYTHON} is missing: run make check-card-numbers")
    done = subprocess.run(
        [PEERS_PYTHON, Path(__file__).with_name("peers.py")],
        input="".join(json.dumps(text) + "\n" for text in texts),
        capture_output=True,
        text=True,
        check=True,
    )
    versions, *lines = map(json.loads, done.stdout.splitlines())
    return versions, {peer: [[(start, end) for start, end in line[peer]] for line in lines] for peer in PEERS}


def shown_digits(text: str, start: int, end: int, spans: Spans) -> int:
    """How many digits of the card at `[start, end)` stay in the text beyond the last four, which may."""
    # Digits of an escape such as %20 are none of the card's.
    escapes = {at for found in re.finditer("%[0-9A-Fa-f]{2}", text) for at in range(*found.span())}
    digits = [at for at in range(start, end) if text[at].isdigit() and at not in escapes]
    return sum(not any(low <= at < high for low, high in spans) for at in digits[:-SHOWN])


def is_caught(text: str, start: int, end: int, spans: Spans) -> bool:
    """A card is caught where all but its last four digits is found; what is none, where anything is found in it."""
    return not shown_digits(text, start, end, spans) if end else bool(spans)


def reason(group: str, text: str) -> str:
    """Why a card is missed, or a text that holds none is not; empty where nobody knows."""
    return next((why for name, pattern, why in MISSES if name in ("", group) and re.search(pattern, text)), "")


class Result(NamedTuple):
    counts: dict[str, dict[str, Count]]
    # Group, text and reason of each that we have not right.
    wrong: list[tuple[str, str, str]]


def judge(groups: Sequence[Group], found: dict[str, list[Spans]], *, cards: bool) -> Result:
    """Hits of each finder by group, and each text that ours misses or takes wrongly. `found` has all texts in order."""
    counts: dict[str, dict[str, Count]] = {}
    wrong: list[tuple[str, str, str]] = []
    at = 0
    lead = SENTENCE.index("{}")
    for group in groups:
        counts[group.name] = {}
        for finder, spans in found.items():
            caught = [
                is_caught(SENTENCE.format(text), start + lead, end + lead if end else 0, spans[at + i])
                for i, (text, start, end) in enumerate(group.texts)
            ]
            counts[group.name][finder] = Count(sum(caught), len(caught))
            if finder == OURS:
                texts = [text for (text, _, _), hit in zip(group.texts, caught, strict=True) if hit != cards]
                wrong += [(group.name, text, reason(group.name, text)) for text in texts]
        at += len(group.texts)
    return Result(counts, wrong)


def total(counts: dict[str, dict[str, Count]], finder: str) -> Count:
    rows = [row[finder] for row in counts.values()]
    return Count(sum(row.hits for row in rows), sum(row.of for row in rows))


def table(title: str, counts: dict[str, dict[str, Count]]) -> str:
    finders = (OURS, *PEERS)
    rows = [(name, *(str(row[finder]) for finder in finders)) for name, row in counts.items()]
    rows.append(("all", *(str(total(counts, finder)) for finder in finders)))
    lines = [f"{title:<34} {'ours':>14} {'presidio':>14} {'scrubadub':>14}"]
    return "\n".join([*lines, *(f"  {row[0]:<32} {row[1]:>14} {row[2]:>14} {row[3]:>14}" for row in rows)])


def main() -> int:
    """Print recall, false hits and bars, every miss with its reason; 1 where a bar was missed."""
    parser = argparse.ArgumentParser(prog=sys.argv[0], description=main.__doc__)
    parser.add_argument("--ids", type=int, default=20_000, help="more ids of each kind, from the seed (20,000)")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--record", action="store_true", help="keep the result under benchmarks/record")
    options = parser.parse_args()
    if options.ids < 0:
        parser.error(f"--ids {options.ids}: it must be 0 or more")

    corpus, cases = json.loads(CORPUS.read_text()), json.loads(CASES.read_text())
    kinds = {
        "cards": card_groups(corpus, cases),
        "no cards": no_card_groups(corpus, cases, options.seed, options.ids),
        "digit ids": digit_groups(corpus, options.seed, options.ids),
    }
    texts = [SENTENCE.format(text) for groups in kinds.values() for group in groups for text, _, _ in group.texts]
    versions, found = peers(texts)
    found = {OURS: ours(texts), **found}
    results: dict[str, Result] = {}
    at = 0
    for kind, groups in kinds.items():
        size = sum(len(group.texts) for group in groups)
        part = {finder: spans[at : at + size] for finder, spans in found.items()}
        results[kind] = judge(groups, part, cards=kind == "cards")
        at += size
    bars = bars_of(results, kinds["digit ids"])
    print("peers:", ", ".join(f"{name} {version}" for name, version in versions.items()))
    for title, kind in (
        ("cards found (recall)", "cards"),
        ("taken for cards, can be told", "no cards"),
        ("taken for cards, bare digits", "digit ids"),
    ):
        print(table(title, results[kind].counts))
    print(rates(results["digit ids"].counts))
    wrong = results["cards"].wrong + results["no cards"].wrong
    for group, text, why in wrong:
        print(f"wrong: {group}: {text!r}: {why or 'NO REASON IS KNOWN'}")
    print(*bars, sep="\n")
    if options.record:
        record = new_record("card_numbers.json")
        write_record(record, document(options, versions, results, wrong, bars))
        print(f"recorded in benchmarks/record/{record.relative_to(RECORDS)}")
    return 0 if all(bar.ok for bar in bars) else 1


def refused_as_declared(groups: Sequence[Group]) -> dict[str, int]:
    """How many ids of each kind are refused where the deployment declares their shape."""
    find = _compiled.find_card_numbers
    return {
        group.name: sum(bool(mask_group(text, find, DIGIT_IDS[group.name].shape)[1]) for text, _, _ in group.texts)
        for group in groups
    }


def rates(counts: dict[str, dict[str, Count]]) -> str:
    """How often bare digits are taken for a card, which is how often such an id is refused where it is not declared."""
    rows = [(kind, row[OURS]) for kind, row in counts.items()]
    return "\n".join(
        f"refused where not declared: {kind}: {f'1 in {row.of / row.hits:.0f}' if row.hits else 'none'} of {row.of}"
        for kind, row in rows
    )


def bars_of(results: dict[str, Result], digit_ids: Sequence[Group]) -> list[Bar]:
    cards, others = results["cards"], results["no cards"]
    recall = {finder: total(cards.counts, finder) for finder in (OURS, *PEERS)}
    return [
        Bar("wrong_without_a_reason", sum(not why for _, _, why in (*cards.wrong, *others.wrong)), 0),
        *(
            Bar(f"recall_{name.replace(' ', '_')}_beside_{peer}", row[OURS].hits, row[peer].hits, at_least=True)
            for name, row in cards.counts.items()
            if name not in SPELLINGS
            for peer in PEERS
            # presidio takes every number that begins with 1, one of its own among them: printed, and no bar.
            if name != "numbers of presidio" or peer != "presidio"
        ),
        *(
            Bar(f"refused_{kind.replace(' ', '_')}_of_declared_shape", count, 0)
            for kind, count in refused_as_declared(digit_ids).items()
        ),
        *(Bar(f"recall_beside_{peer}", recall[OURS].hits, recall[peer].hits, at_least=True) for peer in PEERS),
        *(Bar(f"false_hits_{name.replace(' ', '_')}", row[OURS].hits, 0) for name, row in others.counts.items()),
    ]


def document(
    options: argparse.Namespace,
    versions: dict[str, str],
    results: dict[str, Result],
    wrong: Sequence[tuple[str, str, str]],
    bars: Sequence[Bar],
) -> dict[str, Any]:
    return {
        "seed": options.seed,
        "ids_of_each_kind": options.ids,
        "issuers": len(ISSUERS),
        "peers": versions,
        "counts": {
            kind: {name: {finder: [*count] for finder, count in row.items()} for name, row in result.counts.items()}
            for kind, result in results.items()
        },
        "wrong": [{"group": group, "text": text, "reason": why} for group, text, why in wrong],
        "bars": [bar.as_document() for bar in bars],
    }


if __name__ == "__main__":
    sys.exit(main())
