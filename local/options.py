"""The kinds of options that the commands of `python -m local` have in common.

The rule: a value that cannot be meant is refused before anything starts, in words that say what is allowed.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from handler.settings import SETTINGS

_ENVIRONMENT = next(setting.kind for setting in SETTINGS if setting.name == "ENVIRONMENT")


def positive(text: str) -> int:
    return _whole(text, 1, 2**31 - 1, "1 or more")


def port(text: str) -> int:
    return _whole(text, 0, 65_535, "a port from 1 to 65535, or 0 for any free one")


def environment(text: str) -> str:
    if not _ENVIRONMENT.takes(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not {_ENVIRONMENT.allowed}")
    return text


def package(text: str) -> Path:
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"{text} is no folder: give an unpacked deployment package")
    return Path(text)


def output(text: str) -> Path:
    """A file that is written at the end: its folder must be there at the beginning."""
    path = Path(text)
    if path.is_dir() or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text} cannot be written: give a file in a folder that is there")
    return path


def _whole(text: str, least: int, most: int, allowed: str) -> int:
    if not re.fullmatch(r"[0-9]{1,10}", text) or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"{text} is not {allowed}")
    return int(text)
