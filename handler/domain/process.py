"""One payment from message to settled state, in the order of its sentence: parse, mask, validate, score, claim, charge,
record. The first four are pure and done for a whole batch, within a share of the invocation's time (`reading`); the
last three are done message by message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Literal

from handler.domain.charge import cancel_in_vain, charge, ended_reference, idempotency_key
from handler.domain.claim import Claim, Standing, Work, claim
from handler.domain.ending import end
from handler.domain.errors import (
    ApprovalStartRefusedError,
    DamagedItemError,
    FoundOtherContentError,
    GatewayKeyRefusedError,
    GatewayReferenceUnknownError,
    GatewayRefusedError,
    RetryableError,
    ScoringError,
    TableRefusedError,
    TriesUsedUpError,
)
from handler.domain.item import Item, new_item
from handler.domain.park import park_or_release
from handler.domain.payment import Assessment, Fault, Message, Payment, transaction_id
from handler.domain.ports import Notifier, Ports
from handler.domain.reading import Reading, examine_in_time
from handler.domain.record import record, refuse
from handler.domain.rules import Rules
from handler.domain.score import score
from handler.domain.states import Status

if TYPE_CHECKING:
    from handler.domain.refund_item import RefundRequest

Outcome = (
    Status
    | Literal["duplicate", "conflict", "in_workflow", "unusable", "set_aside"]
    | Literal["waiting", "pending", "refunded", "failed"]
)


def read(messages: Sequence[Message], rules: Rules, ports: Ports, remaining_ms: Callable[[], int]) -> list[Reading]:
    """Parse, mask, validate and score a batch; results in its order. No input or output, and it never raises.

    `remaining_ms` is the invocation's: a message that takes more of it than its share has an error in its place.
    """
    readings = examine_in_time(messages, rules, ports.find_card_numbers, remaining_ms)
    places = [place for place, reading in enumerate(readings) if reading.validation.payment is not None]
    payments = [payment for reading in readings if (payment := reading.validation.payment) is not None]
    for place, assessment in zip(places, score(payments, ports.scoring), strict=True):
        readings[place] = readings[place]._replace(assessment=assessment)
    return readings


def prepare_ahead(reading: Reading, rules: Rules, ports: Ports, work: Work) -> str:
    """The gateway's reference of a payment before its claim, "" where it may not be prepared or that failed."""
    validation, assessment = reading.validation, reading.assessment
    payment = validation.payment
    may_be_first = reading.message.receives == 1 and not rules.restored_at_ms
    if payment is None or not isinstance(assessment, Assessment) or not may_be_first:
        return ""
    if rules.routing.route(payment, assessment) != "processing" or (work.breaker is not None and work.breaker.is_open):
        return ""
    claim_to_come = Claim(payment.transaction_id, work.owner, 1, request_hash=validation.request_hash)
    try:
        work.require_time(rules.times)
        return ports.gateway.prepare(
            payment, idempotency_key(rules.environment, payment.payment_id, claim_to_come, "prepare")
        )
    except RetryableError:
        # It comes to it again in its turn, under the same key.
        return ""


def settle(reading: Reading, rules: Rules, ports: Ports, work: Work) -> Outcome:
    """Bring one message to a settled state. Returning acknowledges it; a RetryableError asks for redelivery."""
    validation = reading.validation
    if isinstance(reading.assessment, ScoringError):
        return _unclaimable(reading, reading.assessment, rules, ports, work)
    if isinstance(reading.assessment, RetryableError):
        raise reading.assessment
    if reading.refund is not None:
        return _settle_refund(reading, reading.refund, rules, ports, work)
    if not validation.payment_id:
        work.require_time(rules.times)
        ports.rejected.send(reading.message, reading.masked_body, _unusable_reason(validation.faults))
        return "unusable"
    try:
        status, gateway_ref = _route(reading, rules, ports, work)
    except RetryableError as error:
        if not error.is_own_failure:
            raise
        return _unclaimable(reading, error, rules, ports, work)
    now_ms = ports.clock.now_ms()
    item = new_item(
        reading.message,
        validation.payment_id,
        validation.request_hash,
        status,
        owner=work.owner,
        now_ms=now_ms,
        payment=validation.payment,
        stated=validation.stated,
        faults=validation.faults,
        assessment=reading.assessment,
        canonical_version=validation.version,
        lease_until_ms=rules.times.lease_until_ms(now_ms, work.remaining_ms()),
        environment=rules.environment,
    )._replace(gateway_ref=gateway_ref)
    try:
        with alarmed(ports.notifier):
            claimed = claim(item, reading.in_version, rules.times, ports, work)
    except (DamagedItemError, TableRefusedError) as error:
        return _set_aside(reading, error, rules, ports, work)
    with alarmed(ports.notifier):
        if isinstance(claimed, Standing):
            cancel_in_vain(claimed, ports, rules.times, work)
            if claimed.outcome == "pending_approval" and not claimed.item.execution_arn:
                _start_approval(claimed.item, ports)
            return claimed.outcome
        payment = reading.in_version(claimed.canonical_version).claimed
        if payment is None:
            # Only a valid payment is ever routed to `processing`, so its claim is of one, of today or of its time.
            raise DamagedItemError(claimed.transaction_id, f"{claimed.transaction_id} is claimed and no payment")
        if gateway_ref == claimed.gateway_ref != "" and work.found is not None:
            work.found.append(claimed.transaction_id)
        return pay(claimed, payment, rules, ports, work)


def _settle_refund(reading: Reading, request: RefundRequest, rules: Rules, ports: Ports, work: Work) -> Outcome:
    """One refund message; what the table refuses, or cannot say of its payment, is set aside as a payment's is."""
    # Here, as no payment has to pay for it.
    from handler.domain.refund_process import settle_refund

    try:
        with alarmed(ports.notifier):
            return settle_refund(reading.message, request, rules, ports, work)
    except (DamagedItemError, TableRefusedError) as error:
        return _set_aside(reading, error, rules, ports, work)


def _route(reading: Reading, rules: Rules, ports: Ports, work: Work) -> tuple[Status, str]:
    """The state to claim it in, and the reference that the claim has to carry. Raises as `ended_reference`."""
    payment, assessment = reading.validation.payment, reading.assessment
    if payment is None or not isinstance(assessment, Assessment):
        return "rejected", ""
    status = rules.routing.route(payment, assessment)
    if status != "declined":
        return status, ""
    try:
        gateway_ref = ended_reference(payment, rules, ports, work)
    except RetryableError as error:
        if work.breaker is not None:
            work.breaker.looked_in_vain(error)
        raise
    return "processing" if gateway_ref else "declined", gateway_ref


def _unclaimable(
    reading: Reading, error: RetryableError, rules: Rules, ports: Ports, work: Work
) -> Literal["set_aside"]:
    """Set aside what there is no state to claim it in, once the queue has counted its tries; until then raises."""
    if reading.message.receives < rules.parking.after_tries:
        raise error
    ports.notifier.alarm(error.reason_code, transaction_id(reading.validation.payment_id), str(error))
    return _set_aside(reading, error, rules, ports, work)


def _set_aside(reading: Reading, error: RetryableError, rules: Rules, ports: Ports, work: Work) -> Literal["set_aside"]:
    """Keep a message that no delivery can bring on as a masked copy, for a person, so that its group goes on."""
    work.require_time(rules.times)
    ports.rejected.send(reading.message, reading.masked_body, error.reason_code)
    return "set_aside"


def _start_approval(item: Item, ports: Ports) -> None:
    """Where only people can make it start, they are told; reconcile starts it once it can be."""
    try:
        ports.approvals.start(item, item.request)
    except ApprovalStartRefusedError as error:
        ports.notifier.alarm(error.reason_code, item.transaction_id, str(error))


@contextmanager
def alarmed(notifier: Notifier) -> Iterator[None]:
    """Tell people of what nothing can be decided from or written to; the error goes on."""
    try:
        yield
    except (DamagedItemError, TableRefusedError) as error:
        notifier.alarm(error.reason_code, error.transaction_id, str(error))
        raise


def alarm_of_gateway(error: RetryableError, transaction_id: str, notifier: Notifier) -> None:
    """Tell people where the gateway takes no call of ours, or charged another payment's: only they can mend that."""
    if isinstance(error, GatewayKeyRefusedError | GatewayReferenceUnknownError | FoundOtherContentError):
        notifier.alarm(error.reason_code, transaction_id, str(error))


def pay(claimed: Claim, payment: Payment, rules: Rules, ports: Ports, work: Work) -> Status:
    """Charge and record a claimed payment; after a retryable error it is parked or its lease is released."""
    breaker = work.breaker
    try:
        if claimed.tries > rules.parking.after_tries:
            raise TriesUsedUpError(f"{claimed.transaction_id} had {claimed.tries - 1} tries, and no reason is left")
        try:
            gateway_ref, result = charge(claimed, payment, rules, ports, work)
        except GatewayRefusedError as error:
            if not error.is_final:
                raise
            if breaker is not None:
                breaker.answered()
            return refuse(claimed, error, ports)
        result = end(gateway_ref, result, ports.gateway, partial(work.require_time, rules.times))
        if breaker is not None:
            breaker.answered()
        return record(claimed, gateway_ref, result, ports)
    except RetryableError as error:
        name = claimed.transaction_id
        alarm_of_gateway(error, name, ports.notifier)
        if breaker is not None and breaker.failed(name, error):
            ports.notifier.alarm("breaker_open", name, f"the breaker opens, the gateway fails for everybody: {error}")
        is_own = error.is_own_failure or (breaker is not None and breaker.blames(name, error))
        if park_or_release(claimed, payment, error, rules.parking, ports, is_own=is_own):
            if breaker is not None:
                breaker.forget(name)
            return "parked"
        raise


def _unusable_reason(faults: Sequence[Fault]) -> str:
    """One reason code for a message that leaves no item: what made it unreadable, else what is wrong with an id.

    A refund's ids may be right: then it is its first fault.
    """
    for fault in faults:
        if fault.field == "refund_id":
            return f"refund_id_{fault.reason_code}"
        if fault.field in ("", "payment_id"):
            return f"payment_id_{fault.reason_code}" if fault.field else fault.reason_code
    return faults[0].reason_code if faults else "payment_id_missing"
