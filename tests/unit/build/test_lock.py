"""Lock files belong to pyproject.toml, name no place of their own, and nothing else than what they pin gets in."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.build_scripts import ROOT, load

lock = load("packager.locks")


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the processor's lock file and pyproject.toml, which the script takes for the checkout."""
    (tmp_path / "build").mkdir()
    for name in ("pyproject.toml", lock.PROCESSOR.path):
        shutil.copyfile(ROOT / name, tmp_path / name)
    monkeypatch.setattr(lock, "ROOT", tmp_path)
    monkeypatch.setattr(lock, "WHEELS", tmp_path / "wheels")
    return tmp_path


@pytest.mark.parametrize("one", lock.LOCKS, ids=lambda one: str(one.path))
def test_every_lock_file_fits_pyproject(one: Any) -> None:
    assert lock.read_lock(one)


@pytest.mark.parametrize("one", lock.LOCKS, ids=lambda one: str(one.path))
def test_a_lock_file_names_no_address_and_no_option(one: Any) -> None:
    text = (ROOT / one.path).read_text()
    assert "://" not in text
    assert "--index" not in text
    assert "--extra" not in text
    assert "--find" not in text


def test_the_processor_locks_pure_wheels_with_one_hash_each() -> None:
    pins = lock.read_lock(lock.PROCESSOR)
    assert {pin.name for pin in pins} >= {"aws-lambda-powertools", "botocore", "urllib3"}
    assert "boto3" not in {pin.name for pin in pins}
    assert all(len(pin.sha256) == 1 for pin in pins)


def test_a_changed_pyproject_is_refused_until_it_is_locked_again(checkout: Path) -> None:
    path = checkout / "pyproject.toml"
    path.write_text(path.read_text().replace("botocore>=1.43.114,<2", "botocore>=1.40,<2"))
    with pytest.raises(lock.LockError, match=r"processor\.lock was made for .*>=1\.43.* asks for .*>=1\.40.*make lock"):
        lock.read_lock(lock.PROCESSOR)


def test_a_missing_lock_file_is_named(checkout: Path) -> None:
    (checkout / lock.PROCESSOR.path).unlink()
    with pytest.raises(lock.LockError, match=r"processor\.lock is missing: run `make lock`"):
        lock.read_lock(lock.PROCESSOR)


@pytest.mark.parametrize(
    "line", ["botocore==1.44.5", "botocore>=1 --hash=sha256:" + 64 * "0", "six==1 --hash=sha256:0"]
)
def test_a_line_without_version_and_hash_is_refused(checkout: Path, line: str) -> None:
    with (checkout / lock.PROCESSOR.path).open("a") as file:
        file.write(line + "\n")
    with pytest.raises(lock.LockError, match="is not NAME==VERSION"):
        lock.read_lock(lock.PROCESSOR)


def test_a_wheel_with_another_hash_is_never_used(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = next(path for pin, path in _real_wheels() if pin.name == "six")
    path = checkout / lock.PROCESSOR.path
    lines = [line for line in path.read_text().splitlines() if line.startswith(("#", "six=="))]
    path.write_text("\n".join(lines).rpartition(":")[0] + ":" + 64 * "0" + "\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(real.parent))
    with pytest.raises(lock.LockError, match=r"(?s)pip download failed:.*six.*find out which"):
        lock.locked_wheels(lock.PROCESSOR)


def _real_wheels() -> list[tuple[Any, Path]]:
    wheels: list[tuple[Any, Path]] = lock.locked_wheels(lock.PROCESSOR)
    return wheels


def _locked(monkeypatch: pytest.MonkeyPatch, archive: str = "", **wheels: str) -> list[list[str]]:
    """Let the resolver find these wheels, a file name each by package; return what it is asked from then on."""
    asked: list[list[str]] = []

    def run(program: str, arguments: list[str], text: str) -> str:
        assert program == "uv"
        asked.append(text.split("\n"))
        platform = next((one.partition("=")[2] for one in arguments if one.startswith("--python-platform")), "here")
        return "".join(
            f'[[packages]]\nname = "{name}"\nversion = "1.0"\nwheels = ['
            + ", ".join(
                f'{{ url = "https://index.invalid/{file}", hashes = {{ sha256 = "{file} for {platform}" }} }}'
                for file in files.split()
            )
            + "]\n"
            + (f'sdist = {{ url = "", hashes = {{ sha256 = "{archive}" }} }}\n' if archive else "")
            for name, files in wheels.items()
        )

    monkeypatch.setattr(lock, "_run", run)
    return asked


def test_a_pure_wheel_is_locked_alone_and_a_native_one_for_each_platform(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = _locked(monkeypatch, pure="pure-cp311-linux.whl pure-py3-none-any.whl", native="native-cp311-linux.whl")
    one = lock.Lock("build/x.lock", ("dependencies",), ("botocore",), (("3.11", "arm"), ("3.13", "intel")))
    lock.write_lock(one)
    lines = (checkout / one.path).read_text().splitlines()
    assert lines[1:] == [
        "# asked: botocore>=1.43.114,<2",
        "native==1.0 --hash=sha256:native-cp311-linux.whl for arm --hash=sha256:native-cp311-linux.whl for intel",
        "pure==1.0 --hash=sha256:pure-py3-none-any.whl for arm --hash=sha256:pure-py3-none-any.whl for intel",
    ]
    # Every later machine gets the versions that the first one decided on.
    assert asked == [["botocore>=1.43.114,<2"], ["botocore>=1.43.114,<2", "pure==1.0", "native==1.0"]]


def test_what_ships_everywhere_is_never_locked_to_one_platform(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (checkout / lock.PROCESSOR.path).read_text()
    _locked(monkeypatch, native="native-cp311-linux.whl")
    with pytest.raises(lock.LockError, match=r"processor\.lock: native 1\.0 has no wheel that serves every machine"):
        lock.write_lock(lock.PROCESSOR)
    assert (checkout / lock.PROCESSOR.path).read_text() == before


def test_where_sources_may_be_built_a_machine_without_a_wheel_has_the_archive(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _locked(monkeypatch, archive="archive", pure="pure-py3-none-any.whl", native="native-linux.whl", none="")
    one = lock.Lock("build/x.lock", ("dependencies",), ("botocore",), (("3.11", "arm"),), sources=True)
    lock.write_lock(one)
    assert (checkout / one.path).read_text().splitlines()[2:] == [
        "native==1.0 --hash=sha256:archive --hash=sha256:native-linux.whl for arm",
        "none==1.0 --hash=sha256:archive",
        "pure==1.0 --hash=sha256:pure-py3-none-any.whl for arm",
    ]


def test_a_group_of_ours_within_a_group_is_no_package_to_lock() -> None:
    asked = lock.DEV.requirements()
    assert not [one for one in asked if one.startswith("payment-processor")]
    assert {one.split(">=")[0] for one in asked} >= {"awslambdaric", "aws-xray-sdk", "pytest", "botocore"}


def test_a_resolver_that_fails_is_named_with_what_it_said(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock.Lock, "requirements", lambda _: ["no-such==1"])
    monkeypatch.setattr(lock.sys, "executable", "/bin/false")
    with pytest.raises(lock.LockError, match="uv pip failed"):
        lock.write_lock(lock.PROCESSOR)
