"""The console of `make up` in headless Chromium: a newcomer sees payments move, orders a fault and decides."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from local import up
from local.console import TOKEN_HEADER, ConsolePage
from local.view import View
from tests.support.accessibility import faults
from tests.support.console import World
from tests.support.gateway import ask, process
from tests.support.processes import wait_for
from tests.support.site import Site, site

MARKED = "<img src=x onerror=alert(1)>"
# What another page can try, even one that had found the token.
ATTACK = """
const [url, token, done] = arguments, body = '{"switch": "stop"}';
const tell = promise => promise.then(answer => answer.type, () => "refused");
Promise.all([
  tell(fetch(url + "faults", { method: "POST", mode: "no-cors", body })),
  tell(fetch(url + "faults", { method: "POST", headers: { "X-Console-Token": token }, body })),
  tell(fetch(url + "state")),
]).then(done);
"""


class Seen:
    """The page in a browser, beside the loop of `make up` that feeds it."""

    def __init__(self, here: Site, page: ConsolePage, browser: Chrome) -> None:
        self.here = here
        self._page = page
        self._browser = browser
        self._view = View(Console(file=io.StringIO()), here.system.status)

    def text(self, name: str) -> str:
        return self._browser.find_element(By.ID, name).text

    def until(self, condition: Callable[[], Any]) -> Any:
        def found() -> Any:
            up._look(self.here.system, self.here.approvals, self._view, self._page)
            return condition()

        return self.here.until(found)

    def press(self, switch: str) -> None:
        self._browser.find_element(By.CSS_SELECTOR, f"button[data-switch={switch}]").click()

    def said(self, words: str) -> None:
        self.until(lambda: words in self.text("said"))


@pytest.fixture
def gateway_url(tmp_path: Path) -> Iterator[str]:
    with process(tmp_path / "gateway.sqlite") as (_, url):
        yield url


@pytest.fixture
def seen(gateway_url: str, browser: Chrome) -> Iterator[Seen]:
    with site(gateway_url=gateway_url) as here, closing(ConsolePage(here.system, here.approvals)) as page:
        browser.get(page.url)
        yield Seen(here, page, browser)


def test_a_newcomer_sees_payments_move_orders_a_fault_kills_an_environment_and_decides(
    seen: Seen, browser: Chrome, gateway_url: str
) -> None:
    seen.press("kill")
    seen.said("no environment of the payment function is alive")
    browser.find_element(By.NAME, "payment_id").send_keys("lost-answer")
    browser.find_element(By.CSS_SELECTOR, "form button:not([type])").click()
    seen.said("charge.timeout_after is ordered for lost-answer, 1 times.")

    seen.press("stop")
    seen.said("No message is taken")
    seen.until(lambda: "they wait" in seen.text("mapping"))
    seen.here.send("lost-answer", amount="49.99")
    seen.until(lambda: seen.text("queue").startswith("visible, waiting\n1\n"))
    seen.press("start")
    seen.until(lambda: "lost-answer completed 49.99 USD cust-1" in seen.text("payments"))
    assert len(ask(gateway_url, "GET", "/_log")[1]["captures"]) == 1

    seen.until(lambda: "idle" in seen.text("environments"))
    seen.press("kill")
    seen.said("Killed process")

    seen.here.send("risky")
    seen.until(lambda: "Decide risky as alice" in seen.text("approvals"))
    assert "risky pending approval 9999.99 USD" in seen.text("payments")
    seen.here.system.note(MARKED)
    seen.until(lambda: seen.text("problems") == MARKED)
    # On a telephone a table is moved aside, and of what is out of sight axe-core cannot see the contrast.
    for width, kinds in ((375, ["violations"]), (1280, ["violations", "incomplete"])):
        metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": True}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        assert browser.execute_script("return document.documentElement.scrollWidth") == width
        assert faults(browser, kinds) == []

    console = browser.current_window_handle
    browser.find_element(By.LINK_TEXT, "Decide risky as alice").click()
    browser.switch_to.window(next(each for each in browser.window_handles if each != console))
    seen.here.until(lambda: browser.find_elements(By.ID, "comment"))
    browser.find_element(By.ID, "comment").send_keys("called the customer")
    browser.find_element(By.CSS_SELECTOR, "button[value=approve]").click()
    browser.switch_to.window(console)
    seen.until(lambda: "risky completed 9999.99 USD" in seen.text("payments"))
    seen.until(lambda: seen.text("approvals") == "")
    assert [each for each in browser.get_log("browser") if "Content Security Policy" in each["message"]] == []


def test_another_page_can_neither_switch_nor_read_what_the_consoles_own_can(browser: Chrome, tmp_path: Path) -> None:
    world = World(tmp_path)
    with closing(world.console):
        (tmp_path / "other.html").write_text("<!doctype html><title>another page</title>")
        browser.get((tmp_path / "other.html").as_uri())
        sent = browser.execute_async_script(ATTACK, world.console.url, world.own[TOKEN_HEADER])
        assert sent == ["refused", "refused", "refused"]
        assert world.switched == []
        # What is beside a payment is told apart from it.
        world.tell("paid#refund#r-1", "refunded", 2)
        world.tell("paid#conflict#" + "0" * 64, "conflict", 1)
        browser.get(world.console.url)
        shown = (By.CSS_SELECTOR, "#payments td:first-child")
        wait_for(
            lambda: [each.text for each in browser.find_elements(*shown)] == ["paid, refund r-1", "paid, conflict"]
        )
        # What the script could do if it were the page's own.
        assert browser.execute_async_script(ATTACK, world.console.url, world.own[TOKEN_HEADER])[1] == "basic"
        assert world.switched == [False]
