"""A deployment's rules: what it accepts, whom it asks, its times, and which version of the canonical text it writes."""

from __future__ import annotations

from typing import Final

from handler.domain.item import FIRST_VERSION
from handler.domain.score import Routing
from handler.domain.times import Times
from handler.domain.typed import NamedTuple
from handler.domain.validate import Limits

# The environments whose money is real: nothing is simulated there, and nothing measured.
PRODUCTION: Final = ("prod", "production")
# Far above the largest valid payment, whose texts have room for some 2,500 characters.
BODY_BYTES_MAX: Final = 32_768


class Parking(NamedTuple):
    """When a payment that keeps failing is parked: after so many tries of its own, or so long after the first."""

    after_tries: int = 5
    after_seconds: float = 6 * 60 * 60


class Rules(NamedTuple):
    """A deployment's rules: its name, what it accepts, whom it asks, its times, and when it gives up.

    `canonical_version` is the version of the canonical text that new items are written in, `body_bytes_max` the
    largest body that is read, in bytes of UTF-8, `id_shapes` the declared shapes of ids that may look like card numbers
    (`card_data.is_declared`), `restored_at_ms` when payments were stopped before the table was restored, 0 where it was
    not (milliseconds since the epoch).
    """

    environment: str = "dev"
    limits: Limits = Limits()
    routing: Routing = Routing()
    times: Times = Times()
    parking: Parking = Parking()
    canonical_version: int = FIRST_VERSION
    body_bytes_max: int = BODY_BYTES_MAX
    id_shapes: str = ""
    restored_at_ms: int = 0
