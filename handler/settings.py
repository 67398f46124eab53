"""The function's settings from environment variables, checked once, at init; an error names the variable."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from handler.domain.currencies import TWO_DIGITS
from handler.domain.errors import ConfigurationError
from handler.domain.money import to_minor
from handler.domain.payment import Times
from handler.domain.process import Rules
from handler.domain.score import Routing
from handler.domain.validate import Limits

# Texts: only the patterns of variables that are set are ever compiled. One for every name of a thing of AWS's.
_NAME = r"[A-Za-z0-9_.:/$+=@-]+"
_NAMES = "a name or ARN as AWS has them"
_KEY = rf"file:.+|{_NAME}"
_ENVIRONMENT = r"[a-z][a-z0-9-]{0,15}"
_TOPIC = r"arn:[a-z-]+:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]+"
_APPROVER = r"[A-Za-z0-9@._+-]{1,64}"
_URL = r"https?://\S+"


class Settings(NamedTuple):
    """Every setting of the queue function; defaults are those of the seed's environment `dev`."""

    region: str = "us-east-1"
    table_name: str = "cloudcafe-payment-transactions-dev"
    rules: Rules = Rules()
    stress_mode: str = "none"
    stress_delay_seconds: float = 3.0
    stress_operations: int = 10_000_000
    payment_queue_url: str = ""
    rejected_queue_url: str = ""
    # "": http where there is a URL; without one the simulated gateway, in environment `dev` or in memory alone.
    gateway: str = ""
    gateway_url: str = ""
    approval_function_arn: str = ""
    fraud_iterations: int = 10_000
    scoring_engine: str = "auto"
    rule_table_path: str = ""
    fingerprint_pepper_secret_arn: str = ""
    # AWS's own endpoints are meant, whose certificates all come from Amazon's few roots.
    aws_endpoints: bool = False
    in_lambda: bool = False
    # Init ran ahead of any payment. A restored snapshot counts as a cold start, as Powertools counts it.
    provisioned_concurrency: bool = False
    # No endpoint, no credentials, not in Lambda: everything stays inside the process.
    in_memory: bool = False


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Read and check all variables. Raises ConfigurationError for the first that is wrong."""
    reader = _Reader(environment)
    name = reader.text("ENVIRONMENT", "dev", _ENVIRONMENT, "1 to 16 of a-z, 0-9 and -, beginning with a letter")
    return Settings(
        region=reader.text("AWS_REGION", "us-east-1", _NAME, "a region, such as us-east-1"),
        table_name=reader.text("DYNAMODB_TABLE", "cloudcafe-payment-transactions-dev", _NAME, _NAMES),
        rules=Rules(
            environment=name,
            limits=Limits(
                currency=reader.currency("PAYMENT_CURRENCY", "USD"),
                amount_max_minor=reader.amount("PAYMENT_AMOUNT_MAX", "10000.00") or 0,
            ),
            routing=Routing(reader.amount_minor("APPROVAL_AMOUNT_MINOR")),
            times=reader.times(),
        ),
        stress_mode=reader.choice("STRESS_MODE", ("none", "cold_start")),
        stress_delay_seconds=reader.seconds("STRESS_DELAY_SECONDS", 3.0),
        stress_operations=reader.whole("STRESS_OPERATIONS", 10_000_000, 0, 10**10),
        payment_queue_url=reader.text("PAYMENT_QUEUE_URL", "", _URL, "an SQS queue's URL"),
        rejected_queue_url=reader.text("REJECTED_QUEUE_URL", "", _URL, "an SQS queue's URL"),
        gateway=reader.choice("GATEWAY", ("", "simulated", "http")),
        gateway_url=reader.text("GATEWAY_URL", "", _GATEWAY_URL, GATEWAY_URLS),
        approval_function_arn=reader.text("APPROVAL_FUNCTION_ARN", "", _NAME, _NAMES),
        fraud_iterations=reader.whole("FRAUD_ITERATIONS", 10_000, 0, 10**7),
        scoring_engine=reader.choice("SCORING_ENGINE", ("auto", "compiled", "pure")),
        rule_table_path=reader.text("RULE_TABLE_PATH", ""),
        fingerprint_pepper_secret_arn=reader.text("FINGERPRINT_PEPPER_SECRET_ARN", "", _NAME, _NAMES),
        aws_endpoints=not any(environment.get(variable) for variable in _ELSEWHERE),
        in_lambda=bool(environment.get("AWS_LAMBDA_FUNCTION_NAME")),
        provisioned_concurrency=environment.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "provisioned-concurrency",
        in_memory=not any(environment.get(variable) for variable in _OUTSIDE),
    )


_ELSEWHERE = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")


class ApprovalSettings(NamedTuple):
    """What the workflow, the approval page and the command line have beyond the queue function's settings."""

    timeout_seconds: float = 86_400.0
    topic_arn: str = ""
    page_url: str = ""
    # A KMS HMAC key's id, ARN or alias; `file:<path>` is a key file on this machine.
    key_id: str = ""
    approvers: tuple[str, ...] = ()
    fraud_service_failure_rate: float = 0.0


def read_approval_settings(environment: Mapping[str, str]) -> ApprovalSettings:
    """Read and check them. Raises ConfigurationError for the first that is wrong."""
    reader = _Reader(environment)
    settings = ApprovalSettings(
        timeout_seconds=reader.seconds("APPROVAL_TIMEOUT_SECONDS", 86_400.0),
        topic_arn=reader.text("APPROVAL_TOPIC_ARN", "", _TOPIC, "an SNS topic's ARN"),
        page_url=reader.text("APPROVAL_PAGE_URL", "", _URL, "the approval page's http or https URL"),
        key_id=reader.text("APPROVAL_KEY_ID", "", _KEY, f"{_NAMES}, or file:<path>"),
        approvers=tuple(reader.texts("APPROVERS", _APPROVER, "names or e-mail addresses, separated by commas")),
        fraud_service_failure_rate=reader.share("FRAUD_SERVICE_FAILURE_RATE", "0"),
    )
    if not 1 <= settings.timeout_seconds <= 86_400:
        raise ConfigurationError("APPROVAL_TIMEOUT_SECONDS", str(settings.timeout_seconds), "1 to 86400 seconds")
    if settings.page_url and not settings.key_id:
        raise ConfigurationError("APPROVAL_KEY_ID", None, "the key that signs the links to APPROVAL_PAGE_URL")
    return settings


# Any of these says that there is something outside to talk to. Asking the SDK instead would wait for an instance role.
_OUTSIDE = (
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_DYNAMODB",
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
)


GATEWAY_URLS = "an https URL (http on this machine alone)"
_GATEWAY_URL = r"https://\S+|http://(127\.0\.0\.1|localhost|\[::1\])(:[0-9]+)?(/\S*)?"


class _Reader:
    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def text(self, variable: str, default: str, pattern: str = "", allowed: str = "") -> str:
        value = self._environment.get(variable, "") or default
        if value and pattern and not re.fullmatch(pattern, value):
            raise ConfigurationError(variable, value, allowed)
        return value

    def choice(self, variable: str, choices: tuple[str, ...]) -> str:
        value = self.text(variable, choices[0])
        if value not in choices:
            raise ConfigurationError(variable, value, " | ".join(choice for choice in choices if choice))
        return value

    def whole(self, variable: str, default: int, least: int, most: int) -> int:
        value = self.text(variable, str(default))
        # The length first: int() of a very long text is slow, and refuses with words of its own.
        if not re.fullmatch(r"[0-9]{1,12}", value) or not least <= int(value) <= most:
            raise ConfigurationError(variable, value, f"a whole number from {least} to {most}")
        return int(value)

    def seconds(self, variable: str, default: float) -> float:
        value = self.text(variable, str(default))
        if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", value):
            raise ConfigurationError(variable, value, "seconds, such as 30 or 0.5")
        return float(value)

    def texts(self, variable: str, pattern: str, allowed: str) -> list[str]:
        value = self._environment.get(variable, "")
        texts = [text.strip() for text in value.split(",") if text.strip()]
        if not all(re.fullmatch(pattern, text) for text in texts):
            raise ConfigurationError(variable, value, allowed)
        return texts

    def share(self, variable: str, default: str) -> float:
        value = self.text(variable, default)
        if not re.fullmatch(r"0(\.[0-9]{1,6})?|1(\.0{1,6})?", value):
            raise ConfigurationError(variable, value, "a share from 0 to 1, such as 0.2")
        return float(value)

    def currency(self, variable: str, default: str) -> str:
        value = self.text(variable, default)
        if value not in TWO_DIGITS:
            raise ConfigurationError(variable, value, "a current code of ISO 4217 with two digits, such as USD")
        return value

    def amount(self, variable: str, default: str) -> int:
        value = self.text(variable, default)
        minor = to_minor(value)
        if not minor:
            raise ConfigurationError(variable, value, "an amount above 0 with at most two decimals, such as 10000.00")
        return minor

    def amount_minor(self, variable: str) -> int | None:
        return self.whole(variable, 0, 1, 10**12 - 1) if self._environment.get(variable) else None

    def times(self) -> Times:
        default = Times()
        times = Times(
            function_timeout_seconds=self.seconds("FUNCTION_TIMEOUT_SECONDS", default.function_timeout_seconds),
            visibility_timeout_seconds=self.seconds("VISIBILITY_TIMEOUT_SECONDS", default.visibility_timeout_seconds),
            gateway_deadline_seconds=self.seconds("GATEWAY_DEADLINE_SECONDS", default.gateway_deadline_seconds),
            safety_margin_seconds=self.seconds("SAFETY_MARGIN_SECONDS", default.safety_margin_seconds),
            retry_delay_seconds=self.seconds("RETRY_DELAY_SECONDS", default.retry_delay_seconds),
        )
        problem = times.check()
        if problem:
            names, rule = problem
            # Of times that do not fit together, one that somebody set is to blame, not one left at its default.
            blamed = next((name for name in names if self._environment.get(name.upper())), names[0])
            others = "".join(f"; {name.upper()} is {getattr(times, name):g}" for name in names if name != blamed)
            raise ConfigurationError(blamed.upper(), f"{getattr(times, blamed):g}", f"{rule}{others}")
        return times
