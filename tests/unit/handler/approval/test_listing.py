"""The list of what waits for an approver, behind a signed link of its own: it decides nothing by itself."""

from __future__ import annotations

import re
from urllib.parse import urlencode

import pytest

from handler.adapters.table.expressions import to_attributes
from handler.domain.approval.view import READ_MAX, WAITING_MAX
from tests.support.approvals import DAY_MS, ApprovalWorld, TestSigner, list_token, pending, token, visit
from tests.support.payments import body


def listed(world: ApprovalWorld, sent: str, approvers: tuple[str, ...] = ("alice", "bob")) -> tuple[int, str]:
    answer = visit(world, query=urlencode({"t": sent}), approvers=approvers)
    return answer["statusCode"], answer["body"]


def another(world: ApprovalWorld, payment_id: str, later_ms: int, **changes: object) -> str:
    item = world.item()
    item["created_at"] += later_ms
    item |= {"payment_id": payment_id, "transaction_id": f"txn-{payment_id}", **changes}
    kept = {name: value for name, value in item.items() if value is not None}
    world.dynamodb.items[f"txn-{payment_id}"] = to_attributes(kept)
    return f"txn-{payment_id}"


def links(page: str) -> list[str]:
    return re.findall(r'<a href="\?t=([^"]+)">', page)


def test_the_list_shows_what_waits_the_oldest_first_and_each_link_decides_on_its_own_payment():
    world = pending()
    another(world, "pay-later", 5, amount_minor=1234)
    another(world, "pay-earlier", -5)
    another(world, "pay-decided", 1, decision="approve", decided_by="bob", decided_at=1, comment="x")
    another(world, "pay-over", 2, approval_expires_at=world.clock.ms)
    another(world, "pay-unasked", 3, callback_id=None)
    status, page = listed(world, list_token(world, "bob"))
    assert status == 200
    assert re.findall(r">([0-9.]+ USD), (pay-[a-z0-9]+)</a>", page) == [
        ("9999.99 USD", "pay-earlier"),
        ("9999.99 USD", "pay-abc123"),
        ("12.34 USD", "pay-later"),
    ]
    assert "24 h 0 min left" in page
    shown = listed(world, links(page)[2])[1]
    assert "<title>Approve 12.34 USD?</title>" in shown
    assert "<dt>You are</dt><dd>bob</dd>" in shown


def test_the_list_shows_nobodys_name_and_decides_nothing():
    world = pending(risky=body(amount=9999.99, customer_name="Jane Doe", customer_email="jane@example.com"))
    before = world.item()
    sent = list_token(world)
    page = listed(world, sent)[1]
    assert "Jane" not in page
    assert "<form" not in page
    form = {"t": sent, "decision": "approve", "comment": "checked"}
    assert visit(world, method="POST", form=urlencode(form))["statusCode"] == 403
    assert (world.item(), world.callbacks.woken) == (before, [])


@pytest.mark.parametrize(
    ("approver", "signer", "late_ms", "status_code"),
    [
        ("alice", TestSigner(b"x" * 32), 0, 403),
        ("carol", TestSigner(), 0, 403),
        ("alice", TestSigner(), DAY_MS, 410),
        ("alice", TestSigner(), 30 * DAY_MS, 410),
    ],
    ids=["forged", "no approver any more", "over", "long over"],
)
def test_the_list_is_its_owners_while_they_are_an_approver_and_for_a_day(approver, signer, late_ms, status_code):
    world = pending()
    sent = list_token(world, approver, signer)
    world.clock.ms += late_ms
    status, page = listed(world, sent)
    assert (status, links(page), "9999.99" in page) == (status_code, [], False)


def test_the_link_of_a_payment_opens_no_list():
    world = pending()
    another(world, "pay-other", 1)
    page = listed(world, token(world))[1]
    assert "pay-other" not in page
    assert links(page) == []


def test_a_list_without_anything_that_waits_says_so():
    world = pending()
    sent = list_token(world)
    world.decide("approve")
    assert "Nothing waits for you." in listed(world, sent)[1]


def test_what_nobody_can_decide_on_hides_nothing_and_a_long_list_ends():
    world = pending()
    for number in range(READ_MAX - 1):
        another(world, f"pay-over-{number}", -number - 1, approval_expires_at=world.clock.ms)
    assert len(links(listed(world, list_token(world))[1])) == 1
    for number in range(WAITING_MAX + 3):
        another(world, f"pay-{number}", -READ_MAX - number)
    page = listed(world, list_token(world))[1]
    assert len(links(page)) == WAITING_MAX
    assert f"{3 + READ_MAX} more wait behind these" in page
