"""Rules about the code itself: which way imports point, what the linter sees, how long files are, one version."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.planted.test_planted_bugs import BUGS

ROOT = Path(__file__).parents[3]

# Entry points -> composition -> adapters -> domain, scoring a leaf: a module may import its own room and later ones.
ROOMS = ("entry", "composition", "adapters", "domain")
COMPOSITION = {
    "handler.approval_composition",
    "handler.composition",
    "handler.event_composition",
    "handler.settings",
    "handler.support",
}
OUTSIDE_OF_DOMAIN = ("boto3", "botocore", "aws_lambda_powertools", "aws_durable_execution_sdk_python", "scoring")


def modules() -> Iterator[tuple[str, Path]]:
    for package in ("handler", "operations", "scoring"):
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            # `from package import module` may name a module; the package alone would hide which.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(module: str) -> str:
    if module.startswith("handler.domain"):
        return "domain"
    if module.startswith("handler.adapters"):
        return "adapters"
    return "composition" if module in COMPOSITION else "entry"


def faults(module: str, imported: str) -> str | None:
    """What is wrong with one import, or None."""
    name = imported if imported.count(".") < 2 else imported.rsplit(".", 1)[0]
    if module.startswith("scoring"):
        return "scoring is a leaf" if name.startswith(("handler", "operations", "local", "benchmarks")) else None
    if imported.startswith("operations") and not module.startswith("operations"):
        return "what runs in Lambda imports no command"
    if imported.startswith(("local", "benchmarks", "tests")):
        return "the product imports no tool"
    if room(module) == "domain":
        if imported.split(".", maxsplit=1)[0] in OUTSIDE_OF_DOMAIN:
            return "the domain imports the standard library and itself"
        if not imported.startswith("handler"):
            known = imported.split(".", maxsplit=1)[0] in sys.stdlib_module_names
            return None if known else "the domain imports no library"
    if imported.startswith("handler"):
        target = next((known for known in sorted(COMPOSITION) if imported.startswith(known)), imported)
        if ROOMS.index(room(target)) < ROOMS.index(room(module)):
            return f"{room(module)} imports {room(target)}"
    return None


@pytest.mark.parametrize(("module", "path"), list(modules()), ids=lambda value: value if isinstance(value, str) else "")
def test_imports_point_one_way(module, path):
    wrong = {imported: fault for imported in imports(path) if (fault := faults(module, imported))}
    assert not wrong


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("handler.domain.claim", "botocore.session.get_session"),
        ("handler.domain.claim", "handler.adapters.table.memory.MemoryDynamoDb"),
        ("handler.domain.claim", "scoring.kernel.load_engine"),
        ("handler.domain.claim", "rich.print"),
        ("handler.adapters.queues", "handler.composition.compose"),
        ("handler.composition", "handler.queue_function.create"),
        ("handler.queue_function", "local.run.main"),
        ("handler.reconcile_function", "operations.items.open_items"),
        ("operations.parked", "local.run.main"),
        ("scoring.kernel", "operations.items.open_items"),
        ("scoring.kernel", "handler.domain.errors.PaymentError"),
    ],
)
def test_an_import_against_the_direction_is_found(module, imported):
    assert faults(module, imported)


def test_the_domain_has_no_import_cycle():
    graph = {
        module: {name.rsplit(".", 1)[0] for name in imports(path)}
        for module, path in modules()
        if module.startswith("handler.domain")
    }
    finished: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, f"cycle: {' -> '.join((*way, module))}"
        if module not in finished:
            for target in graph.get(module, set()):
                visit(target, (*way, module))
            finished.add(module)

    for module in graph:
        visit(module, ())


def test_what_tests_share_stands_in_no_test():
    taken = {
        f"{path.relative_to(ROOT)} takes {name}"
        for path in tracked("tests/*.py")
        for name in imports(path)
        if re.search(r"\.test_\w+\.\w+$", name) and name != "tests.planted.test_planted_bugs.BUGS"
    }
    assert not taken, "put it into tests/support"


def test_a_lint_fault_in_the_build_folder_is_found(tmp_path):
    for name in ("pyproject.toml", "README.md"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "planted.py").write_text("import os\n")
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--no-cache", "."],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 1
    assert "F401" in done.stdout


def test_the_build_folder_is_never_a_package():
    assert not (ROOT / "build" / "__init__.py").exists()


def changes_the_import_path(path: Path) -> bool:
    """Whether a module puts a folder on its own path; a program that it holds as text may."""
    return any(
        isinstance(node, ast.Attribute | ast.Subscript) and ast.unparse(node.value) == "sys.path"
        for node in ast.walk(ast.parse(path.read_text()))
    )


def test_only_scripts_that_cannot_find_our_code_change_the_import_path():
    changing = {str(path.relative_to(ROOT)) for path in tracked("*.py") if changes_the_import_path(path)}
    assert changing == {"build/arm64.py", "build/package.py"}


@pytest.mark.parametrize("name", BUGS)
def test_every_planted_bug_fits_the_code_as_it_is(name):
    for file, text, _ in BUGS[name].edits:
        assert (ROOT / file).read_text().count(text) == 1, f"{file} has changed: plant the bug anew where {text!r} was"


LINES_MAX = 400


def tracked(*patterns: str) -> list[Path]:
    """The files of the checkout that match, those not yet committed too."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    ).stdout
    return [path for name in listed.split("\0") if name and (path := ROOT / name).exists()]


def test_every_long_file_has_its_reason_in_contributing():
    chapter = (ROOT / "CONTRIBUTING.md").read_text().partition(f"\n## Files above {LINES_MAX} lines\n")[2]
    reasons = dict(re.findall(r"^\| `([^`]+)` \| (.+) \|$", chapter.partition("\n## ")[0], re.MULTILINE))
    long = {
        str(path.relative_to(ROOT))
        for path in tracked("*.py", "*.pyi", "*.pyx", "*.c", "*.h", "*.tf", "*.hcl", "Makefile", ".ci/*")
        if len(path.read_text().splitlines()) > LINES_MAX
    }
    assert sorted(long) == sorted(reasons), "cut a new one by job, or give its reason; take out one that is short again"


def test_every_folder_of_ours_is_in_the_wheel():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    folders = {module for module, path in modules() if path.name == "__init__.py"}
    assert set(project["tool"]["setuptools"]["packages"]) == folders


def test_types_are_checked_in_every_file():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]
    assert settings["strict"]
    assert settings["files"] == ["."]
    left_out = re.compile("|".join(settings["exclude"]))
    assert [str(path) for path in tracked("*.py", "*.pyi") if left_out.search(str(path.relative_to(ROOT)))] == []


def test_the_version_stands_in_pyproject_alone():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    named = re.compile(rf"(?<![\w.=]){re.escape(version)}(?![\w.])")
    holders = {
        str(path.relative_to(ROOT))
        for path in tracked("*.py", "*.pyx", "*.toml", "*.md", "*.tf", "*.yml", "Makefile")
        if named.search(path.read_text())
    }
    assert holders == {"CHANGELOG.md", "pyproject.toml"}


def test_the_newest_block_of_the_changelog_is_the_projects_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    newest = re.search(r"^## (\S+) \(\d{4}-\d\d-\d\d\)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] == version
