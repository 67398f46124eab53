"""Write scoring/c/table_format.h, what C has to know of the rule table's format, from the description in Python.

    .venv/bin/python build/table_header.py

The description is scoring/table.py with the numbers of scoring/model.py. The header is committed, so that a build needs
no generator; a test holds it equal to what this makes.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from scoring import table as fmt
from scoring.model import FIELD_NUMBERS, MODE_NUMBERS

ROOT = Path(__file__).resolve().parent.parent
HEADER_PATH = ROOT / "scoring" / "c" / "table_format.h"
# The names in scoring/table.py of what C needs; WORDS are those that an int does not hold.
NUMBERS = (
    "FORMAT_VERSION",
    "HEADER_SIZE",
    "ALIGNMENT",
    "PASSES_MAX",
    "BRANCH_SIZE",
    "CHAIN_SIZE",
    "CLASSES_MAX",
    "OUTPUT_NODES_MAX",
    "CHILD_BITS",
    "CHILDREN_IN_RECORD",
    "GRAM_SIZE_MIN",
    "GRAM_SIZE_MAX",
    "GRAM_WORD_SHIFT",
    "GRAM_TAG_SHIFT",
    "CHAIN_LENGTH_MAX",
)
WORDS = (
    "OUTPUT_BIT",
    "ASK_THE_AUTOMATON",
    "MORE",
    "GRAM_HASH",
    "GRAM_HIGH_HASH",
    "VALUE_HASH_START",
    "VALUE_HASH_PRIME",
)
C_TYPES = {"B": "uint8_t", "H": "uint16_t", "I": "uint32_t"}


def header() -> str:
    """Return the header's text."""
    first, second = fmt.GRAM_BIT_SHIFTS
    sections_at = fmt.HEADER.size
    places = {
        "COUNTS_AT": fmt.HEADER_START.size,
        "SECTIONS_AT": sections_at,
        "PASSES_AT": sections_at + fmt.SECTION_TABLE.size,
        "GRAM_STRIDE_MAX": max(fmt.GRAM_STRIDES),
        "GRAM_FIRST_BIT_SHIFT": first,
        "GRAM_SECOND_BIT_SHIFT": second,
    }
    parts = [
        "/* The rule table's format: made from scoring/table.py and scoring/model.py by build/table_header.py, never by"
        " hand. */",
        "#ifndef SCORING_TABLE_FORMAT_H\n#define SCORING_TABLE_FORMAT_H\n",
        "#include <stdint.h>\n",
        f'#define MAGIC "{fmt.MAGIC.decode("ascii")}"',
        *(f"#define {name} {getattr(fmt, name):#x}u" for name in WORDS),
        "",
        _enumeration({name: getattr(fmt, name) for name in NUMBERS} | places),
        "/* By the numbers that rule tables hold. */",
        _enumeration(_named("FIELD", FIELD_NUMBERS.items())),
        _enumeration(_named("MODE", MODE_NUMBERS.items())),
        "/* By their places in the header. */",
        _enumeration(_numbered("COUNT", fmt.COUNTS)),
        _enumeration(_numbered("SECTION", fmt.SECTIONS)),
        *(_record(name, members) for name, members in fmt.RECORDS.items()),
        _section_sizes(),
        "#endif",
    ]
    return "\n".join(parts) + "\n"


def _named(prefix: str, numbers: Iterable[tuple[str, int]]) -> dict[str, int]:
    return {f"{prefix}_{name.upper()}": number for name, number in numbers}


def _numbered(prefix: str, names: Iterable[str]) -> dict[str, int]:
    """The names' places, and under the plural how many they are."""
    numbers = _named(prefix, ((name, number) for number, name in enumerate(names)))
    return numbers | {f"{prefix}S": len(numbers)}


def _enumeration(numbers: Mapping[str, int]) -> str:
    return "enum {\n" + "".join(f"    {name} = {number},\n" for name, number in numbers.items()) + "};\n"


def _record(name: str, members: Iterable[tuple[str, str]]) -> str:
    size = getattr(fmt, name.upper()).size
    lines = [f"    {C_TYPES[code]} {member};" for member, code in members]
    check = f'_Static_assert(sizeof(struct screen_{name}) == {size}, "read in place");'
    return "\n".join([f"struct screen_{name} {{", *lines, "};", check, ""])


def _section_sizes() -> str:
    """The function over SECTION_SIZES; its sums fit 64 bits for counts that have passed their limits."""

    def term(size: int, count: str) -> str:
        if not count:
            return str(size)
        return f"{size} * " + ("cells" if count == "dense_cells" else f"(uint64_t)counts[COUNT_{count.upper()}]")

    lines = [
        "/* The bytes that each section must have by the header's counts, the last one excepted. */",
        "static inline void section_sizes(const uint32_t *counts, uint64_t *sizes)",
        "{",
        "    const uint64_t cells = counts[COUNT_DENSE_ROWS] * ((uint64_t)counts[COUNT_CLASSES] + 1);",
    ]
    for name, terms in list(fmt.SECTION_SIZES.items())[:-1]:
        lines.append(f"    sizes[SECTION_{name.upper()}] = {' + '.join(term(*each) for each in terms)};")
    return "\n".join([*lines, "}", ""])


if __name__ == "__main__":
    HEADER_PATH.write_text(header(), encoding="ascii")
