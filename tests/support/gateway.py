"""The payment gateway simulator for tests, as a process of its own that can be killed, and its calls."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from local.gateway.payments import API_KEY


@contextmanager
def process(database: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The simulator as its own process; yields it and its address."""
    command = [sys.executable, "-m", "local.gateway", "--database", str(database), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as started:
        try:
            assert started.stdout is not None
            yield started, json.loads(started.stdout.readline())["url"]
        finally:
            started.kill()


def ask(
    url: str, method: str, path: str, body: Mapping[str, Any] | None = None, key: str | None = None
) -> tuple[int, dict[str, Any]]:
    """One request on a connection of its own: a form as Stripe's, JSON as the simulator's own orders."""
    headers = {"Connection": "close", "Authorization": f"Bearer {API_KEY}"} | ({"Idempotency-Key": key} if key else {})
    encode = urlencode if path.startswith("/v1/") else json.dumps
    with closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)) as connection:
        connection.request(method, path, None if body is None else encode(body), headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
