"""The queue function: one batch of a FIFO queue in, one settled state a message out, or its id among the failures."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, Final

from handler.adapters.workers import SharedBreaker
from handler.ahead import PreparesAhead
from handler.batch import messages_of, settle_groups, told_apart
from handler.composition import Services, aws_clients, compose
from handler.domain.claim import Work
from handler.domain.errors import PaymentError
from handler.domain.payment import Message
from handler.domain.process import prepare_ahead, read, settle
from handler.domain.reading import Reading
from handler.settings import read_settings
from handler.support import load_support
from scoring.kernel import describe, load_engine

if TYPE_CHECKING:
    from handler.adapters.system import AnyLogger
    from handler.support import Metrics

_SERVICE = "payment-processor"
NAMESPACE: Final = "CloudCafe/Lambda"
DIMENSIONS: Final = ("environment", "service")
# CloudWatch's unit of each metric, and what it says of one invocation. docs/metrics.md is made from it.
METRICS: Final = {
    "ProcessedPayments": (
        "Count",
        "Messages that ended: completed, declined, waiting for a person, duplicates, conflicts.",
    ),
    "FailedPayments": (
        "Count",
        "Messages returned to the queue, and those that were rejected, parked or set aside.",
    ),
    "Conflicts": (
        "Count",
        "Of the processed ones, those whose payment_id is taken by other content: kept beside it, and not charged.",
    ),
    "PreparedInVain": (
        "Count",
        "Prepares that were sent ahead and that no claim used; only with `PREPARE_AHEAD`.",
    ),
    "FoundAtGateway": (
        "Count",
        "Payments whose item knew no reference and that the gateway had; only with `RESTORED_AT`.",
    ),
    "ColdStart": (
        "Count",
        "1 where it waited for init, else 0; always 0 under provisioned concurrency and on managed instances.",
    ),
    "Duration": ("Milliseconds", "What the handler itself took."),
    "LambdaErrors": ("Count", "1 where the handler failed, so that its whole batch comes back, else 0."),
}


def create(environment: Mapping[str, str]) -> QueueFunction:
    """Init: settings, adapters, stress. Raises ConfigurationError naming a wrong variable, so that init fails."""
    settings = read_settings(environment)
    support = load_support(settings.support)
    logger = support.create_logger(_SERVICE)
    metrics = support.create_metrics(NAMESPACE, _SERVICE, settings.rules.environment)
    engine = load_engine(settings.scoring_engine, settings.scoring_kernel)
    aws_client = None if settings.in_memory else aws_clients(settings, support)
    services = compose(settings, engine, logger, aws_client)
    if settings.stress_mode == "cold_start":
        time.sleep(settings.stress_delay_seconds)
        engine.cold_start_work(settings.stress_operations)
    if settings.in_memory:
        print("no endpoint and no credentials: table and queues are in memory", file=sys.stderr)
    elif not settings.in_lambda:
        print(f"table and queues are {_outside(environment, settings.region)}", file=sys.stderr)
    if not services.rules.routing.asks:
        logger.warning("APPROVAL_FUNCTION_ARN is not set: what needs a person is declined, approval_unavailable")
    gateway = settings.gateway or "simulated"
    if gateway == "simulated":
        logger.warning("the gateway is simulated: it approves every payment, and no money moves")
    ready = {"scoring": describe(), "gateway": gateway, "gateway_url": settings.gateway_url}
    ready |= {"gateway_mode": settings.gateway_mode, "stress_mode": settings.stress_mode, "support": settings.support}
    logger.info("ready", extra={**ready, "in_memory": settings.in_memory})
    if settings.rules.restored_at_ms:
        logger.warning("RESTORED_AT is set: payments without a reference are looked for at the gateway first")
    times = settings.rules.times
    return QueueFunction(
        services,
        logger,
        metrics,
        times.function_timeout_seconds,
        cold_start=not settings.init_ran_ahead,
        end=os._exit if settings.in_lambda else None,
    )


def _outside(environment: Mapping[str, str], region: str) -> str:
    """Where a snippet's payments go, for whoever runs it."""
    variable = next((name for name in ("AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL") if environment.get(name)), "")
    # User information before an @ may be a password.
    return f"at {environment[variable].rpartition('@')[2]} ({variable})" if variable else f"AWS's own, in {region}"


class QueueFunction:
    """The handler that Lambda calls. An instance serves one execution environment, one batch at a time.

    `cold_start` says whether the first batch waits for init; none does where init ran ahead of it.
    """

    def __init__(
        self,
        services: Services,
        logger: AnyLogger,
        metrics: Metrics,
        timeout_seconds: float,
        *,
        cold_start: bool = True,
        end: Callable[[int], object] | None = None,
    ) -> None:
        """`end` ends the process of an execution environment with an exit code; None: it is nobody's to end."""
        self._services = services
        self._logger = logger
        self._metrics = metrics
        self._timeout_seconds = timeout_seconds
        self._cold_start = cold_start
        self._end = end
        self._breaker = SharedBreaker()

    def __call__(self, event: Mapping[str, Any], context: Any) -> dict[str, Any]:
        """Process `event["Records"]`; returns the published response with `batchItemFailures` beside it.

        Raises NotABatchError for an event that is none; Lambda then returns whatever it was made of.
        """
        started = time.perf_counter()
        cold_start, self._cold_start = self._cold_start, False
        if self._end is not None and not cold_start:
            self._require_clock(context, self._end)
        try:
            messages = messages_of(event, self._services.ids.new_id)
            outcomes, returned, counted = self._process(told_apart(messages), context)
        except Exception:
            self._publish({"LambdaErrors": 1})
            raise
        # Of two records with one id, both come back: the one that was settled is then a duplicate.
        failed_ids = {messages[place].message_id: None for place in returned}
        self._delay(failed_ids, messages)
        rejected = sum(outcome in ("rejected", "unusable", "parked", "set_aside") for outcome in outcomes)
        processed, failed = len(outcomes) - rejected, len(returned) + rejected
        conflicts = outcomes.count("conflict")
        duration_ms = round((time.perf_counter() - started) * 1000, 2)
        self._publish(
            {
                "ProcessedPayments": processed,
                "FailedPayments": failed,
                "Conflicts": conflicts,
                "ColdStart": int(cold_start),
                "Duration": duration_ms,
                "LambdaErrors": 0,
                **counted,
            }
        )
        body = {
            "processed": processed,
            "failed": failed,
            "cold_start": cold_start,
            "duration_ms": duration_ms,
            "conflicts": conflicts,
        }
        failures = [{"itemIdentifier": message_id} for message_id in failed_ids]
        return {"statusCode": 200, "body": body, "batchItemFailures": failures}

    def _process(self, messages: list[Message], context: Any) -> tuple[list[str], list[int], dict[str, float]]:
        """What became of the messages that ended, the places of those that come back, and what else was counted."""
        services = self._services
        remaining_ms = self._remaining_ms(context)
        readings = read(messages, services.rules, services.ports, remaining_ms)
        request_id = getattr(context, "aws_request_id", None) or services.ids.new_id()
        outcomes: list[str] = []
        found: list[str] = []
        self._breaker.begin_batch()

        def work_on(place: int) -> Work:
            owner = f"{request_id}:{messages[place].message_id}"
            return Work(owner, remaining_ms, breaker=self._breaker, found=found)

        def settle_one(place: int) -> None:
            """Process one payment. Returning acknowledges the message; raising asks for redelivery."""
            ahead = prepares.take(place) if prepares is not None else None
            outcomes.append(self._settle(readings[place], work_on(place)._replace(ahead=ahead)))

        def prepare(place: int) -> str:
            return self._prepare_ahead(readings[place], work_on(place))

        prepares = PreparesAhead(len(messages), services.workers, prepare) if services.prepares_ahead else None
        returned = settle_groups(
            messages,
            settle_one,
            services.workers,
            lambda: self._breaker.is_open,
            prepares.send if prepares is not None else None,
        )
        counted = self._in_vain(prepares, readings) if prepares is not None else {}
        return outcomes, returned, counted | self._found(found)

    def _prepare_ahead(self, reading: Reading, work: Work) -> str:
        try:
            return prepare_ahead(reading, self._services.rules, self._services.ports, work)
        except Exception:
            self._logger.exception("a prepare ahead failed unexpectedly, and is forgotten", extra=_keys(reading))
            return ""

    def _in_vain(self, prepares: PreparesAhead, readings: list[Reading]) -> dict[str, float]:
        places = prepares.in_vain()
        for place in places:
            gateway_ref = prepares.gateway_ref(place)
            self._logger.info("prepared in vain", extra={**_keys(readings[place]), "gateway_ref": gateway_ref})
        return {"PreparedInVain": len(places)}

    def _found(self, transaction_ids: list[str]) -> dict[str, float]:
        if not self._services.rules.restored_at_ms:
            return {}
        for transaction_id in transaction_ids:
            self._logger.info("found at the gateway", extra={"transaction_id": transaction_id})
        return {"FoundAtGateway": len(transaction_ids)}

    def _settle(self, reading: Reading, work: Work) -> str:
        services = self._services
        message, keys = reading.message, _keys(reading)
        try:
            self._breaker.require()
            outcome = settle(reading, services.rules, services.ports, work)
        except PaymentError as error:
            self._logger.warning(
                str(error), extra={**keys, "reason_code": error.reason_code, "receives": message.receives}
            )
            raise
        except Exception:
            self._logger.exception("payment failed unexpectedly, its message is returned", extra=keys)
            raise
        # What was claimed within wider limits has a fault today and ends like any other.
        refused = outcome in ("rejected", "unusable")
        reason_code = {"reason_code": reading.validation.faults[0].reason_code} if refused else {}
        self._logger.info(outcome, extra={**keys, **reason_code})
        return outcome

    def _delay(self, failed_ids: Collection[str], messages: list[Message]) -> None:
        """A group's returned messages wait together, for as long as its first one has failed often.

        While the breaker is open, as long as any message waits.
        """
        times = self._services.rules.times
        groups: dict[str, list[Message]] = {}
        for message in messages:
            if message.message_id in failed_ids:
                groups.setdefault(message.group, []).append(message)
        waits = [
            (message, times.longest_delay if self._breaker.is_open else times.retry_delay(returned[0].receives))
            for returned in groups.values()
            for message in returned
        ]
        # In one call: where SQS is slow, one for each of ten groups would outlast the invocation.
        if waits:
            self._services.source_queue.delay(waits)

    def _require_clock(self, context: Any, end: Callable[[int], object]) -> None:
        """End an environment that was ready, and finds at once that there is no time for a payment: its clock is wrong.

        Protocol, times.
        """
        remaining_ms, least_ms = self._remaining_ms(context)(), self._services.rules.times.least_remaining_ms
        if remaining_ms < least_ms:
            said = "the clock is ahead: %d ms left when the invocation began, %d needed; this environment ends"
            self._logger.error(said, remaining_ms, least_ms)
            self._publish({"LambdaErrors": 1})
            end(1)

    def _remaining_ms(self, context: Any) -> Callable[[], int]:
        remaining: Callable[[], int] | None = getattr(context, "get_remaining_time_in_millis", None)
        if remaining is not None:
            return remaining
        deadline = time.monotonic() + self._timeout_seconds
        return lambda: round(1000 * (deadline - time.monotonic()))

    def _publish(self, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._metrics.add_metric(name, METRICS[name][0], value)
        self._metrics.flush_metrics()


def _keys(reading: Reading) -> dict[str, str]:
    """The fields of a log line that say which message it is about."""
    message, about = reading.message, reading.refund or reading.validation
    return {
        "message_id": message.message_id,
        "message_group_id": message.group,
        "correlation_id": about.payment_id,
    }
