"""Provisioned concurrency of the local system: on the alias, or on the version behind it, where deployments set it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from local.provisioned import Provisioned
from tests.support.functions import Functions


@pytest.mark.parametrize(("qualifier", "warm"), [("live", 3), ("2", 3), ("1", 0)])
def test_environments_are_kept_warm_for_the_alias_or_the_version_behind_it(qualifier: str, warm: int) -> None:
    functions = Functions({"f": [{}, {}]})
    functions.put_provisioned_concurrency_config("f", qualifier, 10)
    kept: list[int] = []
    pool: Any = SimpleNamespace(warm=kept.append)
    Provisioned(functions, "f", pool, 3, pytest.fail).follow()
    assert kept == [warm]


@pytest.mark.parametrize(
    ("wanted", "warm", "status", "allocated", "available"),
    [(2, 0, "IN_PROGRESS", 2, 0), (2, 2, "READY", 2, 2), (2, 3, "READY", 2, 2), (10, 3, "FAILED", 3, 3)],
)
def test_ready_is_what_is_warm_and_more_than_there_can_be_has_failed_with_a_reason(
    wanted: int, warm: int, status: str, allocated: int, available: int
) -> None:
    pool: Any = SimpleNamespace(warm_count=lambda: warm)
    functions: Any = None
    said = {"RequestedProvisionedConcurrentExecutions": wanted, "Status": "READY"}
    found = Provisioned(functions, "f", pool, 3, pytest.fail).told("f", said)
    assert found["RequestedProvisionedConcurrentExecutions"] == wanted
    assert found["Status"] == status
    assert found["AllocatedProvisionedConcurrentExecutions"] == allocated
    assert found["AvailableProvisionedConcurrentExecutions"] == available
    assert ("start it with --concurrency 10" in found.get("StatusReason", "")) is (status == "FAILED")
