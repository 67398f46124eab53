"""What the documents point at is there: files, folders, tests and headings, so that a move takes its mentions along."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

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
