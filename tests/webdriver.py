"""A headless Chromium over the W3C WebDriver protocol, as far as the tests of the approval page need it."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MISSING = "Chromium or its driver is missing: apt-get install chromium chromium-driver"
# WebDriver, "Elements": the key that marks an element's reference.
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


class Browser:
    """One window; `find` takes CSS selectors."""

    def __init__(self, session_url: str) -> None:
        self._session_url = session_url

    def open(self, url: str) -> None:
        self._send("POST", "/url", {"url": url})

    def find(self, selector: str) -> str:
        return str(self._send("POST", "/element", {"using": "css selector", "value": selector})[ELEMENT])

    def text(self, selector: str = "body") -> str:
        return str(self._send("GET", f"/element/{self.find(selector)}/text"))

    def type(self, selector: str, text: str) -> None:
        self._send("POST", f"/element/{self.find(selector)}/value", {"text": text})

    def click(self, selector: str) -> None:
        self._send("POST", f"/element/{self.find(selector)}/click", {})

    def press(self, *keys: str) -> None:
        """Keys one after another, as WebDriver spells them (`\\ue004` is Tab, `\\ue007` Enter)."""
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self._send("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def run(self, script: str) -> Any:
        return self._send("POST", "/execute/sync", {"script": script, "args": []})

    def resize(self, width: int, height: int) -> None:
        self._send("POST", "/window/rect", {"width": width, "height": height})

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._send("GET", "/screenshot")))

    def log(self) -> list[str]:
        """What the page said on its console since the last call, refused content included."""
        return [entry["message"] for entry in self._send("POST", "/se/log", {"type": "browser"})]

    def _send(self, method: str, path: str, document: dict[str, Any] | None = None) -> Any:
        return _send(method, self._session_url + path, document)


def _send(method: str, url: str, document: dict[str, Any] | None = None) -> Any:
    data = None if document is None else json.dumps(document).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["value"]


def _start(driver: str) -> tuple[subprocess.Popen[str], str]:
    """The driver and its port. It takes a free one for IPv4 and then wants the same for IPv6, which may be taken."""
    for _ in range(5):
        process = subprocess.Popen([driver, "--port=0"], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for line in process.stdout:
            if found := re.search(r"successfully on port (\d+)", line):
                return process, found[1]
        process.stdout.close()
        process.wait()
    raise AssertionError(f"{driver} found no port in five tries")


@contextmanager
def chromium() -> Iterator[Browser]:
    """A fresh browser. Fails where Chromium or its driver is missing."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    assert program, MISSING
    assert driver, MISSING
    process, port = _start(driver)
    try:
        assert process.stdout is not None
        with process.stdout:
            options = {
                "binary": program,
                "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
            }
            capabilities = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
            url = f"http://127.0.0.1:{port}/session"
            session = _send("POST", url, {"capabilities": {"alwaysMatch": capabilities}})["sessionId"]
            yield Browser(f"{url}/{session}")
            _send("DELETE", f"{url}/{session}")
    finally:
        process.kill()
        process.wait()
