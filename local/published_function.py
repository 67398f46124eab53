"""What a function runs as, from the Lambda API: the version behind an alias, or one version for good.

The rule: the API is the only truth, and a package is unpacked once, whichever functions and versions run it.
"""

from __future__ import annotations

import base64
import hashlib
import threading
import time
import urllib.request
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError

from local.execution_environment import FunctionVersion


class ConfigurationError(RuntimeError):
    """The code of a function cannot be had from the Lambda API."""


class Code:
    """Unpacked packages, by their SHA-256 in base64 as Lambda tells it; for any thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._unpacked: dict[str, Path] = {}

    def keep(self, sha256: str, directory: Path) -> None:
        """Use `directory` for that package, instead of unpacking a copy of it."""
        self._unpacked[sha256] = directory

    def unpacked(self, sha256: str, location: Callable[[], str]) -> Path:
        """The package's folder; it is had from the URL `location` where it is new. Raises ConfigurationError."""
        with self._lock:
            if sha256 not in self._unpacked:
                with urllib.request.urlopen(location(), timeout=10) as answer:
                    package = answer.read()
                digest = hashlib.sha256(package)
                if base64.b64encode(digest.digest()).decode() != sha256:
                    raise ConfigurationError(f"the services serve other code than the package {sha256}")
                directory = self._folder / digest.hexdigest()[:16]
                with zipfile.ZipFile(BytesIO(package)) as archive:
                    archive.extractall(directory)
                self._unpacked[sha256] = directory
            return self._unpacked[sha256]


def _as_it_is(version: FunctionVersion) -> FunctionVersion:
    return version


class PublishedFunction:
    """The version behind `qualifier`: an alias is read again at most once a second, a version's number once.

    Where the API is not reached, what is known goes on, as nothing stops on AWS when Lambda's control plane does.
    """

    def __init__(
        self,
        functions: Any,
        name: str,
        qualifier: str,
        code: Code,
        here: Callable[[FunctionVersion], FunctionVersion] = _as_it_is,
    ) -> None:
        """`functions` is a client of Lambda's API; `here` is told what it says, and answers what this machine runs."""
        self._functions = functions
        self._name = name
        self._qualifier = qualifier
        self._moves = not qualifier.isdigit()
        self._code = code
        self._here = here
        self._lock = threading.Lock()
        self._read_at = 0.0
        self._version: FunctionVersion | None = None
        self._reserved: int | None = None

    def current(self) -> FunctionVersion:
        """The version to run now. Raises ConfigurationError and boto3's errors."""
        with self._lock:
            if self._version is None or (self._moves and time.monotonic() - self._read_at > 1.0):
                try:
                    self._version = self._here(self._read())
                except BotoCoreError:
                    if self._version is None:
                        raise
                self._read_at = time.monotonic()
            return self._version

    @property
    def reserved(self) -> int | None:
        """The function's reserved concurrency as it was read with `current`, None without one; 0 stops it."""
        return self._reserved

    def _read(self) -> FunctionVersion:
        concurrency = self._functions.get_function_concurrency(FunctionName=self._name)
        self._reserved = concurrency.get("ReservedConcurrentExecutions")
        found = self._functions.get_function_configuration(FunctionName=self._name, Qualifier=self._qualifier)
        arn = found["FunctionArn"].split(":")
        return FunctionVersion(
            name=found["FunctionName"],
            version=found["Version"],
            # What callers invoke, and what the context shows.
            arn=":".join([*arn[:7], self._qualifier]),
            code=self._code.unpacked(found["CodeSha256"], lambda: self._location(found["Version"])),
            handler=found["Handler"],
            timeout_seconds=found["Timeout"],
            memory_size=found["MemorySize"],
            variables=found.get("Environment", {}).get("Variables", {}),
            revision=f"{found['Version']} {found['CodeSha256']}",
        )

    def _location(self, version: str) -> str:
        found = self._functions.get_function(FunctionName=self._name, Qualifier=version)
        return str(found["Code"]["Location"])
