"""What the documents tell a reader to type: for the tests of their words and of their commands."""

from __future__ import annotations

import re
from typing import NamedTuple

_CODE = re.compile(r"^ *```\w*\n(.*?)^ *```|``([^\n]+?)``|`([^`\n]+)`", re.DOTALL | re.MULTILINE)
_MAKE = re.compile(
    r"(?:^|[\s;&(])make(?: -s)?((?: +\|? *[a-z][a-z0-9-]*)+)((?: +[A-Z_]+=(?:'[^']*'|\"[^\"]*\"|\S*))*)", re.MULTILINE
)


def make_commands(text: str) -> list[tuple[list[str], list[str]]]:
    """Targets and variables of each `make ...` in the code of a Markdown text."""
    asked = _MAKE.findall("\n".join("".join(code) for code in _CODE.findall(text)))
    return [(re.findall(r"[a-z][a-z0-9-]*", named), re.findall(r" ([A-Z_]+)=", given)) for named, given in asked]


class Step(NamedTuple):
    """One command of a page, and what stands in what it should print."""

    command: str
    expected: str


def steps(text: str, language: str = "bash") -> list[Step]:
    """The commands of a page's blocks of a language, in order: a line each, what it should print behind `# ->`."""
    blocks = re.findall(rf"^ *```{language}\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    lines = "".join(blocks).replace("\\\n", "").splitlines()
    found = [re.fullmatch(r" *(.*?)(?: +# -> (.*))?", line) for line in lines if line.strip()]
    return [Step(each[1], each[2] or "") for each in found if each]


def looks_like(sample: str, printed: str) -> bool:
    """Whether a text has what a page shows of it: `...` stands for anything, and columns may be wider."""
    parts = (re.escape(re.sub(" +", " ", part)) for part in sample.strip().split("..."))
    return re.search("(?s:.*?)".join(parts), re.sub(" +", " ", printed)) is not None
