"""Every page that people get, read by axe-core in headless Chromium, in both colour modes."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlencode

from selenium.webdriver import Chrome

from tests.support.accessibility import faults
from tests.support.approvals import ApprovalWorld, list_token, pending, post, token, visit
from tests.support.payments import body

RISKY = body(amount=9999.99, customer_name="Jane Doe", customer_email="jane@example.com")
HIT = {"rule_id": 1001, "weight": 3500, "field": "customer_email", "text": "jane@mailinator.com"}


def asked() -> ApprovalWorld:
    world = pending(risky=RISKY)
    world.change(
        risk_reasons=[
            {"rule_id": 0, "reason": "amount", "parts": 979_999_800},
            {"rule_id": 1001, "reason": "Disposable mailbox", "parts": 7_000_070},
        ],
        shown={"name": "Jane Doe", "email": "jane@mailinator.com", "address": "1 Main St", "hits": [HIT]},
    )
    return world


def opened(world: ApprovalWorld) -> str:
    return str(visit(world, query=urlencode({"t": token(world)}))["body"])


def listed(world: ApprovalWorld, of: ApprovalWorld | None = None) -> str:
    """The list's page of a world; `of` another one, whose link is good although nothing waits in the first."""
    sent = list_token(of or world)
    if of:
        world.decide("reject")
    return str(visit(world, query=urlencode({"t": sent}))["body"])


def decided() -> str:
    world = asked()
    world.decide("reject")
    return opened(world)


PAGES = {
    "the question": lambda: opened(asked()),
    "the question again, as the reason was missing": lambda: post(asked(), comment=" ")["body"],
    "the decision": lambda: post(asked())["body"],
    "the outcome": decided,
    "the list": lambda: listed(asked()),
    "an empty list": lambda: listed(pending(), asked()),
    "a refusal": lambda: visit(asked(), query="t=forged")["body"],
}


def show(browser: Chrome, folder: Path, page: str) -> None:
    (folder / "page.html").write_text(page)
    browser.get((folder / "page.html").as_uri())


def test_axe_finds_nothing_on_any_page_of_an_approver(browser: Chrome, tmp_path: Path):
    found = {}
    for name, make in PAGES.items():
        show(browser, tmp_path, make())
        found[name] = faults(browser, ("violations", "incomplete"))
    assert found == {name: [] for name in PAGES}


def test_axe_finds_what_is_wrong_in_one_mode_alone(browser: Chrome, tmp_path: Path):
    page = opened(asked())
    assert "--soft: #a5afbd" in page
    show(browser, tmp_path, page.replace("--soft: #a5afbd", "--soft: #5b6472"))
    found = faults(browser)
    assert found
    assert all(each.startswith("dark: color-contrast: ") for each in found)
