"""What of the locked wheels goes in.

The rule it keeps: a dependency is shipped as its wheel has it or left out; no file of its code is ever edited.
"""

from __future__ import annotations

import re
import zipfile

from packager.botocore_data import botocore_data
from packager.files import Files, PackageError
from packager.functions import Function
from packager.locks import PROCESSOR, locked_wheels


def dependency_files(function: Function) -> Files:
    """The locked wheels' files as they are, but for botocore's data, which is cut to what the function calls.

    A function that ships no dependency has Amazon's roots out of botocore's wheel, too.
    """
    files: Files = {}
    for pin, path in locked_wheels(function.lock or PROCESSOR):
        with zipfile.ZipFile(path) as wheel:
            if pin.name == "botocore":
                files["handler/amazon_roots.pem"] = _amazon_roots(wheel.read("botocore/cacert.pem").decode())
            if function.lock is None:
                continue
            if pin.name == "botocore":
                files |= botocore_data(wheel, function.operations)
            files |= {name: wheel.read(name) for name in wheel.namelist() if _is_shipped(name)}
    return files


def _amazon_roots(bundle: str) -> bytes:
    """The roots that AWS's endpoints are signed by, out of the SDK's own list of all (loading that costs 30 CPU-ms).

    Source: "Amazon Trust Services Repository". Raises PackageError when the list no longer names them.
    """
    blocks = [block.partition("# Issuer:")[2] for block in re.split(r"(?=# Issuer:)", bundle)]
    roots = [block for block in blocks if re.search(r'# Label: "(Amazon Root CA \d|Starfield Services Root)', block)]
    if len(roots) < 5:
        raise PackageError("botocore's cacert.pem names fewer than five of Amazon's roots: look at what changed in it")
    return "".join(f"# Issuer:{block}" for block in roots).encode()


def _is_shipped(name: str) -> bool:
    if name.endswith("/") or name.startswith("botocore/data/") or name.partition("/")[0].endswith(".data"):
        return False
    # METADATA and licences travel with the code. RECORD would name files that are not there, `.data` holds scripts.
    return ".dist-info/" not in name or not name.endswith(("/RECORD", "/WHEEL", "/top_level.txt"))
