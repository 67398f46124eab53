"""Why a payment did not go on: a retryable error means "redeliver me", a permanent one "record me and acknowledge"."""

from __future__ import annotations

import re


class PaymentError(Exception):
    """Base of all errors of a payment; `reason_code` is stable and may be stored, logged and alarmed on.

    What each code means, and what it does to the payment, is in `reasons.CATALOGUE`.
    """

    reason_code: str


class RetryableError(PaymentError):
    """The message goes back to its queue and comes again.

    `is_own_failure` as the catalogue has it: the cause is the payment, and the failure counts towards its parking.
    `spends_key`: the gateway gave a whole answer that settles nothing, and would give it again under the call's key.
    """

    is_own_failure = False
    spends_key = False


class NotEnoughTimeError(RetryableError):
    """Too little of the invocation is left for a gateway call and its record."""

    reason_code = "not_enough_time"


class ReadingTooSlowError(RetryableError):
    """The message took more of the invocation to be read than any message may; nothing of it is known."""

    reason_code = "reading_too_slow"
    is_own_failure = True


class AlreadyInProgressError(RetryableError):
    """Another worker holds the payment's lease, or a message brought it and comes again."""

    reason_code = "already_in_progress"


class OwnershipLostError(RetryableError):
    """Another worker took the payment over; this one may no longer write it."""

    reason_code = "ownership_lost"


class TriesUsedUpError(RetryableError):
    """The payment had all its tries before this one, and the last of them left no reason."""

    reason_code = "tries_used_up"
    is_own_failure = True


class TransactionLogUnavailableError(RetryableError):
    """The table throttled the call, timed out or was not reached."""

    reason_code = "transaction_log_unavailable"


class TableRefusedError(RetryableError):
    """The table refuses a read or write for good, as it does an item that is too large; again it would be the same."""

    reason_code = "table_refused"
    is_own_failure = True

    def __init__(self, transaction_id: str, message: str) -> None:
        super().__init__(message)
        self.transaction_id = transaction_id


class RejectedQueueUnavailableError(RetryableError):
    """The rejected queue did not take the masked copy."""

    reason_code = "rejected_queue_unavailable"


class ApprovalStartError(RetryableError):
    """The approval workflow could not be started."""

    reason_code = "approval_start_failed"


class ApprovalStartRefusedError(ApprovalStartError):
    """Starting the approval workflow is refused in a way that a message's next deliveries would not change."""

    reason_code = "approval_start_refused"


class ApprovalWakeError(RetryableError):
    """The decision is recorded and its workflow could not be woken; the same decision again wakes it."""

    reason_code = "approval_wake_failed"


class NoticeError(RetryableError):
    """People could not be notified; a payment never waits for that."""

    reason_code = "notice_failed"


class FraudServiceUnavailableError(RetryableError):
    """The fraud check did not answer; after the last attempt a person decides."""

    reason_code = "fraud_check_unavailable"


class ApprovalRefusedError(PaymentError):
    """A decision that cannot stand; `reason_code` says why, the message says it to the person who decided.

    Without a message of its own it says what the code means.
    """

    def __init__(self, reason_code: str, message: str = "") -> None:
        # Here, as the queue function refuses nobody and must not pay for the catalogue in init.
        from handler.domain.reasons import sentence

        super().__init__(message or sentence(reason_code))
        self.reason_code = reason_code


class ParkedRefusedError(ApprovalRefusedError):
    """An operation on a parked payment that cannot stand; the message says why to the operator."""


class WebhookRefusedError(PaymentError):
    """A request to the webhook that is not the gateway's, or no event; `reason_code` says why."""

    def __init__(self, reason_code: str) -> None:
        from handler.domain.reasons import sentence

        super().__init__(sentence(reason_code))
        self.reason_code = reason_code


class WakeUpNotQueuedError(RetryableError):
    """An event's wake-up was not queued, as far as is known; the gateway sends the event again."""

    reason_code = "wake_up_not_queued"


class RetryNotSentError(RetryableError):
    """The retry is allowed and its message was not sent; the same retry again sends it."""

    reason_code = "retry_not_sent"


class ItemChangedError(PaymentError):
    """The item is not what its execution left there: somebody changed it by hand. Nothing is charged."""

    reason_code = "item_changed"


class UnknownItemError(RetryableError):
    """Newer code wrote the item: it is not judged here, and that is no failure of the payment."""

    reason_code = "item_unknown"


class DamagedItemError(RetryableError):
    """The item lacks what its state requires: nothing is decided or charged from it, and people are told."""

    reason_code = "item_damaged"
    is_own_failure = True

    def __init__(self, transaction_id: str, message: str) -> None:
        super().__init__(message)
        self.transaction_id = transaction_id


class ScoringError(RetryableError):
    """The payment could not be scored; others of its batch are not affected."""

    reason_code = "scoring_failed"
    is_own_failure = True


class GatewayUnavailableError(RetryableError):
    """The gateway refused or was not reached, and surely nothing took effect."""

    reason_code = "gateway_unavailable"


class GatewayNotReachedError(GatewayUnavailableError):
    """No connection was had: that is so for every payment."""


class GatewayFailedError(GatewayUnavailableError):
    """A whole 5xx, and surely nothing took effect; the payment is to blame where the gateway answers others.

    `spends_key` is false where something in front of the gateway answered in its place.
    """

    reason_code = "gateway_failed"

    def __init__(self, message: str, *, spends_key: bool = True) -> None:
        super().__init__(message)
        self.spends_key = spends_key


class GatewayBusyError(GatewayUnavailableError):
    """The gateway takes no more requests, or has another one under way for the same payment; nothing took effect."""

    reason_code = "gateway_busy"


class GatewayKeyRefusedError(GatewayUnavailableError):
    """The gateway does not know our key: no payment can be made until the key is right, and none is to blame."""

    reason_code = "gateway_key_refused"


class GatewayReferenceUnknownError(GatewayUnavailableError):
    """The gateway does not know a stored reference: as with a key of another account, which is so for every payment."""

    reason_code = "gateway_reference_unknown"


class GatewayRefusedError(GatewayUnavailableError):
    """The gateway refuses this payment; nothing took effect.

    `code` is the gateway's own, `request_id` its name for the request; "" where it has none, or was not asked.
    `is_final`: the same request will always be refused, and no reference was made.
    """

    reason_code = "gateway_refused"
    is_own_failure = True
    spends_key = True

    def __init__(self, message: str, code: str = "", request_id: str = "", *, is_final: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.request_id = request_id
        self.is_final = is_final


class UnknownOutcomeError(RetryableError):
    """The call may or may not have taken effect: ask for the status by reference, never repeat it blindly."""

    reason_code = "outcome_unknown"


class KeySpentError(UnknownOutcomeError):
    """A whole refusal of a call that may have taken effect before: its key was used, or the reference is settled."""

    spends_key = True


class ChargeFailedError(UnknownOutcomeError):
    """A whole 5xx to a call that may have taken effect; all else is as with GatewayFailedError."""

    reason_code = "gateway_failed"

    def __init__(self, message: str, *, spends_key: bool = True) -> None:
        super().__init__(message)
        self.spends_key = spends_key


class ChargeInProgressError(RetryableError):
    """The gateway is at work on the charge.

    `takes_days`: it answered the charge itself so, as for a bank debit. Where it was asked, a call may still be under
    way, and ends within seconds.
    """

    reason_code = "charge_in_progress"

    def __init__(self, message: str, *, takes_days: bool = False) -> None:
        super().__init__(message)
        self.takes_days = takes_days


class RestoreTooRecentError(RetryableError):
    """The table was restored, and the gateway's search may still lack what was charged before that."""

    reason_code = "restore_too_recent"


class FoundOtherContentError(RetryableError):
    """Before the table was restored the gateway charged this payment id over another amount: nothing is charged."""

    reason_code = "found_with_different_content"


class BreakerOpenError(RetryableError):
    """The gateway fails for everybody, and another message asks it; this one is returned unclaimed."""

    reason_code = "breaker_open"


class GatewayAnswerError(RetryableError):
    """The gateway's answer contradicts the payment or cannot be read; it is never recorded as approved."""

    reason_code = "gateway_answer_invalid"
    is_own_failure = True


class ConfigurationError(Exception):
    """A setting is missing or wrong: names the variable, its value and what is allowed.

    Nothing is shown of a URL's user information, which may be a password, of a secret where its ARN belongs, and of
    what looks like a gateway's key anywhere.
    """

    def __init__(self, variable: str, value: str | None, allowed: str) -> None:
        if value is not None and variable.endswith("_URL") and "@" in value:
            # What is refused need not be a URL: all before the last @ may belong to a password.
            value = f"***@{value.rpartition('@')[2]}"
        names_secret = value is None or value.startswith(("arn:", "a secret that "))
        if variable.endswith("_SECRET_ARN") and not names_secret:
            value = "***"
        if value is not None:
            value = re.sub(r"(sk|rk)_(test|live)_\w+", r"\1_\2_***", value)
        shown = "is not set" if value is None else f"is {value!r}"
        super().__init__(f"{variable} {shown}; allowed: {allowed}")
        self.variable = variable
