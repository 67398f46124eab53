"""axe-core in a browser: what is wrong with the page that is open, for people who read it with other means.

The package that carries axe-core is taken for its one file, without what it depends on.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Final

from selenium.webdriver import Chrome

from local.installation import environment

MODES: Final = ("light", "dark")
_RUN: Final = """
const done = arguments[arguments.length - 1];
axe.run(document, { resultTypes: [...arguments[0]] }).then(
  found => done(arguments[0].flatMap(kind => found[kind]).flatMap(
    rule => rule.nodes.map(node => `${rule.id}: ${node.html}: ${node.failureSummary}`))),
  error => done([String(error)]));
"""


@cache
def _source() -> str:
    [file] = (environment("axe").parent / "lib").glob("python*/site-packages/axe_playwright_python/axe.min.js")
    return file.read_text()


def faults(browser: Chrome, kinds: Sequence[str] = ("violations",)) -> list[str]:
    """What axe-core finds, with all its rules and in both colour modes.

    `kinds` with `incomplete`: also what it cannot decide, as the contrast of a letter in a chart.
    """
    found = []
    for mode in MODES:
        features = [{"name": "prefers-color-scheme", "value": mode}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        browser.execute_script(_source())
        found += [f"{mode}: {each}" for each in browser.execute_async_script(_RUN, list(kinds))]
    return found
