"""The avalanche's page on a telephone, in the dark, and for who cannot see its charts."""

from __future__ import annotations

from pathlib import Path

import pytest
from selenium.webdriver import Chrome

from benchmarks.avalanche.report import page
from tests.support.accessibility import faults
from tests.support.outcomes import document, outcome
from tests.support.pages import OUTSIDE

# Every text's contrast to the page behind it (WCAG 2, "contrast ratio"); charts have no background of their own.
CONTRAST = """
const rgb = colour => colour.match(/[\\d.]+/g).slice(0, 3).map(each => each / 255);
const light = colour => rgb(colour).map(each => each <= 0.03928 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4)
  .reduce((sum, each, place) => sum + each * [0.2126, 0.7152, 0.0722][place], 0);
const paper = light(getComputedStyle(document.body).backgroundColor);
return Math.min(...[...document.querySelectorAll('main *')].filter(each => each.textContent).map(each => {
  const style = getComputedStyle(each), ink = light(each.tagName === 'text' ? style.fill : style.color);
  return style.opacity < 1 ? 0 : (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
}));
"""


@pytest.fixture
def opened(browser: Chrome, tmp_path: Path) -> Chrome:
    more = [outcome(f"policy {number}", f"0.{1000 + 7 * number}", 4.0 + number / 50) for number in range(12)]
    written = tmp_path / "avalanche.html"
    written.write_text(page(document(*more, outcome("ten groups", "0.0900", 450.0, oldest_message_seconds=470.0))))
    browser.get(written.as_uri())
    return browser


def look(browser: Chrome, width: int, scheme: str = "light") -> None:
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


@pytest.mark.parametrize("width", [375, 800, 1280])
def test_nothing_is_cut_off_at_any_width(opened: Chrome, width: int) -> None:
    look(opened, width)
    assert opened.execute_script("return document.documentElement.scrollWidth") == width
    assert opened.execute_script(OUTSIDE) == []


@pytest.mark.parametrize("width", [375, 900])
def test_a_tables_heading_is_as_wide_as_the_page_where_rows_are_lists(opened: Chrome, width: int) -> None:
    look(opened, width)
    wide = opened.execute_script(
        "return [document.querySelector('.rows caption'), document.querySelector('main')]"
        ".map(each => each.getBoundingClientRect().width)"
    )
    assert wide[0] >= wide[1] - 40


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_letters_stand_out_from_the_page_by_day_and_by_night(opened: Chrome, scheme: str) -> None:
    look(opened, 375, scheme)
    assert opened.execute_script(CONTRAST) >= 4.5


def test_letters_of_charts_are_legible_on_a_telephone(opened: Chrome) -> None:
    look(opened, 375)
    heights = opened.execute_script(
        "return [...document.querySelectorAll('svg text:not([transform])')]"
        ".map(each => each.getBoundingClientRect().height)"
    )
    assert len(heights) > 100
    assert min(heights) > 10


def test_the_answer_is_on_a_telephones_first_screen_and_charts_are_told(opened: Chrome) -> None:
    look(opened, 375)
    end = opened.execute_script("return document.querySelector('.answer').getBoundingClientRect().bottom")
    assert end < 600
    roles = opened.execute_script(
        "return [...document.querySelectorAll('svg')].map(each => [each.getAttribute('role'), each.ariaLabel,"
        " each.querySelector('title').textContent])"
    )
    assert [name for _, _, name in roles][:6] == [
        "Cost against latency",
        "Duration",
        "Cold starts",
        "Concurrent executions",
        "Age of the oldest message",
        "as asked",
    ]
    assert len(roles) == 5 + 17
    assert all(role == "img" and label.startswith(name) and any(map(str.isdigit, label)) for role, label, name in roles)


def test_axe_finds_nothing(opened: Chrome) -> None:
    assert faults(opened) == []
