"""One answer of a check of `payments doctor`."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Finding(NamedTuple):
    """One answer of a check: `ok`, `look` where a person has to judge, `wrong`; `do` is what to do about it."""

    check: str
    state: Literal["ok", "look", "wrong"]
    said: str
    do: str = ""
