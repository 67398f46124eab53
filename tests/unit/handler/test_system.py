"""The machine itself, as the handler sees it."""

from __future__ import annotations

from uuid import RFC_4122, UUID

from handler.adapters.system import RandomIds


def test_a_fresh_id_is_a_random_uuid_of_its_own():
    made = [RandomIds().new_id() for _ in range(200)]
    assert len(set(made)) == len(made)
    for each in made:
        assert str(UUID(each)) == each
        assert (UUID(each).variant, UUID(each).version) == (RFC_4122, 4)
