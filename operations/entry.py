"""Where the installed command `payments` begins.

The rule it keeps: nothing that an installation may lack is imported before it is known to be there.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import Final

#: Of the extra `operations`; the rest is what the functions themselves need.
EXTRA: Final = ("boto3", "click", "rich")


def main() -> int:
    """Run `payments`; 2, with what to install, where the extra `operations` is not."""
    if missing := [name for name in EXTRA if find_spec(name) is None]:
        print(
            f"payments: {', '.join(missing)} is not installed, which the command needs and the functions do not: "
            "pip install 'payment-processor[operations]'",
            file=sys.stderr,
        )
        return 2
    from operations.__main__ import main as run

    return run()
