"""The protocol's times, in seconds, and whether they fit together; they keep their proportions at every scale."""

from __future__ import annotations

from handler.domain.typed import NamedTuple


class Times(NamedTuple):
    """The protocol's times in seconds; they keep their proportions at every scale (`check`)."""

    function_timeout_seconds: float = 30.0
    visibility_timeout_seconds: float = 180.0
    gateway_deadline_seconds: float = 5.0
    safety_margin_seconds: float = 5.0
    retry_delay_seconds: float = 5.0

    @property
    def least_remaining_ms(self) -> int:
        """Milliseconds that must be left before a claim or a gateway call: G + 5 s."""
        return round(1000 * (self.gateway_deadline_seconds + self.safety_margin_seconds))

    @property
    def reading_seconds(self) -> float:
        """How long a batch may take to be read: a sixth of the function's time-out, less where that is short.

        A message that is begun within it may take half of it again, and then time for a claim is left.
        """
        timeout, _, deadline, margin, _ = self
        return min(timeout / 6, (timeout - deadline - margin) / 2)

    def lease_until_ms(self, now_ms: int, remaining_ms: int) -> int:
        return now_ms + remaining_ms + round(1000 * self.safety_margin_seconds)

    def retry_delay(self, receives: int) -> int:
        """Whole seconds (SQS takes no others) until the next delivery after `receives` of them, doubling each time."""
        doubled = self.retry_delay_seconds * float(1 << min(max(receives, 1) - 1, 20))
        return max(1, round(min(doubled, self.visibility_timeout_seconds)))

    @property
    def longest_delay(self) -> int:
        """Whole seconds that a returned message waits at most."""
        return max(1, round(self.visibility_timeout_seconds))

    def check(self) -> tuple[tuple[str, ...], str] | None:
        """The names of the times that do not fit together, and what must hold, as a sentence; None where all fit."""
        for name, seconds in zip(self._fields, self, strict=True):
            if seconds <= 0:
                return (name,), "seconds above 0"
        function, visibility, gateway, margin, _ = self._fields
        if self.visibility_timeout_seconds < 6 * self.function_timeout_seconds:
            return (visibility, function), "a visibility time-out of at least 6 function time-outs"
        if self.function_timeout_seconds + self.safety_margin_seconds >= self.visibility_timeout_seconds:
            return (margin, visibility, function), "a lease that ends before the visibility time-out"
        if self.gateway_deadline_seconds + self.safety_margin_seconds >= self.function_timeout_seconds:
            return (gateway, margin, function), "the gateway's deadline and the margin fit into the function's time-out"
        return None
