"""Assemble what runs in Lambda: our code, the compiled twin, the rule table, locked dependencies; as a folder or ZIP.

The rule it keeps: content decides everything. The same sources, lock file and interpreter give the same bytes, on any
day and in any folder, and a dependency is shipped as its wheel has it or left out: no file of its code is ever edited.
"""

from __future__ import annotations

import argparse
import fcntl
import gzip
import hashlib
import importlib.machinery
import json
import os
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".build"
AWS_PARTITION = "aws"

Files = dict[str, bytes]


class PackageError(Exception):
    """Nothing was packaged. The message says what is wrong with what, and what to do."""


@dataclass(frozen=True)
class Function:
    """One Lambda function's package."""

    lock: str
    requirements: str
    """The key of pyproject.toml's [project] that the lock file was resolved from, `extra:` before an optional group."""
    entry: str
    excluded: tuple[str, ...]
    """Our paths that it does not ship: what only operators run, and the other function's entry."""
    operations: Mapping[str, tuple[str, ...]]
    """Service -> the operations called. botocore's models are cut to these, so any other call is an AttributeError."""


FUNCTIONS = {
    "processor": Function(
        lock="build/processor.lock",
        requirements="dependencies",
        entry="handler.queue_function",
        excluded=("handler/__main__.py", "handler/cli/", "handler/workflow.py"),
        operations={
            "dynamodb": ("GetItem", "PutItem", "UpdateItem"),
            "lambda": ("Invoke",),
            "secretsmanager": ("GetSecretValue",),
            "sqs": ("ChangeMessageVisibility", "SendMessage"),
        },
    ),
}


@dataclass(frozen=True)
class Pin:
    """One line of a lock file."""

    name: str
    version: str
    sha256: str


# ---- the lock file ----------------------------------------------------------------------------------------------


def requirements_of(function: Function) -> list[str]:
    """The version ranges that pyproject.toml asks for, sorted."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    group = function.requirements.removeprefix("extra:")
    return sorted(project["optional-dependencies"][group] if group != function.requirements else project[group])


def read_lock(function: Function) -> list[Pin]:
    """The pins of a function's lock file. Raises PackageError when pyproject.toml has moved on since it was made."""
    path = ROOT / function.lock
    relock = "run `make lock` and commit the result"
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError as error:
        raise PackageError(f"{function.lock} is missing: {relock}") from error
    asked = [line.removeprefix("# asked: ") for line in lines if line.startswith("# asked: ")]
    if asked != requirements_of(function):
        raise PackageError(
            f"{function.lock} was made for {', '.join(asked)} but pyproject.toml asks for "
            f"{', '.join(requirements_of(function))}: {relock}"
        )
    pins = []
    for line in lines:
        if line and not line.startswith("#"):
            requirement, _, digest = line.partition(" --hash=sha256:")
            name, _, version = requirement.partition("==")
            if not version or len(digest) != 64:
                raise PackageError(f"{function.lock}: {line!r} is not NAME==VERSION --hash=sha256:DIGEST: {relock}")
            pins.append(Pin(name, version, digest))
    return pins


def write_lock(function: Function) -> None:
    """Resolve anew and write names, versions, hashes. Only pure wheels: one hash serves every Python and platform."""
    requirements = requirements_of(function)
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch, "report.json")
        command = ["install", "--dry-run", "--ignore-installed", "--report", str(report), "--only-binary=:all:"]
        _pip([*command, "--platform=any", "--python-version=3.11", f"--target={scratch}/none", *requirements])
        resolved = json.loads(report.read_text())["install"]
    lines = ["# Written by `make lock`: the only files that pip takes into the package. From pyproject.toml:"]
    lines += [f"# asked: {requirement}" for requirement in requirements]
    lines += sorted(
        f"{package['metadata']['name'].lower().replace('_', '-')}=={package['metadata']['version']}"
        f" --hash=sha256:{package['download_info']['archive_info']['hashes']['sha256']}"
        for package in resolved
    )
    (ROOT / function.lock).write_text("\n".join(lines) + "\n")


def _pip(arguments: Sequence[str]) -> None:
    command = [sys.executable, "-m", "pip", *arguments, "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PackageError(
            f"pip {arguments[0]} failed:\n{done.stderr.strip()}\n"
            "If a hash does not match, a published file or the lock file was changed: find out which before `make lock`.\n"
            "If nothing was found, this machine does not reach the package index that pip is configured for."
        )


def locked_wheels(function: Function) -> list[tuple[Pin, Path]]:
    """Each pinned wheel on disk, its SHA-256 checked on every call, downloaded where it is not in the cache yet."""
    folder = CACHE / "wheels"
    folder.mkdir(parents=True, exist_ok=True)

    def present() -> dict[str, Path]:
        return {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in folder.glob("*.whl")}

    pins = read_lock(function)
    wheels = present()
    if any(pin.sha256 not in wheels for pin in pins):
        download = ["download", "--no-deps", "--require-hashes", "--only-binary=:all:", f"--dest={folder}"]
        _pip([*download, "--platform=any", "--python-version=3.11", f"--requirement={ROOT / function.lock}"])
        wheels = present()
    return [(pin, wheels[pin.sha256]) for pin in pins]


# ---- what goes in -----------------------------------------------------------------------------------------------


def our_files(function: Function) -> Files:
    """Our Python files and the rule table, by their path in the package."""
    files = {}
    for top in ("handler", "scoring"):
        for path in sorted((ROOT / top).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if not name.startswith(function.excluded):
                files[name] = path.read_bytes()
    if (ROOT / "scoring" / "rules.table").exists():
        files["scoring/rules.table"] = _verified_rule_table()
    return files


def _verified_rule_table() -> bytes:
    path = ROOT / "scoring" / "rules.table"
    sys.path.insert(0, str(ROOT))
    from scoring.table import RuleTableError, open_table

    try:
        open_table(path).verify()
        return path.read_bytes()
    except (RuleTableError, FileNotFoundError) as error:
        raise PackageError(f"{path.relative_to(ROOT)}: {error}: run `make rules` and commit the table") from error
    finally:
        sys.path.remove(str(ROOT))


def host_extension() -> Files:
    """The compiled twin as built in place for the running interpreter; empty where it is not built."""
    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        path = ROOT / "scoring" / f"_compiled{suffix}"
        if path.exists():
            return {f"scoring/{path.name}": path.read_bytes()}
    return {}


def dependency_files(function: Function) -> Files:
    """The locked wheels' files as they are, but for botocore's data, which is cut to what the function calls."""
    files: Files = {}
    for pin, path in locked_wheels(function):
        with zipfile.ZipFile(path) as wheel:
            if pin.name == "botocore":
                files |= _botocore_data(wheel, function.operations)
            files |= {name: wheel.read(name) for name in wheel.namelist() if _is_shipped(name)}
    return files


def _is_shipped(name: str) -> bool:
    if name.endswith("/") or name.startswith("botocore/data/") or name.partition("/")[0].endswith(".data"):
        return False
    # METADATA and licences travel with the code. RECORD would name files that are not there, `.data` holds scripts.
    return ".dist-info/" not in name or not name.endswith(("/RECORD", "/WHEEL", "/top_level.txt"))


def _botocore_data(wheel: zipfile.ZipFile, operations: Mapping[str, Sequence[str]]) -> Files:
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
        raise PackageError(f"{service} has no operation {', '.join(unknown)}: correct FUNCTIONS in build/package.py")
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


# Unchecked hashes: an import then compares no time stamps, and a ZIP has none that mean anything.
_COMPILER = """
import importlib.util, json, py_compile, sys
compiled = []
for name in json.load(sys.stdin):
    target = importlib.util.cache_from_source(name)
    py_compile.compile(name, target, doraise=True, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    compiled.append(target)
json.dump(compiled, sys.stdout)
"""


def bytecode(files: Files, interpreter: str) -> Files:
    """The `__pycache__` files for one interpreter, compiled by itself in a process of its own, in one fixed order.

    marshal's output depends on what else the process has interned, hence the fresh process and the fixed hash seed.
    """
    sources = sorted(name for name in files if name.endswith(".py"))
    with tempfile.TemporaryDirectory() as folder:
        _write_tree({name: files[name] for name in sources}, Path(folder))
        done = subprocess.run(
            [interpreter, "-B", "-W", "ignore", "-c", _COMPILER],
            input=json.dumps(sources),
            cwd=folder,
            env={"PYTHONHASHSEED": "0", "PATH": os.environ.get("PATH", "")},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise PackageError(f"{interpreter} cannot compile the package:\n{done.stderr.strip()}")
        return {name: Path(folder, name).read_bytes() for name in json.loads(done.stdout)}


# ---- the host's folder ------------------------------------------------------------------------------------------


def build_host(function: Function, engine: str, out: Path) -> None:
    """Write an unzipped package for the running interpreter to `out`, or nothing when its content is there already."""
    extension = {} if engine == "pure" else host_extension()
    if engine == "compiled" and not extension:
        raise PackageError(f"the compiled twin is not built for {sys.executable}: run `make extension`")
    ours = our_files(function) | extension
    recipe = _digest(
        {
            "package.py": Path(__file__).read_bytes(),
            "lock": repr(read_lock(function)).encode(),
            "interpreter": f"{sys.executable} {sys.version}".encode(),
        }
    )
    stamp = f"{recipe} {_digest(ours)}"
    stamp_file = out.with_name(out.name + ".stamp")
    with _exclusive(out.with_name(out.name + ".lock")):
        if out.is_dir() and stamp_file.is_file() and stamp_file.read_text() == stamp:
            return
        files = _host_dependencies(function, recipe) | ours | bytecode(ours, sys.executable)
        stamp_file.unlink(missing_ok=True)
        # Built beside and moved into place: an environment that starts meanwhile sees the old package or the new one.
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as scratch:
            _write_tree(files, Path(scratch, "new"))
            if out.exists():
                out.rename(Path(scratch, "old"))
            Path(scratch, "new").rename(out)
        stamp_file.write_text(stamp)


def _host_dependencies(function: Function, recipe: str) -> Files:
    """The dependencies with their bytecode, kept from one build to the next: compiling them takes seconds."""
    kept = CACHE / "dependencies" / f"{recipe}.zip"
    with _exclusive(CACHE / "dependencies.lock"):
        if not kept.exists():
            files = dependency_files(function)
            files |= bytecode(files, sys.executable)
            kept.parent.mkdir(exist_ok=True)
            fresh = kept.with_suffix(".part")
            with zipfile.ZipFile(fresh, "w") as archive:
                for name, content in files.items():
                    archive.writestr(name, content)
            fresh.rename(kept)
    with zipfile.ZipFile(kept) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _write_tree(files: Files, folder: Path) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _digest(files: Files) -> str:
    whole = hashlib.sha256()
    for name in sorted(files):
        whole.update(f"{name}\0{hashlib.sha256(files[name]).hexdigest()}\n".encode())
    return whole.hexdigest()


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


# ---- the command ------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 1 with the reason on standard error when nothing was packaged."""
    parser = argparse.ArgumentParser(prog="build/package.py", description="Package the Lambda functions.")
    commands = parser.add_subparsers(dest="command", required=True)
    host = commands.add_parser("host", help="an unzipped package for this interpreter")
    host.add_argument("--function", choices=FUNCTIONS, default="processor")
    host.add_argument("--engine", choices=("auto", "compiled", "pure"), default="auto")
    host.add_argument("--out", type=Path, required=True)
    commands.add_parser("lock", help="resolve the dependencies anew and write the lock files")
    options = parser.parse_args(arguments)
    try:
        if options.command == "host":
            build_host(FUNCTIONS[options.function], options.engine, options.out.absolute())
        elif options.command == "lock":
            for function in FUNCTIONS.values():
                write_lock(function)
    except PackageError as error:
        print(f"build/package.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
