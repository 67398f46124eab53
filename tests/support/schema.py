"""JSON Schema as far as the schemas of this repository use it; a keyword that is not known here is an error."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_KINDS: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}
_TELLING = ("$schema", "$id", "title", "description", "then")


def problems(  # noqa: C901, PLR0912 - a list, one branch a keyword
    schema: Mapping[str, Any], value: Any, at: str = ""
) -> Iterator[str]:
    """What is wrong with a value. Raises ValueError for a keyword that is not checked here."""
    for keyword, said in schema.items():
        if keyword == "type":
            if not isinstance(value, _KINDS[said]) or (said == "integer" and isinstance(value, bool)):
                yield f"{at}: {value!r} is no {said}"
        elif keyword in ("const", "enum"):
            if value not in (said if keyword == "enum" else [said]):
                yield f"{at}: {value!r} is not {said!r}"
        elif keyword == "pattern":
            if not re.search(said, value):
                yield f"{at}: {value!r} is not {said}"
        elif keyword == "required":
            yield from (f"{at}: no {name}" for name in said if name not in value)
        elif keyword == "properties":
            for name, inner in said.items():
                if name in value:
                    yield from problems(inner, value[name], f"{at}/{name}")
        elif keyword == "items":
            for place, each in enumerate(value):
                yield from problems(said, each, f"{at}/{place}")
        elif keyword == "allOf":
            for inner in said:
                yield from problems(inner, value, at)
        elif keyword == "if":
            if not list(problems(said, value, at)):
                yield from problems(schema["then"], value, at)
        elif keyword not in _TELLING:
            raise ValueError(f"{keyword} is not checked")
