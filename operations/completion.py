"""`payments completion`: what a shell reads to complete commands, options and their values."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from operations.options import Call, Command, pass_call


@click.command(cls=Command, example='eval "$(payments completion bash)"')
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@pass_call
def completion(call: Call, shell: str) -> int:
    """Print what makes a shell complete `payments`.

    Put the example's line into ~/.bashrc or ~/.zshrc; fish reads `payments completion fish | source`.
    """
    # Imported here: it imports this module.
    from operations.__main__ import payments

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"{shell} cannot be completed by this version of click")
    text = kind(payments, {}, "payments", "_PAYMENTS_COMPLETE").source()
    call.say(text, shell=shell, script=text)
    return 0
