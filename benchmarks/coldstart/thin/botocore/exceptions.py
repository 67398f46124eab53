"""The two errors that the function's adapters know."""

from __future__ import annotations

from typing import Any


class BotoCoreError(Exception):
    """A request that got no answer."""


class ClientError(Exception):
    """An answer that says no; `response` as botocore has it."""

    def __init__(self, response: dict[str, Any], operation_name: str) -> None:
        super().__init__(f"{operation_name}: {response['Error']['Code']}")
        self.response = response
