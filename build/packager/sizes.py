"""What a ZIP weighs, part by part, against Lambda's limits and the sizes recorded in build/sizes.json."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping

from packager.files import ROOT, PackageError

SIZES = ROOT / "build" / "sizes.json"
# "Lambda quotas": a ZIP uploaded directly, and everything unzipped.
ZIPPED_BYTES_MAX = 50 * 1024 * 1024
UNZIPPED_BYTES_MAX = 250 * 1024 * 1024
# A package may outgrow its recorded size by this share before a person has to say that it should.
GROWTH_MAX = 1.05


def part_sizes(content: bytes) -> dict[str, dict[str, int]]:
    """Bytes zipped and unzipped by part, and of the whole (`total`, whose zipped size includes the directory)."""
    parts: dict[str, dict[str, int]] = {}
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for entry in archive.infolist():
            part = parts.setdefault(_part(entry.filename), {"zipped": 0, "unzipped": 0})
            part["zipped"] += entry.compress_size
            part["unzipped"] += entry.file_size
    total = {"zipped": len(content), "unzipped": sum(part["unzipped"] for part in parts.values())}
    return {name: parts[name] for name in sorted(parts)} | {"total": total}


def _part(name: str) -> str:
    if name.endswith(".so"):
        return "extension"
    if name.endswith(".table"):
        return "rule table"
    if name.startswith("botocore/data/"):
        return "botocore data"
    top = name.partition("/")[0].removesuffix(".py").partition("-")[0]
    return top if top in ("handler", "scoring", "botocore", "aws_lambda_powertools") else "other dependencies"


def check_sizes(runtime: str, stem: str, sizes: Mapping[str, Mapping[str, int]], record: bool) -> None:
    """Against Lambda's limits and the sizes recorded for this runtime: bytecode differs by 5 %. Raises PackageError."""
    total = sizes["total"]
    for kind, limit in (("zipped", ZIPPED_BYTES_MAX), ("unzipped", UNZIPPED_BYTES_MAX)):
        if total[kind] > limit:
            raise PackageError(f"{stem}.zip has {total[kind]} bytes {kind}, Lambda takes {limit}: ship less")
    recorded = json.loads(SIZES.read_text()) if SIZES.exists() else {}
    if record:
        recorded.setdefault(runtime, {})[stem] = sizes
        SIZES.write_text(json.dumps(recorded, indent=1, sort_keys=True) + "\n")
        return
    if stem not in recorded.get(runtime, {}):
        raise PackageError(f"{SIZES.name} has no size of {stem} for {runtime}: run `make record-sizes` and commit it")
    for kind, size in total.items():
        before = recorded[runtime][stem]["total"][kind]
        if size > before * GROWTH_MAX:
            grown = {
                name: part[kind] - recorded[runtime][stem].get(name, {kind: 0})[kind]
                for name, part in sizes.items()
                if name != "total"
            }
            largest = max(grown, key=lambda name: grown[name])
            raise PackageError(
                f"{stem}.zip for {runtime} has {size} bytes {kind}, {before} were recorded; most of it is {largest}, "
                f"{grown[largest]} more: ship less, or run `make record-sizes` and commit it with the reason"
            )
