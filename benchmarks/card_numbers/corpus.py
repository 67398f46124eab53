"""The corpus of cards and of what is none: `python -m benchmarks.card_numbers.corpus` writes corpus.json.

The rule it keeps: it knows nothing of the scanner. Ranges, spellings and ids are written down here from what others
publish, everything else comes from the seed, and a test makes the file anew and compares.
"""

import hashlib
import json
import random
import sys
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

CORPUS = Path(__file__).with_name("corpus.json")
SEED = 1
# Of each kind that is no card.
COUNT = 200


class Issuer(NamedTuple):
    """A network's range: first digits from and to, and the lengths that its cards have."""

    name: str
    low: str
    high: str
    lengths: tuple[int, ...]


_UP_TO_19 = (16, 17, 18, 19)
# Two sources: github.com/braintree/credit-card-type, src/lib/card-types.ts at d0b8d2a, and where it has no such network
# "Payment card number" in Wikipedia, read November 2026. Braintree's Maestro takes every number that begins with 6 or
# 56 to 59: here are the ranges of it that cards were seen in.
ISSUERS: Sequence[Issuer] = (
    Issuer("Visa", "4", "4", (13, 16, 19)),
    Issuer("Mastercard", "51", "55", (16,)),
    Issuer("Mastercard 2-series", "2221", "2720", (16,)),
    Issuer("American Express", "34", "34", (15,)),
    Issuer("American Express", "37", "37", (15,)),
    Issuer("Diners Club", "300", "305", (14, 16, 19)),
    Issuer("Diners Club", "36", "36", (14, 16, 19)),
    Issuer("Diners Club", "38", "39", (14, 16, 19)),
    Issuer("Discover", "6011", "6011", (16, 19)),
    Issuer("Discover", "644", "649", (16, 19)),
    Issuer("Discover", "65", "65", (16, 19)),
    Issuer("JCB", "3528", "3589", _UP_TO_19),
    Issuer("UnionPay", "62", "62", _UP_TO_19),
    Issuer("UnionPay", "810", "817", _UP_TO_19),
    Issuer("Maestro", "5000", "5000", (16,)),
    Issuer("Maestro", "5018", "5018", (13, 15, 16, 19)),
    Issuer("Maestro", "5020", "5020", (13, 15, 16, 19)),
    Issuer("Maestro", "5038", "5038", (13, 15, 16, 19)),
    Issuer("Maestro", "5893", "5893", (13, 15, 16, 19)),
    Issuer("Maestro", "6304", "6304", (13, 15, 16, 19)),
    Issuer("Maestro", "6759", "6759", (13, 15, 16, 19)),
    Issuer("Maestro", "6761", "6763", (13, 15, 16, 19)),
    Issuer("Maestro", "6771", "6771", (16,)),
    Issuer("Bancontact", "6703", "6703", (16, 17)),
    Issuer("Dankort", "5019", "5019", (16,)),
    Issuer("Elo", "506699", "506778", (16,)),
    Issuer("Elo", "509000", "509999", (16,)),
    Issuer("Elo", "627780", "627780", (16,)),
    Issuer("Elo", "636297", "636297", (16,)),
    Issuer("Elo", "650031", "650033", (16,)),
    Issuer("Hiper", "637095", "637095", (16,)),
    Issuer("Hipercard", "606282", "606282", (16,)),
    Issuer("Mir", "2200", "2204", _UP_TO_19),
    Issuer("Borica", "2205", "2205", (16,)),
    Issuer("RuPay", "508", "508", (16,)),
    Issuer("RuPay", "60", "60", (16,)),
    Issuer("RuPay", "81", "82", (16,)),
    Issuer("Verve", "506099", "506198", (16, 18, 19)),
    Issuer("Troy", "9792", "9792", (16,)),
    Issuer("UkrCard", "604001", "604200", _UP_TO_19),
    Issuer("LankaPay", "357111", "357111", (16,)),
    Issuer("InterPayment", "636", "636", _UP_TO_19),
    Issuer("InstaPayment", "637", "639", (16,)),
    Issuer("Uzcard", "8600", "8600", (16,)),
    Issuer("Humo", "9860", "9860", (16,)),
)


def luhn_digit(digits: str) -> str:
    """The check digit behind digits (ISO/IEC 7812-1, annex B)."""
    doubled = (sum(divmod(2 * int(each), 10)) for each in digits[-1::-2])
    return str(-(sum(doubled) + sum(int(each) for each in digits[-2::-2])) % 10)


def card_of(issuer: Issuer, length: int, choose: random.Random) -> str:
    size = len(issuer.low)
    first = f"{choose.randint(int(issuer.low), int(issuer.high)):0{size}}"
    body = first + "".join(choose.choices("0123456789", k=length - size - 1))
    return body + luhn_digit(body)


def _groups(card: str) -> list[str]:
    """As cards show them: 4-6-4, 4-6-5, else fours with what is left behind them."""
    if len(card) in (14, 15):
        return [card[:4], card[4:10], card[10:]]
    return [card[at : at + 4] for at in range(0, len(card), 4)]


def _joined(separator: str) -> Callable[[str], str]:
    return lambda card: separator.join(_groups(card))


def _in_digits_from(zero: int) -> Callable[[str], str]:
    return lambda card: "".join(chr(zero + int(digit)) for digit in card)


class Spelling(NamedTuple):
    """How one number is written, and what stands directly before and behind it."""

    spell: Callable[[str], str] = str
    before: str = ""
    behind: str = ""

    def text(self, card: str) -> str:
        return self.before + self.spell(card) + self.behind


def _mixed(card: str) -> str:
    groups = _groups(card)
    return "".join(map("".join, zip(groups, ("-", " ", ".", "-", ""), strict=False))).rstrip("-. ")


SPELLINGS: dict[str, Spelling] = {
    "one run": Spelling(),
    "spaces": Spelling(_joined(" ")),
    "dashes": Spelling(_joined("-")),
    "dots": Spelling(_joined(".")),
    "two spaces": Spelling(_joined("  ")),
    "no-break spaces": Spelling(_joined("\u00a0")),
    "thin spaces": Spelling(_joined("\u2009")),
    "underscores": Spelling(_joined("_")),
    "slashes": Spelling(_joined("/")),
    "en dashes": Spelling(_joined("\u2013")),
    "zero-width spaces": Spelling(_joined("\u200b")),
    "tabs": Spelling(_joined("\t")),
    "commas": Spelling(_joined(", ")),
    "spaced dashes": Spelling(_joined(" - ")),
    "mixed separators": Spelling(_mixed),
    "percent-encoded spaces": Spelling(_joined("%20")),
    "pluses": Spelling(_joined("+")),
    "full-width digits": Spelling(_in_digits_from(0xFF10)),
    "arabic-indic digits": Spelling(_in_digits_from(0x0660)),
    "devanagari digits": Spelling(_in_digits_from(0x0966)),
    "an expiry joined on by a slash": Spelling(behind="/12/27"),
    "an expiry behind a space": Spelling(behind=" 12/27"),
    "track 2": Spelling(before=";", behind="=29121011234567890?"),
    "a label": Spelling(before="card:"),
    "a label with an underscore": Spelling(before="card_"),
    "a label glued on": Spelling(before="visa"),
    "letters glued behind": Spelling(behind="exp1227"),
    "leading zeros": Spelling(before="000"),
    "in json": Spelling(before='{"pan": "', behind='"}'),
    "in a query": Spelling(before="a=1&pan=", behind="&b=2"),
    "brackets": Spelling(before="(", behind=")"),
    "behind digits and a space": Spelling(before="6003 "),
}


def _digits(count: int) -> Callable[[random.Random], str]:
    return lambda choose: str(choose.randint(1, 9)) + "".join(choose.choices("0123456789", k=count - 1))


def _uuid(choose: random.Random) -> str:
    return str(uuid.UUID(int=choose.getrandbits(128), version=4))


def _hex(choose: random.Random) -> str:
    return f"{choose.getrandbits(128):032x}"


def _sha256(choose: random.Random) -> str:
    return hashlib.sha256(choose.randbytes(8)).hexdigest()


def _ulid(choose: random.Random) -> str:
    return "01" + "".join(choose.choices("0123456789ABCDEFGHJKMNPQRSTVWXYZ", k=24))


# 2020 to 2034: from 2039 on microseconds begin as cards of Mir do.
_TIMES_MS = (1_577_836_800_000, 2_051_222_400_000)


def _milliseconds(choose: random.Random) -> str:
    return str(choose.randrange(*_TIMES_MS))


def _microseconds(choose: random.Random) -> str:
    return str(choose.randrange(*_TIMES_MS) * 1000 + choose.randrange(1000))


def _nanoseconds(choose: random.Random) -> str:
    return str(choose.randrange(*_TIMES_MS) * 1_000_000 + choose.randrange(1_000_000))


def _iso_time(choose: random.Random) -> str:
    return datetime.fromtimestamp(choose.randrange(*_TIMES_MS) / 1000, UTC).isoformat()


def _phone(choose: random.Random) -> str:
    """E.164 with 11 to 13 digits, in one run or in the groups that people write."""
    country = choose.choice(("1", "44", "49", "33", "91", "55", "81", "380"))
    rest = "".join(choose.choices("0123456789", k=choose.choice((9, 10))))
    return choose.choice((f"+{country}{rest}", f"+{country} {rest[:3]} {rest[3:6]} {rest[6:]}", f"00{country}-{rest}"))


def _iban(choose: random.Random) -> str:
    country, length = choose.choice((("DE", 18), ("ES", 20), ("PL", 24), ("SE", 20), ("AT", 16)))
    return country + f"{choose.randint(2, 98):02}" + "".join(choose.choices("0123456789", k=length))


def _spaced_iban(choose: random.Random) -> str:
    iban = _iban(choose)
    return " ".join(iban[at : at + 4] for at in range(0, len(iban), 4))


def _decimal(choose: random.Random) -> str:
    return repr(choose.uniform(0, choose.choice((1, 100, 10_000))))


def _scientific(choose: random.Random) -> str:
    return repr(choose.uniform(1, 10) * 10.0 ** -choose.randint(5, 300))


def _coordinates(choose: random.Random) -> str:
    return f"{choose.uniform(-90, 90):.14f},{choose.uniform(-180, 180):.13f}"


def _order_id(choose: random.Random) -> str:
    return choose.choice(("ORD-", "ord_", "INV", "#")) + _digits(choose.choice((8, 10, 12)))(choose)


def _date_id(choose: random.Random) -> str:
    """Sixteen digits: the day, and ten more."""
    day = datetime.fromtimestamp(choose.randrange(*_TIMES_MS) / 1000, UTC)
    return f"{day:%y%m%d}{_digits(10)(choose)}"


def _marketplace_id(choose: random.Random) -> str:
    """Groups of 3, 7 and 7 digits."""
    digits = "".join(choose.choices("0123456789", k=17))
    return f"{digits[:3]}-{digits[3:10]}-{digits[10:]}"


def _snowflake(choose: random.Random) -> str:
    """41 bits of milliseconds since the end of 2010, and 22 of chance (github.com/twitter-archive/snowflake)."""
    return str((choose.randrange(*_TIMES_MS) - 1_288_834_974_657) << 22 | choose.getrandbits(22))


def _tracking_number(choose: random.Random) -> str:
    return choose.choice(("1Z", "JD01")) + "".join(choose.choices("0123456789ABCDEFGH", k=16))


def _ip_addresses(choose: random.Random) -> str:
    return " ".join(".".join(str(choose.randrange(256)) for _ in range(4)) for _ in range(2))


def _version(choose: random.Random) -> str:
    return ".".join(str(choose.randrange(limit)) for limit in (30, 30, 100_000, 10_000))


def _not_luhn(choose: random.Random) -> str:
    """A card with one digit wrong, as people mistype it: nobody's number."""
    card = card_of(choose.choice(ISSUERS[:8]), 16, choose)
    return card[:-1] + str((int(card[-1]) + choose.randint(1, 9)) % 10)


# What is no card and can be told from one.
NO_CARDS: dict[str, Callable[[random.Random], str]] = {
    "uuids": _uuid,
    "hex ids": _hex,
    "sha-256 digests": _sha256,
    "ulids": _ulid,
    "time stamps in milliseconds": _milliseconds,
    "time stamps in microseconds": _microseconds,
    "time stamps in nanoseconds": _nanoseconds,
    "times": _iso_time,
    "phone numbers": _phone,
    "decimals": _decimal,
    "small numbers": _scientific,
    "coordinates": _coordinates,
    "order ids with letters": _order_id,
    "tracking numbers": _tracking_number,
    "ip addresses": _ip_addresses,
    "versions": _version,
    "wrong check digits": _not_luhn,
}


# Bare digits: nothing can tell some of them from cards. Each has the shape that a deployment would declare.
class DigitIds(NamedTuple):
    make: Callable[[random.Random], str]
    shape: str


# Of 20, 22, 24 and 28 characters.
_SPACED_IBANS = ",".join(f"@@##{' ####' * groups}{rest}" for groups, rest in ((4, ""), (4, " ##"), (5, ""), (6, "")))

DIGIT_IDS: dict[str, DigitIds] = {
    "16 random digits": DigitIds(_digits(16), "#{16}"),
    "13 digits that begin with 4": DigitIds(lambda choose: "4" + _digits(12)(choose), "4#{12}"),
    "16 digits that begin with a day": DigitIds(_date_id, "#{16}"),
    "snowflakes": DigitIds(_snowflake, "#{18-19}"),
    "3-7-7 order ids": DigitIds(_marketplace_id, "###-#{7}-#{7}"),
    "ibans": DigitIds(_iban, "@@#{18-26}"),
    "ibans in groups": DigitIds(_spaced_iban, _SPACED_IBANS),
}


def make(seed: int = SEED) -> dict[str, Any]:
    """Each issuer's cards in each spelling, and `COUNT` of each kind that is none."""
    cards: dict[str, list[str]] = {}
    for name, spelling in SPELLINGS.items():
        choose = random.Random(f"{seed} {name}")
        texts = [spelling.text(card_of(issuer, length, choose)) for issuer in ISSUERS for length in issuer.lengths]
        cards[name] = texts
    no_cards = {kind: ids(kind, maker, COUNT, seed) for kind, maker in NO_CARDS.items()}
    digits = {kind: ids(kind, row.make, COUNT, seed) for kind, row in DIGIT_IDS.items()}
    return {"seed": seed, "cards": cards, "no_cards": no_cards, "digit_ids": digits}


def ids(kind: str, maker: Callable[[random.Random], str], count: int, seed: int) -> list[str]:
    choose = random.Random(f"{seed} {kind}")
    return [maker(choose) for _ in range(count)]


def text_of(corpus: dict[str, Any]) -> str:
    """The file's text: one list a line, so that a change shows which kind it is of."""

    def lists(kinds: dict[str, list[str]]) -> str:
        return ",\n".join(f"  {json.dumps(kind)}: {json.dumps(texts)}" for kind, texts in kinds.items())

    parts = [f' "{part}": {{\n{lists(corpus[part])}\n }}' for part in ("cards", "no_cards", "digit_ids")]
    return "{\n" + ",\n".join([f' "seed": {corpus["seed"]}', *parts]) + "\n}\n"


def main() -> int:
    CORPUS.write_text(text_of(make()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
