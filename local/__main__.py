"""`python -m local COMMAND`: the payment system on this machine.

Each command is a module of this package with `main(arguments) -> exit code`, imported only when it is asked for.
"""

import importlib
import signal
import sys
from types import FrameType

from botocore.exceptions import BotoCoreError, ClientError

COMMANDS = {
    "run": "send a stream of payments through the whole system and audit the end",
    "webhook": "send the running system an event of the gateway, signed as Stripe signs",
    "up": "keep the system running on 127.0.0.1:4566 for the AWS CLI",
}


def main(arguments: list[str]) -> int:
    """Dispatch; 1 where the machine or the services refuse something, 2 for an unknown command, 130 after Ctrl-C."""
    if not arguments or arguments[0] not in COMMANDS:
        print("usage: python -m local COMMAND [options], where COMMAND is")
        for name, says in COMMANDS.items():
            print(f"  {name:<8}{says}")
        return 0 if arguments[:1] in (["-h"], ["--help"]) else 2
    # A polite kill stops everything in the same order as Ctrl-C, which a shell's background job would ignore.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupt)
    try:
        code = importlib.import_module(f"local.{arguments[0]}").main(arguments[1:])
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    # A folder that cannot be written, a disk that is full, services that do not answer: not ours, and no traceback.
    except (OSError, BotoCoreError, ClientError) as error:
        print(f"local {arguments[0]}: {error}", file=sys.stderr)
        return 1
    return int(code)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
