"""Write tests/golden/scoring.json from the pure engine: .venv/bin/python -m tests.golden.generate_scoring

The vectors pin the specification: a change of theirs is a change of every stored score, and shows in the diff.
"""

import json
from pathlib import Path
from typing import Any

from scoring import _pure
from scoring.model import Payment
from scoring.table import Table
from tests.support.rule_compiler import compile_files

HERE = Path(__file__).resolve().parent
VECTORS = HERE / "scoring.json"
EMPTY = ("",) * 10
TEXTS = [
    "",
    "a",
    "ushers and hers",
    "USHERS\u0000his",
    "gift card",
    "Gift Card!",
    "gift cards",
    "a gift card, a CARD",
    "ecard card9 card_",
    "p.o. box 9 / PO BOX",
    "po box\u00e9",
    "\u00e9po box",
    "caf\u00e9 \u00e9 e\u0301",
    "po box\u0436 \u0436 \u0416",
    "GIFT-BOX",
    "-a-",
    " - ",
    "x@x @x x @xy",
    "k9 \u212a9",
    "test",
    "  Test\t",
    "test.",
    "n/a",
    "\u00c5NGSTR\u00d6M",
    "\u00e5ngstr\u00f6m",
    "\ud800",
    "a  b   c",
    "x@mailinator.com",
    "x@sub.MAILINATOR.com ",
    "mailinator.com",
    "x@notmailinator.com",
    "x@y@co.example",
    "x@co.example@y",
    "x@example.",
    "@example",
    "\U0001f4b3 card",
    "\u201cgift\u00a0card\u201d",
    "g\u0456ft\u2011c\u0430rd\u2026",
    "\uff27\uff29\uff26\uff34 \U0001d41c\U0001d41a\U0001d42b\U0001d41d",
    "gi\u200bft--card",
    "P.O.\u2003 Box",
    "b\t\u3000c",
    "X <x@mailinator\u3002com.>;",
]
CARDS = [
    "4111111111111111",
    "4111 1111 1111 1111",
    "4111-1111-1111-1111",
    "4111  1111 1111 1111",
    "4111 -1111 1111 1111",
    "4111111111111112",
    "14111111111111111",
    "41111111111111110",
    "pay 4111111111111111 or 5500005555555559.",
    "12 4111 1111 1111 1111 12",
    "4222222222222",
    "378282246310005",
    "3782 822463 10005",
    "30569309025904",
    "6011111111111117",
    "3530111333300000",
    "6304000000000000",
    "2223000048400011",
    "2200000000000004",
    "1732233600003",
    "1732233600011",
    "9999999999999995",
    "4\u0661111111111111111",
    "\uff144111111111111111",
    "\U0001f4b34111111111111111\u00e9",
    "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
    "4111111111111111-",
    "-4111111111111111 4111111111111111",
    "4111111111111111 4",
    "4026000000000002 4111111111111111",
    "0" * 40,
    "4" * 13 + " " + "4" * 19,
    "48215669-8059-4971-86fe-0de40701655f",
    "39221417-7625-418a-aafc-fb864cd4d5c0",
    "8741cc67-15d9-4764-9154-67473cc89c97",
    "c0ffee12-3456-4789-8123-456789012345",
    "a4111111111111111",
    "4111111111111111Z",
    "Card4111-1111-1111-1111",
    "4111 1111 1111 1111z 4111111111111111",
    "[4111111111111111` @4111111111111111{",
    "card:4111111111111111/card_4111111111111111",
    "line\\n4111111111111111 \\u000a4111111111111111 \\u000aa4111111111111111",
    "pan%3D4111111111111111 %B4111111111111111^",
    "0.5309136012499991",
    "5309136012499991",
    "1234.5309136012499991 12345.5309136012499991 .5309136012499991 x.5309136012499991",
    "0.4111 1111 1111 1111",
    "4222 222 222 222 and 4222 2222 22222",
    "6205500000000000004 6205 5000 0000 0000 004 620550 0000000000004",
    "3056 930902 5904 3056-9309-0259-04",
    "3782 8224 6310 005",
    "378282 246310005",
    "41111111 11111111",
    "4111  1111  1111  1111 4111.1111.1111.1111 4111_1111_1111_1111",
    "4111\u00a01111\u00a01111\u00a01111 4111\u20131111\u20131111\u20131111",
    "\uff14\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11",
    "\U0001d7d2\U0001d7cf11 1111 1111 1111\u200b",
    "4111%201111%201111%201111 4111%E2%80%891111+1111%2D1111",
    "6703 4444 4444 4449, 6771 7980 2100 0008, 5000 5500 0000 0029",
    "6003 4111 1111 1111 1111",
    "0004111111111111111",
    "visa4111111111111111exp1227 cab4111111111111111",
    "+4915123456783 004915123456783 4915123456783",
    "1354-12345-678911 135412345678911",
]
AMOUNTS = [1, 9999, 10000, 10001, 33333, 49999, 50000, 50001, 66666, 66667, 1000000, 2 * 10**13, 2 * 10**13 + 1, 10**30]


def _field_sets() -> list[tuple[str, ...]]:
    sets = []
    for i, text in enumerate(TEXTS):
        fields = list(EMPTY)
        for place in (2, 3, 4, 6 + i % 4):
            fields[place] = text
        sets.append(tuple(fields))
    return sets


def vectors() -> dict[str, Any]:
    """Return all vectors; text is ASCII JSON with escapes, so that lone surrogates survive."""
    table = Table(memoryview(compile_files([HERE / "golden.rules"])), "golden.rules")
    sets = _field_sets()
    payments = [Payment(b"identity-%d" % i, amount, EMPTY) for i, amount in enumerate(AMOUNTS)]
    payments += [Payment(b"", 100 + 997 * i, fields) for i, fields in enumerate(sets)]
    payments.append(Payment(b"blocked", 100, EMPTY))
    scores = _pure.score_batch(table, payments, iterations=3, pepper=b"pepper")
    return {
        "chains": [
            [message.hex(), rounds, _pure.sha256_chain(message, rounds).hex()]
            for message in (b"", b"abc", b"x" * 55, b"x" * 56, b"x" * 64, b"x" * 119, b"x" * 120, bytes(range(256)))
            for rounds in (0, 1, 2, 1000)
        ],
        "cold_start_work": [
            [n, lanes, _pure.cold_start_work(n, lanes).hex()]
            for n, lanes in ((0, 16), (1, 16), (17, 16), (1000, 16), (1000, 1), (1001, 3), (5, 40))
        ],
        "screen": [[fields, hits] for fields, hits in zip(sets, _pure.screen(table, sets), strict=True)],
        "cards": [[text, spans] for text, spans in zip(CARDS, _pure.find_card_numbers(CARDS), strict=True)],
        "scores": [
            [payment.identity.hex(), payment.amount_minor, payment.fields, score]
            for payment, score in zip(payments, scores, strict=True)
        ],
    }


def as_text() -> str:
    """Return the file's content: one vector a line, for readable diffs."""
    groups = [
        f'"{name}": [\n' + ",\n".join(json.dumps(vector) for vector in group) + "\n]"
        for name, group in vectors().items()
    ]
    return "{\n" + ",\n".join(groups) + "\n}\n"


if __name__ == "__main__":
    VECTORS.write_text(as_text(), encoding="ascii")
