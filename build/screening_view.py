#!/usr/bin/env python3
"""Write what both engines know of Unicode: scoring/screening_view_table.py, and scoring/c/view_table.h made from it.

    python3.13 build/screening_view.py

docs/rules.md, "The screening view", says what a character becomes; `fold_of` says it in code. Both files are committed,
as what a text hits must not follow from an interpreter's Unicode version: only this script asks one, and takes
UNICODE_VERSION alone. A test holds the table equal to what this makes of every character that its interpreter knows.
"""

import itertools
import json
import sys
import textwrap
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

UNICODE_VERSION = "15.1.0"  # as unicodedata of Python 3.13 has it; read on 2026-11-28
TABLE_PATH = ROOT / "scoring" / "screening_view_table.py"
HEADER_PATH = ROOT / "scoring" / "c" / "view_table.h"
FOLD_BYTES_MAX = 3
BLOCK_BITS = 7  # code points of a block in the header, as bits

# Letters that look like ASCII's, from Unicode's confusables (UTS 39), as PyPI's confusable-homoglyphs 3.3.1 has them,
# read on 2026-11-28: those of Latin, Greek, Cyrillic and Armenian that look like one letter, or are two written as one.
# Without those that resemble from afar alone (a small gamma and y, Cyrillic be and 6), and with small capitals, which
# are there for nothing else. What is left of Cyrillic for texts in Cyrillic are the letters that ASCII does not have.
LOOK_ALIKES = {
    "a": "ΑАɑαаᴀ", "b": "ΒВƀƂƃɓʙᴃ", "c": "ϹСҪȼϲсҫᴄ", "d": "ÐĐƉđƌɖɗԁᴅ", "e": "ɆΕЕɇеҽҿᴇ", "f": "ƑϜƒքꜰ",
    "g": "ǤԌǥɠɡցɢ", "h": "ĦΗНҢӇӉⱧħɦһհʜ", "i": "ΙІıɨɩɪιіι", "j": "ɈͿЈɉϳјᴊ", "k": "ΚКҚҞⱩꝀƙᴋ", "l": "ŁӀłƚɫɭӏʟ",
    "m": "ΜϺМӍᴍ", "n": "ƝΝƞɲɳηոռɴ", "o": "ØƟΘΟОѲӨՕøɵοоѳөօᴏ", "p": "ΡРƥρϱрᴘ", "q": "ʠԛգզ", "r": "ɍɼɽʀ",
    "s": "ЅՏʂѕꜱ", "t": "ŦƮȾΤТҬŧƫƭᴛ", "u": "ɄՍʋυսᴜ", "v": "Ѵνѵᴠ", "w": "Ԝɯѡԝաᴡ", "x": "ΧХҲх",  # noqa: RUF001
    "y": "ɎΥϒУҮҰƴɏʏуүұ", "z": "ƵȤΖƶȥʐᴢ", "ae": "ÆӔæӕ", "oe": "Œœ",
}  # fmt: skip
# Punctuation with a counterpart in ASCII that its compatibility decomposition does not name. Any other is a space.
PUNCTUATION = {
    "-": "\u02d7\u2043\u2212",  # and whatever Unicode calls a dash
    "'": "\u2018\u2019\u201a\u201b\u2032\u2035\u02b9\u02bb\u02bc\u02bd\u00b4\u02c8\u055a\ua78c",
    '"': "\u201c\u201d\u201e\u201f\u2033\u2036\u00ab\u00bb\u301d\u301e\u301f\u02ba\u02dd",
    ".": "\u3002\uff61\u2024\ua4f8\u06d4",
    ",": "\u3001\uff64\u060c\ua4f9",
    "/": "\u2044\u2215",
    ":": "\u2236\ua789\u0589",
    "!": "\u01c3",
    "<": "\u2039",
    ">": "\u203a",
    "*": "\u2217\u204e",
}
# Accents as any script takes them. The marks of one script alone are its letters (vowels of Devanagari), and stay.
ACCENTS = ((0x300, 0x36F), (0x1AB0, 0x1AFF), (0x1DC0, 0x1DFF), (0x20D0, 0x20FF), (0xFE20, 0xFE2F))
# Shown as nothing, though no format characters to Unicode: fillers, variation selectors, tags.
INVISIBLE = (
    *((0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x3164, 0x3164), (0xFE00, 0xFE0F)),
    *((0xFFA0, 0xFFA0), (0xE0000, 0xE0FFF)),
)
# Format characters that are seen: signs that stand before or over numbers.
SEEN = (
    *((0x600, 0x605), (0x6DD, 0x6DD), (0x70F, 0x70F), (0x890, 0x891), (0x8E2, 0x8E2), (0x110BD, 0x110BD)),
    (0x110CD, 0x110CD),
)

_BY_HAND = {
    character: fold
    for table in (LOOK_ALIKES, PUNCTUATION)
    for fold, characters in table.items()
    for character in characters
}


def _within(code: int, ranges: Iterable[tuple[int, int]]) -> bool:
    return any(first <= code <= last for first, last in ranges)


def fold_of(code: int) -> str | None:
    """Return what a character becomes in the screening view, or None where it stays, as all of ASCII does."""
    if code < 0x80 or 0xD800 <= code <= 0xDFFF:
        return None
    character = chr(code)
    category = unicodedata.category(character)
    if _within(code, ACCENTS) or _within(code, INVISIBLE) or (category == "Cf" and not _within(code, SEEN)):
        return ""
    if category in ("Zs", "Zl", "Zp", "Cc"):
        return " "
    if category == "Nd":
        return str(unicodedata.digit(character))
    if category == "Pd":
        return "-"
    fold = _BY_HAND.get(character) or _decomposed(character)
    fits = len(fold.encode()) <= min(FOLD_BYTES_MAX, len(character.encode()))
    if category[0] == "P":
        return fold if fold.isascii() and fits else " "
    if category in ("Sm", "Sk", "So"):
        # A sign that stands for several letters is a sign: "gift card\u2122" ends where "card" does.
        return fold if len(fold) == 1 and fold.isascii() else " "
    return fold if fold != character and fits else None


def _decomposed(character: str) -> str:
    """The ASCII that a character is a form of, or else the character without its accents."""
    for form in ("NFKD", "NFD"):
        bare = "".join(c for c in unicodedata.normalize(form, character) if not _within(ord(c), ACCENTS))
        fold = "".join(_BY_HAND.get(c, c) for c in bare)
        if fold.isascii() and fold.isprintable() and fold.strip():
            return fold.lower()
    return bare if bare != unicodedata.normalize("NFD", character) else character


def folds() -> dict[int, str]:
    """Return the fold of each character that does not stay, by code point, as this interpreter's Unicode has it."""
    every = ((code, fold_of(code)) for code in range(0x110000))
    return {code: fold for code, fold in every if fold is not None}


def table(every: Mapping[int, str]) -> str:
    """Return the text of the Python module: lines of code points for each fold."""
    by_fold: dict[str, list[int]] = {}
    for code, fold in sorted(every.items()):
        by_fold.setdefault(fold, []).append(code)
    lines = [
        '"""What characters become in the screening view: made by build/screening_view.py, never by hand.',
        "",
        f"From Unicode {UNICODE_VERSION}; code points are hexadecimal, ranges with both ends.",
        '"""',
        "",
        "# (fold, code points); a fold may have several lines",
        "FOLDS = (",
    ]
    for fold, codes in sorted(by_fold.items()):
        quoted = "'\"'" if fold == '"' else json.dumps(fold)
        lines += [
            f'    ({quoted}, "{words}"),'
            for words in textwrap.wrap(" ".join(_ranges(codes)), 100, break_on_hyphens=False)
        ]
    return "\n".join([*lines, ")", ""])


def _ranges(codes: list[int]) -> Iterable[str]:
    for _, group in itertools.groupby(enumerate(codes), lambda pair: pair[1] - pair[0]):
        run = [code for _, code in group]
        yield f"{run[0]:x}" if len(run) == 1 else f"{run[0]:x}-{run[-1]:x}"


def header(every: Mapping[int, str]) -> str:
    """Return the text of the C header: blocks of code points, as numbers of folds, 0 where the character stays."""
    numbers = {fold: number for number, fold in enumerate(sorted(set(every.values())), 1)}
    if len(numbers) > 0xFF:
        raise ValueError(f"{len(numbers)} folds are more than a byte can number")
    size = 1 << BLOCK_BITS
    end = max(every) // size + 1
    blocks: dict[tuple[int, ...], int] = {(0,) * size: 0}
    places = []
    for block in range(end):
        content = tuple(numbers.get(every.get(code, "\0"), 0) for code in range(block * size, (block + 1) * size))
        places.append(blocks.setdefault(content, len(blocks)))
    if len(blocks) > 0x100:
        raise ValueError(f"{len(blocks)} blocks are more than a byte can number")
    packed = [[len(fold.encode()), *fold.encode().ljust(FOLD_BYTES_MAX, b"\0")] for fold in ["", *sorted(numbers)]]
    return "\n".join(
        [
            "/* Made with scoring/screening_view_table.py by build/screening_view.py, never by hand. */",
            "#ifndef SCORING_VIEW_TABLE_H\n#define SCORING_VIEW_TABLE_H\n",
            "#include <stdint.h>\n",
            f"enum {{ VIEW_BLOCK_BITS = {BLOCK_BITS}, VIEW_BLOCKS_END = {end}, FOLD_BYTES_MAX = {FOLD_BYTES_MAX} }};\n",
            "/* For each fold its length, then its bytes; the first stands for a character that stays. */",
            _array(f"static const uint8_t VIEW_FOLDS[{len(packed)} * (FOLD_BYTES_MAX + 1)]", itertools.chain(*packed)),
            _array("static const uint8_t VIEW_BLOCKS[VIEW_BLOCKS_END]", places),
            _array(f"static const uint8_t VIEW_NUMBERS[{len(blocks)} << VIEW_BLOCK_BITS]", itertools.chain(*blocks)),
            "#endif",
            "",
        ]
    )


def _array(declaration: str, numbers: Iterable[int]) -> str:
    lines = textwrap.wrap(", ".join(map(str, numbers)), 116, initial_indent="    ", subsequent_indent="    ")
    return "\n".join([f"{declaration} = {{", *lines, "};\n"])


def main() -> int:
    """Write both files; 1 where this interpreter has another Unicode version."""
    if unicodedata.unidata_version != UNICODE_VERSION:
        print(
            f"this Python has Unicode {unicodedata.unidata_version}, the table is made from {UNICODE_VERSION}: "
            "run it with another Python, or state the version in UNICODE_VERSION",
            file=sys.stderr,
        )
        return 1
    every = folds()
    TABLE_PATH.write_text(table(every), encoding="ascii")
    HEADER_PATH.write_text(header(every), encoding="ascii")
    print(f"{len(every)} characters fold to {len(set(every.values()))} texts")
    return 0


if __name__ == "__main__":
    sys.exit(main())
