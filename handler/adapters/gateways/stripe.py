"""Stripe over its REST interface: payment intents, one total deadline a call, and never a second try behind one's back.

The rule it keeps: a state, an account or an amount that is not known to be ours is an error and never guessed. Stripe's
own SDK is the judge of this file in the tests; to import it would cost a cold start as much as all the rest together.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Sequence
from functools import partial
from threading import Lock
from typing import Any, Final

from handler.adapters.connection import form
from handler.adapters.gateways.deadline_connection import Answer, DeadlineConnection, is_own, spends_key
from handler.adapters.gateways.stripe_amounts import to_stripe
from handler.adapters.gateways.stripe_answers import (
    Mode,
    dispute_of,
    error_of,
    intent_of,
    is_busy,
    object_in,
    payment_id_in,
    refund_of,
    refused,
    request_id,
    told,
    word,
)
from handler.adapters.gateways.stripe_lists import PAGE, movements, objects
from handler.adapters.secrets import read_by
from handler.adapters.system import AnyLogger
from handler.domain.errors import (
    ChargeFailedError,
    ConfigurationError,
    GatewayAnswerError,
    GatewayBusyError,
    GatewayFailedError,
    GatewayKeyRefusedError,
    GatewayRefusedError,
    GatewayUnavailableError,
    KeySpentError,
    UnknownOutcomeError,
)
from handler.domain.payment import Dispute, GatewayResult, Kind, Movement, Payment, Refund

_LOG = logging.getLogger(__name__)

URL: Final = "https://api.stripe.com"
# All that Stripe's hosts may be signed by, from its own SDK as it is ("TLS certificates"): a test compares them.
ROOTS: Final = os.path.join(os.path.dirname(__file__), "stripe_roots.pem")
# Answers keep the shape of this version whatever the account's default is; 402, cancel and refunds were read in it.
VERSION: Final = "2026-10-28.endive"

Fields = Sequence[tuple[str, str]]

_KEY: Final = r"(?:sk|rk)_(test|live)_[A-Za-z0-9_]{8,247}"
_INTENT: Final = re.compile(r"pi_[A-Za-z0-9]{1,128}")
# What a request says of the payment itself; any other parameter is ours, and its fault is not the payment's.
_OF_THE_PAYMENT: Final = ("amount", "currency", "customer", "description", "payment_method")
_EXPANDED: Final = ("expand[0]", "latest_charge")


class StripeGateway:
    """PaymentGateway and RefundGateway over kept connections; for any threads.

    read_key: Stripe's secret or restricted key, read at once and again when Stripe refuses it, as it may have been
    changed. mode: the one that the key and every answer must have. environment: the deployment's name, which every
    intent carries. off_session: whether the card networks are told that the customer is not there, of a payment that
    does not say it itself. logger: one line a call that was answered, with Stripe's own name of it, which its support
    asks for. Raises ConfigurationError for a key that is none or of another mode.
    """

    def __init__(
        self,
        read_key: Callable[[], str],
        *,
        mode: Mode,
        environment: str,
        url: str = URL,
        deadline_seconds: float = 5.0,
        ca_file: str = "",
        off_session: bool = True,
        logger: AnyLogger = _LOG,
    ) -> None:
        self.connection = DeadlineConnection(url, deadline_seconds, ca_file)
        self._logger = logger
        self._read_key = read_key
        self._mode = mode
        self._environment = environment
        self._off_session = off_session
        self._key = checked_key(read_key(), mode)
        self._key_lock = Lock()

    def prepare(self, payment: Payment, key: str) -> str:
        """Create an unconfirmed payment intent; no money moves, so no failure here leaves a doubt about any.

        Raises GatewayRefusedError, before any call too, where the payment can never be charged; GatewayBusyError,
        GatewayKeyRefusedError, GatewayUnavailableError, GatewayAnswerError.
        """
        amount = to_stripe(payment.amount_minor, payment.currency)
        if not payment.payment_token:
            raise GatewayRefusedError("the payment names no instrument", "payment_method_missing", is_final=True)
        optional = {
            "payment_method": payment.payment_token,
            "customer": payment.gateway_customer_id,
            "description": payment.description,
        }
        fields = [
            ("amount", str(amount)),
            ("currency", payment.currency.lower()),
            *((name, value) for name, value in optional.items() if value),
            ("metadata[payment_id]", payment.payment_id),
            ("metadata[environment]", self._environment),
            ("automatic_payment_methods[enabled]", "true"),
            ("automatic_payment_methods[allow_redirects]", "never"),
            ("capture_method", "automatic"),
        ]
        try:
            answer = self._call("POST", "/v1/payment_intents", fields, key)
        except UnknownOutcomeError as error:
            raise GatewayUnavailableError(f"nothing was charged: {error}") from error
        if answer.status_code != 200:
            refusal = error_of(answer)
            code, param = word(refusal.get("code")), word(refusal.get("param"))
            if answer.status_code >= 500:
                raise GatewayFailedError(
                    f"Stripe did not prepare the payment: {told(answer)}", spends_key=spends_key(answer)
                )
            is_request = refusal.get("type") == "invalid_request_error" and (
                answer.status_code == 400 or (answer.status_code == 404 and code == "resource_missing")
            )
            # A 402 is the payment's own, and stored under its key as every whole answer.
            if is_request or spends_key(answer) or (answer.status_code == 402 and is_own(answer)):
                raise GatewayRefusedError(
                    f"Stripe refused to prepare the payment: {told(answer)}",
                    code,
                    request_id(answer),
                    is_final=is_request and param.partition("[")[0] in _OF_THE_PAYMENT,
                )
            if is_busy(answer):
                raise GatewayBusyError(f"Stripe works on the payment already: {told(answer)}")
            raise GatewayUnavailableError(f"Stripe did not prepare the payment: {told(answer)}")
        gateway_ref = answer.document.get("id")
        if not isinstance(gateway_ref, str) or not _INTENT.fullmatch(gateway_ref):
            raise GatewayAnswerError(f"Stripe's answer names no payment intent ({request_id(answer)})")
        result = self._result(answer.document, gateway_ref, answer)
        said = (answer.document["metadata"].get("payment_id"), result.amount_minor, result.currency)
        if said != (payment.payment_id, payment.amount_minor, payment.currency):
            raise GatewayAnswerError(
                f"{gateway_ref} was prepared over {result.amount_minor} {result.currency}, the payment is "
                f"{payment.amount_minor} {payment.currency}, or it is another payment ({request_id(answer)})"
            )
        return gateway_ref

    def charge(self, gateway_ref: str, key: str, off_session: bool | None = None) -> GatewayResult:
        """Confirm a payment intent, never with an instrument: a late confirm could charge it after a decline.

        Raises UnknownOutcomeError where it may have charged (no answer, 5xx, 409, settled by an earlier request, a
        failure of before under the same key), else the errors of a call that took no effect, and GatewayAnswerError.
        """
        is_off_session = self._off_session if off_session is None else off_session
        said = "true" if is_off_session else "false"
        fields = [("error_on_requires_action", "true"), ("off_session", said), _EXPANDED]
        answer = self._call("POST", f"/v1/payment_intents/{gateway_ref}/confirm", fields, key)
        error = error_of(answer)
        if answer.status_code == 200:
            return self._result(answer.document, gateway_ref, answer)
        if answer.status_code == 402 and isinstance(error.get("payment_intent"), dict):
            return self._result(error["payment_intent"], gateway_ref, answer)
        if answer.status_code >= 500:
            raise ChargeFailedError(
                f"the charge of {gateway_ref} is open: {told(answer)}", spends_key=spends_key(answer)
            )
        is_of_before = (
            error.get("code") == "payment_intent_unexpected_state"
            or error.get("type") == "idempotency_error"
            or answer.status_code != 400
        )
        if spends_key(answer) and is_of_before:
            raise KeySpentError(f"{gateway_ref} was settled by an earlier request, or is not: {told(answer)}")
        if answer.status_code in (402, 409):
            raise UnknownOutcomeError(f"the charge of {gateway_ref} is open: {told(answer)}")
        raise refused(gateway_ref, answer)

    def status(self, gateway_ref: str) -> GatewayResult:
        """Read a payment intent by id. Raises the errors of a call that took no effect, and GatewayAnswerError."""
        answer = self._read(f"/v1/payment_intents/{gateway_ref}?{form([_EXPANDED])}", gateway_ref)
        return self._result(answer.document, gateway_ref, answer)

    def payment_id_of(self, gateway_ref: str) -> str:
        """The payment id in an intent's metadata, "" for one of another environment or mode; raises as `status`."""
        answer = self._read(f"/v1/payment_intents/{gateway_ref}", gateway_ref)
        return payment_id_in(answer.document, gateway_ref, answer, self._mode, self._environment)

    def find(self, payment_id: str) -> list[str]:
        """Payment intents by their metadata, from Stripe's search, which may be up to an hour behind.

        It knows no difference of case, so each is looked at again. Raises as `status` does, and GatewayAnswerError for
        more intents than one page holds.
        """
        query = f"metadata['payment_id']:'{payment_id}' AND metadata['environment']:'{self._environment}'"
        path = f"/v1/payment_intents/search?{form([('query', query), ('limit', str(PAGE))])}"
        answer = self._read(path, f"the search for {payment_id}")
        intents = answer.document.get("data")
        if not isinstance(intents, list) or answer.document.get("has_more") is not False:
            raise GatewayAnswerError(f"Stripe's answer is not all that it has of {payment_id} ({request_id(answer)})")
        return [self._found(intent, answer) for intent in intents if self._is_of(intent, payment_id)]

    def _is_of(self, intent: object, payment_id: str) -> bool:
        metadata = object_in(intent, "metadata") if isinstance(intent, dict) else {}
        return (metadata.get("payment_id"), metadata.get("environment")) == (payment_id, self._environment)

    @staticmethod
    def _found(intent: dict[str, Any], answer: Answer) -> str:
        gateway_ref = intent.get("id")
        if not isinstance(gateway_ref, str) or not _INTENT.fullmatch(gateway_ref):
            raise GatewayAnswerError(f"Stripe's search names no payment intent ({request_id(answer)})")
        return gateway_ref

    def cancel(self, gateway_ref: str) -> GatewayResult:
        """Cancel a payment intent, and say what stands where it cannot be cancelled any more.

        Under no key, whose stored failure would hold for a day: the intent's state makes a repeat harmless.
        Raises UnknownOutcomeError where it may be cancelled or not, else as `status` does.
        """
        path = f"/v1/payment_intents/{gateway_ref}/cancel"
        # It stays in the intent, where it says who cancelled it to who asks later.
        answer = self._call("POST", path, [("cancellation_reason", "abandoned"), _EXPANDED], None)
        error = error_of(answer)
        if answer.status_code == 200:
            return self._result(answer.document, gateway_ref, answer)
        if error.get("code") == "payment_intent_unexpected_state" and isinstance(error.get("payment_intent"), dict):
            return self._result(error["payment_intent"], gateway_ref, answer)
        if answer.status_code >= 500:
            raise ChargeFailedError(f"the cancel of {gateway_ref} is open: {told(answer)}", spends_key=False)
        raise refused(gateway_ref, answer)

    def refund(self, gateway_ref: str, amount_minor: int, currency: str, refund_id: str, key: str) -> Refund:
        """Give back what an intent captured, or a part of it.

        Raises UnknownOutcomeError where it may have been given back, GatewayRefusedError where Stripe never will, else
        as `status` does.
        """
        fields = [
            ("payment_intent", gateway_ref),
            ("amount", str(to_stripe(amount_minor, currency))),
            ("metadata[refund_id]", refund_id),
            ("metadata[environment]", self._environment),
        ]
        answer = self._call("POST", "/v1/refunds", fields, f"{key}:refund")
        if answer.status_code >= 500:
            raise ChargeFailedError(
                f"the refund {refund_id} of {gateway_ref} is open: {told(answer)}", spends_key=spends_key(answer)
            )
        if answer.status_code in (402, 409):
            error = KeySpentError if spends_key(answer) else UnknownOutcomeError
            raise error(f"the refund {refund_id} of {gateway_ref} is open: {told(answer)}")
        if answer.status_code != 200:
            raise refused(gateway_ref, answer)
        refund = refund_of(answer.document, gateway_ref, answer, self._environment)
        if refund.refund_id != refund_id:
            raise GatewayAnswerError(f"Stripe's answer is not about refund {refund_id} ({request_id(answer)})")
        if (refund.amount_minor, refund.currency) != (amount_minor, currency):
            raise GatewayAnswerError(
                f"Stripe refunds {refund.amount_minor} {refund.currency}, not {amount_minor} {currency}"
            )
        return refund

    def refunds(self, gateway_ref: str) -> list[Refund]:
        """Every refund of an intent, oldest first; one that was made in the dashboard is nobody's of ours.

        Raises as `status` does, and GatewayAnswerError for a list that ends early or holds anything else.
        """
        return [
            refund_of(refund, gateway_ref, answer, self._environment)
            for refund, answer in self._listed("refunds", gateway_ref)
        ]

    def disputes(self, gateway_ref: str) -> list[Dispute]:
        """Every dispute of an intent, oldest first. Raises as `refunds` does."""
        return [
            dispute_of(dispute, gateway_ref, answer, self._mode)
            for dispute, answer in self._listed("disputes", gateway_ref)
        ]

    def listed(self, kind: Kind, since_ms: int, until_ms: int) -> list[Movement]:
        """What moved in a span of time, of our environment, each page within a deadline of its own.

        Raises as `refunds` does.
        """
        return list(movements(self._read, kind, since_ms, until_ms, mode=self._mode, environment=self._environment))

    def _listed(self, kind: str, gateway_ref: str) -> list[tuple[dict[str, Any], Answer]]:
        """All of an intent's, page by page within one deadline, with the answer that each came in; oldest first."""
        read = partial(self._read, deadline=time.monotonic() + self.connection.deadline_seconds)
        # Stripe shows the newest first.
        return list(reversed([*objects(read, kind, [("payment_intent", gateway_ref)], gateway_ref)]))

    def close(self) -> None:
        """End the kept connection; the next call opens a new one."""
        self.connection.close()

    def _read(self, path: str, about: str, deadline: float | None = None) -> Answer:
        """A GET's whole answer. No read takes effect, so that one without an answer is a GatewayUnavailableError."""
        try:
            answer = self._call("GET", path, None, None, deadline)
        except UnknownOutcomeError as error:
            raise GatewayUnavailableError(f"{about} could not be read: {error}") from error
        if answer.status_code != 200:
            raise refused(about, answer)
        return answer

    def _call(
        self, method: str, path: str, fields: Fields | None, key: str | None, deadline: float | None = None
    ) -> Answer:
        """One call by `deadline`, or within its own; with a new key once more where Stripe refuses the one it had.

        Raises GatewayKeyRefusedError, GatewayBusyError for 429, and as DeadlineConnection.call does.
        """
        deadline = deadline or time.monotonic() + self.connection.deadline_seconds
        answer, asked_with = self._ask(method, path, fields, key, deadline)
        if answer.status_code in (401, 403) and self._has_another_key(asked_with, deadline):
            # A key that is refused has done nothing, so this repeats nothing.
            answer, _ = self._ask(method, path, fields, key, deadline)
        if answer.status_code in (401, 403):
            raise GatewayKeyRefusedError(f"Stripe refused the key: {told(answer)}")
        if answer.status_code == 429 and error_of(answer).get("code") != "lock_timeout":
            raise GatewayBusyError(f"Stripe takes no more requests: {told(answer)}")
        return answer

    def _ask(
        self, method: str, path: str, fields: Fields | None, key: str | None, deadline: float
    ) -> tuple[Answer, str]:
        """The answer, and Stripe's key that it was asked with."""
        secret = self._key
        headers = {"Authorization": f"Bearer {secret}", "Stripe-Version": VERSION, "Accept": "application/json"}
        if key is not None:
            headers["Idempotency-Key"] = key
        payload = None
        if fields is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            payload = form(fields).encode()
        answer = self.connection.call(method, path, headers, payload, deadline)
        said = {"gateway_call": f"{method} {path.partition('?')[0]}", "gateway_answer": told(answer)}
        names = {"gateway_ref": word(answer.document.get("id")), "idempotency_key": key or ""}
        named = {name: value for name, value in names.items() if value}
        self._logger.info("gateway answered", extra={**said, **named, "gateway_request_id": request_id(answer)})
        return answer, secret

    def _has_another_key(self, refused: str, deadline: float) -> bool:
        try:
            return read_by(deadline, lambda: self._another_key(refused)) != refused
        except TimeoutError as error:
            raise GatewayKeyRefusedError("Stripe refused the key, and the secret was not read in time") from error
        except ConfigurationError as error:
            raise GatewayKeyRefusedError(f"Stripe refused the key, and the secret has no other: {error}") from error

    def _another_key(self, refused: str) -> str:
        # One call reads the secret; what it reads is for all that were refused, and if it is late for the next ones.
        with self._key_lock:
            if self._key == refused:
                self._key = checked_key(self._read_key(), self._mode)
            return self._key

    def _result(self, intent: object, gateway_ref: str, answer: Answer) -> GatewayResult:
        return intent_of(intent, gateway_ref, answer, self._mode, self._environment)


def checked_key(key: str, mode: Mode) -> str:
    """The key, if it is one of `mode`. Raises ConfigurationError, which shows nothing of it."""
    match = re.fullmatch(_KEY, key)
    if match is None or match[1] != mode:
        found = "is no key of Stripe" if match is None else f"is of mode {match[1]}"
        allowed = f"a key sk_{mode}_... or rk_{mode}_... as the secret's whole text, no JSON and no line end"
        raise ConfigurationError("GATEWAY_SECRET_ARN", f"a secret that {found}", allowed)
    return key
