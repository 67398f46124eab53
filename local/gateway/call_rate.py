"""How many calls a second the payment gateway simulator takes, as a gateway limits its callers.

The rule: a call above the limit is refused before anything of it has begun.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable


class CallRate:
    """At most `calls` in any second, counting those that it took; None: any number. For many threads.

    clock: seconds that never go back.
    """

    def __init__(self, calls: int | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        if calls is not None and calls < 1:
            raise ValueError(f"{calls} calls a second: at least 1, or no limit")
        self._clock = clock
        self._is_limited = calls is not None
        self._taken: deque[float] = deque(maxlen=calls)
        self._lock = threading.Lock()

    def takes(self) -> bool:
        """Whether a call that comes now is within the limit; one that is not counts for nothing."""
        if not self._is_limited:
            return True
        with self._lock:
            now = self._clock()
            if len(self._taken) == self._taken.maxlen and now - self._taken[0] < 1:
                return False
            self._taken.append(now)
            return True
