"""Which adapter stands behind the target of outcome events; the queue function knows of none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from handler.adapters.events.targets import choose_target
from handler.composition import aws_clients
from handler.domain.errors import ConfigurationError
from handler.domain.outcome_delivery import EventTarget
from handler.settings import read_event_target, read_settings
from handler.support import load_support

if TYPE_CHECKING:
    from handler.support import Support


def compose_target(environment: Mapping[str, str], support: Support | None = None) -> tuple[str, EventTarget]:
    """The environment's name and the target that EVENT_TARGET names; without `support` by the reference's clients.

    Raises ConfigurationError.
    """
    settings, target = read_settings(environment), read_event_target(environment)
    if not target:
        raise ConfigurationError("EVENT_TARGET", None, "the queue, topic or bus of outcome events")
    aws_client = aws_clients(settings, support or load_support("standard"))
    return settings.rules.environment, choose_target(aws_client, target)
