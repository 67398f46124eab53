"""Settings that the thin client has no use for."""

from __future__ import annotations

from typing import Any


class Config:
    def __init__(self, **_: Any) -> None:
        """Accepts what botocore's does."""
