"""The approval workflow: one payment, from checks over a person's decision to its charge, in durable steps.

The rule it keeps: between steps there is control flow alone. Clocks, randomness, input and output are inside steps, as
everything outside of them runs again at every replay. A step's name is part of every execution that waits: never rename
one (a test compares `STEPS` with those of each release).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from aws_durable_execution_sdk_python import (
    BatchResult,
    CallbackError,
    CallbackTimeoutError,
    DurableContext,
    StepError,
    durable_execution,
)
from aws_durable_execution_sdk_python.config import (
    Duration,
    JitterStrategy,
    ParallelBranch,
    StepConfig,
    WaitForCallbackConfig,
)
from aws_durable_execution_sdk_python.retries import RetryStrategyConfig, create_retry_strategy

from handler import lazy_entry
from handler.domain.approval.steps import (
    ApprovalPorts,
    ApprovalRules,
    Checks,
    Execution,
    Next,
    ask,
    assess,
    begin,
    charge_approved,
    in_execution,
    read_request,
    resolve,
    tell,
    verify_customer,
)
from handler.domain.claim import InVersion, Work
from handler.domain.errors import FraudServiceUnavailableError, RetryableError, ScoringError
from handler.domain.payment import Assessment, Payment, Reason, transaction_id
from handler.domain.process import alarmed, settle
from handler.domain.validate import from_canonical

if TYPE_CHECKING:
    from aws_durable_execution_sdk_python.types import LambdaContext

    from handler.adapters.approval.support import Handler

VALIDATE: Final = "validate"
CHECKS: Final = "checks"
FRAUD_CHECK: Final = "fraud-check"
CUSTOMER_VERIFICATION: Final = "customer-verification"
BEGIN: Final = "begin"
APPROVAL: Final = "approval"
RESOLVE: Final = "resolve"
CHARGE: Final = "charge"
NOTIFY: Final = "notify"
STEPS: Final = (VALIDATE, CHECKS, FRAUD_CHECK, CUSTOMER_VERIFICATION, BEGIN, APPROVAL, RESOLVE, CHARGE, NOTIFY)

# Three attempts with backoff rate 2, as published; then a person decides without a score.
FRAUD_CHECK_ATTEMPTS: Final = 3
# 2 s doubling up to 300 s: about 40 minutes, less than the hour that an execution has left after the longest wait.
_STEP_ATTEMPTS: Final = 15


@dataclass(frozen=True, slots=True)
class Workflow:
    """All that the workflow works with. `jitter` spreads retries of many executions; tests switch it off."""

    rules: ApprovalRules
    ports: ApprovalPorts
    jitter: JitterStrategy = JitterStrategy.FULL

    def durable(self) -> Handler:
        """The handler that Lambda calls, under the durable execution SDK."""

        @durable_execution
        def lambda_handler(_event: Any, context: DurableContext) -> dict[str, str]:
            return self.run(context)

        return lambda_handler

    def run(self, context: DurableContext) -> dict[str, str]:
        """One execution from its input's own text; returns `transaction_id` and the `status` it ended in."""
        execution = execution_of(context.execution_context.durable_execution_arn)
        # Not the event: a JSON decoder has made floats of its amounts.
        text = context.state.get_input_payload() or ""
        read = context.step(lambda _: self._validate(text, execution, context), VALIDATE, self._persistent())
        if not read["canonical"]:
            return {"transaction_id": read["transaction_id"], "status": read["status"]}
        name, canonical = read["transaction_id"], read["canonical"]
        fraud, verified = self._check(canonical, context)
        step = self._next(
            context,
            BEGIN,
            lambda: begin(
                self._payment(canonical),
                self._in_version(text, execution),
                Checks(_assessment(fraud), verified),
                execution,
                rules=self.rules,
                ports=self.ports,
                work=self._work(execution, context),
            ),
        )
        rounds = 0
        while step.action == "ask":
            rounds += 1
            is_called_back, timed_out = self._wait(name, rounds, step.ask_seconds, execution, context)
            step = self._next(
                context,
                _numbered(RESOLVE, rounds),
                partial(resolve, name, execution, self.ports, is_called_back=is_called_back, timed_out=timed_out),
            )
        status = step.outcome
        if step.action == "charge":
            status = context.step(
                lambda _: self._charge(canonical, text, execution, context), CHARGE, self._persistent()
            )
        context.step(lambda _: tell(name, status, execution, self.ports), NOTIFY, self._persistent())
        return {"transaction_id": name, "status": status}

    def _check(self, canonical: str, context: DurableContext) -> tuple[dict[str, Any] | None, bool]:
        """Both checks at once: neither needs the other's answer."""

        def fraud_check(branch: DurableContext) -> dict[str, Any] | None:
            try:
                return branch.step(
                    lambda _: journal(assess(self._payment(canonical), self.ports.payments.scoring)),
                    FRAUD_CHECK,
                    StepConfig(retry_strategy=self._fraud_retries()),
                )
            except StepError:
                return None

        def customer_verification(branch: DurableContext) -> bool:
            return branch.step(
                lambda _: verify_customer(self._payment(canonical)), CUSTOMER_VERIFICATION, self._persistent()
            )

        found: BatchResult[Any] = context.parallel(
            [ParallelBranch(fraud_check, FRAUD_CHECK), ParallelBranch(customer_verification, CUSTOMER_VERIFICATION)],
            CHECKS,
        )
        found.throw_if_error()
        fraud, verified = found.get_results()
        return fraud, verified

    def _wait(
        self, name: str, rounds: int, seconds: int, execution: Execution, context: DurableContext
    ) -> tuple[bool, bool]:
        """Whether the callback was answered, and whether the time ran out. Nothing runs while it waits."""
        config = WaitForCallbackConfig(
            timeout=Duration.from_seconds(seconds), retry_strategy=self._persistent().retry_strategy
        )
        try:
            context.wait_for_callback(
                lambda callback_id, _: ask(name, callback_id, execution, self.ports),
                _numbered(APPROVAL, rounds),
                config,
            )
        except CallbackTimeoutError:
            return False, True
        except CallbackError:
            return False, False
        return True, False

    def _next(self, context: DurableContext, name: str, function: Callable[[], Next]) -> Next:
        return Next(**context.step(lambda _: asdict(self._alarmed(function)), name, self._persistent()))

    def _alarmed(self, function: Callable[[], Next]) -> Next:
        with alarmed(self.ports.payments.notifier):
            return function()

    def _validate(self, text: str, execution: Execution, context: DurableContext) -> dict[str, str]:
        """A payment's canonical text, or none where the input is recorded as rejected."""
        with alarmed(self.ports.payments.notifier):
            reading = read_request(text, execution, self.rules, self.ports.payments)
        payment = reading.validation.payment
        name = transaction_id(reading.validation.payment_id) if reading.validation.payment_id else ""
        if payment is not None:
            return {"transaction_id": name, "canonical": payment.canonical, "status": ""}
        status = settle(reading, self.rules.payments, self.ports.payments, self._work(execution, context))
        return {"transaction_id": name, "canonical": "", "status": status}

    def _charge(self, canonical: str, text: str, execution: Execution, context: DurableContext) -> str:
        with alarmed(self.ports.payments.notifier):
            return charge_approved(
                self._payment(canonical),
                self._in_version(text, execution),
                execution,
                rules=self.rules,
                ports=self.ports,
                work=self._work(execution, context),
            )

    def _in_version(self, text: str, execution: Execution) -> InVersion:
        return in_execution(text, execution, self.rules, self.ports.payments.find_card_numbers).in_version

    def _payment(self, canonical: str) -> Payment:
        return from_canonical(canonical)

    def _work(self, execution: Execution, context: DurableContext) -> Work:
        # The SDK's type allows for no context; Lambda and every engine hand one over.
        remaining_ms = cast("LambdaContext", context.lambda_context).get_remaining_time_in_millis
        return Work(execution.arn, remaining_ms, takes_over=False)

    def _persistent(self) -> StepConfig:
        return StepConfig(retry_strategy=self._retries(_STEP_ATTEMPTS, 2, [RetryableError]))

    def _fraud_retries(self) -> Any:
        return self._retries(FRAUD_CHECK_ATTEMPTS, 1, [FraudServiceUnavailableError, ScoringError])

    def _retries(self, attempts: int, initial_seconds: int, errors: list[type[Exception]]) -> Any:
        return create_retry_strategy(
            RetryStrategyConfig(
                max_attempts=attempts,
                initial_delay=Duration.from_seconds(initial_seconds),
                backoff_rate=2.0,
                jitter_strategy=self.jitter,
                retryable_error_types=errors,
            )
        )


def execution_of(arn: str) -> Execution:
    """The execution behind an ARN `...:function:<name>:<version>/durable-execution/<execution name>/<id>`."""
    parts = arn.split("/")
    return Execution(arn, parts[2] if len(parts) == 4 and parts[1] == "durable-execution" else "")


def journal(assessment: Assessment) -> dict[str, Any]:
    """An assessment as the fraud check's step keeps it, in JSON."""
    return assessment._asdict() | {"reasons": [reason._asdict() for reason in assessment.reasons]}


def _assessment(fraud: dict[str, Any] | None) -> Assessment | None:
    if fraud is None:
        return None
    return Assessment(**fraud | {"reasons": tuple(Reason(**reason) for reason in fraud["reasons"])})


def _numbered(name: str, rounds: int) -> str:
    """The first round has the plain name; a later one follows a callback that brought no decision."""
    return name if rounds == 1 else f"{name}-{rounds}"


def _create(environment: Mapping[str, str]) -> Handler:
    from handler.adapters.approval import support
    from handler.approval_composition import compose_workflow

    observed = support.observe("payment-approval", environment)
    return observed(Workflow(*compose_workflow(environment, support)).durable())


__getattr__ = lazy_entry(globals(), _create)
