"""The twins that every scoring test runs on."""

from types import ModuleType

from scoring import _compiled, _pure

TWINS: list[ModuleType] = [_pure, _compiled]
