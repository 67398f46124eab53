"""The pages of docs/ that are made from the code: none has drifted, and each says all that there is."""

from __future__ import annotations

import pytest

from handler.domain.item import Item
from tests.build_scripts import ROOT, load

pages = load("pages")


@pytest.mark.parametrize("name", pages.PAGES)
def test_a_page_says_what_the_code_says(name):
    assert (ROOT / "docs" / name).read_text() == pages.PAGES[name](), "run `make pages`"


def test_every_page_that_is_made_is_in_the_generator():
    marked = {path.name for path in (ROOT / "docs").glob("*.md") if pages.MADE in path.read_text()}
    assert marked == set(pages.PAGES)


@pytest.mark.parametrize("name", pages.PAGES)
def test_every_page_is_linked_from_the_readme(name):
    assert f"(docs/{name})" in (ROOT / "README.md").read_text()


def test_every_attribute_of_the_item_has_a_meaning_and_a_write():
    meanings, kinds = pages.item_attributes()
    assert list(meanings) == list(kinds) == list(Item._fields)
    assert [name for name in Item._fields if not pages.written_by(name)] == []


def test_an_attribute_without_a_meaning_is_found(tmp_path, monkeypatch):
    source = (ROOT / "handler" / "domain" / "item.py").read_text()
    path = tmp_path / "handler" / "domain" / "item.py"
    path.parent.mkdir(parents=True)
    path.write_text(source.replace('    comment: str = ""\n', '    parked_at: int = 0\n    comment: str = ""\n', 1))
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    with pytest.raises(ValueError, match="parked_at"):
        pages.item_attributes()
