"""The deployment package: what is in it, that it is nothing else on any day, and what is refused."""

import ast
import hashlib
import importlib.util
import io
import json
import marshal
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from elftools.elf.elffile import ELFFile

from handler.adapters.support.lean.clients import SERVICES
from handler.domain.canonical import VERSIONS
from tests.support.build_scripts import ROOT, load

load("packager.elf")
# It imports all the others.
load("packager.command")
packager = sys.modules["packager"]
PackageError = packager.files.PackageError
FUNCTIONS = packager.functions.FUNCTIONS
# The reference, which ships what the checks of dependencies are about; the lean one ships none.
PROCESSOR = packager.functions.processor("standard")
LEAN = FUNCTIONS["processor"]


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package for this machine."""
    out = tmp_path_factory.mktemp("host") / "package"
    packager.host.build_host(PROCESSOR, "auto", out)
    return out


@pytest.fixture(scope="module")
def lean_host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package on the lean support for this machine."""
    out = tmp_path_factory.mktemp("lean") / "package"
    packager.host.build_host(LEAN, "auto", out)
    return out


def files_of(host: Path) -> dict[str, bytes]:
    return {path.relative_to(host).as_posix(): path.read_bytes() for path in host.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def files(host: Path) -> dict[str, bytes]:
    return files_of(host)


def isolated(folder: Path, program: str) -> str:
    """Run a program that finds nothing but the standard library and `folder`."""
    lines = f"import sys; sys.path.insert(0, {str(folder)!r})\n{program}"
    done = subprocess.run([sys.executable, "-I", "-S", "-B", "-c", lines], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


# ---- what is in it ----------------------------------------------------------------------------------------------


def taken_from_clients(source: str) -> set[str]:
    """Names taken from anything that is called as a client of AWS, called at once or passed on."""
    attributes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute)]
    return {
        node.attr for node in attributes if re.search(r"(^|\.)_?(client|dynamodb|s3)(\(\))?$", ast.unparse(node.value))
    }


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_operations_listed_are_the_operations_called(function: Any) -> None:
    calls, services = set(), set()
    for name, source in packager.ours.our_files(function).items():
        if name.startswith("handler/") and name.endswith(".py"):
            calls |= taken_from_clients(source.decode())
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "aws_client":
                    services.add(ast.literal_eval(node.args[0]))
    assert services == set(function.operations)
    assert not calls & {"get_paginator", "get_waiter"}, "the package has neither paginators nor waiters"
    called = {service: {name for name in methods(service) if name in calls} for service in services}
    # The durable execution SDK's own, which only the workflow's package has.
    durable = set(packager.functions.DURABLE_OPERATIONS) if function.lock == packager.locks.WORKFLOW else set()
    listed = {
        service: {snake(name) for name in names if name not in durable}
        for service, names in function.operations.items()
    }
    assert listed == called


def test_operations_listed_for_the_durable_sdk_are_those_that_it_calls() -> None:
    from aws_durable_execution_sdk_python import lambda_service

    calls = taken_from_clients(Path(lambda_service.__file__).read_text())
    assert {snake(name) for name in packager.functions.DURABLE_OPERATIONS} == {
        name for name in methods("lambda") if name in calls
    }
    assert set(packager.functions.DURABLE_OPERATIONS) < set(FUNCTIONS["workflow"].operations["lambda"])


def methods(service: str) -> set[str]:
    """Every operation of a service as a client's method, from the whole model."""
    import botocore.session

    model = botocore.session.get_session().get_service_model(service)
    return {snake(name) for name in model.operation_names}


def snake(operation: str) -> str:
    from botocore import xform_name

    return str(xform_name(operation))


def test_clients_have_the_listed_methods_and_no_others(host: Path) -> None:
    program = f"""
import botocore.session, json
session = botocore.session.get_session()
print(json.dumps({{
    service: sorted(session.create_client(service, "eu-west-1", aws_access_key_id="a", aws_secret_access_key="b")
                    .meta.method_to_api_mapping)
    for service in {sorted(PROCESSOR.operations)!r}
}}))
"""
    listed = {service: sorted(map(snake, names)) for service, names in PROCESSOR.operations.items()}
    assert json.loads(isolated(host, program)) == listed


def test_a_cut_model_keeps_what_its_operations_reach_and_nothing_else() -> None:
    model = {
        "metadata": {"serviceId": "Toy"},
        "documentation": "long",
        "operations": {
            "Get": {"input": {"shape": "In"}, "errors": [{"shape": "Gone"}], "documentation": "long"},
            "Put": {"input": {"shape": "Other"}},
        },
        "shapes": {
            "In": {"type": "structure", "members": {"documentation": {"shape": "List", "documentation": "long"}}},
            "List": {"type": "list", "member": {"shape": "In"}},
            "Gone": {"type": "structure", "members": {}, "exception": True},
            "Other": {"type": "string"},
        },
    }
    assert packager.botocore_data.cut_model(model, ["Get"]) == {
        "metadata": {"serviceId": "Toy"},
        "operations": {"Get": {"input": {"shape": "In"}, "errors": [{"shape": "Gone"}]}},
        "shapes": {
            "Gone": {"type": "structure", "members": {}, "exception": True},
            "In": {"type": "structure", "members": {"documentation": {"shape": "List"}}},
            "List": {"type": "list", "member": {"shape": "In"}},
        },
    }
    with pytest.raises(PackageError, match="Toy has no operation Got: correct FUNCTIONS"):
        packager.botocore_data.cut_model(model, ["Get", "Got"])


def test_only_the_aws_partition_and_the_called_services_are_in_the_data(files: dict[str, bytes]) -> None:
    endpoints = json.loads(files["botocore/data/endpoints.json"])["partitions"]
    assert [one["partition"] for one in endpoints] == ["aws"]
    assert set(endpoints[0]["services"]) == set(PROCESSOR.operations)
    assert [one["id"] for one in json.loads(files["botocore/data/partitions.json"])["partitions"]] == ["aws"]
    services = {name.split("/")[2] for name in files if name.startswith("botocore/data/") and name.count("/") > 2}
    assert services == set(PROCESSOR.operations)


def test_code_of_dependencies_is_as_their_wheels_have_it(files: dict[str, bytes]) -> None:
    shipped = set()
    for _, path in packager.locks.locked_wheels(PROCESSOR.lock):
        with zipfile.ZipFile(path) as wheel:
            for name in wheel.namelist():
                if name.endswith(".py") and ".data/" not in name:
                    assert files[name] == wheel.read(name)
                    shipped.add(name)
    ours = {name for name in files if name.startswith(("handler/", "scoring/"))}
    assert {name for name in files if name.endswith(".py")} - ours == shipped


def test_a_gateways_roots_are_beside_its_adapter(files: dict[str, bytes]) -> None:
    name = "handler/adapters/gateways/stripe_roots.pem"
    assert files[name] == (ROOT / name).read_bytes()


def test_every_licence_travels_along(files: dict[str, bytes]) -> None:
    for pin in packager.locks.read_lock(PROCESSOR.lock):
        folder = f"{pin.name.replace('-', '_')}-{pin.version}.dist-info/"
        names = [name for name in files if name.lower().startswith(folder.lower())]
        assert any("LICENSE" in name.upper() for name in names), pin.name
        assert any(name.endswith("METADATA") for name in names), pin.name


def test_the_lean_package_has_our_own_code_alone(lean_host: Path) -> None:
    files = files_of(lean_host)
    assert {name.partition("/")[0] for name in files} == {"handler", "scoring"}
    assert "handler/amazon_roots.pem" in files
    assert sum(map(len, files.values())) < 2_000_000


def test_a_package_refuses_the_support_that_it_does_not_have(host: Path, lean_host: Path) -> None:
    for folder, other in ((host, "lean"), (lean_host, "standard")):
        program = f"""
from handler.queue_function import create
try:
    create({{"SUPPORT": {other!r}}})
except Exception as error:
    print(error)
"""
        assert isolated(folder, program).startswith(f"SUPPORT is {other!r}; allowed: a support that was packaged")


def test_the_lean_clients_have_the_operations_listed() -> None:
    assert {name: set(known.operations) for name, known in SERVICES.items()} == {
        name: set(operations) for name, operations in LEAN.operations.items()
    }


def test_what_only_operators_run_stays_out(files: dict[str, bytes]) -> None:
    assert not [name for name in files if name.startswith(PROCESSOR.excluded)]
    assert not [name for name in files if name.endswith((".pyx", ".c", ".h", ".rules"))]
    assert not {"handler/py.typed", "scoring/py.typed"} & files.keys()
    assert not [name for name in files if name.startswith(("boto3", "numpy", "awslambdaric"))]


@pytest.mark.parametrize("support", packager.functions.SUPPORTS)
def test_the_processor_has_what_its_choices_import_and_of_approvals_the_starter_alone(
    support: str, host: Path, lean_host: Path
) -> None:
    host = lean_host if support == "lean" else host
    files = files_of(host)
    credentials = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    program = (
        f"import os; os.environ |= {credentials | {'SUPPORT': support}!r}"
        + """
import json, sys
from handler import queue_function
def create(variables):
    return queue_function.create({"SUPPORT": os.environ["SUPPORT"], **variables})
create({})
create({
    "DYNAMODB_TABLE": "transactions", "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "REJECTED_QUEUE_URL": "http://127.0.0.1:9/000000000000/q",
    "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "eu-west-1",
    "GATEWAY": "simulated", "APPROVAL_FUNCTION_ARN": "f:live",
})
try:
    # As far as its import: no secret can be read here.
    create({
        "REJECTED_QUEUE_URL": "http://127.0.0.1:9/000000000000/q", "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "CANONICAL_VERSION_WRITTEN": "2",
        "GATEWAY": "stripe", "GATEWAY_MODE": "test",
        "GATEWAY_SECRET_ARN": "arn:aws:secretsmanager:us-east-1:000000000000:secret:key",
    })
except Exception as error:
    assert "GATEWAY_SECRET_ARN" in str(error), error
print(json.dumps([name for name in sys.modules if name.partition(".")[0] == "handler"]))
"""
    )
    imported = set(json.loads(isolated(host, program).splitlines()[-1]))
    sources = {name for name in files if name.startswith("handler/") and name.endswith(".py")}
    # Where the table was restored, and then with the first payment; and with the first refund.
    imported |= {"handler.domain.restored", "handler.adapters.table.refund_log", "handler.adapters.table.refund_writes"}
    imported |= {f"handler.domain.refund_{name}" for name in ("item", "message", "ports", "process")}
    assert {name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in sources} == imported
    of_approvals = {name for name in sources if "approv" in name or "reconcile" in name or "workflow" in name}
    assert of_approvals == {"handler/adapters/approval/__init__.py", "handler/adapters/approval/starter.py"}


def test_no_import_of_the_processor_late_ones_included_names_what_stays_out(files: dict[str, bytes]) -> None:
    named = {
        (name, node.module)
        for name, source in files.items()
        if name.startswith(("handler/", "scoring/")) and name.endswith(".py")
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith(("handler.", "scoring."))
    }
    missing = {
        (name, module)
        for name, module in named
        if not {f"{str(module).replace('.', '/')}.py", f"{str(module).replace('.', '/')}/__init__.py"} & set(files)
    }
    # A refusal's sentence, which a person reads: the processor refuses nobody.
    assert missing == {("handler/domain/errors.py", "handler.domain.reasons")}


def test_every_source_has_bytecode_that_import_takes_unchecked(files: dict[str, bytes]) -> None:
    tag = sys.implementation.cache_tag
    for name in files:
        if name.endswith(".py"):
            folder, _, base = name.rpartition("/")
            compiled = f"{folder}/__pycache__/{base[:-3]}.{tag}.pyc".removeprefix("/")
            # Flags 1: a hash instead of a time stamp, and not to be checked (PEP 552).
            assert files[compiled][4:8] == b"\1\0\0\0", name


def test_the_bytecode_of_our_own_code_has_its_assertions_and_lines_and_no_docstring() -> None:
    source = '''"""A module."""

from __future__ import annotations


class Only:
    """Nothing else."""


def add(a, b):
    """Add."""
    assert a, "no a"
    return __name__ and a + b
'''
    codes: dict[str, dict[str, Any]] = {}
    for name in ("handler/module.py", "dependency/module.py"):
        [content] = packager.bytecode.bytecode({name: source.encode()}, sys.executable).values()
        assert content[8:16] == importlib.util.source_hash(source.encode())
        codes[name] = {"__name__": name}
        exec(marshal.loads(content[16:]), codes[name])
    ours, theirs = codes.values()
    assert (theirs["__doc__"], theirs["add"].__doc__, theirs["Only"].__doc__) == ("A module.", "Add.", "Nothing else.")
    assert (ours.get("__doc__"), ours["add"].__doc__, ours["Only"].__doc__) == (None, None, None)
    assert ours["add"](1, 2) == 3
    assert [*ours["add"].__code__.co_lines()] == [*theirs["add"].__code__.co_lines()]
    with pytest.raises(AssertionError, match="no a"):
        ours["add"](0, 2)


def test_no_code_of_ours_that_ships_reads_a_docstring() -> None:
    for function in FUNCTIONS.values():
        for name, source in packager.ours.our_files(function).items():
            assert not name.endswith(".py") or b"__doc__" not in source, name


def test_the_package_answers_the_published_test_event_alone(lean_host: Path) -> None:
    program = """
import json, handler
body = {"payment_id": "t-1", "order_id": "o", "customer_id": "c", "amount": 25.99, "payment_method": "credit_card"}
answer = handler.lambda_handler({"Records": [{"messageId": "m", "body": json.dumps(body)}]}, {})
print(json.dumps(answer))
"""
    answer = json.loads(isolated(lean_host, program).splitlines()[-1])
    assert answer["body"]["processed"] == 1


# ---- the same on any day ----------------------------------------------------------------------------------------


def test_a_second_call_changes_nothing_and_a_changed_file_is_packaged(
    host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = host.stat().st_ino
    packager.host.build_host(PROCESSOR, "auto", host)
    assert host.stat().st_ino == before
    ours = packager.ours.our_files(PROCESSOR)
    monkeypatch.setattr(packager.host, "our_files", lambda _: ours | {"handler/extra.py": b"X = 1\n"})
    packager.host.build_host(PROCESSOR, "auto", host)
    assert (host / "handler" / "extra.py").exists()
    monkeypatch.undo()
    packager.host.build_host(PROCESSOR, "auto", host)
    assert not (host / "handler" / "extra.py").exists()
    assert not [path for path in host.parent.iterdir() if path.name.startswith(".")]


def test_a_zip_depends_on_its_content_alone(files: dict[str, bytes]) -> None:
    some = {name: content for name, content in files.items() if name.startswith("scoring/")}
    backwards = dict(reversed(some.items()))
    assert packager.archive.zip_bytes(some) == packager.archive.zip_bytes(backwards)
    with zipfile.ZipFile(io.BytesIO(packager.archive.zip_bytes(some))) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {entry.external_attr >> 16 for entry in archive.infolist()} <= {0o100644, 0o100755}
        assert archive.namelist() == sorted(some)


def test_bytecode_is_the_same_in_every_build() -> None:
    ours = packager.ours.our_files(PROCESSOR)
    assert packager.bytecode.bytecode(ours, sys.executable) == packager.bytecode.bytecode(ours, sys.executable)


# ---- what is refused --------------------------------------------------------------------------------------------


def test_a_package_that_lacks_a_dependency_is_refused(files: dict[str, bytes]) -> None:
    without = {name: content for name, content in files.items() if not name.startswith("jmespath/")}
    with pytest.raises(PackageError, match=r"(?s)does not import from its own content.*jmespath.*pyproject"):
        packager.checks.check_imports(without, sys.executable)


def test_a_package_without_bytecode_is_refused(files: dict[str, bytes]) -> None:
    without = {name: content for name, content in files.items() if "scoring/__pycache__/table" not in name}
    with pytest.raises(PackageError, match=r"no bytecode of scoring\.table"):
        packager.checks.check_imports(without, sys.executable)


def test_source_that_does_not_compile_is_refused() -> None:
    with pytest.raises(PackageError, match=r"(?s)cannot compile the package.*broken\.py"):
        packager.bytecode.bytecode({"broken.py": b"def f(:\n"}, sys.executable)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "missing"])
def test_a_damaged_rule_table_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    (tmp_path / "scoring").mkdir()
    content = bytearray((ROOT / "scoring" / "rules.table").read_bytes())
    if damage == "flipped":
        # In the middle: a header check does not see it, the whole-file checksum does.
        content[len(content) // 2] ^= 1
    if damage != "missing":
        kept = content[:-1] if damage == "truncated" else content
        (tmp_path / "scoring" / "rules.table").write_bytes(kept)
    monkeypatch.setattr(packager.ours, "ROOT", tmp_path)
    with pytest.raises(PackageError, match=r"rules\.table: .*: run `make rules`"):
        packager.ours.verified_rule_table()


def test_a_library_for_another_architecture_or_a_newer_glibc_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    name, content = next(iter(packager.ours.host_extension().items()))
    machine = os.uname().machine
    other = {"x86_64": "aarch64", "aarch64": "x86_64"}[machine]
    lambda_name = {"aarch64": "arm64"}.get(other, other)
    with pytest.raises(PackageError, match=f"{name} is for EM_.*build the {other} wheel"):
        packager.checks.check_libraries({name: content}, lambda_name)
    monkeypatch.setattr(packager.elf, "GLIBC_MAX", (2, 0))
    with pytest.raises(packager.elf.ElfError, match=r"asks for GLIBC_2\.\d+.*target glibc 2\.17"):
        packager.elf.check_library(content, name, machine)
    with pytest.raises(packager.elf.ElfError, match=r"x\.so is not an ELF file"):
        packager.elf.check_library(b"\x7fELF but no more", "x.so", machine)


@pytest.mark.parametrize("section", [".dynamic", ".dynsym", ".gnu.version_r"])
def test_a_library_whose_section_has_the_name_alone_is_refused(section: str) -> None:
    name, content = next(iter(packager.ours.host_extension().items()))
    read = ELFFile(io.BytesIO(content))
    # The second word of a section's header is its type; 1 is bytes without any meaning (SHT_PROGBITS).
    at = read["e_shoff"] + read["e_shentsize"] * read.get_section_index(section) + 4
    damaged = content[:at] + (1).to_bytes(4, "little") + content[at + 4 :]
    with pytest.raises(packager.elf.ElfError, match=f"{name} .*: build it again"):
        packager.elf.check_library(damaged, name, os.uname().machine)


def commit(folder: Path) -> None:
    git = ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@example.com"]
    for command in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message=x"]):
        subprocess.run([*git, *command], check=True)


def test_a_dirty_checkout_is_refused_unless_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packager.manifest, "ROOT", tmp_path)
    for name in ("handler/__init__.py", "scoring/__init__.py", "build/x.py", "docs/x.md", "pyproject.toml", "setup.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert packager.manifest.clean_revision(False) is None
    commit(tmp_path)
    revision = packager.manifest.clean_revision(False)
    (tmp_path / "docs" / "x.md").write_text("not shipped")
    assert packager.manifest.clean_revision(False) == revision
    (tmp_path / "handler" / "new.py").touch()
    with pytest.raises(PackageError, match=r"(?s)differs from its commit:.*handler/new\.py.*DIRTY=1"):
        packager.manifest.clean_revision(False)
    assert packager.manifest.clean_revision(True) == f"{revision}-dirty"


def test_a_wheel_of_other_sources_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packager.ours, "DIST", tmp_path)
    with pytest.raises(PackageError, match="dist/ must hold one aarch64 wheel and one sdist, it holds 0 and 0"):
        packager.ours.extension_of_wheel("aarch64")
    with zipfile.ZipFile(tmp_path / "p-1-cp311-abi3-manylinux_2_17_aarch64.whl", "w") as wheel:
        wheel.writestr("scoring/_compiled.abi3.so", b"library")

    def sdist(setup: bytes) -> None:
        with tarfile.open(tmp_path / "p-1.tar.gz", "w:gz") as archive:
            member = tarfile.TarInfo("p-1/setup.py")
            member.size = len(setup)
            archive.addfile(member, io.BytesIO(setup))

    sdist((ROOT / "setup.py").read_bytes())
    assert packager.ours.extension_of_wheel("aarch64") == b"library"
    sdist(b"# older")
    with pytest.raises(PackageError, match=r"was built before setup\.py changed: run `make wheel`"):
        packager.ours.extension_of_wheel("aarch64")


def test_a_runtime_without_its_interpreter_is_refused() -> None:
    here = f"python{sys.version_info.major}.{sys.version_info.minor}"
    assert packager.bytecode.find_interpreter(here) == sys.executable
    with pytest.raises(PackageError, match=rf"no CPython 3\.99 .*RUNTIME={here}"):
        packager.bytecode.find_interpreter("python3.99")


@pytest.mark.parametrize(
    ("variable", "folder"),
    [("PYENV_ROOT", "versions/3.99.1"), ("UV_PYTHON_INSTALL_DIR", "cpython-3.99.1-linux-x86_64")],
)
def test_an_interpreter_off_the_path_is_found_where_pyenv_and_uv_put_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, folder: str
) -> None:
    python = tmp_path / folder / "bin" / "python3.99"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\necho 3.99\n")
    python.chmod(0o755)
    monkeypatch.setenv(variable, str(tmp_path))
    assert packager.bytecode.find_interpreter("python3.99") == str(python)


def test_sizes_are_held_to_lambdas_limits_and_to_the_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packager.sizes, "SIZES", tmp_path / "sizes.json")

    def sizes(unzipped: int) -> dict[str, dict[str, int]]:
        part = {"zipped": 250, "unzipped": unzipped}
        return {"botocore": part, "handler": {"zipped": 1, "unzipped": 1}, "total": part}

    def check(unzipped: int, runtime: str = "python3.13", *, record: bool = False) -> None:
        packager.sizes.check_sizes(runtime, "x", sizes(unzipped), record)

    with pytest.raises(PackageError, match=r"has no size of x for python3\.13: run `make record-sizes`"):
        check(1000)
    check(1000, record=True)
    check(1040)
    with pytest.raises(PackageError, match=r"has 1100 bytes unzipped, 1000 were recorded.*botocore, 100 more"):
        check(1100)
    with pytest.raises(PackageError, match="bytes unzipped, Lambda takes 262144000: ship less"):
        check(262144001, record=True)
    # The bytecode of another Python has other sizes.
    with pytest.raises(PackageError, match=r"has no size of x for python3\.11"):
        check(1100, "python3.11")
    check(1100, "python3.11", record=True)
    check(1100, "python3.11")
    with pytest.raises(PackageError, match=r"x\.zip for python3\.13 has 1100 bytes"):
        check(1100)


def test_sizes_are_recorded_for_every_runtime_that_terraform_takes() -> None:
    variables = (ROOT / "terraform" / "variables.tf").read_text()
    (taken,) = re.findall(r"contains\((\[.*?\]), var\.runtime\)", variables)
    makefile = (ROOT / "Makefile").read_text()
    (packaged,) = re.findall(r"^RUNTIMES := (.*)$", makefile, re.MULTILINE)
    recorded = json.loads(packager.sizes.SIZES.read_text())
    assert set(packaged.split()) == set(json.loads(taken)) == set(recorded)
    steps = re.findall(r"^CI_(?:FIRST|STEPS) := ((?:.*\\\n)*.*)$", makefile, re.MULTILINE)
    assert "test-package" in " ".join(steps).split()
    archives = {
        packager.functions.Target(function, architecture, engine, "").size_name
        for function in (*FUNCTIONS.values(), PROCESSOR)
        for architecture in packager.functions.ARCHITECTURES
        for engine in packager.functions.ENGINES
    }
    assert {runtime: set(sizes) for runtime, sizes in recorded.items()} == dict.fromkeys(recorded, archives)


# ---- what comes with it -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], dict[str, Any]]:
    """A pure ZIP for this interpreter with its manifest and SBOM."""
    runtime = f"python{sys.version_info.major}.{sys.version_info.minor}"
    target = packager.functions.Target(PROCESSOR, "arm64", "pure", runtime)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packager.archive, "DIST", tmp_path_factory.mktemp("dist"))
        patch.setattr(packager.sizes, "SIZES", tmp_path_factory.mktemp("sizes") / "sizes.json")
        dependencies = packager.dependencies.dependency_files(PROCESSOR)
        dependencies |= packager.bytecode.bytecode(dependencies, sys.executable)
        path = packager.archive.build_zip(target, dependencies, "abc", True)
    manifest = json.loads(path.with_suffix(".manifest.json").read_text())
    return path, manifest, json.loads(path.with_suffix(".cdx.json").read_text())


def test_the_manifest_describes_the_zip(written: tuple[Path, dict[str, Any], dict[str, Any]]) -> None:
    path, manifest, _ = written
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    assert manifest["files"] == {name: hashlib.sha256(data).hexdigest() for name, data in content.items()}
    assert manifest["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (manifest["engine"], manifest["architecture"], manifest["revision"]) == ("pure", "arm64", "abc")
    assert manifest["rule_table"]["rules"] > 0
    assert manifest["canonical_versions_read"] == sorted(VERSIONS)
    assert manifest["sizes"]["total"] == {
        "zipped": path.stat().st_size,
        "unzipped": sum(len(data) for data in content.values()),
    }
    assert path.name == "payment-processor-arm64-pure.zip"
    assert not [name for name in content if name.endswith(".so")]


def test_the_bill_of_materials_names_every_dependency(written: tuple[Path, dict[str, Any], dict[str, Any]]) -> None:
    _, manifest, bill = written
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    libraries = {one["name"]: one for one in bill["components"] if one["type"] == "library"}
    assert {name: one["version"] for name, one in libraries.items()} == manifest["dependencies"]
    for one in libraries.values():
        assert one["purl"] == f"pkg:pypi/{one['name']}@{one['version']}"
        assert len(one["hashes"][0]["content"]) == 64
        assert one["licenses"]
    depends = {one["ref"].split("@")[0]: one["dependsOn"] for one in bill["dependencies"]}
    assert any(reference.startswith("pkg:pypi/urllib3@") for reference in depends["pkg:pypi/botocore"])
    assert bill["metadata"]["component"]["hashes"][0]["content"] == manifest["sha256"]
    references = {one["bom-ref"] for one in bill["components"]}
    assert all(reference in references for one in bill["dependencies"] for reference in one["dependsOn"])


def test_the_same_zip_comes_out_of_another_checkout(
    written: tuple[Path, dict[str, Any], dict[str, Any]], tmp_path: Path
) -> None:
    path, manifest, _ = written
    copy = tmp_path / "elsewhere"
    for name in ("build", "handler", "scoring"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    shutil.copyfile(ROOT / "pyproject.toml", copy / "pyproject.toml")
    shutil.copytree(ROOT / ".build" / "wheels", copy / ".build" / "wheels")
    command = ["build/package.py", "lambda", "--architecture=arm64", "--engine=pure", "--support=standard"]
    command.append("--record-size")
    subprocess.run([sys.executable, *command, f"--runtime={manifest['runtime']}"], cwd=copy, check=True)
    assert (copy / "dist" / path.name).read_bytes() == path.read_bytes()
    assert (copy / "dist" / path.with_suffix(".cdx.json").name).read_bytes() == path.with_suffix(
        ".cdx.json"
    ).read_bytes()


def test_the_page_names_the_interpreter_that_make_package_needs():
    default = re.search(r"^RUNTIME \?= python(.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert default
    package = (ROOT / "docs" / "packaging.md").read_text().split("## What it needs")[1].split("\n## ")[0]
    assert f"needs CPython {default.group(1)} on this machine" in package.replace("\n", " ")
