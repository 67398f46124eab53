"""The site of docs/ has every page once, with what it links to beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.build_scripts import load

documentation = load("documentation")

PAGES = {
    "README.md": "[how](docs/how.md#start), [elsewhere](https://example.com)",
    "docs/how.md": "[data](../data.json) and [itself](#start)",
    "data.json": "{}",
    "docs/zensical.toml": 'project.nav = [{ "One" = "README.md" }, { "Part" = [{ "Two" = "docs/how.md" }] }]',
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in PAGES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_pages_and_what_they_link_to_keep_their_places(root):
    documentation.stage(root, root / "out")
    found = {path.relative_to(root / "out").as_posix() for path in (root / "out").rglob("*") if path.is_file()}
    assert found == {"zensical.toml", "source/README.md", "source/docs/how.md", "source/data.json"}


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("docs/new.md", "", "no place for docs/new.md"),
        ("docs/how.md", "[gone](gone.md)", "docs/gone.md is named or linked to, and is no file"),
        ("docs/how.md", "[up](../../x.md)", "docs/how.md links to ../../x.md, outside of the checkout"),
        (
            "docs/zensical.toml",
            PAGES["docs/zensical.toml"].replace("README.md", "docs/how.md"),
            "names docs/how.md twice",
        ),
    ],
    ids=["a page that no menu names", "a link to nothing", "a link out of the checkout", "a page twice"],
)
def test_what_would_be_missing_on_the_site_is_refused(root, name, text, told):
    (root / name).write_text(text)
    with pytest.raises(documentation.SiteError, match=told):
        documentation.stage(root, root / "out")
