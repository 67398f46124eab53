"""What runs in Lambda. `handler.lambda_handler` is the queue function, made when it is first asked for.

Lazily, so that the approval workflow in the same package never pays for the queue function's imports.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from handler.queue_function import QueueFunction

    lambda_handler: QueueFunction


def lazy_entry(module: dict[str, Any], create: Callable[[Mapping[str, str]], Any]) -> Callable[[str], Any]:
    """The `__getattr__` of an entry module, whose `lambda_handler` is `create(os.environ)`, called at first use.

    `module` is the module's globals(). It lives here as every entry imports this package before anything else.
    """

    def make(name: str) -> Any:
        if name != "lambda_handler":
            raise AttributeError(f"module {module['__name__']!r} has no attribute {name!r}")
        # Importing and composing make many objects that stay; collecting among them is a twentieth of init.
        gc.disable()
        try:
            module[name] = create(os.environ)
            gc.freeze()
        finally:
            # An init that failed is tried again in the same process, by whoever asks next.
            gc.enable()
        return module[name]

    return make


def _create(environment: Mapping[str, str]) -> QueueFunction:
    from handler.queue_function import create

    return create(environment)


__getattr__ = lazy_entry(globals(), _create)
