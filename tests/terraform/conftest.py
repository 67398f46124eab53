"""One initialised copy of the root for all tests that need no AWS."""

from pathlib import Path

import pytest

from tests.terraform.installation import Terraform


@pytest.fixture(scope="session")
def terraform(tmp_path_factory: pytest.TempPathFactory) -> Terraform:
    return Terraform(Path(tmp_path_factory.mktemp("offline")))
