"""Ids that senders use are no card numbers, and no text is slow: `python -m benchmarks card-ids [--ids 1000000]`.

The same ids for both engines, made from the seed. A card number stands at a random place of every portion and must be
found: an engine that finds nothing at all proves nothing. Times are the processor's, over texts as long as a message
may be; their limits are milliseconds on a whole processor, as reading has a share of an invocation's time.
"""

import argparse
import random
import sys
import time
import uuid
from collections.abc import Callable, Iterator

from benchmarks.measure import RECORDS, Bar, new_record, write_record
from scoring import _compiled, _pure
from scoring.kernel import Engine

ENGINES: dict[str, Engine] = {"pure": _pure, "compiled": _compiled}
PORTION = 50_000
CONTROL = "4111 1111 1111 1111"
CONTROL_HIDDEN = [(0, 4), (5, 9), (10, 14)]
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
# Milliseconds of the years 2020 to 2040: what stands in the front of ids that sort by time.
TIMES_MS = (1_577_836_800_000, 2_208_988_800_000)


SLOW_SIZE = 250_000
SLOW_MS_MAX = {"pure": 1000, "compiled": 100}
# Repeated to SLOW_SIZE characters: what was slow once, and what makes as many chains, groups, numbers, spans or
# characters of the view as can be.
SLOW = (
    *(
        "5 0 1 8 ",
        "4 ",
        "36 ",
        "5018 ",
        "0000 ",
        "41-",
        "4111.",
        "4,",
        "0 0 4 ",
        "1234567 ",
        "4",
        "0",
        "0 ",
        "a",
        "\\",
        "%",
    ),
    *("4111111111111111 ", "4111 1111 1111 1111 ", "3782 822463 10005 ", "411111 1111111111 ", "(4111111111111111)"),
    *(
        "4\u200b",
        "4 \u200b\u200b\u200b",
        "\uff14 ",
        "\uff14",
        "\u00e9",
        "\u200b",
        "%204",
        "\\u00344",
        "%EF%BC%94 ",
        "\\n4",
    ),
    *("4111111111111111x ", "a4111111111111111b", "48215669-8059-4971-86fe-0de40701655f ", "41111111-1111-1111-"),
)


def uuid_id(choose: random.Random) -> str:
    """A UUID of version 4 or 7 (RFC 9562), in lower case with its dashes."""
    if choose.random() < 0.5:
        return str(uuid.UUID(int=choose.getrandbits(128), version=4))
    bits = choose.randrange(*TIMES_MS) << 80 | choose.getrandbits(80)
    return str(uuid.UUID(int=bits & ~(0xF << 76) & ~(0x3 << 62) | 0x7 << 76 | 0x2 << 62))


def hex_id(choose: random.Random) -> str:
    """24, 32, 40 or 64 hex digits: an object id, a UUID without dashes, a SHA-1 and a SHA-256 digest."""
    digits = choose.choice((24, 32, 40, 64))
    return f"{choose.getrandbits(4 * digits):0{digits}x}"


def ulid(choose: random.Random) -> str:
    """A ULID: 48 bits of time and 80 of chance, as 26 of Crockford's 32 characters."""
    bits = choose.randrange(*TIMES_MS) << 80 | choose.getrandbits(80)
    return "".join(CROCKFORD[bits >> shift & 31] for shift in range(125, -1, -5))


KINDS: dict[str, Callable[[random.Random], str]] = {"uuids": uuid_id, "hex_ids": hex_id, "ulids": ulid}


def portions(kind: str, ids: int, seed: int) -> Iterator[list[str]]:
    choose = random.Random(f"{seed} {kind}")
    for start in range(0, ids, PORTION):
        yield [KINDS[kind](choose) for _ in range(min(PORTION, ids - start))]


def hits(name: str, engine: Engine, ids: list[str], control_at: int) -> list[str]:
    """The ids that hold a card number for this engine. Raises ValueError where it misses the control among them."""
    found = engine.find_card_numbers([*ids[:control_at], CONTROL, *ids[control_at:]])
    if found.pop(control_at) != CONTROL_HIDDEN:
        raise ValueError(f"the {name} engine does not find {CONTROL}")
    return [text for text, spans in zip(ids, found, strict=True) if spans]


def slowest_ms(engine: Engine) -> float:
    """The processor's milliseconds for the slowest of SLOW, each at its best of three."""
    slowest = 0.0
    for piece in SLOW:
        text = (piece * (SLOW_SIZE // len(piece) + 1))[:SLOW_SIZE]
        times = []
        for _ in range(3):
            started = time.process_time()
            engine.find_card_numbers([text])
            times.append(1000 * (time.process_time() - started))
        slowest = max(slowest, min(times))
    return slowest


def main() -> int:
    """Print a bar for each kind and each engine's slowest text, recorded with `--record`; 1 where one was missed."""
    parser = argparse.ArgumentParser(prog=sys.argv[0], description=main.__doc__)
    parser.add_argument("--ids", type=int, default=1_000_000, help="ids of each kind (1,000,000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--record", action="store_true", help="keep the bars under benchmarks/record")
    options = parser.parse_args()
    if options.ids < 1:
        parser.error(f"--ids {options.ids}: it must be 1 or more")

    bars = []
    for kind in KINDS:
        count = dict.fromkeys(ENGINES, 0)
        done, started = 0, time.monotonic()
        for ids in portions(kind, options.ids, options.seed):
            for name, engine in ENGINES.items():
                for text in (found := hits(name, engine, ids, done % len(ids))):
                    print(f"{name}: {text} is taken for a card number")
                count[name] += len(found)
            done += len(ids)
            print(f"seed {options.seed}: {done:,} of {options.ids:,} {kind}, {time.monotonic() - started:.0f} s")
        bars += [Bar(f"card_numbers_in_{options.ids}_{kind}_{name}", count[name], 0) for name in ENGINES]
    bars += [
        Bar(f"card_numbers_in_{SLOW_SIZE}_characters_{name}_ms", slowest_ms(engine), SLOW_MS_MAX[name])
        for name, engine in ENGINES.items()
    ]
    print(*bars, sep="\n")
    if options.record:
        record = new_record("card_ids.json")
        write_record(record, {"seed": options.seed, "bars": [bar.as_document() for bar in bars]})
        print(f"recorded in benchmarks/record/{record.relative_to(RECORDS)}")
    return 0 if all(bar.ok for bar in bars) else 1


if __name__ == "__main__":
    sys.exit(main())
