"""The audit catches bugs: each one is planted in a copy of the tree, and the run there must fail and say why.

`make planted-bugs` runs these; every bug is one that a payment processor really had or nearly had.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Bug:
    """Edits as (file, text, replacement); the faults that bring it to light; the check and the words that catch it."""

    edits: tuple[tuple[str, str, str], ...]
    faults: str
    check: str
    evidence: str


BUGS = {
    "unconditional_put": Bug(
        edits=(
            (
                "handler/adapters/table/transaction_log.py",
                "        return self._put(CLAIM, item, {})\n",
                "        self._client.put_item(TableName=self._table_name, Item=to_attributes(to_stored(item)))\n"
                "        return None\n",
            ),
        ),
        faults="off",
        check="conflicts_are_kept_apart",
        evidence=r"message \d+ \(conflict, pay-1-\d+\) replaced the payment that it contradicts",
    ),
    "no_batch_item_failures": Bug(
        edits=(("handler/queue_function.py", ', "batchItemFailures": failures}', "}"),),
        # At the gateway: the SDK's retries of a throttled table may outlast the function, which returns the batch.
        faults="prepare.error_503",
        check="nothing_left_open",
        evidence=r"txn-pay-1-\d+ stays processing: .*; delivered in batch [\d, ]+, finally acknowledged",
    ),
    "charge_without_key": Bug(
        edits=(("handler/adapters/gateways/stripe.py", '/confirm", fields, key)', '/confirm", fields, None)'),),
        faults="off",
        check="one_key_and_one_reference_a_payment",
        evidence=r"charge of pay-1-\d+ \(sequence \d+\) came with key None, which is not its own",
    ),
    "spent_key_is_kept": Bug(
        edits=(
            (
                "handler/domain/charge.py",
                "    following = claim._replace(gateway_try=claim.gateway_try + 1)\n",
                "    return claim\n    following = claim._replace(gateway_try=claim.gateway_try + 1)\n",
            ),
        ),
        faults="prepare.error_500_before,charge.error_500_before",
        # Parked after its tries, or still open where the breaker counts none, as hardly anybody else is answered.
        check="nothing_left_open",
        evidence=r"txn-pay-1-\d+ stays (processing|parked): ",
    ),
    "no_status_after_an_unknown_outcome": Bug(
        edits=(
            (
                "handler/domain/charge.py",
                "(UnknownOutcomeError, GatewayRefusedError) as error:\n"
                "        result = _ask(gateway_ref, gateway, times, work)\n",
                "(UnknownOutcomeError, GatewayRefusedError) as error:\n"
                "        result = _confirm(gateway_ref, claim, payment, rules, ports, work=work)\n",
            ),
        ),
        faults="charge.timeout_after",
        check="looked_up_before_charged_again",
        evidence=r"pi_\w+ of pay-1-\d+ was charged again \(sequence \d+\) after an outcome that was never looked up",
    ),
    "group_goes_on_after_a_failure": Bug(
        edits=(("handler/batch.py", ", *self._take_back(group)]", "]"),),
        faults="prepare.error_503",
        check="groups_keep_their_order",
        evidence=r"payment-group-\d+: pay-1-\d+ \(queue sequence \d+\) was charged at the gateway's \d+, before pay-1-",
    ),
    "stale_owner_may_record": Bug(
        edits=(
            (
                "handler/adapters/table/writes.py",
                "        # A worker that lost the payment may not write it, however late its answer comes.\n"
                '        "#owner = :owner",\n        "#attempt = :attempt",\n',
                "",
            ),
        ),
        faults="late_record",
        check="late_writes_are_refused",
        evidence=r"a stale owner's record, sent in attempt \d+ and arriving in attempt \d+ of another owner",
    ),
    "masking_after_logging": Bug(
        edits=(
            (
                "handler/queue_function.py",
                "        readings = read(messages, ",
                '        self._logger.info("received", extra={"bodies": [message.body for message in messages]})\n'
                "        readings = read(messages, ",
            ),
        ),
        faults="off",
        check="no_card_number_in_the_clear",
        evidence=r"the card number ending in \d{4} stands in the clear in \S*environment-\d+\.log, line \d+",
    ),
    "acknowledged_before_its_record": Bug(
        edits=(
            (
                "handler/domain/process.py",
                '            return "parked"\n        raise\n',
                '            return "parked"\n        return "completed"\n',
            ),
        ),
        # At the gateway, for the same reason.
        faults="prepare.error_503",
        check="nothing_left_open",
        evidence=r"txn-pay-1-\d+ stays processing: .*; delivered in batch [\d, ]+, finally acknowledged",
    ),
    "unanswered_refund_is_asked_for_again": Bug(
        edits=(
            (
                "handler/domain/refund_process.py",
                "    except RetryableError as error:\n        if error.spends_key:\n",
                "    except RetryableError as error:\n"
                "        asked = (refund.gateway_ref, refund.amount_minor, refund.currency, refund.refund_id)\n"
                '        return record(refund, gives.gateway.refund(*asked, f"{key}1"), gives)\n'
                "        if error.spends_key:\n",
            ),
        ),
        faults="refund.timeout_after",
        check="refunds_took_effect_once",
        evidence=r"txn-pay-1-\d+#refund#part-1 over \d+ USD is \w+, the gateway gave it back 2 times: re_",
    ),
    "events_are_answered_and_wake_nobody": Bug(
        edits=(("handler/webhook_function.py", "        self._queue.send(event.wake_up, event.event_id)\n", ""),),
        faults="off",
        check="what_came_after_reached_the_items",
        evidence=r"txn-pay-1-\d+ has refunded \{\}, the gateway \{'re_\w+': 'refunded \d+'\}",
    ),
}


def planted(copy: Path, bug: Bug) -> None:
    """Copy what a run needs and edit it; the installations are shared."""
    for name in ("handler", "scoring", "local", "build"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    (ROOT / ".build").mkdir(exist_ok=True)
    (copy / ".build").symlink_to(ROOT / ".build")
    for file, text, replacement in bug.edits:
        source = (copy / file).read_text()
        assert source.count(text) == 1, f"{file} has changed: plant the bug anew where {text!r} was"
        (copy / file).write_text(source.replace(text, replacement))


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_fails_the_run_with_its_evidence(tmp_path: Path, name: str) -> None:
    bug = BUGS[name]
    copy, figures = tmp_path / "copy", tmp_path / "run.json"
    planted(copy, bug)
    command = [sys.executable, "-m", "local", "run", "--payments", "30", "--groups", "3", "--faults", bug.faults]
    ended = subprocess.run(
        # A payment that a bug has damaged may be delivered twenty times; the audit need not wait for the last.
        [*command, "--json", str(figures), "--seconds-max", "30"],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ended.returncode == 1, ended.stdout + ended.stderr
    audit = json.loads(figures.read_text())["audit"]
    assert audit[bug.check] is False, (audit, ended.stdout)
    assert re.search(bug.evidence, ended.stdout), ended.stdout
