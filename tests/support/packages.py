"""A ZIP with its manifest, as `make package` leaves them, for whoever deploys one to the local system."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

RUNTIME = f"python{sys.version_info.major}.{sys.version_info.minor}"


def write_zip(folder: Path, content: bytes, **changes: Any) -> Path:
    path = folder / "package.zip"
    path.write_bytes(content)
    manifest = {
        "architecture": "x86_64",
        "code_sha256": base64.b64encode(hashlib.sha256(content).digest()).decode(),
        "engine": "pure",
        "revision": "abc",
        "runtime": RUNTIME,
        **changes,
    }
    path.with_suffix(".manifest.json").write_text(json.dumps(manifest))
    return path
