"""What the documents tell a reader to type: for the tests of their words and of their commands."""

from __future__ import annotations

import re

_CODE = re.compile(r"^ *```\w*\n(.*?)^ *```|``([^\n]+?)``|`([^`\n]+)`", re.DOTALL | re.MULTILINE)
_MAKE = re.compile(
    r"(?:^|[\s;&(])make(?: -s)?((?: +\|? *[a-z][a-z0-9-]*)+)((?: +[A-Z_]+=(?:'[^']*'|\"[^\"]*\"|\S*))*)", re.MULTILINE
)


def make_commands(text: str) -> list[tuple[list[str], list[str]]]:
    """Targets and variables of each `make ...` in the code of a Markdown text."""
    asked = _MAKE.findall("\n".join("".join(code) for code in _CODE.findall(text)))
    return [(re.findall(r"[a-z][a-z0-9-]*", named), re.findall(r" ([A-Z_]+)=", given)) for named, given in asked]
