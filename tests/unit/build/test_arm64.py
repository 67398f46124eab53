"""What `make test-arm64` says when it cannot run; that it passes is seen by running it."""

import hashlib
import json
import zipfile
from pathlib import Path

import pytest

from tests.support.build_scripts import load

arm64 = load("arm64")


def test_without_apt_it_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arm64, "CACHE", tmp_path / "cache")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(arm64.Arm64Error, match="apt-get is missing: the arm64 root is made of Debian packages"):
        arm64.interpreter("3.13")
    assert not (tmp_path / "cache").exists()


def test_a_download_that_breaks_leaves_no_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arm64, "CACHE", tmp_path / "cache")
    for tool in ("apt-get", "dpkg"):
        (tmp_path / tool).write_text("#!/bin/sh\necho 'Could not resolve the mirror' >&2\nexit 100\n")
        (tmp_path / tool).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(arm64.Arm64Error, match=r"(?s)failed: Could not resolve the mirror.*apt-get update"):
        arm64.interpreter("3.13")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_cached_root_is_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arm64, "CACHE", tmp_path)
    for name in ("qemu", "python3.13-trixie"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("PATH", "")
    command = arm64.interpreter("3.13").command
    assert command[1:3] == ("-cpu", "neoverse-n1")
    assert command[-1].endswith("python3.13-trixie/usr/bin/python3.13")


def test_only_the_zip_that_its_manifest_describes_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arm64, "ROOT", tmp_path)
    monkeypatch.setattr(arm64, "DIST", tmp_path)
    with pytest.raises(arm64.Arm64Error, match="or its manifest is missing: run `make package`"):
        arm64.unpack_zip("payment-processor-arm64-compiled", tmp_path / "out")
    path = tmp_path / "payment-processor-arm64-compiled.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("handler/__init__.py", "")
    manifest = {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    path.with_suffix(".manifest.json").write_text(json.dumps(manifest))
    assert arm64.unpack_zip("payment-processor-arm64-compiled", tmp_path / "out") == manifest
    assert (tmp_path / "out" / "handler" / "__init__.py").exists()
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(arm64.Arm64Error, match="is not what its manifest describes: run `make package`"):
        arm64.unpack_zip("payment-processor-arm64-compiled", tmp_path / "out")


def test_nothing_of_the_checkouts_code_lies_beside_the_package(tmp_path: Path) -> None:
    arm64.stage_tests(tmp_path)
    assert all((tmp_path / name).exists() for name in arm64.LONG_SUITE)
    assert not list((tmp_path / "scoring").rglob("*.py"))
    assert not list((tmp_path / "scoring").rglob("*.so"))
    assert not (tmp_path / "handler").exists()
