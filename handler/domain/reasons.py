"""Every reason code: the sentence that a sender, an approver or an operator reads, and what happens because of it.

The rule it keeps: nothing on the queue function's cold path imports it. The code alone is stored, logged and sent;
whoever shows it to people looks here. docs/reason-codes.md is made from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from handler.domain.parse import NESTING_MAX
from handler.domain.typed import NamedTuple

# record: final, the message is recorded and acknowledged. redeliver: it comes again, and the cause lies outside of the
# payment. count: it comes again, and the cause is the payment itself, so that it counts as a failure of its own.
# ask: a person is asked. refuse: what a person sent is refused. tell: people are told, and the payment goes on.
Answer = Literal["record", "redeliver", "count", "ask", "refuse", "tell"]


class ReasonCode(NamedTuple):
    """What a code means. `is_alarm`: an alarm tells people. `status` is the approval page's, 0 where it has none."""

    sentence: str
    answer: Answer
    is_alarm: bool = False
    status: int = 0

    @property
    def is_final(self) -> bool:
        return self.answer == "record"

    @property
    def is_own_failure(self) -> bool:
        """Whether it counts as the payment's own failure; no other cause says anything about the payment."""
        return self.answer == "count"


CATALOGUE: Final[Mapping[str, ReasonCode]] = {
    # The body is no document of ours.
    "not_json": ReasonCode("The message is not JSON.", "record"),
    "not_an_object": ReasonCode("The message is JSON, but not one object.", "record"),
    "duplicate_key": ReasonCode(
        "The message has a key twice, and two readers could understand it differently.", "record"
    ),
    "not_a_number": ReasonCode("The message holds NaN or Infinity, which JSON does not have.", "record"),
    "too_deep": ReasonCode(f"The message is nested deeper than {NESTING_MAX} objects and lists.", "record"),
    "message_too_large": ReasonCode("The message is larger than this deployment reads, BODY_BYTES_MAX.", "record"),
    "payment_id_missing": ReasonCode("The message has no payment_id.", "record"),
    "payment_id_malformed": ReasonCode("The payment_id is not 1 to 48 of A-Z a-z 0-9 _ and -.", "record"),
    "payment_id_card_number": ReasonCode(
        "The payment_id looks like a card number, which nobody may keep: send another, or have its shape declared, "
        "ID_SHAPES.",
        "record",
    ),
    "refund_id_missing": ReasonCode("The refund has no refund_id.", "record"),
    "refund_id_malformed": ReasonCode("The refund_id is not 1 to 48 of A-Z a-z 0-9 _ and -.", "record"),
    "refund_id_card_number": ReasonCode(
        "The refund_id looks like a card number, which nobody may keep: send another, or have its shape declared, "
        "ID_SHAPES.",
        "record",
    ),
    # One of its fields cannot be a payment's, or a refund's.
    "missing": ReasonCode("A field that every payment needs, or every refund, is missing.", "record"),
    "empty": ReasonCode("A field that every payment needs is empty.", "record"),
    "wrong_type": ReasonCode("The field has another JSON type than it must have.", "record"),
    "malformed": ReasonCode("The field holds characters or a form that it may not have.", "record"),
    "too_long": ReasonCode("The text of the field is too long.", "record"),
    "lone_surrogate": ReasonCode("The text of the field holds half a character (a lone surrogate).", "record"),
    "control_character": ReasonCode("The text of the field holds a control character.", "record"),
    "malformed_amount": ReasonCode(
        "The amount is not a plain number with at most as many decimals as its currency has.", "record"
    ),
    "negative_amount": ReasonCode("The amount is below zero.", "record"),
    "zero_amount": ReasonCode("The amount is zero.", "record"),
    "amount_too_large": ReasonCode(
        "The amount is above the largest of its currency here, PAYMENT_AMOUNT_MAX or that in OTHER_CURRENCIES.",
        "record",
    ),
    "unsupported_currency": ReasonCode(
        "The currency is none of this deployment's, PAYMENT_CURRENCY and OTHER_CURRENCIES.", "record"
    ),
    "card_number": ReasonCode(
        "The id looks like a card number, which nobody may keep: send another, or have its shape declared, ID_SHAPES.",
        "record",
    ),
    "token_missing": ReasonCode("The message names no instrument that the gateway could charge.", "record"),
    "single_use_token": ReasonCode(
        "The token can be used once (tok_, ctoken_); a payment needs one that can be used again (pm_).", "record"
    ),
    "sensitive_authentication_data": ReasonCode(
        "The message holds card verification data (cvv, pin, track), which nobody may keep.", "record"
    ),
    # A valid payment that ends without a charge, or beside the payment.
    "declined_by_rule": ReasonCode("A fraud rule or blocklist declines the payment.", "record"),
    "approval_unavailable": ReasonCode("The payment needs a person, and nobody can be asked here.", "record"),
    "cancelled": ReasonCode("An operator gave the parked payment up; nothing can be captured of it.", "record"),
    "approval_rejected": ReasonCode("A person rejected the payment.", "record"),
    "exists_with_different_content": ReasonCode("The payment_id is taken by a payment with other content.", "record"),
    # A refund that gives nothing back; its id is used up, and another refund has another.
    "refund_payment_unknown": ReasonCode("There is no such payment to give back: look at the payment_id.", "record"),
    "refund_payment_not_completed": ReasonCode(
        "The payment ended without a capture, so there is nothing to give back.", "record"
    ),
    "refund_other_currency": ReasonCode("The payment was made in another currency: refund it in its own.", "record"),
    "refund_payment_disputed": ReasonCode(
        "The payment is disputed: its bank gives the money back, and a refund would give it twice.", "record"
    ),
    "refund_above_captured": ReasonCode(
        "The payment has less left than the refund asks for: look at its other refunds.", "record"
    ),
    "refund_refused": ReasonCode(
        "The gateway refuses the refund, for the reason in `gateway_response`; nothing was given back.", "record"
    ),
    "refund_failed": ReasonCode(
        "The gateway could not give the money back, or the customer's bank returned it: the money is here again.",
        "record",
    ),
    "refund_found_with_different_content": ReasonCode(
        "Before the table was restored, the gateway gave another amount back under this refund_id; this is not given.",
        "record",
        is_alarm=True,
    ),
    # It comes again, and says nothing about the payment.
    "not_enough_time": ReasonCode("The invocation had too little time left for the payment.", "redeliver"),
    "already_in_progress": ReasonCode("Another worker has the payment.", "redeliver"),
    "ownership_lost": ReasonCode("Another worker took the payment over.", "redeliver"),
    "transaction_log_unavailable": ReasonCode("The table throttled a call or did not answer.", "redeliver"),
    "rejected_queue_unavailable": ReasonCode("The rejected queue did not take the masked copy.", "redeliver"),
    "approval_start_failed": ReasonCode("The approval workflow could not be started or asked about.", "redeliver"),
    "approval_wake_failed": ReasonCode(
        "Your decision is recorded, but the payment could not be continued at once. Send it again.",
        "redeliver",
        status=503,
    ),
    "retry_not_sent": ReasonCode(
        "Your retry is allowed, but its message could not be sent. Run it again.", "redeliver", status=503
    ),
    "wake_up_not_queued": ReasonCode(
        "The event's wake-up could not be queued. Send the event again.", "redeliver", status=503
    ),
    "gateway_unavailable": ReasonCode("The gateway was not reached or refused, and nothing took effect.", "redeliver"),
    # The queue function counts it while its breaker is closed (handler/domain/breaker.py).
    "gateway_failed": ReasonCode(
        "The gateway answered with an error of its own (5xx); it counts where others are answered meanwhile.",
        "redeliver",
    ),
    "breaker_open": ReasonCode(
        "The gateway fails for everybody: messages go back untried, and one at a time asks it.",
        "redeliver",
        is_alarm=True,
    ),
    "gateway_busy": ReasonCode("The gateway takes no more requests now, or works on the payment already.", "redeliver"),
    "gateway_key_refused": ReasonCode(
        "The gateway does not know our key; no payment can be made.", "redeliver", is_alarm=True
    ),
    "gateway_reference_unknown": ReasonCode(
        "The gateway does not know the payment's reference: the key may be another account's. The payment stays open.",
        "redeliver",
        is_alarm=True,
    ),
    # It may be the gateway's fault alone: after no answer the next delivery asks what became of the charge.
    "outcome_unknown": ReasonCode("The gateway has not said yet what became of the charge.", "redeliver"),
    # A parked payment's reason where the method takes days: then nothing is to be done but to wait.
    "charge_in_progress": ReasonCode(
        "The gateway is at work on the charge, for days where it is a bank debit: reconcile records how it ends.",
        "redeliver",
    ),
    "restore_too_recent": ReasonCode(
        "The table was restored less than an hour ago: what was charged before cannot be looked for yet.", "redeliver"
    ),
    "found_with_different_content": ReasonCode(
        "Before the table was restored, the gateway charged this payment_id over another amount; nothing is charged.",
        "redeliver",
        is_alarm=True,
    ),
    "item_unknown": ReasonCode("Newer code wrote the payment's item; this code does not judge it.", "redeliver"),
    # It comes again, and its cause is the payment.
    "reading_too_slow": ReasonCode("The message took more time to be read than any message may.", "count"),
    "scoring_failed": ReasonCode("The payment could not be scored for fraud.", "count", is_alarm=True),
    "table_refused": ReasonCode(
        "The table refuses to hold the payment, as it does what is too large.", "count", is_alarm=True
    ),
    # An item's reason where the gateway said so for good: then it is declined.
    "gateway_refused": ReasonCode(
        "The gateway refuses the payment as it is, and nothing took effect; for good, where it is declined.", "count"
    ),
    "gateway_answer_invalid": ReasonCode("The gateway's answer cannot be read or contradicts the payment.", "count"),
    "tries_used_up": ReasonCode("Its workers were killed or could not write, as often as it may be tried.", "count"),
    "item_changed": ReasonCode("The item is not what its workflow left there; nothing is charged.", "count"),
    "item_damaged": ReasonCode("The item lacks what its state requires; nothing is decided.", "count", is_alarm=True),
    # Why a person is asked.
    "risk": ReasonCode("Its fraud score is high", "ask"),
    "amount": ReasonCode("Its amount needs a person", "ask"),
    "customer_unverified": ReasonCode("The customer's address could not be verified", "ask"),
    "fraud_check_unavailable": ReasonCode("The fraud check did not answer", "ask"),
    # What a person sent is refused.
    "token_invalid": ReasonCode(
        "This link is not valid. Open the link from the notification as it is, in full.", "refuse", status=403
    ),
    "approver_removed": ReasonCode(
        "You are no approver any more: nothing was decided. Another approver can decide.", "refuse", status=403
    ),
    "not_approver": ReasonCode("Who signed the request is no approver: nothing was decided.", "refuse", status=403),
    "not_signed": ReasonCode("Nobody signed the request that AWS knows of: nothing was decided.", "refuse", status=403),
    "not_allowed": ReasonCode(
        "AWS did not let the request through: nothing was decided. The credentials in use must be valid and may "
        "execute-api:Invoke on the page's PUT /approvals, as policy `approver` says.",
        "refuse",
        status=403,
    ),
    "token_expired": ReasonCode("This link has expired: the time to decide is over.", "refuse", status=410),
    "request_too_long": ReasonCode(
        "That is too long to be a reason: a few sentences are enough.", "refuse", status=413
    ),
    "request_malformed": ReasonCode(
        "A decision is a JSON object with the texts payment, decision and comment.", "refuse", status=400
    ),
    "other_environment": ReasonCode(
        "The page decides for another environment than the one that was named.", "refuse", status=409
    ),
    "decision_unknown": ReasonCode("The decision must be approve or reject.", "refuse", status=400),
    "comment_missing": ReasonCode("A decision needs a reason: say in a few words why.", "refuse", status=422),
    "comment_too_long": ReasonCode("The reason is too long to be kept.", "refuse", status=422),
    "comment_malformed": ReasonCode("The reason holds control characters: send plain text.", "refuse", status=422),
    "unknown": ReasonCode("There is no such payment.", "refuse", status=404),
    "ambiguous": ReasonCode(
        "The name is the payment id of one payment and the transaction id of another.", "refuse", status=409
    ),
    "already_decided": ReasonCode("The payment was decided on before.", "refuse", status=409),
    "not_pending": ReasonCode("The payment waits for nobody.", "refuse", status=409),
    "is_a_refund": ReasonCode("The name is a refund's, and what was asked for is of payments.", "refuse", status=409),
    "not_open": ReasonCode("The payment ended before anybody was asked about it.", "refuse", status=409),
    "not_asked": ReasonCode(
        "Nobody was asked about the payment yet; its workflow has not taken it up.", "refuse", status=409
    ),
    "expired": ReasonCode("The time to decide on the payment is over.", "refuse", status=410),
    "replaced": ReasonCode("People were asked again about the payment: the newest link decides.", "refuse", status=410),
    "request_changed": ReasonCode("The payment is not the one that was shown.", "refuse", status=409),
    "not_parked": ReasonCode("The payment is not parked.", "refuse", status=409),
    "parked_again": ReasonCode("The payment was retried and parked again since it was shown.", "refuse", status=409),
    "execution_open": ReasonCode("The payment's execution is about to end; try again.", "refuse", status=409),
    "refused": ReasonCode("The payment cannot be decided on as it stands.", "refuse", status=409),
    # What comes to the webhook is refused.
    "signature_missing": ReasonCode("The request has no header Stripe-Signature.", "refuse", status=400),
    "signature_malformed": ReasonCode(
        "The header Stripe-Signature is not one time t and at least one signature v1.", "refuse", status=400
    ),
    "signature_wrong": ReasonCode(
        "No signature was made over this body with a secret of this endpoint: is WEBHOOK_SECRET_ARN's secret the "
        "endpoint's signing secret?",
        "refuse",
        status=400,
    ),
    "signature_old": ReasonCode("The signature is more than five minutes from now.", "refuse", status=400),
    "event_malformed": ReasonCode("The body is no event of the gateway's.", "refuse", status=400),
    "event_too_large": ReasonCode("The body is larger than 512 KiB.", "refuse", status=413),
    # People are told, and the payment goes on.
    "notice_failed": ReasonCode("People could not be notified.", "tell", is_alarm=True),
    "outcome_event_not_made": ReasonCode(
        "No event could be made of an item's outcome: the item is damaged, or of newer code. Mend it, or deploy that "
        "code for the events function too, then run `payments events replay`.",
        "tell",
        is_alarm=True,
    ),
    "outcome_event_refused": ReasonCode(
        "The target of outcome events refused one for good. Once its cause is gone, run `payments events replay`.",
        "tell",
        is_alarm=True,
    ),
    "approval_start_refused": ReasonCode(
        "The approval workflow is not there, or may not be started: the payment waits until reconcile can start it.",
        "tell",
        is_alarm=True,
    ),
    "callback_without_decision": ReasonCode(
        "A callback came without a decision, and decides nothing by itself; the approvers are asked again.",
        "tell",
        is_alarm=True,
    ),
    "captured_twice": ReasonCode(
        "The gateway captured the payment more than once: compare both at the gateway, and give one back.",
        "tell",
        is_alarm=True,
    ),
    "refunded_twice": ReasonCode(
        "The gateway has two refunds under one refund_id: compare both at the gateway.", "tell", is_alarm=True
    ),
    "outcome_contradicts_record": ReasonCode(
        "The gateway says another outcome than the recorded one, which stands.", "tell", is_alarm=True
    ),
}


def sentence(reason_code: str) -> str:
    """What a stored code means; the code itself where only newer code knows it."""
    known = CATALOGUE.get(reason_code)
    return reason_code if known is None else known.sentence
