"""One initialised copy of the root for all tests that need no AWS, and one that is applied to ministack."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.terraform.installation import Terraform
from tests.terraform.loopback import Loopback


@pytest.fixture(scope="session")
def terraform(tmp_path_factory: pytest.TempPathFactory) -> Terraform:
    return Terraform(Path(tmp_path_factory.mktemp("offline")))


@pytest.fixture(scope="session", autouse=True)
def loopback(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loopback | None]:
    """Started first of all: an apply mostly waits for the provider's own delays, and the other tests run meanwhile."""
    if not any(item.path.name == "test_loopback.py" for item in request.session.items):
        yield None
        return
    found = Loopback(tmp_path_factory.mktemp("loopback"))
    yield found
    found.stop()
