"""`python -m local run` end to end: real queue, real execution environments, real gateway process, faults, audit."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from rich.console import Console

from local import run, stream
from local.audit import CHECKS
from local.evidence import ABOVE_THE_LIMIT
from local.faults import FAULTS, POISON, START_LOST
from local.installation import BUILD
from local.process_group import processes_in_group
from local.report import Result
from local.system import LocalSystem, host_package
from tests.support.processes import descendants, wait_for

STREAM = ("--payments", "44", "--groups", "6", "--seed", "7")
FIGURES = (
    "sent final rejected_queue dead_lettered duplicates conflicts charges refunds gateway_events cold_starts latency_ms"
    " payments_per_second audit engine"
)


class Ran(NamedTuple):
    """A run from the outside and from the inside."""

    code: int
    output: str
    figures: Path
    result: Result


@pytest.fixture(scope="session")
def package() -> str:
    """Built once for all runs but the first, which builds its own as `make run` does; only changed code anew."""
    return str(host_package(BUILD / "tests" / "package"))


@pytest.fixture(scope="session")
def every_fault(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """`python -m local run` with all of its faults, told as its command line tells it."""
    figures = tmp_path_factory.mktemp("every_fault") / "run.json"
    results: list[Result] = []

    def keep(*arguments: Any) -> Result:
        results.append(real(*arguments))
        return results[-1]

    real = run.run
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as output:
        patch.setattr(run, "run", keep)
        # So few that this short stream reaches them, and enough for what comes after it, step by step.
        patch.setattr(run, "CALLS_PER_SECOND", 18)
        # A run that does not come to its end has time to say what is left.
        code = run.main([*STREAM, "--json", str(figures), "--seconds-max", "150"])
    return Ran(code, output.getvalue(), figures, results[0])


def test_a_run_with_every_fault_passes_its_audit_and_leaves_no_process(every_fault: Ran) -> None:
    output = every_fault.output
    assert every_fault.code == 0, output
    for fault in (*FAULTS, ABOVE_THE_LIMIT):
        assert f"{fault} " in output.partition("Faults that struck: ")[2], output
    found = json.loads(every_fault.figures.read_text())
    assert list(found) == FIGURES.split()
    assert set(found["latency_ms"]) == {"p50", "p95"}
    assert set(found["final"]) == {"completed", "declined", "expired", "parked", "rejected"}
    # 44 payments, four duplicates (two of them dropped by the queue), two conflicts, a correction; and of what is sent
    # about refunds two duplicates, a conflict, and one that is none.
    assert (found["sent"], found["duplicates"], found["conflicts"], found["dead_lettered"]) == (69, 6, 3, 0)
    assert found["charges"] == found["final"]["completed"]
    assert sum(found["final"].values()) + found["rejected_queue"] == 44 + 1
    assert found["refunds"] == {"failed": 8, "refunded": 6}
    assert found["gateway_events"] == 17
    assert found["audit"] == dict.fromkeys(
        [*(check.__name__ for check in CHECKS), "the_system_itself_had_no_errors"], True
    )
    alive = subprocess.run(["ps", "-A", "-o", "args="], capture_output=True, text=True, check=True).stdout
    directory = next(word for word in output.split() if word.startswith(".build/local/"))
    assert directory not in alive


def test_a_run_on_the_reference_support_passes_the_same_audit(tmp_path: Path) -> None:
    figures = tmp_path / "run.json"
    # A workflow stands on the same support in every run, and its lost start is 40 s of waiting.
    faults = ",".join(fault for fault in FAULTS if fault != START_LOST)
    arguments = [*STREAM, "--support", "standard", "--faults", faults, "--json", str(figures), "--seconds-max", "150"]
    with redirect_stdout(StringIO()) as output:
        code = run.main(arguments)
    assert code == 0, output.getvalue()
    assert set(json.loads(figures.read_text())["audit"].values()) == {True}
    directory = next(word for word in output.getvalue().split() if word.startswith(".build/local/"))
    assert Path(directory.rstrip("."), "package", "botocore").is_dir()


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


# What two runs of one stream may differ in: moments, ids of messages, workers, executions and their generations,
# numbers of writes, the gateway's own ids, and which group brought a payment first whose duplicate is in another.
OF_ONE_RUN = frozenset(
    {
        "created_at", "updated_at", "processed_at", "message_id", "message_group_id", "sequence_number", "owner",
        "attempt", "gateway_ref", "gateway_response", "execution_arn", "callback_id", "approval_expires_at",
        "decided_at", "tries", "first_tried_at", "parked_at", "gateway_try", "version",
        "approval_name", "generation", "refund_reserved", "refunded", "disputed", "later_no",
    }
)  # fmt: skip


def lasting(result: Result) -> dict[str, dict[str, Any]]:
    """Its items without what belongs to one run."""
    items = {}
    for item in result.evidence.items:
        # Whose money comes back is chosen among those without a fault of their own, who are others in each run.
        if "#refund#" in item["transaction_id"]:
            continue
        followed = [{**row, "message_id": "any"} for row in item.get("superseded", ())]
        kept = {name: value for name, value in item.items() if name not in OF_ONE_RUN}
        items[item["transaction_id"]] = {**kept, **({"superseded": followed} if followed else {})}
    return items


def test_both_engines_leave_the_same_items_but_for_times_and_ids(
    every_fault: Ran, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCORING_ENGINE", "pure")
    # The other run's faults may show in the items no more than its engine: all but those that end a payment.
    arguments = [*STREAM, "--faults", f"{POISON},charge.decline", "--package", package]
    pure, compiled = run.run(run._options(arguments), Console(quiet=True)), every_fault.result
    assert not any(pure.problems.values()), pure.problems
    assert (compiled.figures["engine"], pure.figures["engine"]) == ("compiled", "pure")
    items = lasting(pure)
    assert len(items) > 30
    assert any("risk_reasons" in item for item in items.values())
    assert lasting(compiled) == items


def test_an_unknown_fault_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run.main(["--faults", "meteor"])
    assert "meteor: not one of prepare.not_json" in capsys.readouterr().err
