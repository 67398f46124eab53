"""What card numbers are made of, as data: issuer ranges, digits, separators and groupings.

Both engines read it here, so that neither the interpreter's Unicode version nor the machine's decides what is found.
"""

from typing import Literal, NamedTuple

DIGITS_MIN = 13


class Issuer(NamedTuple):
    """Card numbers whose first six digits are `low` to `high`, of these lengths.

    `grouped` ones count only in groups: in one run they would be too many numbers that are something else.
    """

    low: int
    high: int
    lengths: tuple[int, ...]
    network: str
    source: str
    grouped: bool = False


# _WIKIPEDIA: the table of issuer identification numbers that the ranges of 0.1.1 were taken from. _TABLE: a copy of it
# as of November 2024, for the ranges that came later: Maestro as 50 and 56 to 69, UATP, Switch, Solo, Laser. Where it
# gives Maestro by two digits alone, only lengths from 16 on: shorter ones would take in phone numbers of half of Asia.
# The other networks beside a range are named for the reader only.
_WIKIPEDIA = "Wikipedia, Payment card number, November 2026"
_TABLE = "ldapwiki.com, Issuer Identification Number, November 2024"
_LONG = (16, 17, 18, 19)
_MAESTRO = (13, 14, 15, 16, 17, 18, 19)  # and 12, which too many other numbers have

# By first digits, none overlapping another. Where two networks share digits, the lengths of both.
ISSUERS: tuple[Issuer, ...] = (
    Issuer(100000, 199999, (15,), "UATP", _TABLE, grouped=True),
    Issuer(220000, 220499, _LONG, "Mir", _WIKIPEDIA),
    Issuer(220500, 220599, (16,), "Borica", _WIKIPEDIA),
    Issuer(222100, 272099, (16,), "Mastercard, 2-series", _WIKIPEDIA),
    Issuer(300000, 305999, (14, 15, 16, 17, 18, 19), "Diners Club", _WIKIPEDIA),
    Issuer(309500, 309599, (14, 15, 16, 17, 18, 19), "Diners Club", _WIKIPEDIA),
    Issuer(340000, 349999, (15,), "American Express", _WIKIPEDIA),
    Issuer(352800, 358999, _LONG, "JCB; RuPay (353, 356); LankaPay (357111)", _WIKIPEDIA),
    Issuer(360000, 369999, (14, 15, 16, 17, 18, 19), "Diners Club", _WIKIPEDIA),
    Issuer(370000, 379999, (15,), "American Express", _WIKIPEDIA),
    Issuer(380000, 399999, (14, 15, 16, 17, 18, 19), "Diners Club", _WIKIPEDIA),
    Issuer(400000, 490299, (13, 16, 19), "Visa; Elo (401178 and others); Dankort (4571)", _WIKIPEDIA),
    Issuer(490300, 490399, (13, 16, 18, 19), "Visa; Switch", _TABLE),
    Issuer(490400, 490499, (13, 16, 19), "Visa", _WIKIPEDIA),
    Issuer(490500, 490599, (13, 16, 18, 19), "Visa; Switch", _TABLE),
    Issuer(490600, 491099, (13, 16, 19), "Visa", _WIKIPEDIA),
    Issuer(491100, 491199, (13, 16, 18, 19), "Visa; Switch", _TABLE),
    Issuer(491200, 493599, (13, 16, 19), "Visa; Electron", _WIKIPEDIA),
    Issuer(493600, 493699, (13, 16, 18, 19), "Visa; Switch", _TABLE),
    Issuer(493700, 499999, (13, 16, 19), "Visa", _WIKIPEDIA),
    Issuer(500000, 501799, _LONG, "Maestro", _TABLE),
    Issuer(501800, 501899, _MAESTRO, "Maestro", _WIKIPEDIA),
    Issuer(501900, 501999, _LONG, "Dankort; Maestro", _TABLE),
    Issuer(502000, 502099, _MAESTRO, "Maestro", _WIKIPEDIA),
    Issuer(502100, 503799, _LONG, "Maestro", _TABLE),
    Issuer(503800, 503899, _MAESTRO, "Maestro", _WIKIPEDIA),
    Issuer(503900, 509999, _LONG, "Maestro; Verve (5061, 5078, 5079); Elo (5066, 5067, 509); RuPay (508)", _TABLE),
    Issuer(510000, 559999, (16,), "Mastercard", _WIKIPEDIA),
    Issuer(560000, 589299, _LONG, "Maestro; Bankcard (5610, 560221); Switch (564182)", _TABLE),
    Issuer(589300, 589399, _MAESTRO, "Maestro", _WIKIPEDIA),
    Issuer(589400, 589999, _LONG, "Maestro", _TABLE),
    Issuer(600000, 630399, _LONG, "Discover; RuPay; UkrCard; Hipercard (606282); UnionPay; Maestro", _TABLE),
    Issuer(630400, 630499, _MAESTRO, "Maestro; Laser", _WIKIPEDIA),
    Issuer(
        630500, 675899, _LONG, "InterPayment (636); InstaPayment (637-639); Discover; RuPay; Bancontact (6703)", _TABLE
    ),
    Issuer(675900, 676399, _MAESTRO, "Maestro", _WIKIPEDIA),
    Issuer(676400, 699999, _LONG, "Maestro; Solo (6767); Laser (6771)", _TABLE),
    Issuer(810000, 829999, _LONG, "UnionPay; RuPay", _WIKIPEDIA),
    Issuer(860000, 860099, (16,), "Uzcard", _WIKIPEDIA),
    Issuer(979200, 979299, (16,), "Troy", _WIKIPEDIA),
    Issuer(986000, 986099, (16,), "Humo", _WIKIPEDIA),
)

# Groupings beyond three and more groups of one size. Sources: fours, as cards show them, of which some are joined;
# Baymard Institute, "Credit Card Spacing Patterns"; Visa's old 13 digits; UATP's cards; six digits of the issuer apart.
GROUPINGS: frozenset[tuple[int, ...]] = frozenset(
    [
        *((8, 8), (4, 12), (12, 4), (4, 8, 4), (4, 4, 8), (8, 4, 4)),
        *((4, 3, 3, 3), (4, 6, 4), (4, 10), (10, 4), (4, 6, 5), (4, 11), (10, 5), (4, 5, 6), (6, 9), (6, 10), (6, 13)),
    ]
)

# The zero of every set of decimal digits, nine more behind each: general category Nd of Unicode 16.0
# (DerivedGeneralCategory.txt, September 2024), the ASCII digits left out.
DIGIT_ZEROS: tuple[int, ...] = (
    *(0x660, 0x6F0, 0x7C0, 0x966, 0x9E6, 0xA66, 0xAE6, 0xB66, 0xBE6, 0xC66, 0xCE6, 0xD66, 0xDE6, 0xE50, 0xED0, 0xF20),
    *(0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90, 0x1B50, 0x1BB0, 0x1C40, 0x1C50, 0xA620, 0xA8D0),
    *(0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0, 0xFF10, 0x104A0, 0x10D30, 0x10D40, 0x11066, 0x110F0, 0x11136, 0x111D0),
    *(0x112F0, 0x11450, 0x114D0, 0x11650, 0x116C0, 0x116D0, 0x116DA, 0x11730, 0x118E0, 0x11950, 0x11BF0, 0x11C50),
    *(0x11D50, 0x11DA0, 0x11F50, 0x16130, 0x16A60, 0x16AC0, 0x16B50, 0x16D70, 0x1CCF0, 0x1D7CE, 0x1D7D8, 0x1D7E2),
    *(0x1D7EC, 0x1D7F6, 0x1E140, 0x1E2F0, 0x1E4F0, 0x1E5F1, 0x1E950, 0x1FBF0),
)

# Separators, one to four of which join two groups, as (from, to): categories Zs, Zl, Zp and Pd of Unicode 16.0, ASCII's
# line ends and `_`, `/`, `\`, `+`, `|`, `~`, U+0085, minus signs, middle dots and bullets, and full-width forms.
SEPARATORS: tuple[tuple[int, int], ...] = (
    *((0x09, 0x0D), (0x20, 0x20), (0x2B, 0x2B), (0x2D, 0x2D), (0x2F, 0x2F), (0x5C, 0x5C), (0x5F, 0x5F), (0x7C, 0x7C)),
    *((0x7E, 0x7E), (0x85, 0x85), (0xA0, 0xA0), (0xB7, 0xB7), (0x387, 0x387), (0x58A, 0x58A), (0x5BE, 0x5BE)),
    *((0x1400, 0x1400), (0x1680, 0x1680)),
    *((0x1806, 0x1806), (0x2000, 0x200A), (0x2010, 0x2015), (0x2022, 0x2022), (0x2027, 0x2029), (0x202F, 0x202F)),
    *((0x2043, 0x2044), (0x205F, 0x205F), (0x2212, 0x2212), (0x2215, 0x2215), (0x2219, 0x2219), (0x22C5, 0x22C5)),
    *((0x2E17, 0x2E17), (0x2E1A, 0x2E1A), (0x2E3A, 0x2E3B), (0x2E40, 0x2E40), (0x2E5D, 0x2E5D), (0x3000, 0x3000)),
    *((0x301C, 0x301C), (0x3030, 0x3030), (0x30A0, 0x30A0), (0x30FB, 0x30FB), (0xFE31, 0xFE32), (0xFE58, 0xFE58)),
    *((0xFE63, 0xFE63), (0xFF0B, 0xFF0B), (0xFF0D, 0xFF0D), (0xFF0F, 0xFF0F), (0xFF3C, 0xFF3C), (0xFF3F, 0xFF3F)),
    *((0xFF5C, 0xFF5C), (0xFF5E, 0xFF5E), (0xFF65, 0xFF65), (0x10D6E, 0x10D6E), (0x10EAD, 0x10EAD)),
)
JOINT_MAX = 4
# A single one of them joins groups too: full and small forms, full stops of other scripts, Arabic decimal separators.
POINTS = (0x2E, 0x66B, 0x2024, 0x3002, 0xFE52, 0xFF0E, 0xFF61)
COMMAS = (0x2C, 0x66C, 0xFE50, 0xFF0C)

# What shows nothing, as (from, to): Default_Ignorable_Code_Point of Unicode 16.0 where it is assigned, and the frame of
# a keycap (U+20E3).
UNSEEN: tuple[tuple[int, int], ...] = (
    *((0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F)),
    *((0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x20E3, 0x20E3), (0x3164, 0x3164), (0xFE00, 0xFE0F)),
    *(
        (0xFEFF, 0xFEFF),
        (0xFFA0, 0xFFA0),
        (0x1BCA0, 0x1BCA3),
        (0x1D173, 0x1D17A),
        (0xE0001, 0xE007F),
        (0xE0100, 0xE01EF),
    ),
)

SHOWN = 4  # digits at a number's end that are not hidden
# So many stars and nothing else but joints at a group: the group is what is left of a masked number.
MASK_STARS = DIGITS_MIN - SHOWN
# The largest size of groups that are all of one size, but for the last.
ONE_SIZE_MAX = 6
# Six digits at most behind a word that touches a number: the expiry and what else is glued on.
BEHIND_WORD_MAX = 6
WHOLE_DIGITS_MAX = 4  # digits before the point of a fraction
PHONE_LENGTHS = (13, 14)


Kind = Literal["digit", "separator", "point", "comma", "unseen"]


def classes() -> list[tuple[int, int, Kind]]:
    """Return all characters above as (from, to, kind), in order; a class of digits begins with its zero."""
    kinds: list[tuple[int, int, Kind]] = [(zero, zero + 9, "digit") for zero in DIGIT_ZEROS]
    kinds += [(first, last, "separator") for first, last in SEPARATORS]
    kinds += [(first, last, "unseen") for first, last in UNSEEN]
    kinds += [(point, point, "point") for point in POINTS]
    kinds += [(comma, comma, "comma") for comma in COMMAS]
    return sorted(kinds)
