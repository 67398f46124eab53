"""What people are told through SNS: each approver their own link, and none is kept from it by another's fault."""

from __future__ import annotations

import re
from typing import Any

import pytest

from handler.adapters.approval.notices import SnsNotices
from handler.adapters.support.errors import AwsError
from handler.domain.approval.token import Invitation, ListInvitation, read_token
from handler.domain.errors import NoticeError
from tests.support.approvals import CALLBACK, TOPIC, RecordingTopic, TestSigner, pending
from tests.support.payments import KEY


def test_each_approver_gets_a_link_of_their_own():
    world = pending()
    topic = RecordingTopic()
    notices = SnsNotices(topic, TOPIC, ("alice", "bob"), "https://pay.example/approvals", TestSigner())
    notices.ask("m-1", world.stored(), CALLBACK)
    notices.settled("m-2", KEY, "completed")
    asked = topic.published[:2]
    for name, published in zip(("alice", "bob"), asked, strict=True):
        links = re.findall(r"https://pay\.example/approvals\?t=(\S+)", published["Message"])
        decide, waiting = [read_token(link, TestSigner(), world.clock.ms) for link in links]
        # The payment's comes first: whoever reads one link has that.
        assert (type(decide), decide.approver) == (Invitation, name)
        assert waiting == ListInvitation(name, world.item()["approval_expires_at"])
        attributes = {key: value["StringValue"] for key, value in published["MessageAttributes"].items()}
        assert attributes == {"kind": "approval", "message_id": "m-1", "approver": name}
    told = topic.published[2]["MessageAttributes"]
    assert told["kind"]["StringValue"] == "settled"
    assert told["approver"] == {"DataType": "String.Array", "StringValue": '["alice", "bob"]'}
    assert "9999.99 USD" in asked[0]["Message"]


def test_without_a_page_the_message_names_the_command():
    topic = RecordingTopic()
    SnsNotices(topic, TOPIC, (), "", None).ask("m-1", pending().stored(), CALLBACK)
    assert f"payments approvals show {KEY}" in topic.published[0]["Message"]


def test_one_approver_who_cannot_be_told_does_not_keep_the_others_from_it():
    fault = AwsError("Publish", "", "not reached")

    class ThrottledOnce(RecordingTopic):
        def publish(self, **message: Any) -> None:
            try:
                super().publish(**message)
            finally:
                self.fault = None

    topic = ThrottledOnce(fault)
    notices = SnsNotices(topic, TOPIC, ("alice", "bob", "carol"), "https://pay.example/approvals", TestSigner())
    with pytest.raises(NoticeError, match="alice"):
        notices.ask("m-1", pending().stored(), CALLBACK)
    told = [message["MessageAttributes"]["approver"]["StringValue"] for message in topic.published]
    assert told == ["bob", "carol"]


def test_a_topic_that_does_not_answer_is_a_notice_error():
    fault = AwsError("Publish", "", "not reached")
    with pytest.raises(NoticeError):
        SnsNotices(RecordingTopic(fault), TOPIC, (), "", None).settled("m", KEY, "completed")
