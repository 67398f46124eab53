"""`make rollback` and what versions were published to write: the alias goes back only to code that reads all of it."""

from __future__ import annotations

from typing import Any

import pytest

from handler.domain.canonical import VERSIONS
from tests.support.build_scripts import ROOT, load

published = load("packager.published")
rollback = load("rollback")

FUNCTION = "cloudcafe-payment-processor-dev"
DESCRIPTION = "Validates, scores, charges and records payments of one FIFO queue."


class Functions:
    """Lambda's answers about one function, `live` at its newest version. `versions`: what each reads and writes."""

    def __init__(self, *versions: tuple[list[int] | None, int | None]) -> None:
        self.live = str(len(versions))
        self.weights: dict[str, float] = {self.live: 0.1}
        self.configurations = [self._configuration("$LATEST", None, None)]
        for number, (reads, writes) in enumerate(versions, 1):
            self.configurations.append(self._configuration(str(number), reads, writes))

    @staticmethod
    def _configuration(version: str, reads: list[int] | None, writes: int | None) -> dict[str, Any]:
        variables = {} if writes is None else {"CANONICAL_VERSION_WRITTEN": str(writes)}
        said = DESCRIPTION if reads is None else f"{DESCRIPTION} {published.description(reads)}"
        return {"Version": version, "Description": said, "Environment": {"Variables": variables}}

    def get_alias(self, FunctionName: str, Name: str) -> dict[str, Any]:
        assert (FunctionName, Name) == (FUNCTION, "live")
        return {"FunctionVersion": self.live}

    def get_paginator(self, name: str) -> Functions:
        assert name == "list_versions_by_function"
        return self

    def paginate(self, FunctionName: str) -> list[dict[str, Any]]:
        assert FunctionName == FUNCTION
        return [{"Versions": [one]} for one in self.configurations]

    def update_alias(self, FunctionName: str, Name: str, FunctionVersion: str, RoutingConfig: Any) -> None:
        assert (FunctionName, Name) == (FUNCTION, "live")
        self.live, self.weights = FunctionVersion, RoutingConfig["AdditionalVersionWeights"]


# 0.1, which says nothing; code that reads both and writes the first; the same, writing the second.
OLD, READER, WRITER = (None, None), ([1, 2], 1), ([1, 2], 2)


@pytest.mark.parametrize("versions", [(OLD, OLD), (OLD, READER), (READER, WRITER), (OLD, READER, WRITER)])
def test_live_goes_back_to_code_that_reads_what_was_written(versions):
    functions = Functions(*versions)
    before = len(versions)
    assert rollback.roll_back(functions, FUNCTION) == (str(before), str(before - 1))
    assert (functions.live, functions.weights) == (str(before - 1), {})


@pytest.mark.parametrize(
    ("versions", "asked", "way"),
    [
        # The one before says nothing.
        ((OLD, WRITER), None, "no other version reads it, or mend the newest code and apply it"),
        # A version that is named.
        ((OLD, READER, WRITER), "1", "make rollback VERSION=2"),
        # Nothing writes the second any more; what it wrote is still there.
        ((OLD, WRITER, READER), "1", "make rollback VERSION=2"),
        # It reads one that is newer and not the one that was written.
        ((([1], 1), ([1, 2, 3], 3)), None, "no other version reads it"),
    ],
)
def test_live_never_goes_back_to_code_that_does_not_read_what_was_written(versions, asked, way):
    functions = Functions(*versions)
    weights = functions.weights
    with pytest.raises(rollback.RollbackError, match="of the canonical text, which has been written") as caught:
        rollback.roll_back(functions, FUNCTION, asked)
    assert way in str(caught.value)
    assert "version 1 of cloudcafe-payment-processor-dev does not read version " in str(caught.value)
    assert (functions.live, functions.weights) == (str(len(versions)), weights)


def test_a_version_that_is_not_there_and_a_first_version_are_refused():
    with pytest.raises(rollback.RollbackError, match="has no version 7; it has 1, 2"):
        rollback.roll_back(Functions(OLD, OLD), FUNCTION, "7")
    with pytest.raises(rollback.RollbackError, match="there is nothing to go back to"):
        rollback.roll_back(Functions(OLD), FUNCTION)


def test_terraform_and_the_scripts_describe_a_version_alike():
    said = published.description(VERSIONS)
    assert published.versions_read({"Description": f"{DESCRIPTION} {said}"}) == set(VERSIONS)
    text = (ROOT / "terraform" / "modules" / "payment_function" / "main.tf").read_text()
    form = said.replace(", ".join(map(str, VERSIONS)), '${join(", ", var.package.canonical_versions_read)}')
    assert f'"{DESCRIPTION} {form}"' in text
