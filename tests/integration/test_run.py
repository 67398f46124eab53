"""`python -m local run` end to end: real queue, real execution environments, real gateway process, faults, audit."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from local import run, stream
from local.audit import CHECKS
from local.faults import GATEWAY_FAULTS, TABLE_FAULTS
from local.process_group import processes_in_group
from local.system import LocalSystem, host_package
from tests.integration.test_nothing_is_left_behind import descendants, wait_for

FIGURES = (
    "sent final rejected_queue dead_lettered duplicates conflicts charges cold_starts latency_ms payments_per_second"
    " audit engine"
)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Built once for all runs but the first, which builds its own as `make run` does."""
    return str(host_package(tmp_path_factory.mktemp("package") / "function"))


def test_a_run_with_every_fault_passes_its_audit_and_leaves_no_process(tmp_path: Path) -> None:
    figures = tmp_path / "run.json"
    # A run that does not come to its end has time to say what is left.
    arguments = ["--payments", "40", "--groups", "6", "--seed", "7", "--json", str(figures), "--seconds-max", "150"]
    started = subprocess.Popen(
        [sys.executable, "-m", "local", "run", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    )
    try:
        output, _ = started.communicate(timeout=240)
    finally:
        if started.poll() is None:
            os.killpg(started.pid, signal.SIGKILL)
            started.communicate()
    assert started.returncode == 0, output
    for fault in (*GATEWAY_FAULTS, *TABLE_FAULTS):
        assert f"{fault} " in output.partition("Faults that struck: ")[2], output
    found = json.loads(figures.read_text())
    assert list(found) == FIGURES.split()
    assert set(found["latency_ms"]) == {"p50", "p95"}
    assert set(found["final"]) == {"completed", "declined", "expired", "rejected"}
    # 40 payments, four duplicates (two of them dropped by the queue), two conflicts.
    assert (found["sent"], found["duplicates"], found["conflicts"], found["dead_lettered"]) == (46, 4, 2, 0)
    assert found["charges"] == found["final"]["completed"]
    assert sum(found["final"].values()) + found["rejected_queue"] == 40
    assert found["audit"] == dict.fromkeys(
        [*(check.__name__ for check in CHECKS), "the_system_itself_had_no_errors"], True
    )
    alive = subprocess.run(["ps", "-A", "-o", "args="], capture_output=True, text=True, check=True).stdout
    directory = next(word for word in output.split() if word.startswith(".build/local/"))
    assert directory not in alive


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=lambda how: how.name)
def test_a_run_that_is_ended_leaves_neither_gateway_nor_services_nor_environments(
    how: signal.Signals, package: str
) -> None:
    started = subprocess.Popen(
        [sys.executable, "-m", "local", "run", "--payments", "40", "--package", package],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    )
    assert started.stdout is not None
    assert any("Faults" in line for line in started.stdout)
    groups = set(descendants(started.pid).values()) - {started.pid}
    # The gateway's and the system's: each outlives the death of everything in the other.
    assert len(groups) == 2
    assert all(len(processes_in_group(group)) >= 2 for group in groups)
    os.killpg(started.pid, how)
    started.communicate(timeout=30)
    assert started.returncode == (130 if how is signal.SIGINT else -signal.SIGKILL)
    wait_for(lambda: not any(processes_in_group(group) for group in groups))


def test_somebody_elses_mapping_and_worker_end_in_the_same_audit(tmp_path: Path, package: str) -> None:
    figures = tmp_path / "run.json"
    faults = "prepare.error_503,charge.timeout_after,throttled_record"
    arguments = ["--payments", "20", "--groups", "3", "--faults", faults, "--package", package]
    assert run.main([*arguments, "--mapping", "ministack", "--json", str(figures)]) == 0
    found = json.loads(figures.read_text())
    assert all(found["audit"].values())
    assert found["cold_starts"] >= 1


@pytest.mark.parametrize(
    ("victim", "said"),
    [("services", r"ministack \(pid \d+\) died under way.*Lost with it"), ("gateway", r"the payment gateway .* died")],
)
def test_a_run_says_who_died_under_way_and_fails(
    victim: str, said: str, package: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    wait = stream.wait

    def kill_then_wait(system: LocalSystem, gateway: subprocess.Popen[bytes], *rest: object, **more: object) -> None:
        os.kill(system.services.pid if victim == "services" else gateway.pid, signal.SIGKILL)
        wait(system, gateway, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(stream, "wait", kill_then_wait)
    assert run.main(["--payments", "10", "--groups", "3", "--faults", "off", "--package", package]) == 1
    error = capfd.readouterr().err
    assert re.search(said, error, re.DOTALL), error


# What two runs of one stream may differ in: moments, ids of messages, workers, executions, and the gateway's own ids.
OF_ONE_RUN = frozenset(
    {
        "created_at", "updated_at", "processed_at", "message_id", "sequence_number", "owner", "attempt", "gateway_ref",
        "gateway_response", "execution_arn", "callback_id", "approval_expires_at", "decided_at",
    }
)  # fmt: skip


def test_both_engines_leave_the_same_items_but_for_times_and_ids(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    items = {}
    for engine in ("compiled", "pure"):
        monkeypatch.setenv("SCORING_ENGINE", engine)
        arguments = ["--payments", "20", "--groups", "4", "--seed", "5", "--faults", "off", "--package", package]
        result = run.run(run._options(arguments), Console(quiet=True))
        assert not any(result.problems.values()), result.problems
        assert result.figures["engine"] == engine
        items[engine] = {
            item["transaction_id"]: {name: value for name, value in item.items() if name not in OF_ONE_RUN}
            for item in result.evidence.items
        }
    assert len(items["pure"]) > 10
    assert any("risk_reasons" in item for item in items["pure"].values())
    assert items["compiled"] == items["pure"]


def test_an_unknown_fault_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run.main(["--faults", "meteor"])
    assert "meteor: not one of prepare.error_503" in capsys.readouterr().err
