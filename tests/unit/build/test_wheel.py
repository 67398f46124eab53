"""Which way a wheel is built, and which wheels are refused."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.support.build_scripts import ROOT, load

wheel = load("wheel")
functions = load("packager.functions")


def docker(folder: Path, exit_code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A docker command that answers with this code, and nothing else on the PATH."""
    path = folder / "docker"
    path.write_text(f"#!/bin/sh\nexit {exit_code}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def test_without_docker_zig_builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert wheel.choose_builder("auto") == wheel.Builder("zig", "there is no docker command on this machine")


def test_without_a_daemon_zig_builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker(tmp_path, 1, monkeypatch)
    assert wheel.choose_builder("auto") == wheel.Builder("zig", "no Docker daemon answers")


def test_with_a_daemon_containers_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker(tmp_path, 0, monkeypatch)
    assert wheel.choose_builder("auto") == wheel.Builder("container", "a Docker daemon answers")


@pytest.mark.parametrize("name", ["zig", "container"])
def test_an_explicit_builder_is_taken(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker(tmp_path, 0 if name == "zig" else 1, monkeypatch)
    assert wheel.choose_builder(name).name == name


def test_what_was_built_before_is_no_source(tmp_path: Path) -> None:
    wheel.stage_sources(tmp_path)
    assert (tmp_path / "scoring" / "_compiled.pyx").exists()
    assert (tmp_path / "scoring" / "rules.table").exists()
    assert not [path for path in tmp_path.rglob("*") if path.name.endswith(wheel.NOT_SOURCES)]


def test_wheel_and_sdist_have_their_data_and_say_that_the_packages_are_typed(tmp_path: Path) -> None:
    wheel.stage_sources(tmp_path)
    # What a wheel is zipped from, without the extension.
    commands = ["build_py", "--build-lib=modules", "sdist", "--formats=gztar", "--dist-dir=sdist"]
    subprocess.run(
        [sys.executable, "setup.py", "--quiet", *commands], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    (sdist,) = (tmp_path / "sdist").iterdir()
    with tarfile.open(sdist) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    roots = "handler/adapters/gateways/stripe_roots.pem"
    for name in ("handler/py.typed", "scoring/py.typed", "scoring/rules.table", "operations/__main__.py", roots):
        assert (tmp_path / "modules" / name).exists(), name
        assert name in packed


def test_a_missing_source_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheel, "ROOT", tmp_path)
    with pytest.raises(wheel.WheelError, match=r"LICENSE is missing in .*: check the files out again"):
        wheel.stage_sources(tmp_path / "staged")


def test_a_missing_compiler_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'No module named ziglang' >&2\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr(wheel.sys, "executable", str(python))
    with pytest.raises(wheel.WheelError, match=r"(?s)the aarch64 wheel failed:.*No module named ziglang"):
        wheel.build_with_zig("aarch64", tmp_path / "out")


def make(folder: Path, name: str, files: dict[str, bytes]) -> Path:
    path = folder / name
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in files.items():
            archive.writestr(member, content)
    return path


GOOD = "p-1-cp311-abi3-manylinux2014_aarch64.manylinux_2_17_aarch64.whl"


@pytest.mark.parametrize(
    "name",
    [
        "p-1-cp311-cp311-manylinux2014_aarch64.manylinux_2_17_aarch64.whl",
        "p-1-cp311-abi3-manylinux_2_28_aarch64.whl",
        "p-1-cp311-abi3-linux_aarch64.whl",
    ],
)
def test_a_wheel_with_another_tag_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(wheel.WheelError, match="does not end in cp311-abi3-manylinux_2_17_aarch64"):
        wheel.check_wheel(make(tmp_path, name, {}), "aarch64")


def test_a_wheel_without_the_extension_is_refused(tmp_path: Path) -> None:
    with pytest.raises(wheel.WheelError, match=r"holds no library instead of scoring/_compiled\.abi3\.so alone"):
        wheel.check_wheel(make(tmp_path, GOOD, {"scoring/kernel.py": b""}), "aarch64")


def test_a_wheel_with_what_is_no_library_is_refused(tmp_path: Path) -> None:
    with pytest.raises(wheel.WheelError, match=r"_compiled\.abi3\.so is not an ELF file"):
        wheel.check_wheel(make(tmp_path, GOOD, {"scoring/_compiled.abi3.so": b"text"}), "aarch64")


def test_the_container_way_asks_for_the_same_target_as_zig() -> None:
    import tomllib

    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["cibuildwheel"]
    assert settings["build"] == "cp311-manylinux_*"
    assert sorted(settings["archs"]) == sorted(wheel.ARCHITECTURES)
    for architecture in wheel.ARCHITECTURES:
        # manylinux2014 is glibc 2.17, the version in zig's target.
        assert settings[f"manylinux-{architecture}-image"] == "manylinux2014"
    assert settings["environment"]["SOURCE_DATE_EPOCH"] == wheel.SOURCE_DATE_EPOCH


def test_make_builds_the_wheels_anew_after_a_change_of_whatever_is_in_them() -> None:
    made = subprocess.run(
        ["make", "--print-data-base", "--question", "dist/.wheels"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    (rule,) = (line for line in made.stdout.splitlines() if line.startswith("dist/.wheels: "))
    listed = subprocess.run(["git", "ls-files", *wheel.SOURCES], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(listed.stdout.split()) <= set(rule.split())
    # A file that was removed is noticed by its folder.
    assert {"handler/domain", "scoring"} <= set(rule.split())
    assert not any("__pycache__" in name for name in rule.split())
