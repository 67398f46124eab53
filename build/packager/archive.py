"""One ZIP for Lambda, its manifest and its bill of materials, all written or none.

The rule it keeps: a ZIP depends on its content alone.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path

from packager.bill_of_materials import software_bill_of_materials
from packager.bytecode import bytecode, find_interpreter
from packager.checks import check_imports, check_libraries
from packager.files import DIST, Files
from packager.functions import ARCHITECTURES, Target
from packager.manifest import describe
from packager.ours import extension_of_wheel, our_files
from packager.sizes import check_sizes, part_sizes


def build_zip(target: Target, dependencies: Files, revision: str | None, record_size: bool) -> Path:
    """Write `dist/<stem>.zip`, its manifest and its SBOM, and return the ZIP's path.

    `dependencies` are the function's, with bytecode for the target's runtime.
    """
    ours = our_files(target.function)
    if target.engine == "compiled":
        ours["scoring/_compiled.abi3.so"] = extension_of_wheel(ARCHITECTURES[target.architecture])
    interpreter = find_interpreter(target.runtime)
    files = dependencies | ours | bytecode(ours, interpreter)
    check_libraries(files, target.architecture)
    check_imports(files, interpreter)
    content = zip_bytes(files)
    sizes = part_sizes(content)
    check_sizes(target.runtime, target.size_name, sizes, record_size)
    manifest = describe(target, files, content, sizes=sizes, revision=revision, interpreter=interpreter)
    DIST.mkdir(exist_ok=True)
    path = DIST / f"{target.stem}.zip"
    for name, text in (
        (f"{target.stem}.manifest.json", json.dumps(manifest, indent=1) + "\n"),
        (f"{target.stem}.cdx.json", json.dumps(software_bill_of_materials(target, files, content), indent=1) + "\n"),
    ):
        _replace(DIST / name, text.encode())
    _replace(path, content)
    return path


def zip_bytes(files: Files) -> bytes:
    """A ZIP of these files that depends on nothing else: sorted, one date, fixed permissions, one compression level."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3
            entry.external_attr = (0o100755 if name.endswith(".so") else 0o100644) << 16
            archive.writestr(entry, files[name])
    return buffer.getvalue()


def _replace(path: Path, content: bytes) -> None:
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_bytes(content)
    fresh.replace(path)
