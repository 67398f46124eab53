"""In-memory stand-ins of the queues for one process: they keep what they are given."""

from __future__ import annotations

from collections.abc import Sequence

from handler.domain.payment import Message


class MemoryRejectedQueue:
    """Keeps masked copies in a list of (message, masked body, reason code)."""

    def __init__(self) -> None:
        self.messages: list[tuple[Message, str, str]] = []

    def send(self, message: Message, masked_body: str, reason_code: str) -> None:
        self.messages.append((message, masked_body, reason_code))


class MemorySourceQueue:
    """Keeps what was delayed, as (message id, seconds)."""

    def __init__(self) -> None:
        self.delays: list[tuple[str, int]] = []

    def delay(self, waits: Sequence[tuple[Message, int]]) -> None:
        self.delays.extend((message.message_id, seconds) for message, seconds in waits)
