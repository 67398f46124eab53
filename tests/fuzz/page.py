"""The approval page: any request gets a page that runs nothing, and decides only what a person sent with a good link.

The rule it keeps: what should be decided is worked out here from the request itself, by code that shares nothing with
the page. Input: `G`, `P` or `B` (GET, POST, POST in base64), then the query or form, where `{t}` and `{u}` are the
links of two approvers, `{r}` one of somebody who was removed, `{l}` the first one's to the list. Or `S`, and the JSON
that an approver has signed, or `E`, which somebody else has.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Hashable
from copy import deepcopy
from html.parser import HTMLParser
from typing import Any

from handler.adapters.approval.page import HEADERS
from scoring import _compiled
from tests.fuzz.cards import card_like
from tests.support.approvals import ALICE, CALLBACK, list_token, pending, put, token, visit

WORDS = (
    *(
        '{"environment":"dev","payment":',
        '"pay-abc123"',
        ',"decision":"approve"',
        ',"decision":"reject"',
        ',"comment":"x"',
    ),
    *("S", "E", "}", "[", "null", '"environment":"prod"', "\\u0000", "\\ud800", ",", "1e999"),
    *("G", "P", "B", "t={t}", "t={u}", "t={r}", "t={l}", "&", "=", "decision=approve", "decision=reject"),
    *("comment=", "checked"),
    *(
        "comment=checked+with+customer",
        "%00",
        "%0D%0A",
        "%0A",
        "%20",
        "+",
        "%E2%80%8B",
        "%ff",
        "%",
        ";",
        "<script>",
        "%3Cscript%3E",
    ),
    *(
        "%22%3E",
        "'",
        "&amp;",
        "&lt;",
        "4111111111111111",
        "4111+1111+1111+1111",
        "cvv+123",
        "%7F",
        "%ED%A0%80",
        "x" * 999,
    ),
)
_WORLD = pending()
_ITEMS = deepcopy(_WORLD.dynamodb.items)
_LINKS = {
    "{t}": token(_WORLD, "alice"),
    "{u}": token(_WORLD, "bob"),
    "{r}": token(_WORLD, "carol"),
    "{l}": list_token(_WORLD),
}
_APPROVERS = {_LINKS["{t}"]: "alice", _LINKS["{u}"]: "bob"}
_TAGS = {
    *("html", "head", "meta", "title", "style", "body", "main", "p", "div", "h1", "h2", "dl", "dt", "dd", "ul", "li"),
    *("span", "a", "b", "small", "time", "form", "input", "label", "textarea", "button", "script"),
}
_VOID = {"meta", "input"}
_SCRIPT = re.search("<script>.*?</script>", visit(_WORLD)["body"], re.DOTALL)[0]  # type: ignore[index]
_HEX = "0123456789abcdefABCDEF"


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.said = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.said += record.getMessage()


_LOG = logging.getLogger("handler.approval_page")


def check(data: bytes) -> set[Hashable]:
    """Send one request to a page with one payment that waits; what it said."""
    kind, given = data[:1] if data[:1] in (b"P", b"B", b"S", b"E") else b"G", data[1:].decode("utf-8", "replace")
    for name, link in _LINKS.items():
        given = given.replace(name, link)
    _WORLD.dynamodb.items.clear()
    _WORLD.dynamodb.items.update(deepcopy(_ITEMS))
    _WORLD.callbacks.woken.clear()
    lines, level = _Lines(), _LOG.level
    _LOG.addHandler(lines)
    _LOG.setLevel(logging.DEBUG)
    try:
        if kind in (b"S", b"E"):
            return _check_signed(kind, given)
        answer = _answer(kind, given)
    finally:
        _LOG.removeHandler(lines)
        _LOG.setLevel(level)
    assert answer["headers"] == HEADERS
    assert answer["statusCode"] in (200, 400, 403, 413, 422)
    assert not any(link in lines.said for link in _LINKS.values()), "a link is logged"
    _Page().read(answer["body"])
    _check_decision(kind, given, answer)
    decided = deepcopy(_WORLD.dynamodb.items)
    if "decision" in _WORLD.item():
        # Sent once more, and the other way round by somebody else.
        other = {"approve": "reject", "reject": "approve"}[_WORLD.item()["decision"]]
        for form in (
            given,
            f"t={_LINKS['{u}']}&decision={other}&comment=x",
            f"t={_LINKS['{t}']}&decision={other}&comment=x",
        ):
            _Page().read(visit(_WORLD, method="POST", form=form)["body"])
            assert _WORLD.dynamodb.items == decided, "the first decision does not stand"
    said = re.search(
        r"(?:<h1>|role=\"(?:alert|status)\">)([^<0-9]*)", answer["body"][answer["body"].index("</style>") :]
    )
    sizes = {(kind, name, len(value).bit_length()) for name, value in _once(given).items() if name in ("t", "comment")}
    return {(answer["statusCode"], said and said[1], kind), _WORLD.item().get("decision")} | sizes


def _answer(kind: bytes, given: str) -> dict[str, Any]:
    if kind == b"G":
        return visit(_WORLD, query=given)
    return visit(_WORLD, method="POST", form=given.encode() if kind == b"B" else given)


def _check_signed(kind: bytes, given: str) -> set[Hashable]:
    status, document = put(_WORLD, given, ALICE if kind == b"S" else "arn:aws:iam::123456789012:user/eve")
    assert status in (200, 400, 403, 404, 409, 413, 422)
    before, item = _ITEMS["txn-pay-abc123"], _WORLD.item()
    if status != 200:
        assert _WORLD.dynamodb.items["txn-pay-abc123"] == before, "a decision that was refused has changed something"
        assert _WORLD.callbacks.woken == []
        return {(status, kind)}
    assert kind == b"S", "somebody who is no approver has decided"
    asked = json.loads(given)
    assert asked["environment"] == "dev"
    assert asked["payment"] in ("pay-abc123", "txn-pay-abc123")
    assert (item["decision"], item["decided_by"]) == (asked["decision"], ALICE)
    assert document["decided_by"] == ALICE
    assert not card_like(item["comment"])
    return {(status, kind, item["decision"], len(item["comment"]).bit_length())}


def _check_decision(kind: bytes, given: str, answer: dict[str, Any]) -> None:
    before, item = _ITEMS["txn-pay-abc123"], _WORLD.item()
    changed = {
        name
        for name in {*before, *_WORLD.dynamodb.items["txn-pay-abc123"]}
        if before.get(name) != _WORLD.dynamodb.items["txn-pay-abc123"].get(name)
    }
    fields = _once(given)
    comment = fields.get("comment", "").replace("\r\n", "\n").strip()
    may = (
        kind != b"G"
        and len(given.encode()) <= 16_384
        and fields.get("t") in _APPROVERS
        and fields.get("decision") in ("approve", "reject")
        and 0 < len(comment) <= 1000
        and not any((ord(each) < 32 and each != "\n") or 127 <= ord(each) < 160 for each in comment)
    )
    if not may:
        assert not changed, "something was decided that nobody may decide so"
        assert _WORLD.callbacks.woken == []
        return
    assert answer["statusCode"] == 200, "a decision was not taken"
    assert changed <= {"decision", "decided_by", "decided_at", "comment", "updated_at", "version"}, changed
    assert (item["decision"], item["decided_by"]) == (fields["decision"], _APPROVERS[fields["t"]])
    assert _WORLD.callbacks.woken == [(CALLBACK, fields["decision"])]
    assert len(item["comment"]) == len(comment)
    assert not _compiled.find_card_numbers([item["comment"]])[0]
    assert not card_like(item["comment"])
    if not any(each.isdigit() for each in comment):
        assert item["comment"] == comment


def _once(text: str) -> dict[str, str]:
    """The fields of a form that stand there once (URL Standard, application/x-www-form-urlencoded)."""
    pairs = [part.partition("=") for part in text.split("&") if part]
    if len(text.split("&")) > 8:
        return {}
    found: dict[str, list[str]] = {}
    for name, _, value in pairs:
        found.setdefault(_decoded(name), []).append(_decoded(value))
    return {name: values[0] for name, values in found.items() if len(values) == 1}


def _decoded(text: str) -> str:
    raw, at, data = bytearray(), 0, text.replace("+", " ").encode()
    while at < len(data):
        digits = data[at + 1 : at + 3].decode("latin-1")
        if data[at : at + 1] == b"%" and len(digits) == 2 and set(digits) <= set(_HEX):
            raw.append(int(digits, 16))
            at += 3
        else:
            raw.append(data[at])
            at += 1
    return raw.decode("utf-8", "replace")


class _Page(HTMLParser):
    """Refuses whatever the page has not of itself: other elements, attributes that run or load, an open end."""

    def read(self, page: str) -> None:
        assert page.count(_SCRIPT) == page.count("<script") == 1, "another script than the page's own"
        self.open: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == [], "an element is not closed"

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert tag in _TAGS, f"<{tag}> came from outside"
        for name, value in attributes:
            assert not name.startswith("on"), name
            assert name not in ("src", "style", "srcdoc", "formaction"), name
            assert name != "href" or re.fullmatch(r"\?t=[A-Za-z0-9_.-]+", value or ""), value
            assert name != "action" or value == "?"
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> came from outside"
        assert self.open.pop() == tag, f"</{tag}> came from outside"
