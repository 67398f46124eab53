"""What comes after the charges of `make run`: every kind of it, from the stream alone, and done step by step."""

from __future__ import annotations

import json
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from handler.domain.wake_up import WakeUp
from local.afterwards import RIGHT_ANSWERS, Act, Dashboard, Event, make
from local.faults import START_LOST, plan
from local.gateway.fault_plan import FaultPlan
from local.gateway.payments import API_KEY, Gateway
from local.gateway.server import GatewayServer
from local.late_outcomes import LateOutcomes
from local.loopback import ask
from local.resources import Names
from local.traffic import Message
from local.traffic import make as stream
from tests.support.webhook import NOW, SECRET, Endpoint

NOBODY = FaultPlan(1, {})


def acts(steps: list[list[Act]], kind: type[Any]) -> list[Any]:
    return [act for step in steps for act in step if isinstance(act, kind)]


@pytest.mark.parametrize("seed", range(5))
def test_every_kind_of_refund_and_of_event_comes_after_a_stream_and_none_of_a_payment_with_a_fault(seed: int) -> None:
    messages = stream(200, 20, seed)
    planned, declines = plan(messages, seed), FaultPlan(seed, {"charge.decline": 0.05})
    after = make(messages, planned, declines)
    asked = acts(after.steps, Message)
    assert set().union(*(message.ends for message in asked)) == {
        *("refunded", "refund_failed", "refund_refused", "refund_above_captured", "refund_other_currency"),
        *("refund_payment_unknown", "refund_payment_disputed", "conflict", "rejected_queue"),
        "refund_payment_not_completed",
    }
    assert {message.number for message in asked}.isdisjoint(message.number for message in messages)
    assert after.messages == len(asked) == len({message.number for message in asked})
    captured = {message.payment_id: message for message in messages if message.kind in ("ordinary", "card_number")}
    for message in asked:
        if message.refund_id == "early":
            # The one whose start is lost, and one on whom nobody decides: neither may be settled yet.
            risky = {each.payment_id: each for each in messages if each.kind == "risky"}[message.payment_id]
            assert (message.payment_id == planned[START_LOST]) == (message.ends == {"refunded"}) != (not risky.decision)
        elif message.refund_id not in ("", "unknown"):
            payment = captured[message.payment_id]
            assert not declines.declines(message.payment_id)
            assert message.payment_id not in planned.values()
            # FIFO order holds behind the payment alone; a second group is what makes two of them come at once.
            assert message.group == payment.group or message.refund_id == "at-once-2"
    events = acts(after.steps, Event)
    assert {event.sending for event in events} == {*RIGHT_ANSWERS} - {""}
    assert max(event.times for event in events) == 2
    assert Counter(act.kind for act in acts(after.steps, Dashboard)) == {"refunds": 2, "disputes": 2}
    assert after.unanswered in {message.payment_id for message in asked}


def test_without_events_nothing_is_asked_for_that_needs_one_to_end() -> None:
    messages = stream(200, 20, 1)
    after = make(messages, {}, NOBODY, has_events=False)
    assert acts(after.steps, Event) == acts(after.steps, Dashboard) == []
    assert (after.messages, after.unanswered) == (13, "")


@pytest.mark.parametrize("payments", [1, 2, 3, 4, 7])
def test_a_small_stream_is_followed_by_as_much_as_its_payments_allow(payments: int) -> None:
    messages = stream(payments, 3, 1)
    able = [message.payment_id for message in messages if message.kind in ("ordinary", "card_number")]
    after = make(messages, {}, NOBODY)
    assert {event.payment_id for event in acts(after.steps, Event)} <= set(able)
    assert after.unanswered == (able[1] if len(able) > 1 else "")


# ---- done step by step -----------------------------------------------------------------------------------------------


class World:
    """A gateway that captured 10.00 of `pay-1`, a webhook in memory, and a queue that takes everything."""

    def __init__(self, server: GatewayServer, monkeypatch: pytest.MonkeyPatch, steps: list[list[Act]]) -> None:
        self.endpoint = Endpoint()
        self.messages: list[Any] = []
        self.seconds = 0.0
        self.pending: list[str] = []
        clock = SimpleNamespace(monotonic=lambda: self.seconds, time=lambda: NOW)
        monkeypatch.setattr("local.late_outcomes.time", clock)
        monkeypatch.setattr(
            "local.late_outcomes.ask", lambda port, *rest: ask(port, *rest) if port != 1 else self._post(*rest)
        )
        secrets = SimpleNamespace(get_secret_value=lambda SecretId: {"SecretString": SECRET})
        system: Any = SimpleNamespace(
            clients={"sqs": self, "secretsmanager": secrets, "dynamodb": self},
            resources=SimpleNamespace(queue_url="q"),
            names=Names("dev"),
        )
        approvals: Any = SimpleNamespace(
            webhook=SimpleNamespace(queue_url="w"), webhook_url="http://127.0.0.1:1/webhook"
        )
        self.late = LateOutcomes(steps, system, approvals, server.url, self.messages)

    def send_message_batch(self, QueueUrl: str, Entries: list[dict[str, str]]) -> dict[str, Any]:
        taken = [{"Id": entry["Id"], "MessageId": "m", "SequenceNumber": "1"} for entry in Entries]
        return {"Successful": taken}

    def get_paginator(self, _: str) -> World:
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        return [{"Items": [{"payment_id": {"S": payment_id}} for payment_id in self.pending]}]

    def go_on(self) -> bool:
        """At a time when the step is due."""
        self.late.go_on()
        self.seconds += 10
        return self.late.go_on()

    def _post(
        self, _method: str, _path: str, body: bytes, headers: dict[str, str]
    ) -> tuple[int, bytes, dict[str, str]]:
        answer = self.endpoint.post(body.decode(), headers["Stripe-Signature"])
        return answer["statusCode"], json.dumps(answer["body"]).encode(), {}


@pytest.fixture
def server(tmp_path: Any) -> Any:
    gateway = Gateway(tmp_path / "gateway.sqlite")
    served = GatewayServer(gateway)
    served.start("gateway")
    form = "amount=1000&currency=usd&payment_method=pm_card_visa&confirm=true&metadata[payment_id]=pay-1"
    form += "&off_session=true&automatic_payment_methods[enabled]=true&automatic_payment_methods[allow_redirects]=never"
    headers = {"Authorization": f"Bearer {API_KEY}", "Idempotency-Key": "k"}
    assert ask(served.server_port, "POST", "/v1/payment_intents", form.encode(), headers)[0] == 200
    yield served
    served.stop()
    gateway.close()


def test_each_event_is_answered_as_it_is_sent_and_what_is_done_at_the_gateway_stands_there(
    server: GatewayServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sendings = [Event("pay-1", "refund.created", sending) for sending in RIGHT_ANSWERS if sending]  # type: ignore[arg-type]
    steps: list[list[Act]] = [
        [Dashboard("disputes", "pay-1", "needs_response", 1000), Dashboard("disputes", "pay-1", "lost"), *sendings],
        [Event("pay-1", "charge.dispute.closed", times=2)],
    ]
    world = World(server, monkeypatch, steps)
    assert world.go_on()
    assert [(row["status"], row["outcome"]) for row in world.late.told] == [
        (200, ""),
        (200, ""),
        *(answer for sending, answer in RIGHT_ANSWERS.items() if sending),
    ]
    assert len(world.endpoint.queue.sent) == 1
    world.seconds += 10
    assert world.late.go_on()
    # The same event twice, which its queue takes for one.
    first, *again = world.endpoint.queue.sent[1:]
    assert again == [first]
    ref = server.gateway.log()["captures"][0]["ref"]
    assert first[1] == WakeUp(ref)
    [dispute] = server.gateway._after._all("disputes", ref)
    assert dispute["status"] == "lost"
    world.seconds += 10
    assert not world.late.go_on()


def test_a_step_waits_for_its_time_and_what_was_never_captured_is_told_of_as_not_sent(
    server: GatewayServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[list[Act]] = [
        [Event("pay-9", "refund.created"), Dashboard("refunds", "pay-9", "failed")],
        [Message(7, "refund", "pay-1", "g", "{}", frozenset({"refunded"}), 1)],
    ]
    world = World(server, monkeypatch, steps)
    # The stream's own calls of the last second come first.
    assert world.late.go_on()
    assert world.late.told == []
    assert world.go_on()
    assert world.late.go_on()
    assert [row["status"] for row in world.late.told] == [0, 404]
    assert world.messages == []
    world.seconds += 10
    assert world.late.go_on()
    assert [sent.message.number for sent in world.messages] == [7]
    assert world.late.queue_urls == ["w"]


@pytest.mark.parametrize(
    ("act", "waits"),
    [
        (Event("pay-1", "refund.updated"), True),
        (Dashboard("refunds", "pay-1", "succeeded", 1), True),
        # What tells of a refund whose answer was lost is what ends it.
        (Event("pay-1", "refund.created"), False),
        (Message(7, "refund", "pay-1", "g", "{}", frozenset({"refunded"}), 1), False),
    ],
)
def test_what_tells_of_a_refund_waits_until_it_is_there(
    server: GatewayServer, monkeypatch: pytest.MonkeyPatch, act: Act, waits: bool
) -> None:
    world = World(server, monkeypatch, [[act]])
    world.pending = ["pay-1"]
    assert world.go_on()
    assert (world.late.told + world.messages == []) == waits
    world.pending = ["pay-2"]
    world.seconds += 10
    assert world.late.go_on() == waits
    assert len(world.late.told + world.messages) == 1
