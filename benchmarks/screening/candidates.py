"""The ways to search: our engines and their peers, each charged with what a function would do per batch.

The rule: a candidate's result can be compared, pair by pair or field by field.
"""

import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.screening.corpus import FIELDS_EACH, Fields
from scoring import _compiled, _pure
from scoring.kernel import Engine
from scoring.table import Table

PEER = "hyperscan, joined"

Pairs = set[tuple[int, int]]  # (field, literal)


class Candidate(NamedTuple):
    """One way to search: `search` is what is timed, `pairs` makes its result comparable."""

    search: Callable[[Fields], Any]
    pairs: Callable[[Any], Pairs]
    build_seconds: float
    memory_bytes: int
    all_pairs: bool = True
    is_ours: bool = False
    # What a fresh process would load from a file, where a candidate can.
    database: Any = None


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 if sys.platform == "linux" else 0


def timed(build: Callable[[], Any]) -> tuple[Any, float, int]:
    before, start = resident_bytes(), time.perf_counter()
    built = build()
    return built, time.perf_counter() - start, resident_bytes() - before


def our_engine(engine: Engine, table: Table, seconds: float) -> Candidate:
    def search(fields: Fields) -> Any:
        return engine.screen(table, [fields[i : i + FIELDS_EACH] for i in range(0, len(fields), FIELDS_EACH)])

    def pairs(result: Any) -> Pairs:
        hits = [field for payment in result for field in payment]
        return {(field, rule_id - 1) for field, ids in enumerate(hits) for rule_id in ids}

    return Candidate(search, pairs, seconds, len(table.data), is_ours=True)


def hyperscan_joined(literals: list[str], joined: bool) -> Candidate:
    import hyperscan

    def build() -> Any:
        database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
        database.compile(
            expressions=[literal.encode() for literal in literals],
            ids=list(range(len(literals))),
            elements=len(literals),
            flags=hyperscan.HS_FLAG_CASELESS,
            literal=True,
        )
        return database

    database, seconds, _ = timed(build)

    def search_joined(fields: Fields) -> Any:
        hits: list[tuple[int, int]] = []
        encoded = [field.encode() for field in fields]
        database.scan(
            b"\0".join(encoded),
            match_event_handler=lambda number, start, end, flags, context: hits.append((end, number)),
        )
        if not hits:
            return []
        ends, at = [], 0
        for field in encoded:
            at += len(field) + 1
            ends.append(at)
        return [(next(i for i, end in enumerate(ends) if at < end), number) for at, number in hits]

    def search_each(fields: Fields) -> Any:
        hits: list[tuple[int, int]] = []
        for i, field in enumerate(fields):
            database.scan(
                field.encode(),
                match_event_handler=lambda number, start, end, flags, context, i=i: hits.append((i, number)),
            )
        return hits

    search = search_joined if joined else search_each
    return Candidate(search, set, seconds, database.size(), database=database)


def ahocorasick_rs_each(literals: list[str]) -> Candidate:
    import ahocorasick_rs

    automaton, seconds, memory = timed(lambda: ahocorasick_rs.AhoCorasick(literals))

    def search(fields: Fields) -> Any:
        return [automaton.find_matches_as_indexes(field.lower(), overlapping=True) for field in fields]

    return Candidate(
        search, lambda result: {(i, hit[0]) for i, hits in enumerate(result) for hit in hits}, seconds, memory
    )


def pyahocorasick_each(literals: list[str]) -> Candidate:
    import ahocorasick

    def build() -> Any:
        automaton = ahocorasick.Automaton()
        for i, literal in enumerate(literals):
            automaton.add_word(literal, i)
        automaton.make_automaton()
        return automaton

    automaton, seconds, memory = timed(build)

    def search(fields: Fields) -> Any:
        return [(i, number) for i, field in enumerate(fields) for _, number in automaton.iter(field.lower())]

    return Candidate(search, set, seconds, memory)


def re2_set(literals: list[str]) -> Candidate:
    import re2

    def build() -> Any:
        options = re2.Options()
        options.case_sensitive, options.literal, options.max_mem = False, True, 1 << 30
        patterns = re2.Set.SearchSet(options)
        for literal in literals:
            patterns.Add(literal)
        patterns.Compile()
        return patterns

    patterns, seconds, memory = timed(build)

    def search(fields: Fields) -> Any:
        return [(i, number) for i, field in enumerate(fields) for number in patterns.Match(field) or ()]

    return Candidate(search, set, seconds, memory, all_pairs=False)


def re_alternation(literals: list[str]) -> Candidate:
    number = {literal: i for i, literal in enumerate(literals)}
    pattern, seconds, memory = timed(
        lambda: re.compile("|".join(map(re.escape, sorted(literals, key=len, reverse=True))), re.I | re.A)
    )

    def search(fields: Fields) -> Any:
        return [(i, number[hit.group().lower()]) for i, field in enumerate(fields) for hit in pattern.finditer(field)]

    return Candidate(search, set, seconds, memory, all_pairs=False)


def candidates(literals: list[str], table: Table, seconds: float, all_peers: bool) -> Iterator[tuple[str, Candidate]]:
    yield "compiled", our_engine(_compiled, table, seconds)
    yield PEER, hyperscan_joined(literals, joined=True)
    yield "compiled, again", our_engine(_compiled, table, seconds)
    yield "ahocorasick-rs", ahocorasick_rs_each(literals)
    yield "pure", our_engine(_pure, table, seconds)
    if all_peers:
        yield "hyperscan, a field", hyperscan_joined(literals, joined=False)
        yield "pyahocorasick", pyahocorasick_each(literals)
        yield "google-re2 set", re2_set(literals)
        if len(literals) <= 10_000:  # beyond, one batch takes a minute
            yield "re", re_alternation(literals)
