"""From a message's body to a JSON document; what another reader might understand differently is refused."""

from __future__ import annotations

import json
import re
from typing import Any

from handler.domain.payment import Fault

NESTING_MAX = 16

# A JSON value: str, NumberText, bool, None, list or dict.
Document = Any

# A string that never closes takes the rest: looking for its end again from every quote inside would be quadratic.
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)


class NumberText(str):
    """A JSON number as it was written: no float between the sender's text and our integers."""

    __slots__ = ()


class UnreadableBodyError(ValueError):
    """The body is no document of ours; `fault` says why."""

    def __init__(self, reason_code: str, field: str = "") -> None:
        super().__init__(reason_code)
        self.fault = Fault(field, reason_code)


def parse(body: str) -> dict[str, Document]:
    """Read a body that must be one JSON object.

    Raises UnreadableBodyError: `not_json`, `not_an_object`, `duplicate_key`, `not_a_number` (NaN, Infinity)
    or `too_deep` (beyond NESTING_MAX).
    """
    depth = 0
    # Before the decoder, which would recurse; brackets inside strings do not count.
    for token in _STRING_OR_BRACKET.finditer(body):
        character = body[token.start()]
        if character in "[{":
            depth += 1
            if depth > NESTING_MAX:
                raise UnreadableBodyError("too_deep")
        elif character in "]}":
            depth -= 1
    try:
        document = json.loads(
            body,
            parse_int=NumberText,
            parse_float=NumberText,
            parse_constant=_refuse_constant,
            object_pairs_hook=_distinct,
        )
    except UnreadableBodyError:
        raise
    except ValueError as error:
        raise UnreadableBodyError("not_json") from error
    if not isinstance(document, dict):
        raise UnreadableBodyError("not_an_object")
    return document


def _refuse_constant(_name: str) -> None:
    raise UnreadableBodyError("not_a_number")


def _distinct(pairs: list[tuple[str, Document]]) -> dict[str, Document]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise UnreadableBodyError("duplicate_key")
    return result
