"""Every page of the built site, read by axe-core in headless Chromium, in both colour modes (`make test-site`)."""

from __future__ import annotations

from selenium.webdriver import Chrome

from tests.artefacts.check_site import SITE
from tests.support.accessibility import faults


def test_axe_finds_nothing_on_any_page_of_the_site(browser: Chrome) -> None:
    # The page for what is not there is the builder's own.
    pages = [path for path in sorted(SITE.rglob("*.html")) if path.name != "404.html"]
    assert len(pages) > 30
    found = {}
    for path in pages:
        browser.get(path.as_uri())
        found[path.relative_to(SITE).as_posix()] = faults(browser)
    assert {page: said for page, said in found.items() if said} == {}
