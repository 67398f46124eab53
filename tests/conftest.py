"""Settings of all tests: slow examples are not failures on a busy machine, and CI's examples are the same each time."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from scoring.kernel import Engine, load_engine
from tests.support.engines import HASHING

settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")


# Seconds of waiting for other processes: begun first, they end while other modules compute.
LONG_WAITS = ("test_run", "test_published_commands", "test_local_system", "test_avalanche")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONG_WAITS.index(item.path.stem) if item.path.stem in LONG_WAITS else len(LONG_WAITS))


@pytest.fixture(params=HASHING, ids="-".join)
def hashing(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """An engine with one of its kernels in use: every one that this processor has, in turn."""
    yield load_engine(*request.param)
    load_engine("auto", "auto")


@pytest.fixture
def compiled() -> Engine:
    return load_engine("compiled", "auto")
