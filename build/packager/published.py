"""What the published versions of a function read and write of the canonical text, for whoever moves alias `live`.

The rule it keeps: no code comes behind `live` that does not read what any version of the function was published to
write, whatever payments are open (docs/protocol.md, "Versions of the canonical text").
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

# Code of 0.1 says neither: it reads and writes the first, and calls the payments of any other conflicts.
FIRST = 1


def description(reads: Iterable[int]) -> str:
    """The sentence in a version's description; terraform/modules/payment_function/main.tf writes the same."""
    return f"Reads canonical text {', '.join(map(str, sorted(reads)))}."


def versions_read(configuration: Mapping[str, Any]) -> set[int]:
    """The versions that a published function's code reads, from its configuration as Lambda gives it."""
    said = re.search(r"Reads canonical text ([0-9]+(?:, [0-9]+)*)\.", configuration.get("Description") or "")
    return set(map(int, said[1].split(", "))) if said else {FIRST}


def versions_written(configurations: Iterable[Mapping[str, Any]]) -> set[int]:
    """The versions that these were published to write."""
    return {
        int(one.get("Environment", {}).get("Variables", {}).get("CANONICAL_VERSION_WRITTEN") or FIRST)
        for one in configurations
    }


def list_versions(client: Any, function_name: str) -> list[dict[str, Any]]:
    """All configurations of a function, `$LATEST` among them. `client` is a boto3 Lambda client."""
    pages = client.get_paginator("list_versions_by_function").paginate(FunctionName=function_name)
    return [one for page in pages for one in page["Versions"]]
