"""What of the checkout goes in: our Python files, the rule table, the compiled engine."""

from __future__ import annotations

import importlib.machinery
import tarfile
import zipfile

from packager.files import DIST, ROOT, Files, PackageError
from packager.functions import Function
from scoring.table import RuleTableError, open_table


def our_files(function: Function) -> Files:
    """Our Python files, the roots of gateways and the rule table, by their path in the package."""
    files = {}
    for top in ("handler", "scoring"):
        for path in sorted((ROOT / top).rglob("*")):
            name = path.relative_to(ROOT).as_posix()
            if name.endswith((".py", "_roots.pem")) and not name.startswith(function.excluded):
                files[name] = path.read_bytes()
    files["scoring/rules.table"] = verified_rule_table()
    return files


def verified_rule_table() -> bytes:
    path = ROOT / "scoring" / "rules.table"
    try:
        open_table(path).verify()
        return path.read_bytes()
    except (RuleTableError, FileNotFoundError) as error:
        raise PackageError(f"{path.relative_to(ROOT)}: {error}: run `make rules` and commit the table") from error


def host_extension() -> Files:
    """The compiled engine as built in place for the running interpreter; empty where it is not built."""
    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        path = ROOT / "scoring" / f"_compiled{suffix}"
        if path.exists():
            return {f"scoring/{path.name}": path.read_bytes()}
    return {}


def extension_of_wheel(architecture: str) -> bytes:
    """The compiled engine out of the wheel in dist/, which must have been built from these very sources."""
    wheels = sorted(DIST.glob(f"*-cp311-abi3-*manylinux_2_17_{architecture}*.whl"))
    archives = sorted(DIST.glob("*.tar.gz"))
    if len(wheels) != 1 or len(archives) != 1:
        raise PackageError(
            f"dist/ must hold one {architecture} wheel and one sdist, it holds {len(wheels)} and {len(archives)}: "
            "remove them and run `make wheel`"
        )
    with tarfile.open(archives[0]) as archive:
        for member in archive.getmembers():
            name = member.name.partition("/")[2]
            if member.isfile() and (name == "setup.py" or name.endswith((".pyx", ".c", ".h"))):
                built_from = archive.extractfile(member)
                if built_from is None or not (ROOT / name).is_file() or built_from.read() != (ROOT / name).read_bytes():
                    raise PackageError(f"{wheels[0].name} was built before {name} changed: run `make wheel`")
    with zipfile.ZipFile(wheels[0]) as wheel:
        return wheel.read("scoring/_compiled.abi3.so")
