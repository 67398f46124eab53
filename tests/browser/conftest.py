"""A headless Chromium of this machine, driven by Selenium, which is told where everything is and downloads nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from selenium.webdriver import Chrome, ChromeOptions, ChromeService

MISSING = "Chromium or its driver is missing: apt-get install chromium chromium-driver"


@pytest.fixture
def browser() -> Iterator[Chrome]:
    """A fresh browser with one window."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    assert program, MISSING
    assert driver, MISSING
    options = ChromeOptions()
    options.binary_location = program
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    # What the page says on its console, refused content included.
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with Chrome(options, ChromeService(driver)) as started:
        yield started
