"""From messages to readings: parse, mask and validate, without input or output, and no longer than a batch can bear.

The rule it keeps: what one message costs is bounded before it is read, and never another group's time to be charged.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from handler.domain.card_data import mask_group, mask_unreadable, masked_body
from handler.domain.claim import InVersion
from handler.domain.errors import NotEnoughTimeError, ReadingTooSlowError, RetryableError
from handler.domain.parse import Document, UnreadableBodyError, parse
from handler.domain.payment import Assessment, Fault, Message
from handler.domain.ports import FindCardNumbers
from handler.domain.rules import Rules
from handler.domain.typed import NamedTuple
from handler.domain.validate import Validation
from handler.domain.versions import read_in_version, read_written

if TYPE_CHECKING:
    from handler.domain.refund_item import RefundRequest

# What is kept of a body that is not read: enough for a person to recognise its sender.
_HEAD_CHARACTERS: Final = 4096
# No card number in any spelling is longer, so that none begins before the end of what is kept and goes on behind it.
_CARD_CHARACTERS_MAX: Final = 256
# Between two looks at the clock; a longer text is one piece.
_PIECE_CHARACTERS: Final = 4096
# After so many receives a message that is never read in time goes to the rejected queue, and its group goes on.
_SLOW_RECEIVES_MAX: Final = 5


class Reading(NamedTuple):
    """A message as far as it goes without any input or output. `message` is masked and may be kept.

    `validation` is in the version that is written; `in_version` reads the message in that of an item. An error in
    place of the assessment sends the message back.
    """

    message: Message
    masked_body: str
    validation: Validation
    in_version: InVersion
    assessment: Assessment | RetryableError | None = None
    # What a refund message asks for; it is no payment, and its validation has neither id nor payment.
    refund: RefundRequest | None = None


def examine(messages: Sequence[Message], rules: Rules, find_card_numbers: FindCardNumbers) -> list[Reading]:
    """Parse, mask and validate messages, without scores; results in their order. It never raises.

    A body above the largest (`rules.body_bytes_max`) is not even parsed.
    """
    documents: list[tuple[int, str, dict[str, Document], tuple[Fault, ...]]] = []
    readings: dict[int, Reading] = {}
    for place, message in enumerate(messages):
        if _is_too_large(message.body, rules.body_bytes_max):
            fault = Fault("", "message_too_large")
            readings[place] = _unusable(
                message, bounded_copy(message.body, find_card_numbers), fault, find_card_numbers
            )
            continue
        try:
            document = parse(message.body)
            group, group_faults = mask_group(message.group, find_card_numbers, rules.id_shapes)
            if is_refund(document):
                kept = message._replace(group=group)
                readings[place] = _refund(kept, document, group_faults, rules, find_card_numbers)
                continue
            documents.append((place, group, document, group_faults))
        except UnreadableBodyError as error:
            text = mask_unreadable(message.body, find_card_numbers)
            readings[place] = _unusable(message, text, error.fault, find_card_numbers)
    read_documents = read_written(
        [document for *_, document, _ in documents], [faults for *_, faults in documents], rules, find_card_numbers
    )
    for (place, group, raw, group_faults), (document, validation) in zip(documents, read_documents, strict=True):
        text = masked_body(document)
        in_version = _reader(raw, validation, group_faults, rules, find_card_numbers)
        readings[place] = Reading(messages[place]._replace(body=text, group=group), text, validation, in_version)
    return [readings[place] for place in range(len(messages))]


def examine_in_time(
    messages: Sequence[Message], rules: Rules, find_card_numbers: FindCardNumbers, remaining_ms: Callable[[], int]
) -> list[Reading]:
    """As `examine`, within `rules.times.reading_seconds` of the invocation's time, of which no message gets over half.

    A batch that is no larger than one message may be is read at once. A larger one is read message by message, the
    smallest first: what was begun too late has NotEnoughTimeError in its reading, what was too slow by itself
    ReadingTooSlowError.
    """
    sizes = [min(len(message.body), rules.body_bytes_max) for message in messages]
    if sum(sizes) <= rules.body_bytes_max:
        return examine(messages, rules, find_card_numbers)
    share_ms = round(1000 * rules.times.reading_seconds)
    last_start = remaining_ms() - share_ms
    readings: dict[int, Reading] = {}
    for place in sorted(range(len(messages)), key=sizes.__getitem__):
        message, left_ms = messages[place], remaining_ms()
        try:
            if left_ms <= last_start:
                raise NotEnoughTimeError(f"the batch took {share_ms} ms to read, before it came to this message")
            timed = _timed(find_card_numbers, remaining_ms, left_ms - share_ms // 2)
            (readings[place],) = examine([message], rules, timed)
        except RetryableError as error:
            readings[place] = _unread(message, error, find_card_numbers)
    return [readings[place] for place in range(len(messages))]


def bounded_copy(body: str, find_card_numbers: FindCardNumbers) -> str:
    """What is kept of a body that is not read: its masked beginning, its length in bytes, and its SHA-256, as JSON."""
    encoded = body.encode(errors="surrogatepass")
    head = mask_unreadable(body[:_HEAD_CHARACTERS], find_card_numbers)[:-_CARD_CHARACTERS_MAX]
    return json.dumps({"head": head, "bytes": len(encoded), "sha256": hashlib.sha256(encoded).hexdigest()})


def _is_too_large(body: str, bytes_max: int) -> bool:
    """Whether it has more bytes in UTF-8; only a body that may just fit is encoded to see."""
    if 4 * len(body) <= bytes_max:
        return False
    return len(body) > bytes_max or len(body.encode(errors="surrogatepass")) > bytes_max


def _timed(find_card_numbers: FindCardNumbers, remaining_ms: Callable[[], int], end_ms: int) -> FindCardNumbers:
    """The same search that gives up where no more than `end_ms` of the invocation is left."""

    def timed(texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        found: list[list[tuple[int, int]]] = []
        for piece in _pieces(texts):
            if remaining_ms() <= end_ms:
                raise ReadingTooSlowError("the message took its whole share of the invocation to be read")
            found += find_card_numbers(piece)
        return found

    return timed


def _pieces(texts: Sequence[str]) -> Iterator[list[str]]:
    piece: list[str] = []
    characters = 0
    for text in texts:
        piece.append(text)
        characters += len(text)
        if characters >= _PIECE_CHARACTERS:
            yield piece
            piece, characters = [], 0
    if piece:
        yield piece


def _reader(
    document: dict[str, Document],
    validation: Validation,
    group: tuple[Fault, ...],
    rules: Rules,
    find_card_numbers: FindCardNumbers,
) -> InVersion:
    """Reads a document in another version than it was read in at first, from its own text on.

    A closure, which no log line and no error can show: its document is not masked.
    """

    def in_version(version: int) -> Validation:
        ids_refused = any(fault.reason_code == "card_number" for fault in validation.faults)
        if version == validation.version and not ids_refused:
            return validation
        return read_in_version(document, version, group, rules, find_card_numbers)

    return in_version


def is_refund(document: dict[str, Document]) -> bool:
    """Whether a message is a refund, in which code that knows none finds no payment; with both it is a payment."""
    return "refund" in document and document.get("payment_id") is None


def _refund(
    message: Message,
    document: dict[str, Document],
    group_faults: tuple[Fault, ...],
    rules: Rules,
    find_card_numbers: FindCardNumbers,
) -> Reading:
    # Here, as no batch of payments has to pay for it.
    from handler.domain.refund_message import read_refund

    read = read_refund(document, group_faults, rules, find_card_numbers)
    text = masked_body(read.document)
    validation = Validation("", "", None, read.faults)
    return Reading(message._replace(body=text), text, validation, lambda _: validation, refund=read.request)


def _unusable(message: Message, text: str, fault: Fault, find_card_numbers: FindCardNumbers) -> Reading:
    validation = Validation("", "", None, (fault,))
    kept = message._replace(body=text, group=mask_group(message.group, find_card_numbers)[0])
    return Reading(kept, text, validation, lambda _: validation)


def _unread(message: Message, error: RetryableError, find_card_numbers: FindCardNumbers) -> Reading:
    """A message that goes back; one that was too slow too often ends, as nobody would ever read it."""
    text = bounded_copy(message.body, find_card_numbers)
    reading = _unusable(message, text, Fault("", error.reason_code), find_card_numbers)
    if isinstance(error, ReadingTooSlowError) and message.receives >= _SLOW_RECEIVES_MAX:
        return reading
    return reading._replace(assessment=error)
