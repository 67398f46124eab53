"""What the checks of `payments` share: one `make up` for all of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.commands import Up, up


@pytest.fixture(scope="session")
def payments() -> Iterator[Up]:
    with up() as system:
        yield system
