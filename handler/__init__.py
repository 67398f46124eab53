"""What runs in Lambda. `handler.lambda_handler` is the queue function, made when it is first asked for.

Lazily, so that the approval workflow in the same package never pays for the queue function's imports.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from handler.queue_function import QueueFunction

    lambda_handler: QueueFunction


def __getattr__(name: str) -> Any:
    if name != "lambda_handler":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import gc
    import os

    # Importing and composing make many objects that stay; collecting among them is a twentieth of init.
    gc.disable()
    try:
        from handler.queue_function import create

        function = create(os.environ)
        gc.freeze()
    finally:
        # An init that failed is tried again in the same process, by whoever asks next.
        gc.enable()
    globals()[name] = function
    return function
