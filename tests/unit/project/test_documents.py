"""What the documents point at is there: files, folders, tests and headings, so that a move takes its mentions along."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.documents import Step, looks_like, make_commands, steps

ROOT = Path(__file__).parents[3]
# The changelog names things as they were.
DOCUMENTS = sorted(
    path
    for folder in (".", "docs", "benchmarks")
    for path in (ROOT / folder).glob("*.md")
    if path.name != "CHANGELOG.md"
)

_PATH = re.compile(r"`((?:benchmarks|build|docs|events|handler|local|scoring|terraform|tests)/[\w./-]*)(?:::(\w+))?`")
_LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([\w-]+))?\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def faults(text: str, folder: Path) -> list[str]:
    """What a document in `folder` names that is not there."""
    found = []
    for path, function in _PATH.findall(text):
        target = ROOT / path
        if not target.exists():
            found.append(path)
        elif function and f"def {function}(" not in target.read_text():
            found.append(f"{path}::{function}")
    for link, anchor in _LINK.findall(text):
        target = folder / link
        if link and not target.exists():
            found.append(link)
        elif anchor and anchor not in anchors(target.read_text() if link else text):
            found.append(f"{link}#{anchor}")
    return found


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as readers of Markdown make them."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in _HEADING.findall(text)}


# Options and tools of GNU's that macOS has not, or takes otherwise.
_GNU = re.compile(
    r"\bdate (-\w+ )*-d|\bsed -i |\bgrep -\w*P|\breadlink -f|\bxargs -r|\bsha256sum|\bbase64 -w|\bstat -c"
    r"|\bmapfile|\bnproc"
)


@pytest.mark.parametrize("path", [*DOCUMENTS, ROOT / "terraform" / "outputs.tf"], ids=lambda path: path.name)
def test_no_printed_command_needs_gnus_tools(path):
    assert _GNU.findall(path.read_text()) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_document_names_is_there(document):
    assert faults(document.read_text(), document.parent) == []


@pytest.mark.parametrize(
    "text",
    [
        "`handler/gone.py`",
        "`tests/unit/project/test_documents.py::test_gone`",
        "[a page](gone.md)",
        "[a part](protocol.md#gone)",
        "[a part of this page](#gone)",
    ],
)
def test_what_is_not_there_is_found(text):
    assert len(faults(text, ROOT / "docs")) == 1


def unknown_to_make(text: str) -> list[str]:
    """Targets and variables that a document gives to make and the Makefile does not have."""
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"[a-z0-9-]+", " ".join(re.findall(r"^([a-z][a-z0-9 -]*):", makefile, re.MULTILINE))))
    variables = set(re.findall(r"\$\(([A-Z_]+)\)", makefile))
    asked = make_commands(text)
    return [
        *(each for named, _ in asked for each in named if each not in targets),
        *(each for _, given in asked for each in given if each not in variables),
    ]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_of_make_in_a_document_is_one(document):
    assert unknown_to_make(document.read_text()) == []


def test_what_is_no_command_of_make_is_found():
    text = "`make -s terraform ENVIRONMENT=prod ARGS='a B=c' | jq`, `make stop | pause`"
    text += "\n```bash\nA=1 make applied WHERE=dev\n```"
    assert unknown_to_make(text) == ["pause", "applied", "WHERE"]


def test_a_pages_commands_are_read_as_they_are_typed():
    page = "1.\n\n   ```bash\n   make up   # -> ready\n\n   a \\\n     b #->\n   ```\n\n```text\nmade up\n```\n"
    assert steps(page) == [Step("make up", "ready"), Step("a      b #->", "")]


def test_a_sample_of_a_page_may_leave_lines_and_widths_open_and_nothing_else():
    printed = "ID     STATUS\na 1    completed\nat 12:00\nend\n"
    assert looks_like("ID STATUS\na ... completed\n...\nend", printed)
    assert not looks_like("a 2 completed", printed)
