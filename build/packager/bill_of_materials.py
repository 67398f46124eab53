"""The bill of materials beside a ZIP, in CycloneDX's form."""

from __future__ import annotations

import hashlib
import tomllib
import uuid
from collections.abc import Mapping
from email.message import Message
from email.parser import HeaderParser
from typing import Any

from packager.files import ROOT, Files
from packager.functions import Target
from packager.locks import Pin, read_lock


def software_bill_of_materials(target: Target, files: Files, content: bytes) -> dict[str, Any]:
    """A CycloneDX 1.6 document: the ZIP, our parts, and each dependency with its wheel's hash and licence."""
    metadata = {
        message["Name"].lower().replace("_", "-"): message
        for name, text in files.items()
        if name.endswith(".dist-info/METADATA")
        for message in [HeaderParser().parsestr(text.decode())]
    }
    pins = read_lock(target.function.lock) if target.function.lock else []
    references = {pin.name: f"pkg:pypi/{pin.name}@{pin.version}" for pin in pins}
    digest = hashlib.sha256(content).hexdigest()
    version = _project_version()
    own = f"{target.stem}@{version}"
    ours = [name for name in ("scoring/_compiled.abi3.so", "scoring/rules.table") if name in files]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        # From the content: a time or a random number here would make every build's document another.
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, digest)}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": own,
                "name": target.stem,
                "version": version,
                "hashes": [{"alg": "SHA-256", "content": digest}],
                "licenses": [{"license": {"id": "MIT"}}],
            }
        },
        "components": [_component(pin, metadata[pin.name]) for pin in pins]
        + [
            {
                "type": "file",
                "bom-ref": name,
                "name": name,
                "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(files[name]).hexdigest()}],
            }
            for name in ours
        ],
        "dependencies": [{"ref": own, "dependsOn": sorted([*references.values(), *ours])}]
        + [{"ref": references[pin.name], "dependsOn": _depends_on(metadata[pin.name], references)} for pin in pins],
    }


def _component(pin: Pin, metadata: Message) -> dict[str, Any]:
    expression, name = metadata.get("License-Expression"), metadata.get("License")
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": f"pkg:pypi/{pin.name}@{pin.version}",
        "name": pin.name,
        "version": pin.version,
        "purl": f"pkg:pypi/{pin.name}@{pin.version}",
        "hashes": [{"alg": "SHA-256", "content": digest} for digest in pin.sha256],
    }
    if expression:
        component["licenses"] = [{"expression": expression}]
    elif name:
        component["licenses"] = [{"license": {"name": name.splitlines()[0]}}]
    return component


def _depends_on(metadata: Message, references: Mapping[str, str]) -> list[str]:
    found = set()
    for requirement in metadata.get_all("Requires-Dist") or []:
        name = "".join(character if character.isalnum() or character in "-_." else " " for character in requirement)
        dependency = name.split()[0].lower().replace("_", "-").replace(".", "-")
        if "extra ==" not in requirement and dependency in references:
            found.add(references[dependency])
    return sorted(found)


def _project_version() -> str:
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])
