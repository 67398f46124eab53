"""What the handler's tests share."""

import pytest


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process has credentials, and nobody outside who would be asked with them."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "swordfish")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
