"""The cold-start lab's page on a telephone and for who cannot see its charts."""

from __future__ import annotations

from pathlib import Path

import pytest
from selenium.webdriver import Chrome

from benchmarks.coldstart.advice import advise
from benchmarks.coldstart.recommend import choices
from benchmarks.coldstart.report import page
from tests.support.accessibility import faults
from tests.support.lab import record_of
from tests.support.pages import COVERED, OUTSIDE


@pytest.fixture
def opened(browser: Chrome, tmp_path: Path) -> Chrome:
    record = record_of()
    found = {
        engine: choices(record["rows"], record["prices"], engine=engine, support="lean", cold_share=0.05)
        for engine in ("pure", "compiled")
    }
    written = tmp_path / "coldstart.html"
    written.write_text(page(record, found, advise(record, 0.5, 0.05)))
    browser.get(written.as_uri())
    return browser


@pytest.mark.parametrize("width", [375, 800, 1280])
def test_nothing_is_cut_off_at_any_width(opened: Chrome, width: int) -> None:
    opened.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    )
    assert opened.execute_script("return innerWidth") == width
    assert opened.execute_script("return document.documentElement.scrollWidth") == width
    assert opened.execute_script(OUTSIDE) == []


def test_letters_of_charts_are_legible_on_a_telephone(opened: Chrome) -> None:
    opened.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 375, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    )
    heights = opened.execute_script(
        "return [...document.querySelectorAll('svg text:not([transform])')]"
        ".map(each => each.getBoundingClientRect().height)"
    )
    assert len(heights) > 50
    assert min(heights) > 10


def test_no_letters_of_a_chart_lie_on_others(opened: Chrome) -> None:
    assert opened.execute_script(COVERED) == []


def test_the_answer_stands_first_and_every_chart_tells_its_figures_without_being_seen(opened: Chrome) -> None:
    roles = opened.execute_script(
        "return [...document.querySelectorAll('svg')].map(each => [each.getAttribute('role'), each.ariaLabel,"
        " each.querySelector('title').textContent])"
    )
    assert [name for _, _, name in roles] == [
        "First and warm invocation by memory size",
        "Payments a second",
        "Cost against latency",
        "The stress scenario against 10 seconds",
        "Where init goes",
        "Where the CPU time of a warm payment goes",
    ]
    for role, label, name in roles:
        assert role == "img"
        assert label.startswith(name)
        assert any(letter.isdigit() for letter in label)
    first = opened.execute_script("return document.querySelector('h1').nextElementSibling.textContent")
    assert first.startswith("Take the lean support, the compiled engine and 128 MB")
    heads = opened.execute_script(
        "return [...document.querySelectorAll('table')].map(each => each.caption.textContent)"
    )
    assert heads == ["What each choice saves", "What was promised", "Medians of what was measured; times in ms"]


def test_axe_finds_nothing(opened: Chrome) -> None:
    assert faults(opened) == []
