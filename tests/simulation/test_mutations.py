"""The list of mutations is complete and applies; `make test-mutations` hunts them all."""

from __future__ import annotations

import multiprocessing

import pytest

from handler.adapters.table.approval_writes import APPROVAL_WRITES
from handler.adapters.table.forget_writes import FORGET_WRITES
from handler.adapters.table.later_writes import LATER_WRITES
from handler.adapters.table.parking_writes import PARKING_WRITES
from handler.adapters.table.refund_writes import REFUND_WRITES
from handler.adapters.table.writes import WRITES
from tests.simulation.clauses import DocumentedWrite, documented_writes
from tests.simulation.mutations import BEHIND, Drop, Edit, Hunted, Mutation, hunt, mutate, mutations


def test_the_protocol_page_and_the_transaction_log_have_the_same_writes() -> None:
    def plain(parts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(part.replace("#", "") for part in parts)

    shipped = {
        w.name: DocumentedWrite(w.name, plain(w.condition), plain(w.set), plain(w.remove))
        for w in (*WRITES, *APPROVAL_WRITES, *PARKING_WRITES, *LATER_WRITES, *FORGET_WRITES, *REFUND_WRITES)
    }
    assert documented_writes() == shipped


def test_every_part_of_every_write_has_a_mutation() -> None:
    dropped = {change for mutation in mutations() for change in mutation.changes}
    for write in documented_writes().values():
        for part in (*write.condition, *write.set, *write.remove):
            assert Drop(write.name, part) in dropped
    assert BEHIND.keys() <= dropped, "a clause that stands behind others is gone: remove its entry"


@pytest.mark.parametrize("mutation", mutations(), ids=lambda mutation: mutation.name)
def test_every_mutation_changes_the_code_as_it_is(mutation: Mutation) -> None:
    mutant = mutate(mutation)
    assert mutant.sources or mutant.writes


def test_an_edit_that_fits_nowhere_is_an_error() -> None:
    with pytest.raises(ValueError, match="must be once"):
        mutate(Mutation("no such text", (Edit("handler.domain.charge", "no such text", ""),)))
    with pytest.raises(ValueError, match="has no `attempt = :nobody` to drop"):
        mutate(Mutation("no such clause", (Drop("record", "attempt = :nobody"),)))


def test_a_mutation_is_hunted_down_and_sound_code_is_not() -> None:
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        claim = next(mutation for mutation in mutations() if mutation.name.startswith("claim without"))
        caught: Hunted = pool.apply(hunt, (claim, 5))
        assert caught.seed >= 0
        assert caught.rule
        assert pool.apply(hunt, (Mutation("nothing is changed", ()), 5)).seed == -1
