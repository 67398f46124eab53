"""Assemble what runs in Lambda: our code, the compiled twin, the rule table, locked dependencies; as a folder or ZIP.

The rule it keeps: content decides everything. The same sources, lock file and interpreter give the same bytes, on any
day and in any folder, and a dependency is shipped as its wheel has it or left out: no file of its code is ever edited.
"""

from __future__ import annotations

import argparse
import base64
import fcntl
import gzip
import hashlib
import importlib.machinery
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import uuid
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path
from typing import Any

from lock import PROCESSOR, WORKFLOW, Lock, LockError, Pin, locked_wheels, read_lock

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".build"
DIST = ROOT / "dist"
SIZES = ROOT / "build" / "sizes.json"
AWS_PARTITION = "aws"
# Lambda's name of an architecture -> the wheel's and the ELF file's.
ARCHITECTURES = {"arm64": "aarch64", "x86_64": "x86_64"}
ENGINES = ("compiled", "pure")
DEFAULT_RUNTIME = "python3.13"
# "Lambda quotas": a ZIP uploaded directly, and everything unzipped.
ZIPPED_BYTES_MAX = 50 * 1024 * 1024
UNZIPPED_BYTES_MAX = 250 * 1024 * 1024
# A package may outgrow its recorded size by this share before a person has to say that it should.
GROWTH_MAX = 1.05

Files = dict[str, bytes]


class PackageError(Exception):
    """Nothing was packaged. The message says what is wrong with what, and what to do."""


@dataclass(frozen=True)
class Function:
    """One Lambda function's package."""

    archive: str
    """Its ZIP is `dist/<archive>-<architecture>-<engine>.zip`."""
    handler: str
    lock: Lock
    excluded: tuple[str, ...]
    """Our paths that it does not ship: what only operators run, and what only the other function does."""
    operations: Mapping[str, tuple[str, ...]]
    """Service -> the operations called. botocore's models are cut to these, so any other call is an AttributeError."""


# What each function's part of handler/ calls, and the durable execution SDK by itself.
PROCESSOR_OPERATIONS = {
    "dynamodb": ("GetItem", "PutItem", "Query", "UpdateItem"),
    "lambda": ("Invoke",),
    "secretsmanager": ("GetSecretValue",),
    "sqs": ("ChangeMessageVisibilityBatch", "SendMessage"),
}
DURABLE_OPERATIONS = ("CheckpointDurableExecution", "GetDurableExecutionState")
WORKFLOW_OPERATIONS = PROCESSOR_OPERATIONS | {
    "kms": ("GenerateMac", "VerifyMac"),
    "lambda": ("GetDurableExecution", "Invoke", "SendDurableExecutionCallbackSuccess", *DURABLE_OPERATIONS),
    "sns": ("Publish",),
}

_OPERATORS = ("handler/__main__.py", "handler/cli/")
# The workflow's ZIP is its page's and its reconciler's too. The processor starts a workflow and knows no more of it.
_APPROVALS = (
    "handler/adapters/approval/executions.py",
    "handler/adapters/approval/notices.py",
    "handler/adapters/approval/page.py",
    "handler/adapters/approval/signing.py",
    "handler/adapters/table/approval_log.py",
    "handler/adapters/table/approval_writes.py",
    "handler/approval_composition.py",
    "handler/approval_page.py",
    "handler/domain/approval/",
    "handler/domain/reasons.py",
    "handler/domain/reconcile.py",
    "handler/reconcile_function.py",
    "handler/workflow.py",
)

FUNCTIONS = {
    "processor": Function(
        archive="payment-processor",
        handler="handler.lambda_handler",
        lock=PROCESSOR,
        excluded=_OPERATORS + _APPROVALS,
        operations=PROCESSOR_OPERATIONS,
    ),
    "workflow": Function(
        archive="payment-workflow",
        handler="handler.workflow.lambda_handler",
        lock=WORKFLOW,
        excluded=_OPERATORS,
        operations=WORKFLOW_OPERATIONS,
    ),
}


# ---- what goes in -----------------------------------------------------------------------------------------------


def our_files(function: Function) -> Files:
    """Our Python files and the rule table, by their path in the package."""
    files = {}
    for top in ("handler", "scoring"):
        for path in sorted((ROOT / top).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if not name.startswith(function.excluded):
                files[name] = path.read_bytes()
    files["scoring/rules.table"] = verified_rule_table()
    return files


def verified_rule_table() -> bytes:
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
    for pin, path in locked_wheels(function.lock):
        with zipfile.ZipFile(path) as wheel:
            if pin.name == "botocore":
                files |= _botocore_data(wheel, function.operations)
                files["handler/amazon_roots.pem"] = _amazon_roots(wheel.read("botocore/cacert.pem").decode())
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
        raise PackageError(f"the compiled twin is not built for {sys.executable}: run `make setup`")
    ours = our_files(function) | extension
    recipe = _digest(
        {
            "package.py": Path(__file__).read_bytes(),
            "lock": repr(read_lock(function.lock)).encode(),
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


# ---- the ZIP for Lambda -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Target:
    """One ZIP: for which function, architecture (Lambda's name), engine and runtime."""

    function: Function
    architecture: str
    engine: str
    runtime: str

    @property
    def stem(self) -> str:
        return f"{self.function.archive}-{self.architecture}-{self.engine}"


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
    check_sizes(target.runtime, target.stem, sizes, record_size)
    manifest = _manifest(target, files, content, sizes=sizes, revision=revision, interpreter=interpreter)
    DIST.mkdir(exist_ok=True)
    path = DIST / f"{target.stem}.zip"
    for name, text in (
        (f"{target.stem}.manifest.json", json.dumps(manifest, indent=1) + "\n"),
        (f"{target.stem}.cdx.json", json.dumps(software_bill_of_materials(target, files, content), indent=1) + "\n"),
    ):
        _replace(DIST / name, text.encode())
    _replace(path, content)
    return path


def clean_revision(allow_dirty: bool) -> str | None:
    """The commit that the package comes from, `-dirty` where that is allowed, None outside of git.

    Raises PackageError when what is packaged differs from the commit: nobody could say later what runs.
    """
    git = ["git", "-C", str(ROOT)]
    if not (ROOT / ".git").exists():
        return None
    shipped = ["handler", "scoring", "build", "pyproject.toml", "setup.py"]
    status = subprocess.run([*git, "status", "--porcelain", "--", *shipped], capture_output=True, text=True, check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    if not status.stdout:
        return commit
    if not allow_dirty:
        raise PackageError(
            f"the checkout differs from its commit:\n{status.stdout}commit first, or say DIRTY=1 for a package that "
            "is not to be deployed"
        )
    return f"{commit}-dirty"


def extension_of_wheel(architecture: str) -> bytes:
    """The compiled twin out of the wheel in dist/, which must have been built from these very sources."""
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


def find_interpreter(runtime: str) -> str:
    """A local CPython of the runtime's version: bytecode is good for one alone, and without it init takes 2.6 x."""
    wanted = runtime.removeprefix("python")
    installed = sorted(Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions").glob(f"{wanted}.*"))
    candidates = [sys.executable, shutil.which(runtime), *(str(path / "bin" / runtime) for path in reversed(installed))]
    for candidate in candidates:
        if candidate:
            question = "import sys; print('%d.%d' % sys.version_info[:2])"
            answer = subprocess.run([candidate, "-c", question], capture_output=True, text=True, check=False)
            if answer.returncode == 0 and answer.stdout.strip() == wanted:
                return candidate
    raise PackageError(
        f"no CPython {wanted} was found to compile the bytecode for {runtime}: install one (pyenv install {wanted}, "
        f"brew install python@{wanted}), or package for a runtime that is here with RUNTIME=python"
        f"{sys.version_info.major}.{sys.version_info.minor} and deploy with the same"
    )


def check_libraries(files: Files, architecture: str) -> None:
    """Every ELF file must be for the architecture and load with glibc 2.17. Raises PackageError."""
    from elf import ElfError, check_library

    for name, content in files.items():
        if content.startswith(b"\x7fELF") or name.endswith(".so"):
            try:
                check_library(content, name, ARCHITECTURES[architecture])
            except ElfError as error:
                raise PackageError(str(error)) from error


_IMPORTER = """
import importlib, json, sys
folder, names = json.load(sys.stdin)
sys.path.insert(0, folder)
for name in names:
    importlib.import_module(name)
loaded = [module for module in sys.modules.values() if (getattr(module, "__file__", None) or "").startswith(folder)]
uncompiled = [module.__name__ for module in loaded if not __import__("os").path.exists(module.__cached__ or "")]
if uncompiled:
    sys.exit("no bytecode of " + ", ".join(uncompiled))
"""


def check_imports(files: Files, interpreter: str) -> None:
    """Every module of ours must import from the package alone, with its bytecode. Raises PackageError."""
    names = [name for name in files if name.startswith(("handler/", "scoring/")) and name.endswith(".py")]
    modules = sorted(name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in names)
    with tempfile.TemporaryDirectory() as folder:
        _write_tree(files, Path(folder))
        done = subprocess.run(
            [interpreter, "-I", "-S", "-B", "-c", _IMPORTER],
            input=json.dumps([folder, modules]),
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise PackageError(
            f"the package does not import from its own content:\n{done.stderr.strip()}\n"
            "a dependency is missing in pyproject.toml, or a module belongs into `excluded` of build/package.py"
        )


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


def _manifest(
    target: Target,
    files: Files,
    content: bytes,
    *,
    sizes: Mapping[str, Mapping[str, int]],
    revision: str | None,
    interpreter: str,
) -> dict[str, Any]:
    sys.path.insert(0, str(ROOT))
    from handler.domain.canonical import VERSIONS
    from scoring.table import open_table

    sys.path.remove(str(ROOT))
    table = open_table(ROOT / "scoring" / "rules.table")
    version = subprocess.run(
        [interpreter, "-c", "import platform; print(platform.python_version())"],
        capture_output=True,
        text=True,
        check=True,
    )
    digest = hashlib.sha256(content)
    return {
        "handler": target.function.handler,
        "architecture": target.architecture,
        "engine": target.engine,
        "runtime": target.runtime,
        "bytecode_from": f"CPython {version.stdout.strip()}",
        "revision": revision,
        # Nothing else may be written where this code runs, and it may not go where anything else was.
        "canonical_versions_read": sorted(VERSIONS),
        "sha256": digest.hexdigest(),
        # As Lambda's own CodeSha256 spells it, to compare with what is deployed.
        "code_sha256": base64.b64encode(digest.digest()).decode(),
        "rule_table": {"format": table.version, "rules": table.rule_count, "sha256": table.checksum},
        "dependencies": {pin.name: pin.version for pin in read_lock(target.function.lock)},
        "sizes": sizes,
        "files": {name: hashlib.sha256(files[name]).hexdigest() for name in sorted(files)},
    }


def software_bill_of_materials(target: Target, files: Files, content: bytes) -> dict[str, Any]:
    """A CycloneDX 1.6 document: the ZIP, our parts, and each dependency with its wheel's hash and licence."""
    metadata = {
        message["Name"].lower().replace("_", "-"): message
        for name, text in files.items()
        if name.endswith(".dist-info/METADATA")
        for message in [HeaderParser().parsestr(text.decode())]
    }
    pins = read_lock(target.function.lock)
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


def _component(pin: Pin, metadata: Mapping[str, Any]) -> dict[str, Any]:
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


def _depends_on(metadata: Any, references: Mapping[str, str]) -> list[str]:
    found = set()
    for requirement in metadata.get_all("Requires-Dist") or []:
        name = "".join(character if character.isalnum() or character in "-_." else " " for character in requirement)
        dependency = name.split()[0].lower().replace("_", "-").replace(".", "-")
        if "extra ==" not in requirement and dependency in references:
            found.add(references[dependency])
    return sorted(found)


def _project_version() -> str:
    import tomllib

    return str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])


def _replace(path: Path, content: bytes) -> None:
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_bytes(content)
    fresh.replace(path)


# ---- the command ------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 1 with the reason on standard error when nothing was packaged."""
    parser = argparse.ArgumentParser(prog="build/package.py", description="Package the Lambda functions.")
    commands = parser.add_subparsers(dest="command", required=True)
    host = commands.add_parser("host", help="an unzipped package for this interpreter")
    host.add_argument("--function", choices=FUNCTIONS, default="processor")
    host.add_argument("--engine", choices=("auto", *ENGINES), default="auto")
    host.add_argument("--out", type=Path, required=True)
    cloud = commands.add_parser("lambda", help="the ZIP files for Lambda, into dist/")
    cloud.add_argument("--architecture", choices=ARCHITECTURES, action="append", help="default: all")
    cloud.add_argument("--engine", choices=ENGINES, action="append", help="default: all")
    cloud.add_argument("--runtime", default=DEFAULT_RUNTIME, help=f"default: {DEFAULT_RUNTIME}")
    cloud.add_argument("--allow-dirty", action="store_true", help="package a checkout that differs from its commit")
    cloud.add_argument("--record-size", action="store_true", help="write build/sizes.json instead of checking it")
    options = parser.parse_args(arguments)
    try:
        if options.command == "host":
            build_host(FUNCTIONS[options.function], options.engine, options.out.absolute())
        else:
            revision = clean_revision(options.allow_dirty)
            for function in FUNCTIONS.values():
                dependencies = dependency_files(function)
                dependencies |= bytecode(dependencies, find_interpreter(options.runtime))
                for architecture in options.architecture or ARCHITECTURES:
                    for engine in options.engine or ENGINES:
                        target = Target(function, architecture, engine, options.runtime)
                        path = build_zip(target, dependencies, revision, options.record_size)
                        print(f"{path.relative_to(ROOT)}  {path.stat().st_size / 1e6:.2f} MB")
    except (PackageError, LockError) as error:
        print(f"build/package.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
