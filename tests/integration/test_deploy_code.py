"""`make deploy-code` against the loopback services: the alias moves last, and only to what was asked for."""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.system import LocalSystem
from tests.support.build_scripts import load
from tests.support.packages import RUNTIME, write_zip

deploy = load("deploy")
rollback = load("rollback")
FUNCTION = "cloudcafe-payment-processor-dev"


def answering(word: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("handler.py", f"def lambda_handler(event, context):\n    return {word!r}\n")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSystem]:
    folder = tmp_path_factory.mktemp("system")
    (folder / "first").mkdir()
    (folder / "first" / "handler.py").write_text("def lambda_handler(event, context):\n    return 'first'\n")
    with LocalSystem(package=folder / "first", directory=folder, mapping="none") as system:
        yield system


@pytest.fixture(autouse=True)
def endpoint(system: LocalSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", system.endpoint_url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setenv("AWS_REGION", "us-east-1")


def run(path: Path, *more: str) -> int:
    code: int = deploy.main(["--zip", str(path), "--environment", "dev", *more])
    return code


def live(system: LocalSystem) -> str:
    version: str = system.clients["lambda"].get_alias(FunctionName=FUNCTION, Name="live")["FunctionVersion"]
    return version


def test_new_code_is_published_and_runs_behind_the_alias(
    system: LocalSystem, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = live(system)
    path = write_zip(tmp_path, answering("second"))
    assert run(path) == 0
    out = capsys.readouterr().out
    assert f"{FUNCTION}: live moved from version {before} to {live(system)}" in out
    assert "pure, x86_64" in out
    assert "make rollback ENVIRONMENT=dev" in out
    answer = system.clients["lambda"].invoke(FunctionName=f"{FUNCTION}:live", Payload=b"{}")
    assert json.loads(answer["Payload"].read()) == "second"
    after = live(system)
    assert run(path) == 0
    assert "runs this ZIP already" in capsys.readouterr().out
    assert live(system) == after


def test_a_canary_of_before_gets_nothing_of_the_new_code(system: LocalSystem, tmp_path: Path) -> None:
    functions = system.clients["lambda"]
    functions.update_alias(
        FunctionName=FUNCTION, Name="live", RoutingConfig={"AdditionalVersionWeights": {live(system): 0.1}}
    )
    assert run(write_zip(tmp_path, answering("third"))) == 0
    alias = functions.get_alias(FunctionName=FUNCTION, Name="live")
    assert not alias.get("RoutingConfig", {}).get("AdditionalVersionWeights")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"architecture": "arm64"}, "runs on x86_64, the ZIP is for arm64: deploy with ARCHITECTURE=x86_64"),
        ({"runtime": "python3.99"}, f"run `make package RUNTIME={RUNTIME}`"),
        ({"code_sha256": "other"}, "is not what package.manifest.json describes"),
    ],
)
def test_a_package_that_does_not_fit_is_refused(
    system: LocalSystem, tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, str], reason: str
) -> None:
    before = live(system)
    assert run(write_zip(tmp_path, answering("never"), **changes)) == 1
    assert reason in capsys.readouterr().err
    assert live(system) == before


@pytest.mark.parametrize("environment", ["prod", "production"])
def test_production_is_refused(
    system: LocalSystem, tmp_path: Path, capsys: pytest.CaptureFixture[str], environment: str
) -> None:
    assert run(write_zip(tmp_path, answering("never")), "--environment", environment) == 1
    assert "is production: change it with `make apply`" in capsys.readouterr().err


def test_a_dirty_package_goes_to_loopback_only(
    system: LocalSystem, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_zip(tmp_path, answering("dirty"), revision="abc-dirty")
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    assert run(path) == 1
    assert "was packaged from a dirty checkout: commit, then `make package`" in capsys.readouterr().err
    monkeypatch.setenv("AWS_ENDPOINT_URL", system.endpoint_url)
    assert run(path) == 0


def test_a_missing_zip_and_an_unknown_function_say_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path / "none.zip") == 1
    assert "none.zip is missing: run `make package`" in capsys.readouterr().err
    assert run(write_zip(tmp_path, answering("x")), "--environment", "unknown") == 1
    error = capsys.readouterr().err
    assert "cloudcafe-payment-processor-unknown at http://127.0.0.1" in error
    assert "says where the alias is" in error


def test_rollback_goes_to_the_version_that_served_before(
    system: LocalSystem, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = live(system)
    assert run(write_zip(tmp_path, answering("worse"))) == 0
    assert rollback.main(["--environment", "dev"]) == 0
    assert f"live moved from version {int(before) + 1} to {before}" in capsys.readouterr().out
    assert live(system) == before
    # Nothing newer is there than what was gone away from.
    assert deploy.main(["--environment", "dev", "--published"]) == 0
    assert f"live stays at version {before}, as {int(before) + 1} came back" in capsys.readouterr().out
    assert deploy.main(["--environment", "dev", "--held"]) == 0
    assert capsys.readouterr().out == f"-var=live_version={before}\n"


def test_shares_that_are_none_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for steps in ("50,10", "0", "100", "ten"):
        with pytest.raises(SystemExit):
            run(tmp_path / "none.zip", "--shares", steps)
        assert "--shares" in capsys.readouterr().err


# The last one: no other package here reads what it leaves written.
def test_code_goes_live_only_where_it_reads_what_was_written(
    system: LocalSystem, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    functions = system.clients["lambda"]
    assert run(write_zip(tmp_path, answering("reads 1 and 2"), canonical_versions_read=[1, 2])) == 0
    before = live(system)
    found = functions.get_function_configuration(FunctionName=FUNCTION, Qualifier="live")
    assert (found["Description"], found["Version"]) == ("pure abc Reads canonical text 1, 2.", before)
    functions.update_function_configuration(
        FunctionName=FUNCTION,
        Environment={"Variables": {**found["Environment"]["Variables"], "CANONICAL_VERSION_WRITTEN": "2"}},
    )
    for reads in ({}, {"canonical_versions_read": [1]}):
        assert run(write_zip(tmp_path, answering("reads 1"), **reads)) == 1
        error = capsys.readouterr().err
        assert "reads version 1 of the canonical text" in error
        assert "has been writing version 2" in error
        assert live(system) == before
    assert run(write_zip(tmp_path, answering("reads both, newer"), canonical_versions_read=[1, 2])) == 0
    assert live(system) != before
