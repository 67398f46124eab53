"""What init imports on the lean support: the list of modules, so that none comes back unseen."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]

# Beside our own code and what a bare interpreter has. Modules with an underscore belong to one of these.
ALLOWED = {
    # Lambda's runtime client has them all anyway.
    *(
        "atexit",
        "base64",
        "binascii",
        "bisect",
        "collections",
        "contextlib",
        "copyreg",
        "datetime",
        "decimal",
        "enum",
        "errno",
    ),
    *(
        "fnmatch",
        "functools",
        "gc",
        "glob",
        "importlib",
        "itertools",
        "json",
        "keyword",
        "linecache",
        "logging",
        "math",
    ),
    *(
        "numbers",
        "ntpath",
        "operator",
        "re",
        "reprlib",
        "string",
        "struct",
        "textwrap",
        "threading",
        "token",
    ),
    *("tokenize", "traceback", "types", "typing", "warnings", "weakref"),
    # Ours: hashing, the rule table, connections and TLS.
    *("array", "hashlib", "hmac", "mmap", "select", "selectors", "socket", "ssl"),
}
# What was there once, and took most of init.
NEVER = {
    "asyncio",
    "aws_lambda_powertools",
    "botocore",
    "concurrent",
    "email",
    "encodings.idna",
    "http",
    "inspect",
    "ipaddress",
    "pathlib",
    "platform",
    "random",
    "urllib",
    "urllib3",
    "uuid",
}
PROGRAM = f"""
import os, sys
before = set(sys.modules)
sys.path.insert(0, {str(ROOT)!r})
os.environ |= {{
    "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_ENDPOINT_URL": "https://127.0.0.1:9",
    "REJECTED_QUEUE_URL": "http://127.0.0.1:9/000000000000/q", "APPROVAL_FUNCTION_ARN": "f:live", "SUPPORT": "lean",
}}
from handler import lambda_handler
import handler.adapters.gateways.stripe
print("modules", *sorted(set(sys.modules) - before))
ours = [module for name, module in sys.modules.items() if name.startswith("handler.")]
kinds = {{kind for module in ours for kind in vars(module).values() if isinstance(kind, type)}}
kinds = {{kind for kind in kinds if kind.__module__.startswith("handler.")}}
named_tuples = {{kind for kind in kinds if kind.__base__ is tuple and hasattr(kind, "_fields")}}
costly = named_tuples | {{kind for kind in kinds if hasattr(kind, "_is_protocol")}}
print("costly", *sorted(kind.__name__ for kind in costly))
"""


@pytest.fixture(scope="module")
def printed() -> dict[str, set[str]]:
    """By its first word what init says against an endpoint with TLS, in an interpreter without any site-packages."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", PROGRAM],
        capture_output=True,
        text=True,
        check=True,
        env={"NO_PROXY": "*"},
    )
    words = [line.split() for line in done.stdout.splitlines()]
    return {first: set(others) for first, *others in words}


@pytest.fixture
def imported(printed: dict[str, set[str]]) -> set[str]:
    return printed["modules"]


def test_init_imports_what_is_listed_and_nothing_else(imported: set[str]) -> None:
    tops = {name.partition(".")[0] for name in imported}
    own = {"handler", "scoring"}
    private = {name for name in tops if name.startswith("_")} | {"cython_runtime"}
    assert tops - own - private <= ALLOWED
    assert {"ssl", "socket", "handler"} <= tops


def test_what_took_most_of_init_does_not_come_back(imported: set[str]) -> None:
    assert not {name for name in imported for never in NEVER if name == never or name.startswith(f"{never}.")}


def test_no_class_of_the_handlers_is_made_by_typing(printed: dict[str, set[str]]) -> None:
    assert not printed["costly"]
