"""From documents to what they are in a version of the canonical text: which one is written, and how one compares.

The rule it keeps: what is stored, sent or shown is masked by the newest rules of card data, whatever the version; the
rules of an older one decide on a hash alone (protocol, "Versions of the canonical text").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from handler.domain.canonical import newest_version, version_rules
from handler.domain.card_data import Masked, mask_documents
from handler.domain.item import FIRST_VERSION
from handler.domain.mask_1 import mask_1
from handler.domain.money import AMOUNT_MINOR_MAX
from handler.domain.parse import Document
from handler.domain.payment import Fault
from handler.domain.ports import FindCardNumbers
from handler.domain.rules import Rules
from handler.domain.typed import NamedTuple
from handler.domain.validate import Limits, Validation, validate

_NO_FAULTS: Final[tuple[Fault, ...]] = ()


class Read(NamedTuple):
    """A document as it may be kept, and what it is in the version that its item is written in."""

    document: dict[str, Document]
    validation: Validation


def read_written(
    documents: Sequence[dict[str, Document]],
    groups: Sequence[tuple[Fault, ...]],
    rules: Rules,
    find_card_numbers: FindCardNumbers,
) -> list[Read]:
    """Documents in the version that is written, or in the newest where that one would hold card data or lose an id.

    `groups` has the faults of each one's message group.
    """
    version = rules.canonical_version
    spelled = [version_rules(version).spelled(document) for document in documents]
    masked = mask_documents(spelled, find_card_numbers, rules.id_shapes)
    return [
        _read_newest(document, group, rules, find_card_numbers)
        if version == FIRST_VERSION and (group or mask_1(spelled_document) != (found.document, found.faults))
        else _read(found, group, rules, version)
        for document, spelled_document, found, group in zip(documents, spelled, masked, groups, strict=True)
    ]


def read_in_version(
    document: dict[str, Document],
    version: int,
    group: tuple[Fault, ...],
    rules: Rules,
    find_card_numbers: FindCardNumbers,
) -> Validation:
    """A document as it compares with an item of a version. Raises UnknownItemError for one that newer code wrote."""
    spelled = version_rules(version).spelled(document)
    (masked,) = mask_documents([spelled], find_card_numbers, rules.id_shapes)
    # What is claimed in the clear, as ids were declared then, is seen here and nowhere else.
    as_declared = masked.as_declared or (masked.document if group else None)
    today = validate(masked.document, rules.limits, version, masked.faults + group, as_declared)
    return _as_first(spelled, masked, today, rules.limits) if version == FIRST_VERSION else today


def _read_newest(
    document: dict[str, Document], group: tuple[Fault, ...], rules: Rules, find_card_numbers: FindCardNumbers
) -> Read:
    version = newest_version()
    (masked,) = mask_documents([version_rules(version).spelled(document)], find_card_numbers, rules.id_shapes)
    return _read(masked, group, rules, version)


def _read(masked: Masked, group: tuple[Fault, ...], rules: Rules, version: int) -> Read:
    return Read(masked.document, validate(masked.document, rules.limits, version, masked.faults + group))


def _as_first(spelled: dict[str, Document], masked: Masked, today: Validation, limits: Limits) -> Validation:
    """Version 1's hash, by its own rules, over what the newest rules leave of the texts.

    What version 1 took for a payment was claimed as one, whatever the newest rules have against it.
    """
    document, faults = mask_1(spelled)
    then = validate(document, limits, FIRST_VERSION, faults)
    if then.claimed is None:
        payment = today.payment and today.payment._replace(request_hash=then.request_hash)
        return today._replace(request_hash=then.request_hash, payment=payment, beyond_limits=None)
    widest = Limits(then.claimed.currency, AMOUNT_MINOR_MAX)
    shown = today.claimed or validate(masked.document, widest, FIRST_VERSION, _NO_FAULTS).payment
    claimed = shown and shown._replace(request_hash=then.claimed.request_hash)
    return today._replace(
        request_hash=then.request_hash,
        payment=claimed if today.payment else None,
        beyond_limits=None if today.payment else claimed,
    )
