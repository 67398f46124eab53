"""Provisioned concurrency of the local system: on the alias, or on the version behind it, where deployments set it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from local.system import LocalSystem
from tests.support.functions import Functions


@pytest.mark.parametrize(("qualifier", "warm"), [("live", 3), ("2", 3), ("1", 0)])
def test_environments_are_kept_warm_for_the_alias_or_the_version_behind_it(qualifier: str, warm: int) -> None:
    functions = Functions({"f": [{}, {}]})
    functions.put_provisioned_concurrency_config("f", qualifier, 10)
    kept: list[int] = []
    system: Any = SimpleNamespace(
        clients={"lambda": functions},
        names=SimpleNamespace(function="f"),
        pool=SimpleNamespace(warm=kept.append),
        _concurrency=3,
    )
    LocalSystem.provision(system)
    assert kept == [warm]
