"""The built site: every link and image leads somewhere, and nothing is fetched from elsewhere (`make test-site`)."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

SITE = Path(__file__).parents[2] / ".build" / "site" / "html"


class Page(HTMLParser):
    """One page's ids, its links, and what a browser loads with it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if name := given.get("id"):
            self.ids.add(name)
        if tag == "a" and (href := given.get("href")):
            self.links.append(href)
        if loaded := given.get("src") or (given.get("href") if tag == "link" else None):
            self.loaded.append(loaded)


@pytest.fixture(scope="module")
def pages() -> dict[Path, Page]:
    return {path: Page(path) for path in SITE.rglob("*.html") if path.name != "404.html"}


def test_every_page_of_the_menu_is_there(pages: dict[Path, Page]) -> None:
    assert len(pages) > 30
    assert SITE / "index.html" in pages


def test_every_link_leads_to_a_file_and_a_place_in_it(pages: dict[Path, Page]) -> None:
    lost = []
    for path, page in pages.items():
        for link in page.links + page.loaded:
            target = urlsplit(link)
            if target.scheme or target.netloc:
                continue
            file = (path.parent / unquote(target.path)).resolve() if target.path else path
            file = file / "index.html" if file.is_dir() else file
            if not file.is_file() or (target.fragment and file in pages and target.fragment not in pages[file].ids):
                lost.append(f"{path.relative_to(SITE)}: {link}")
    assert lost == []


def test_a_reader_without_a_network_misses_nothing(pages: dict[Path, Page]) -> None:
    foreign = [
        f"{path.relative_to(SITE)}: {loaded}"
        for path, page in pages.items()
        for loaded in page.loaded
        if urlsplit(loaded).netloc
    ]
    foreign += [
        f"{sheet.relative_to(SITE)}: {url}"
        for sheet in SITE.rglob("*.css")
        for url in re.findall(r"url\(\s*['\"]?((?:https?:)?//[^)'\"]+)", sheet.read_text())
    ]
    assert foreign == []
