"""A payment's message and the queue function's response, as `docs/message.md` tells them.

The rule it keeps: names, lengths and versions are the code's; a sentence for what the code has not, or none for what it
has, is an error and no page.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from handler.domain.canonical import ADDRESS_TEXTS, REQUIRED_TEXTS, VERSIONS

_HANDLER: Final = Path(__file__).resolve().parents[2] / "handler"
_MEANINGS: Final = {
    "payment_id": "Names the payment, for good: the same id with other content is a conflict.",
    "order_id": "The sender's order.",
    "customer_id": "The sender's customer; a good message group.",
    "payment_method": "Such as `credit_card`: for the record and for rules.",
    "customer_name": "For rules, and for whom policy lets see it.",
    "customer_email": "For rules, and for whom policy lets see it.",
    "description": "What was bought, for rules.",
    "payment_token": "The instrument as the gateway names it, such as `pm_...`; never a card number.",
    "gateway_customer_id": "The gateway's customer, where the instrument is attached to one.",
    "off_session": "Whether the card networks are told that the customer is not there (else `GATEWAY_OFF_SESSION`).",
}
_ANSWERS: Final = {
    "processed": "Messages that ended: completed, declined, waiting for a person, duplicates, conflicts.",
    "failed": "Messages that come back, and those that were rejected, parked or set aside.",
    "cold_start": "Whether a message waited for this environment's init.",
    "duration_ms": "What the handler took, in milliseconds.",
    "conflicts": "Of the processed ones, those whose id is taken by other content.",
}


def message_rows() -> list[tuple[str, str, str, str, str]]:
    """Field, what it is, whether it must be there, the versions of the canonical text that know it, meaning."""
    every = " and ".join(map(str, VERSIONS))
    known: dict[str, str] = {}
    lengths: dict[str, int] = {}
    for version in VERSIONS.values():
        lengths |= version.optional_texts
    for name in (*lengths, *(flag for version in VERSIONS.values() for flag in version.flags)):
        holders = [number for number, each in VERSIONS.items() if name in each.optional_texts or name in each.flags]
        known[name] = " and ".join(map(str, holders))
    require_all(_MEANINGS, ("payment_id", *REQUIRED_TEXTS, *known))
    (pattern,) = re.findall(
        r'^_PAYMENT_ID = re\.compile\(r"(.+)"\)$', (_HANDLER / "domain" / "validate.py").read_text(), re.MULTILINE
    )
    address = ", ".join(f"`{name}` ({length})" for name, length in ADDRESS_TEXTS.items())
    return [
        ("`payment_id`", f"text, `{pattern}`", "yes", every, _MEANINGS["payment_id"]),
        *(
            (f"`{name}`", f"text, at most {length}", "yes", every, _MEANINGS[name])
            for name, length in REQUIRED_TEXTS.items()
        ),
        ("`amount`", "number above 0", "yes", every, "In the currency's own units, such as `25.99`; never rounded."),
        ("`currency`", "three letters", "no", every, "One that the deployment takes; without it its own."),
        ("`billing_address`", f"object of texts: {address}", "no", every, "Part of the billing identity, for scoring."),
        *(
            (
                f"`{name}`",
                f"text, at most {lengths[name]}" if name in lengths else "true or false",
                "no",
                versions,
                _MEANINGS[name],
            )
            for name, versions in known.items()
        ),
    ]


def response_rows() -> list[tuple[str, str]]:
    """Field of the response's body, and its meaning."""
    found = ast.parse((_HANDLER / "queue_function.py").read_text())
    (body,) = (
        node.value
        for node in ast.walk(found)
        if isinstance(node, ast.Assign) and [ast.unparse(each) for each in node.targets] == ["body"]
    )
    assert isinstance(body, ast.Dict)
    names = [str(ast.literal_eval(key)) for key in body.keys if key is not None]
    require_all(_ANSWERS, names)
    return [(f"`{name}`", _ANSWERS[name]) for name in names]


def require_all(told: Mapping[str, str], names: Iterable[str]) -> None:
    """Raises ValueError where something has no sentence, or a sentence nothing."""
    if wrong := set(told) ^ set(names):
        raise ValueError(f"build/schemas/{Path(__file__).name} and the code differ about {', '.join(sorted(wrong))}")
