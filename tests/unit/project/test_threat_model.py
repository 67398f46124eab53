"""The threat model claims nothing that nobody holds: each row has its test, or says that it is left to the deployer.

test_documents.py holds that the tests are there, tests/terraform/test_permissions.py that the roles are the policies'.
"""

from __future__ import annotations

import re

import pytest

from tests.support.build_scripts import ROOT

PAGE = (ROOT / "docs" / "threat-model.md").read_text()


def rows(page: str, column: str) -> list[list[str]]:
    """The cells of every table that has a column of this name."""
    tables = re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE)
    split = [[line.strip("| ").split(" | ") for line in table.splitlines()] for table in tables]
    return [row for table in split if column in table[0] for row in table[2:]]


def unheld(page: str) -> list[str]:
    """What each row that nothing holds is about."""
    held = re.compile(r"`tests/[\w/]+\.py(?:::test_\w+)?`")
    return [row[0] for row in rows(page, "held by") if row[-1] != "left to you" and not held.search(row[-1])]


def test_every_claim_has_a_test_or_says_that_it_is_left_to_the_deployer():
    assert len(rows(PAGE, "held by")) > 25
    assert unheld(PAGE) == []


@pytest.mark.parametrize("holder", ["", "`handler/batch.py`", "a test"])
def test_a_claim_that_nothing_holds_is_found(holder):
    assert unheld(f"| attack | held by |\n|---|---|\n| Shout | {holder} |\n") == ["Shout"]


def test_every_claim_has_all_of_its_cells():
    for column in ("held by", "encrypted by"):
        assert {len(row) for row in rows(PAGE, column)} <= {3, 4, 5}
        assert all(all(row) for row in rows(PAGE, column))


def terraform(path: str, pattern: str) -> int:
    [found] = re.findall(pattern, (ROOT / "terraform" / path).read_text(), re.DOTALL)
    return int(found)


def test_what_is_kept_is_kept_for_as_long_as_terraform_says():
    day = 86_400
    days = {row[0]: "".join(re.findall(r"^\d+", row[2])) for row in rows(PAGE, "days")}
    assert days == {
        "payment queue": str(
            terraform("variables.tf", r'"message_retention_seconds" \{[^}]*?default\s+= (\d+)') // day
        ),
        "dead-letter queue, queue of failed starts": str(
            terraform("modules/queue/main.tf", r"retention_of_the_refused = (\d+)") // day
        ),
        "rejected queue": str(terraform("modules/queue/main.tf", r"retention_of_the_refused = (\d+)") // day),
        "queue of wake-ups and its dead-letter queue": str(
            terraform("modules/webhook/main.tf", r"retention_seconds = (\d+)") // day
        ),
        "table": "",
        # AWS's own, which nobody can set.
        "the table's stream": "1",
        "the table's backups (`point_in_time_recovery`)": "35",
        "durable executions": str(terraform("variables.tf", r"retention_days\s+= optional\(number, (\d+)\)")),
        "logs of the functions and of the page's API": str(
            terraform("variables.tf", r'"log_retention_days" \{[^}]*?default\s+= (\d+)')
        ),
        "mail to approvers": "",
        "the gateway": "",
    }
