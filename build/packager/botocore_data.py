"""botocore's data folder, cut to what a function calls: 13 MB become 0.1."""

from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from packager.files import Files, PackageError

AWS_PARTITION = "aws"


def botocore_data(wheel: zipfile.ZipFile, operations: Mapping[str, Sequence[str]]) -> Files:
    """botocore's data folder with one partition, the services called, and their models cut to the operations called."""
    data = "botocore/data"
    names = [name.removeprefix(f"{data}/") for name in wheel.namelist() if name.startswith(f"{data}/")]
    files = {
        f"{data}/{name}": wheel.read(f"{data}/{name}") for name in ("_retry.json", "sdk-default-configuration.json")
    }

    def store(path: str, content: Any) -> None:
        files[f"{data}/{path}"] = json.dumps(content, separators=(",", ":")).encode()

    partitions = json.loads(wheel.read(f"{data}/partitions.json"))
    partitions["partitions"] = [one for one in partitions["partitions"] if one["id"] == AWS_PARTITION]
    store("partitions.json", partitions)

    prefixes = set()
    for service, called in operations.items():
        version = max(name.split("/")[1] for name in names if name.startswith(f"{service}/"))
        folder = f"{service}/{version}"
        model = cut_model(json.loads(gzip.decompress(wheel.read(f"{data}/{folder}/service-2.json.gz"))), called)
        prefixes.add(model["metadata"]["endpointPrefix"])
        store(f"{folder}/service-2.json", model)
        rules = json.loads(gzip.decompress(wheel.read(f"{data}/{folder}/endpoint-rule-set-1.json.gz")))
        store(f"{folder}/endpoint-rule-set-1.json", _undocumented(rules))
        extras = f"{folder}/service-2.sdk-extras.json"
        if extras in names:
            files[f"{data}/{extras}"] = wheel.read(f"{data}/{extras}")

    endpoints = json.loads(wheel.read(f"{data}/endpoints.json"))
    (partition,) = (one for one in endpoints["partitions"] if one["partition"] == AWS_PARTITION)
    partition["services"] = {name: one for name, one in partition["services"].items() if name in prefixes}
    store("endpoints.json", endpoints | {"partitions": [partition]})
    return files


def cut_model(model: Mapping[str, Any], called: Sequence[str]) -> dict[str, Any]:
    """A botocore service model with the operations called, the shapes they reach, and no documentation.

    Raises PackageError for an operation that the service does not have.
    """
    unknown = sorted(set(called) - set(model["operations"]))
    if unknown:
        service = model["metadata"]["serviceId"]
        raise PackageError(
            f"{service} has no operation {', '.join(unknown)}: correct FUNCTIONS in build/packager/functions.py"
        )
    operations = {name: _undocumented(model["operations"][name]) for name in sorted(called)}
    shapes: dict[str, Any] = {}
    waiting = list(_shape_names(operations))
    while waiting:
        name = waiting.pop()
        if name not in shapes:
            shapes[name] = _undocumented(model["shapes"][name])
            waiting += _shape_names(shapes[name])
    kept = {key: value for key, value in model.items() if key not in ("operations", "shapes", "documentation")}
    return kept | {"operations": operations, "shapes": dict(sorted(shapes.items()))}


def _undocumented(node: Any) -> Any:
    # A documentation text is a string; a member that happens to be called "documentation" is a dict and stays.
    if isinstance(node, dict):
        kept = ((key, value) for key, value in node.items() if not (key == "documentation" and isinstance(value, str)))
        return {key: _undocumented(value) for key, value in kept}
    return [_undocumented(value) for value in node] if isinstance(node, list) else node


def _shape_names(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("shape"), str):
            yield node["shape"]
        for value in node.values():
            yield from _shape_names(value)
    elif isinstance(node, list):
        for value in node:
            yield from _shape_names(value)
