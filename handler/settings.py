"""The settings from environment variables, in one table; checked once, at init, and an error names the variable.

The rule it keeps: each variable stands once in `SETTINGS`, with its range and default, and is read through its row.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final, Literal

from handler.adapters.gateways.registry import CHARGES_INSTRUMENTS, GATEWAYS
from handler.domain.canonical import VERSIONS
from handler.domain.card_data import shapes_pattern
from handler.domain.currencies import DIGITS
from handler.domain.errors import ConfigurationError
from handler.domain.money import AMOUNT_MINOR_MAX, to_minor
from handler.domain.rules import BODY_BYTES_MAX, Parking, Rules
from handler.domain.score import Routing
from handler.domain.times import Times
from handler.domain.typed import NamedTuple
from handler.domain.validate import Limits
from scoring.kernel import CHOICES

Reader = Literal["queue function", "workflow", "page", "reconcile", "events", "webhook", "conservation", "command line"]


class Kind:
    """What a variable may be: `allowed` says it in words, and the rest says it to the code, as far as it is given."""

    __slots__ = ("allowed", "choices", "least", "most", "pattern")

    def __init__(
        self, allowed: str, pattern: str = "", choices: Collection[str] = (), least: float = 0, most: int = 0
    ) -> None:
        self.allowed = allowed
        # Only those of variables that are set are ever compiled.
        self.pattern = pattern
        self.choices = choices
        self.least = least
        self.most = most

    def takes(self, value: str) -> bool:
        # The pattern first: it bounds what is made a number.
        return (
            (not self.choices or value in self.choices)
            and (not self.pattern or re.fullmatch(self.pattern, value) is not None)
            and (not self.most or self.least <= float(value) <= self.most)
        )


class Setting:
    """One variable: a row of the table. `readers` take it from their environment and check it at init."""

    __slots__ = ("default", "kind", "meaning", "name", "readers")

    def __init__(self, name: str, kind: Kind, default: str, readers: tuple[Reader, ...], meaning: str) -> None:
        self.name = name
        self.kind = kind
        self.default = default
        self.readers = readers
        self.meaning = meaning


_SECONDS: Final = r"[0-9]{1,6}(\.[0-9]{1,6})?"
_DIGITS: Final = "at most six digits on each side of the point"


def _one_of(*choices: str) -> Kind:
    return Kind(" | ".join(choices), choices=choices)


def _whole(least: int, most: int) -> Kind:
    return Kind(f"a whole number from {least} to {most}", "[0-9]{1,12}", least=least, most=most)


def _seconds(least: int, most: int) -> Kind:
    return Kind(f"{least} to {most} seconds, {_DIGITS}, such as 30 or 1.5", _SECONDS, least=least, most=most)


_GATEWAY_URL: Final = "https://host or https://host:port, without path or user information (http on this machine alone)"
_RATE: Final = "[1-9][0-9]{0,8}(/[1-9][0-9]{0,8})?"
_LABEL: Final = "[A-Za-z0-9_-]{1,63}"
_PORT: Final = "([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
# User information in a URL would be a secret in the environment, and in whatever prints it.
_URL: Final = r"https?://[^\s@]+"
# An address or a name, or what `aws sts get-caller-identity` says of a user, of a role's session, or of the account.
_APPROVER: Final = (
    r"([A-Za-z0-9@._+-]{1,64}|arn:[a-z-]+:(iam::[0-9]{12}:(root|user/[A-Za-z0-9_+=.@/-]{1,576})"
    r"|sts::[0-9]{12}:(assumed-role|federated-user)/[A-Za-z0-9_+=.@/-]{1,129}))"
)


def _arn(service: str, resource: str) -> str:
    """The pattern of a resource's ARN in any of AWS's partitions."""
    return f"arn:[a-z-]+:{service}:[a-z0-9-]+:[0-9]{{12}}:{resource}"


# An id, which names no region, is the key's of this one.
_KEY: Final = "(mrk-[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})"
_KEY_ALIAS: Final = "alias/[A-Za-z0-9/_-]{1,250}"
_TABLE: Final = "[A-Za-z0-9_.-]{3,255}"
_QUEUE_URL: Final = (
    rf"(https://{_LABEL}(\.{_LABEL})*|http://(127\.0\.0\.1|localhost|\[::1\]))(:{_PORT})?"
    r"/[0-9]{12}/[A-Za-z0-9_-]{1,80}"
)
_QUEUE: Final = Kind(
    "an SQS queue's URL, https://host/account/name (http on this machine alone)", rf"{_QUEUE_URL}(\.fifo)?"
)
_SHAPE: Final = r"([#@*](\{[0-9]{1,2}(-[0-9]{1,2})?\})?|[A-Za-z0-9_.:/ -])+"
_SECRET: Final = Kind("a Secrets Manager secret's ARN", _arn("secretsmanager", "secret:[A-Za-z0-9/_+=.@-]+"))
# From a millisecond, in which the protocol counts.
_TIME: Final = Kind(
    f"seconds from 0.001, {_DIGITS}, in the protocol's proportions", _SECONDS, least=0.001, most=999_999
)

# Where PREPARE_AHEAD says nothing; no gateway named is the simulated one.
_PREPARES_AHEAD: Final = {"": "true", "simulated": "true"}

_PAYING: Final[tuple[Reader, ...]] = ("queue function", "workflow", "reconcile", "conservation")
_DECIDING: Final[tuple[Reader, ...]] = (
    *("queue function", "workflow", "page", "reconcile", "conservation", "command line"),
)
_ALL: Final[tuple[Reader, ...]] = (
    *("queue function", "workflow", "page", "reconcile", "events", "webhook", "conservation", "command line"),
)

SETTINGS: Final[tuple[Setting, ...]] = (
    Setting(
        "ENVIRONMENT",
        # Terraform's limit: the longest name with it, of a benchmark function, has room for 15 within Lambda's 64.
        Kind("1 to 15 of a-z, 0-9 and -, beginning with a letter", r"[a-z][a-z0-9-]{0,14}"),
        "dev",
        _ALL,
        "The deployment's name, in which the names of its table, queues and functions end.",
    ),
    Setting(
        "AWS_REGION",
        Kind("a region, such as us-east-1", "[a-z]{2,8}(-[a-z]{2,12}){1,3}-[0-9]{1,2}"),
        "us-east-1",
        _ALL,
        "The region of table, queues and functions; Lambda sets it itself.",
    ),
    Setting(
        "DYNAMODB_TABLE",
        Kind("a DynamoDB table's name or ARN", f"{_TABLE}|{_arn('dynamodb', f'table/{_TABLE}')}"),
        "cloudcafe-payment-transactions-dev",
        _DECIDING,
        "The table of transactions.",
    ),
    Setting(
        "PAYMENT_QUEUE_URL",
        _QUEUE,
        "",
        ("queue function",),
        "The queue of payments, on which returned ones are delayed.",
    ),
    Setting("REJECTED_QUEUE_URL", _QUEUE, "", _PAYING, "Where masked copies of messages without a usable id go."),
    Setting(
        "PAYMENT_CURRENCY",
        Kind("a current code of ISO 4217 with a minor unit, such as USD", choices=DIGITS),
        "USD",
        _PAYING,
        "The deployment's own currency: that of messages that name none.",
    ),
    Setting(
        "PAYMENT_AMOUNT_MAX",
        Kind("an amount above 0 with no more decimals than PAYMENT_CURRENCY has, below 10^14 minor units"),
        "10000",
        _PAYING,
        "The largest amount that is accepted in `PAYMENT_CURRENCY`.",
    ),
    Setting(
        "PAYMENT_CURRENCY_RATE",
        Kind("a whole number or a fraction of two, each of at most nine digits and above 0, such as 27/25", _RATE),
        "1",
        _PAYING,
        "How many of the amount curve's reference currency one of `PAYMENT_CURRENCY` is (docs/rules.md).",
    ),
    Setting(
        "APPROVAL_AMOUNT_MINOR",
        _whole(1, 10**12 - 1),
        "",
        _PAYING,
        "From this amount of `PAYMENT_CURRENCY` on, in minor units, a person is asked whatever the risk.",
    ),
    Setting(
        "OTHER_CURRENCIES",
        Kind(
            "CURRENCY:LARGEST:RATE or CURRENCY:LARGEST:RATE:APPROVAL_MINOR of each, separated by commas, such as "
            "EUR:9000.00:27/25,JPY:1500000:1/150:75000, each currency once and as PAYMENT_CURRENCY and its settings are"
        ),
        "",
        _PAYING,
        "The currencies that are accepted beside `PAYMENT_CURRENCY`.",
    ),
    Setting(
        "ID_SHAPES",
        Kind(
            "shapes of ids between commas: # is a digit, @ a letter, * either, {n} or {n-m} says how many, such as "
            "INV#{13}",
            rf"{_SHAPE}(,{_SHAPE})*",
        ),
        "",
        _PAYING,
        "The shapes of ids that are taken although they may look like card numbers (docs/card-data.md).",
    ),
    Setting(
        "CANONICAL_VERSION_WRITTEN",
        _one_of(*map(str, VERSIONS)),
        "1",
        ("queue function", "workflow", "page", "reconcile", "conservation"),
        "The version of the canonical text that new items are written in (docs/protocol.md).",
    ),
    Setting(
        "GATEWAY",
        _one_of(*GATEWAYS),
        "",
        _PAYING,
        "The payment gateway (docs/gateways.md); `simulated` approves everything inside and moves no money.",
    ),
    Setting(
        "GATEWAY_URL",
        Kind(
            _GATEWAY_URL,
            rf"(https://{_LABEL}(\.{_LABEL})*|http://(127\.0\.0\.1|localhost|\[::1\]))(:{_PORT})?/?",
        ),
        "",
        _PAYING,
        "The payment gateway's address; that of `stripe` is known.",
    ),
    Setting(
        "GATEWAY_CA_FILE",
        Kind("the path of a PEM file"),
        "",
        _PAYING,
        "The roots that the gateway's host is trusted by; without it Stripe's list for its host, else the system's.",
    ),
    Setting(
        "GATEWAY_MODE",
        _one_of("test", "live"),
        "",
        (*_PAYING, "webhook"),
        "Whether the gateway's key and all its answers are of its test mode or of real money.",
    ),
    Setting(
        "GATEWAY_OFF_SESSION",
        _one_of("true", "false"),
        "true",
        _PAYING,
        "Whether the card networks are told that the customer is not there, of a payment without `off_session`.",
    ),
    Setting(
        "GATEWAY_SECRET_ARN",
        _SECRET,
        "",
        _PAYING,
        "The secret with the gateway's key, read in init and anew when refused.",
    ),
    Setting(
        "GROUP_CONCURRENCY",
        _whole(1, 10),
        "10",
        ("queue function",),
        "How many message groups of a batch are charged at once; 1: the batch in its order.",
    ),
    Setting(
        "PREPARE_AHEAD",
        _one_of("true", "false"),
        "",
        ("queue function",),
        "Whether idle workers prepare payments that wait behind another one of their group; if not given, with the "
        "simulated gateway alone, as each duplicate may make an intent at a real one.",
    ),
    Setting("FUNCTION_TIMEOUT_SECONDS", _TIME, "30", _PAYING, "The queue function's time-out."),
    Setting("VISIBILITY_TIMEOUT_SECONDS", _TIME, "180", _PAYING, "How long the queue hides a message in work."),
    Setting("GATEWAY_DEADLINE_SECONDS", _TIME, "5", _PAYING, "The total time of one call of the gateway."),
    Setting("SAFETY_MARGIN_SECONDS", _TIME, "5", _PAYING, "How much a lease outlives the worker that holds it."),
    Setting("RETRY_DELAY_SECONDS", _TIME, "5", _PAYING, "The first delay of a returned message; it doubles each time."),
    Setting(
        "BODY_BYTES_MAX",
        _whole(1024, 1_048_576),
        str(BODY_BYTES_MAX),
        _PAYING,
        "The largest body that is read, in bytes of UTF-8; a larger one is rejected.",
    ),
    Setting(
        "PARK_AFTER_TRIES",
        _whole(1, 1000),
        "5",
        _PAYING,
        "How many failures of its own a payment may have before it is parked.",
    ),
    Setting(
        "PARK_AFTER_SECONDS",
        _seconds(1, 604_800),
        "21600",
        _PAYING,
        "How long after its first try a payment is parked at its next failure, whatever the cause.",
    ),
    Setting(
        "SCORING_ENGINE",
        _one_of(*CHOICES),
        "auto",
        _DECIDING,
        "The engine that scores; `auto` takes the compiled one where it was built.",
    ),
    Setting(
        "SCORING_KERNEL",
        Kind("auto, or a kernel's name, such as portable-1", r"[a-z0-9-]{1,32}"),
        "auto",
        (*_PAYING, "command line"),
        "One hashing kernel for every number of messages; `auto` takes the fastest for each number.",
    ),
    Setting(
        "SUPPORT",
        _one_of("lean", "standard"),
        "lean",
        ("queue function",),
        "What it stands on: AWS clients, log and metric lines of our own (`lean`), or botocore and Powertools "
        "(`standard`); a package has one of them (docs/packaging.md).",
    ),
    Setting(
        "RESTORED_AT",
        Kind(
            "a time in UTC, such as 2026-11-28T15:04:05Z",
            "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z",
        ),
        "",
        (*_PAYING, "command line"),
        "When payments had been stopped before the table was restored: while it is set, what has no reference is "
        "looked for at the gateway before its first charge (docs/restore.md).",
    ),
    Setting("RULE_TABLE_PATH", Kind("a path"), "", _PAYING, "A compiled rule table in place of the built-in one."),
    Setting("FRAUD_ITERATIONS", _whole(0, 10**7), "10000", _PAYING, "Rounds of SHA-256 of a fingerprint."),
    Setting(
        "FINGERPRINT_PEPPER_SECRET_ARN",
        _SECRET,
        "",
        _PAYING,
        "The secret with the pepper of fingerprints.",
    ),
    Setting(
        "STRESS_MODE",
        _one_of("none", "cold_start"),
        "none",
        _PAYING,
        "Whether each init of the queue function is slowed.",
    ),
    Setting("STRESS_DELAY_SECONDS", _seconds(0, 999_999), "3", _PAYING, "The delay in init under stress."),
    Setting(
        "STRESS_OPERATIONS", _whole(0, 10**10), "10000000", _PAYING, "The SHA-256 operations in init under stress."
    ),
    Setting(
        "APPROVAL_FUNCTION_ARN",
        # Lambda refuses to start a durable execution without alias or version.
        Kind(
            "a function's ARN or name with its alias or version, such as payment-processor-dev:live",
            f"({_arn('lambda', 'function:')})?[A-Za-z0-9_-]{{1,64}}:[A-Za-z0-9_-]{{1,128}}",
        ),
        "",
        ("queue function", "page", "reconcile", "command line"),
        "The workflow's alias, on which payments that wait for a person are started.",
    ),
    Setting(
        "APPROVAL_KEY_ID",
        Kind(
            "a KMS key's id, alias or ARN, or file: and the path of a key file",
            f"file:.+|{_KEY}|{_KEY_ALIAS}|{_arn('kms', f'(key/{_KEY}|{_KEY_ALIAS})')}",
        ),
        "",
        ("workflow", "page"),
        "The KMS HMAC key, or the key file, that signs links to the approval page.",
    ),
    Setting("APPROVAL_TIMEOUT_SECONDS", _seconds(1, 86_400), "86400", ("workflow",), "How long a person may take."),
    Setting(
        "APPROVAL_TOPIC_ARN",
        Kind("an SNS topic's ARN", _arn("sns", "[A-Za-z0-9_-]+")),
        "",
        ("workflow",),
        "The topic of messages to approvers; without it they are log lines without links.",
    ),
    Setting(
        "APPROVAL_PAGE_URL",
        Kind("the approval page's http or https URL, without user information", _URL),
        "",
        ("workflow", "command line"),
        "The approval page's address, for the links in messages; there the command line sends decisions, too.",
    ),
    Setting(
        "APPROVERS",
        Kind(
            "names, e-mail addresses or ARNs of AWS identities, separated by commas",
            rf"[ ,]*{_APPROVER}( *,[ ,]*{_APPROVER})*[ ,]*",
        ),
        "",
        ("workflow", "page"),
        "Who may decide: an address gets links of its own, an AWS identity decides by `payments approvals`.",
    ),
    Setting(
        "APPROVAL_SHOWS",
        Kind(
            "none, or one or more of name, email and address, separated by commas",
            r"none|(name|email|address)( *, *(name|email|address))*",
        ),
        "name,email,address",
        ("workflow",),
        "What of the customer the people who decide are shown, and their items keep.",
    ),
    Setting(
        "RECONCILE_PATIENCE_SECONDS",
        _seconds(1, 86_400),
        "600",
        ("reconcile",),
        "How long a workflow may be late before reconcile acts in its place; for a worker, half as long again.",
    ),
    Setting(
        "PERSONAL_DATA_DAYS",
        _whole(0, 3650),
        "0",
        ("reconcile",),
        "How many days after its end a payment's personal data is forgotten, and a conflict's text; 0: never.",
    ),
    Setting(
        "FRAUD_SERVICE_FAILURE_RATE",
        Kind(
            "a share from 0 to 1 with at most six digits after the point, such as 0.2",
            r"(0(\.[0-9]{1,6})?|1(\.0{1,6})?)",
        ),
        "0",
        ("workflow",),
        "The share of fraud checks that fail on purpose; the published demonstration has 0.2.",
    ),
    Setting(
        "EVENT_TARGET",
        Kind(
            "an SQS FIFO queue's URL, an SNS FIFO topic's ARN or an EventBridge bus's ARN",
            rf"{_QUEUE_URL}\.fifo|{_arn('sns', '[A-Za-z0-9_-]+')}\.fifo|{_arn('events', 'event-bus/[A-Za-z0-9_./-]+')}",
        ),
        "",
        ("events", "command line"),
        "Where outcome events go, in order, or without order to a bus (docs/events.md).",
    ),
    Setting(
        "EXPORT_BUCKET",
        Kind("an S3 bucket's name, 3 to 63 of a-z, 0-9, . and -", "[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"),
        "",
        ("conservation", "command line"),
        "The bucket of the table's exports, in which the sums of each day lie too.",
    ),
    Setting(
        "WEBHOOK_SECRET_ARN",
        _SECRET,
        "",
        ("webhook",),
        "The secret with what Stripe signs events to the webhook with (docs/webhook.md).",
    ),
    Setting(
        "WAKE_UP_QUEUE_URL",
        Kind(
            "an SQS FIFO queue's URL, https://host/account/name.fifo (http on this machine alone)",
            rf"{_QUEUE_URL}\.fifo",
        ),
        "",
        ("webhook",),
        "The queue from which reconcile is woken for one payment.",
    ),
)

# What others define and set: AWS, its SDK and Powertools. What we make of it ourselves, or who does.
DEFINED_ELSEWHERE: Final[Mapping[str, str]] = {
    "AWS_ACCESS_KEY_ID": "the SDK's; with it, something outside is meant, and not memory",
    "AWS_CA_BUNDLE": "the SDK's; with it, AWS's own certificates are not meant",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN": "the SDK's; what the endpoint of credentials is asked with",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "the SDK's; the file of that token, read at each renewal",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": "the SDK's; with it, something outside is meant, and not memory",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "the SDK's; with it, something outside is meant, and not memory",
    "AWS_DEFAULT_PROFILE": "the SDK's; known with `SUPPORT=standard` alone, refused else",
    "AWS_DEFAULT_REGION": "the SDK's; the command line's region where `AWS_REGION` is not set, before the profile's",
    "AWS_ENDPOINT_URL": "the SDK's; with it, something outside is meant, and not AWS's own endpoints",
    "AWS_ENDPOINT_URL_DYNAMODB": "the SDK's; with it, something outside is meant, and not AWS's own endpoints",
    "AWS_ENDPOINT_URL_LAMBDA": "the SDK's; with it, something outside is meant, and not AWS's own endpoints",
    "AWS_ENDPOINT_URL_SECRETS_MANAGER": "the SDK's; with it, something outside is meant, and not AWS's own endpoints",
    "AWS_ENDPOINT_URL_SQS": "the SDK's; with it, something outside is meant, and not AWS's own endpoints",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "the SDK's; known with `SUPPORT=standard` alone, refused else",
    "AWS_LAMBDA_FUNCTION_NAME": "Lambda's; with it, the function runs in Lambda",
    "AWS_LAMBDA_INITIALIZATION_TYPE": "Lambda's; whether init ran ahead of any payment, or for a snapshot",
    "AWS_LAMBDA_LOG_LEVEL": "Lambda's; the lowest level of log lines, before Powertools' own",
    "AWS_PROFILE": "the SDK's; with it, something outside is meant, and not memory; known with `SUPPORT=standard` "
    "alone, refused else, as the lean support reads no file of profiles",
    "AWS_SECRET_ACCESS_KEY": "the SDK's; the secret of `AWS_ACCESS_KEY_ID`",
    "AWS_SESSION_TOKEN": "the SDK's; the token of credentials that end",
    "AWS_USE_DUALSTACK_ENDPOINT": "the SDK's; known with `SUPPORT=standard` alone, refused else",
    "AWS_USE_FIPS_ENDPOINT": "the SDK's; known with `SUPPORT=standard` alone, refused else",
    "AWS_WEB_IDENTITY_TOKEN_FILE": "the SDK's; with it, something outside is meant, and not memory",
    "HTTPS_PROXY": "the SDK's; known with `SUPPORT=standard` alone and for AWS alone, refused else",
    "https_proxy": "another spelling of `HTTPS_PROXY`",
    "HTTP_PROXY": "the SDK's; known with `SUPPORT=standard` alone and for AWS alone, refused else",
    "http_proxy": "another spelling of `HTTP_PROXY`",
    "LOG_LEVEL": "Powertools'; the lowest level of log lines where `POWERTOOLS_LOG_LEVEL` is not set",
    "NO_PROXY": "the SDK's; hosts that are asked without `HTTP_PROXY` and `HTTPS_PROXY`",
    "no_proxy": "another spelling of `NO_PROXY`",
    "POWERTOOLS_DEV": "Powertools'; `true` indents log lines and writes no metrics unless they are said to be on",
    "POWERTOOLS_LOGGER_SAMPLE_RATE": "Powertools'; the share of execution environments that log from DEBUG on",
    "POWERTOOLS_LOG_LEVEL": "Powertools'; the lowest level of log lines",
    "POWERTOOLS_METRICS_DISABLED": "Powertools'; `true` writes no metrics, `false` does in spite of `POWERTOOLS_DEV`",
    "POWERTOOLS_TRACE_DISABLED": "Powertools'; `false` traces workflow, page and reconcile, else nothing is",
    "REQUESTS_CA_BUNDLE": "the SDK's; with it, AWS's own certificates are not meant",
    "_X_AMZN_TRACE_ID": "Lambda's; the trace that an invocation belongs to, for its log lines",
}
_ENDPOINTS: Final = (
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_DYNAMODB",
    "AWS_ENDPOINT_URL_LAMBDA",
    "AWS_ENDPOINT_URL_SECRETS_MANAGER",
    "AWS_ENDPOINT_URL_SQS",
)
_ELSEWHERE: Final = (*_ENDPOINTS, "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")
# Lambda's initialization types under which no invocation waits for init. A managed instance does not scale when one
# arrives ("Scaling Lambda Managed Instances").
_AHEAD: Final = ("provisioned-concurrency", "lambda-managed-instances")
# Any of these says that there is something outside to talk to. Asking the SDK instead would wait for an instance role.
OUTSIDE: Final = (
    "AWS_LAMBDA_FUNCTION_NAME",
    *_ENDPOINTS,
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
)


class Settings(NamedTuple):
    """Every setting of the queue function, with which workflow, page, reconcile and command line begin too."""

    region: str
    table_name: str
    rules: Rules
    stress_mode: str
    stress_delay_seconds: float
    stress_operations: int
    payment_queue_url: str
    rejected_queue_url: str
    # "": the simulated one, in memory or in environment `dev`, and never in Lambda.
    gateway: str
    gateway_url: str
    gateway_ca_file: str
    gateway_mode: str
    gateway_off_session: bool
    gateway_secret_arn: str
    group_concurrency: int
    prepares_ahead: bool
    approval_function_arn: str
    # By currency: how many of the reference currency one of it is, as numerator and denominator.
    rates: Mapping[str, tuple[int, int]]
    fraud_iterations: int
    scoring_engine: str
    scoring_kernel: str
    support: str
    rule_table_path: str
    fingerprint_pepper_secret_arn: str
    # AWS's own endpoints are meant, whose certificates all come from Amazon's few roots.
    aws_endpoints: bool
    in_lambda: bool
    # Init ran ahead of any payment. A restored snapshot counts as a cold start, as Powertools counts it.
    init_ran_ahead: bool
    # Init runs for a snapshot, in which no connection lasts.
    is_snapshot: bool
    # No endpoint, no credentials, not in Lambda: everything stays inside the process.
    in_memory: bool


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Read and check all variables. Raises ConfigurationError for the first that is wrong."""
    read = _Environment(environment)
    currency = read.text("PAYMENT_CURRENCY")
    amount_max_minor = read.amount_minor("PAYMENT_AMOUNT_MAX", currency)
    others = read.currencies("OTHER_CURRENCIES", currency)
    approvals = {currency: read.text("APPROVAL_AMOUNT_MINOR"), **{code: each[2] for code, each in others.items()}}
    rates = {currency: read.text("PAYMENT_CURRENCY_RATE"), **{code: each[1] for code, each in others.items()}}
    return Settings(
        region=read.text("AWS_REGION"),
        table_name=read.text("DYNAMODB_TABLE"),
        rules=Rules(
            environment=read.text("ENVIRONMENT"),
            limits=Limits(
                currency,
                amount_max_minor,
                {code: each[0] for code, each in others.items()},
                needs_token=read.text("GATEWAY") in CHARGES_INSTRUMENTS,
            ),
            routing=Routing({code: int(amount) for code, amount in approvals.items() if amount}),
            times=read.times(),
            parking=Parking(read.number("PARK_AFTER_TRIES"), read.seconds("PARK_AFTER_SECONDS")),
            canonical_version=read.number("CANONICAL_VERSION_WRITTEN"),
            body_bytes_max=read.number("BODY_BYTES_MAX"),
            id_shapes=read.id_shapes(),
            restored_at_ms=read.time_ms("RESTORED_AT"),
        ),
        stress_mode=read.text("STRESS_MODE"),
        stress_delay_seconds=read.seconds("STRESS_DELAY_SECONDS"),
        stress_operations=read.number("STRESS_OPERATIONS"),
        payment_queue_url=read.text("PAYMENT_QUEUE_URL"),
        rejected_queue_url=read.text("REJECTED_QUEUE_URL"),
        gateway=read.text("GATEWAY"),
        gateway_url=read.text("GATEWAY_URL"),
        gateway_ca_file=read.text("GATEWAY_CA_FILE"),
        gateway_mode=read.text("GATEWAY_MODE"),
        gateway_off_session=read.text("GATEWAY_OFF_SESSION") == "true",
        gateway_secret_arn=read.text("GATEWAY_SECRET_ARN"),
        group_concurrency=read.number("GROUP_CONCURRENCY"),
        prepares_ahead=(read.text("PREPARE_AHEAD") or _PREPARES_AHEAD.get(read.text("GATEWAY"))) == "true",
        approval_function_arn=read.text("APPROVAL_FUNCTION_ARN"),
        rates={code: _fraction(rate) for code, rate in rates.items()},
        fraud_iterations=read.number("FRAUD_ITERATIONS"),
        scoring_engine=read.text("SCORING_ENGINE"),
        scoring_kernel=read.text("SCORING_KERNEL"),
        support=read.text("SUPPORT"),
        rule_table_path=read.text("RULE_TABLE_PATH"),
        fingerprint_pepper_secret_arn=read.text("FINGERPRINT_PEPPER_SECRET_ARN"),
        aws_endpoints=not any(environment.get(variable) for variable in _ELSEWHERE),
        in_lambda=bool(environment.get("AWS_LAMBDA_FUNCTION_NAME")),
        init_ran_ahead=environment.get("AWS_LAMBDA_INITIALIZATION_TYPE") in _AHEAD,
        is_snapshot=environment.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start",
        in_memory=not any(environment.get(variable) for variable in OUTSIDE),
    )


class ApprovalSettings(NamedTuple):
    """What the workflow, the approval page and the command line have beyond the queue function's settings."""

    timeout_seconds: float
    topic_arn: str
    page_url: str
    # A KMS HMAC key's id, ARN or alias; `file:<path>` is a key file on this machine.
    key_id: str
    approvers: tuple[str, ...]
    # Of the customer's name, email and address, what approvers see.
    shows: frozenset[str]
    fraud_service_failure_rate: float


def read_approval_settings(environment: Mapping[str, str]) -> ApprovalSettings:
    """Read and check them. Raises ConfigurationError for the first that is wrong."""
    read = _Environment(environment)
    return ApprovalSettings(
        timeout_seconds=read.seconds("APPROVAL_TIMEOUT_SECONDS"),
        topic_arn=read.text("APPROVAL_TOPIC_ARN"),
        page_url=read.text("APPROVAL_PAGE_URL"),
        key_id=read.text("APPROVAL_KEY_ID"),
        approvers=tuple(read.text("APPROVERS").replace(",", " ").split()),
        shows=frozenset(read.text("APPROVAL_SHOWS").replace(",", " ").split()) - {"none"},
        fraud_service_failure_rate=float(read.text("FRAUD_SERVICE_FAILURE_RATE")),
    )


def read_patience_ms(environment: Mapping[str, str]) -> int:
    """How long reconcile waits for others, in milliseconds. Raises ConfigurationError."""
    return round(1000 * _Environment(environment).seconds("RECONCILE_PATIENCE_SECONDS"))


def read_personal_data_days(environment: Mapping[str, str]) -> int:
    """How many days personal data is kept after its payment ended; 0: for good. Raises ConfigurationError."""
    return int(_Environment(environment).text("PERSONAL_DATA_DAYS"))


def read_export_bucket(environment: Mapping[str, str]) -> str:
    """The bucket of the table's exports, "" for none. Raises ConfigurationError."""
    return _Environment(environment).text("EXPORT_BUCKET")


def read_event_target(environment: Mapping[str, str]) -> str:
    """Where outcome events go; "" where nothing is said. Raises ConfigurationError."""
    return _Environment(environment).text("EVENT_TARGET")


class WebhookSettings(NamedTuple):
    """All that the webhook has."""

    environment: str
    # `test` or `live`.
    mode: str
    secret_arn: str
    queue_url: str


def read_webhook_settings(environment: Mapping[str, str]) -> WebhookSettings:
    """Read and check them; "" where nothing is said. Raises ConfigurationError for the first that is wrong."""
    read = _Environment(environment)
    return WebhookSettings(
        environment=read.text("ENVIRONMENT"),
        mode=read.text("GATEWAY_MODE"),
        secret_arn=read.text("WEBHOOK_SECRET_ARN"),
        queue_url=read.text("WAKE_UP_QUEUE_URL"),
    )


def _fraction(rate: str) -> tuple[int, int]:
    numerator, _, denominator = rate.partition("/")
    return int(numerator), int(denominator or 1)


class _Environment:
    """Reads a variable through its row. A default is taken as it stands: a test has read it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._rows = {setting.name: setting for setting in SETTINGS}

    def text(self, variable: str) -> str:
        setting, value = self._rows[variable], self._environment.get(variable)
        if not value:
            return setting.default
        if not setting.kind.takes(value):
            raise ConfigurationError(variable, value, setting.kind.allowed)
        return value

    def number(self, variable: str) -> int:
        return int(self.text(variable))

    def seconds(self, variable: str) -> float:
        return float(self.text(variable))

    def time_ms(self, variable: str) -> int:
        """Milliseconds since the epoch, 0 where the variable is not set."""
        value = self.text(variable)
        try:
            return round(1000 * datetime.fromisoformat(value).timestamp()) if value else 0
        except ValueError as error:
            raise ConfigurationError(variable, value, f"{self._rows[variable].kind.allowed} ({error})") from error

    def amount_minor(self, variable: str, currency: str) -> int:
        value = self.text(variable)
        minor = to_minor(value, currency)
        if not minor or minor > AMOUNT_MINOR_MAX:
            raise ConfigurationError(variable, value, self._rows[variable].kind.allowed)
        return minor

    def currencies(self, variable: str, own: str) -> dict[str, tuple[int, str, str]]:
        """By currency beside the deployment's own: largest amount in minor units, rate, approval amount or ""."""
        found: dict[str, tuple[int, str, str]] = {}
        value = self.text(variable)
        for entry in value.split(",") if value else ():
            match = re.fullmatch(rf" *([A-Z]{{3}}):([0-9.]+):({_RATE})(?::([1-9][0-9]{{0,11}}))? *", entry)
            code, amount_max = (match[1], to_minor(match[2], match[1])) if match else ("", None)
            is_new = code in DIGITS and code != own and code not in found
            if match is None or not is_new or not amount_max or amount_max > AMOUNT_MINOR_MAX:
                raise ConfigurationError(variable, entry, self._rows[variable].kind.allowed)
            found[code] = (amount_max, match[3], match[5] or "")
        return found

    def id_shapes(self) -> str:
        shapes = self.text("ID_SHAPES")
        try:
            if shapes:
                shapes_pattern(shapes)
        except ValueError as error:
            allowed = self._rows["ID_SHAPES"].kind.allowed
            raise ConfigurationError("ID_SHAPES", shapes, f"{allowed} ({error})") from error
        return shapes

    def times(self) -> Times:
        times = Times(
            function_timeout_seconds=self.seconds("FUNCTION_TIMEOUT_SECONDS"),
            visibility_timeout_seconds=self.seconds("VISIBILITY_TIMEOUT_SECONDS"),
            gateway_deadline_seconds=self.seconds("GATEWAY_DEADLINE_SECONDS"),
            safety_margin_seconds=self.seconds("SAFETY_MARGIN_SECONDS"),
            retry_delay_seconds=self.seconds("RETRY_DELAY_SECONDS"),
        )
        problem = times.check()
        if problem:
            names, rule = problem
            # Of times that do not fit together, one that somebody set is to blame, not one left at its default.
            blamed = next((name for name in names if self._environment.get(name.upper())), names[0])
            others = "".join(f"; {name.upper()} is {getattr(times, name):g}" for name in names if name != blamed)
            raise ConfigurationError(blamed.upper(), f"{getattr(times, blamed):g}", f"{rule}{others}")
        return times
