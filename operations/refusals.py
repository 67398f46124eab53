"""What a command says where it cannot do what was asked: what happened, to what, and what to do.

The rule it keeps: one frame for all commands, and an exit code that says what kind of refusal it is.
"""

from __future__ import annotations

import errno
import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from botocore.exceptions import ClientError

    from handler.adapters.support.errors import AwsError

#: What each exit code means, for people and for scripts.
EXIT_CODES: Final[Mapping[int, str]] = {
    0: "It is done.",
    1: "It was refused, or a part of it was not done: standard error says what, and why.",
    2: "Wrong usage, a setting that is missing or wrong, or no extra `operations` in this installation.",
    3: "It is not there: no such payment, or no such queue, table or function in this environment and region.",
    4: "AWS refuses: credentials are missing or have expired, or a permission is missing.",
    5: "There was no answer that settles it: run it again.",
    6: "Nobody confirmed: nothing was done.",
    130: "Interrupted by Ctrl-C.",
}
REFUSED, USAGE, NOT_THERE, FORBIDDEN, UNSETTLED, INTERRUPTED = 1, 2, 3, 4, 5, 130

_EXPIRED: Final = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
_UNKNOWN_KEYS: Final = {
    "IncompleteSignature",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_NO_PERMISSION: Final = {
    "AccessDenied",
    "AccessDeniedException",
    "AuthorizationError",
    "AuthorizationErrorException",
    "KMS.AccessDeniedException",
    "NotAuthorized",
    "UnauthorizedOperation",
}
_MISSING: Final = {
    "AWS.SimpleQueueService.NonExistentQueue",
    "ExportNotFoundException",
    "NoSuchBucket",
    "NoSuchEntity",
    "NotFound",
    "NotFoundException",
    "QueueDoesNotExist",
    "ResourceNotFound",
    "ResourceNotFoundException",
    "TableNotFoundException",
}
# What is refused for a reason that a person can change.
_ADVICE: Final = {
    "PointInTimeRecoveryUnavailableException": "Terraform's point_in_time_recovery switches it on (`make apply`).",
    "InvalidExportTimeException": "Take an --at since point-in-time recovery was switched on, and of the last 35 days.",
    "ExportConflictException": "Such an export was begun just now: --export-arn goes on with it.",
    "LimitExceededException": "Too many are under way at once: run it again later.",
}
# "IAM JSON policy elements": how AWS's services write a missing permission.
_PERMISSION: Final = re.compile(
    r"(?:User: (?P<who>\S+) )?is not authorized to perform: (?P<action>[\w:-]+)(?: on resource: (?P<resource>\S+))?"
)


# How botocore writes an answer's code down, and how AwsError does, at any word, as others may stand before it.
_ANSWERED: Final = re.compile(
    r"\((?P<in>[\w.]+)\) when calling the (?P<by>\w+) operation|\b(?=(?P<operation>\w+): (?P<code>[\w.]+): )"
)

# What botocore and the settings say of whoever calls.
_CALLER: Final = re.compile("credential|profile|sso token|AWS_ACCESS_KEY_ID", re.IGNORECASE)
_NO_CREDENTIALS: Final = re.compile("Unable to locate credentials|Partial credentials|config profile|sso token", re.I)
_UNREACHED: Final = re.compile("Could not connect to the endpoint|connect timeout", re.IGNORECASE)


class Refusal(NamedTuple):
    """`said` is what happened and to what, `do` what to do about it, empty where `said` has it."""

    code: int
    said: str
    do: str = ""


def explain(error: Exception, variables: Mapping[str, str]) -> Refusal | None:
    """The refusal of an error that a command ended with, whose variables these are; None: a fault of our own."""
    # Here, as `--help` needs none of them.
    from botocore.exceptions import BotoCoreError, ClientError

    from handler.adapters.support.errors import AwsError
    from handler.domain.errors import ApprovalRefusedError, ConfigurationError, PaymentError, RetryableError
    from scoring.kernel import EngineUnavailableError

    for cause in _causes(error):
        answer = _answer(cause) if isinstance(cause, ClientError) else cause
        if isinstance(answer, AwsError) and (refusal := _of_aws(answer, variables)):
            return refusal
    said = str(error)
    if isinstance(error, BotoCoreError | ConfigurationError) and _CALLER.search(said):
        return Refusal(FORBIDDEN, said, _sign_in(variables))
    if isinstance(error, ConfigurationError | EngineUnavailableError):
        return Refusal(USAGE, said)
    if isinstance(error, BotoCoreError) and _UNREACHED.search(said):
        return _unreached(said, variables)
    if isinstance(error, BotoCoreError | AwsError | ClientError):
        return Refusal(UNSETTLED, f"AWS did not answer as expected: {said}", "Run it again.")
    if isinstance(error, ApprovalRefusedError) and error.reason_code == "unknown":
        return Refusal(NOT_THERE, said, f"Is it in another environment or region? {_asked(variables)}")
    if isinstance(error, PaymentError):
        comes_again = isinstance(error, RetryableError) and not error.is_own_failure
        code = FORBIDDEN if error.reason_code == "not_allowed" else UNSETTLED if comes_again else REFUSED
        return Refusal(code, said)
    is_full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    return Refusal(REFUSED, said, "Make room where it writes to, and run it again.") if is_full else None


def of_script(said: str, variables: Mapping[str, str]) -> Refusal:
    """The refusal of a script of the checkout, which says in its own words what AWS told it."""
    from handler.adapters.support.errors import AwsError

    if _NO_CREDENTIALS.search(said):
        return Refusal(FORBIDDEN, said, _sign_in(variables))
    for found in _ANSWERED.finditer(said):
        answer = AwsError(found["by"] or found["operation"], found["in"] or found["code"], said)
        if refusal := _of_aws(answer, variables):
            # Where AWS's words are the whole, the script's are: they say what it was about.
            return refusal if refusal.code == FORBIDDEN else refusal._replace(said=said)
    return _unreached(said, variables) if _UNREACHED.search(said) else Refusal(REFUSED, said)


def _answer(error: ClientError) -> AwsError:
    """A client's error that no support has turned into ours."""
    from handler.adapters.support.errors import AwsError

    said = error.response["Error"]
    return AwsError(error.operation_name, str(said.get("Code", "")), str(said.get("Message", "")))


def _of_aws(error: AwsError, variables: Mapping[str, str]) -> Refusal | None:
    """What AWS's own code says; None where it says nothing that is known here."""
    message = str(error)
    if error.code in _EXPIRED:
        return Refusal(FORBIDDEN, f"the credentials have expired: {message}", _sign_in(variables))
    if error.code in _UNKNOWN_KEYS:
        return Refusal(FORBIDDEN, f"AWS does not know these credentials: {message}", _sign_in(variables))
    if error.code in _NO_PERMISSION:
        found = _PERMISSION.search(message)
        action = found["action"] if found else error.operation
        resource = (found["resource"] if found else "") or _resource(message) or "a resource that AWS does not name"
        who = (found["who"] if found else "") or "these credentials"
        return Refusal(
            FORBIDDEN,
            f"{who} may not {action} on {resource.rstrip('.')}",
            "Ask for that permission (Terraform's output `policies` has what each role of people needs), "
            "or take other credentials with --profile.",
        )
    if error.code in _MISSING:
        return Refusal(NOT_THERE, message, f"Nothing of that name is there. {_asked(variables)}")
    if error.code in _ADVICE:
        return Refusal(REFUSED, message, _ADVICE[error.code])
    if not error.code and _NO_CREDENTIALS.search(message):
        return Refusal(FORBIDDEN, message, _sign_in(variables))
    return _unreached(message, variables) if _UNREACHED.search(message) else None


def _unreached(said: str, variables: Mapping[str, str]) -> Refusal:
    return Refusal(UNSETTLED, said, f"Is it up, and is this its address? {_asked(variables)}")


def _resource(message: str) -> str:
    """An ARN or an address that a message names in other words, such as SQS's."""
    found = re.search(r"arn:aws[\w-]*:\S+|https?://\S+", message)
    return found[0] if found else ""


def _asked(variables: Mapping[str, str]) -> str:
    """Where it was looked for, with the options that change it."""
    parts = [
        f"--environment {variables.get('ENVIRONMENT') or 'dev'}",
        f"--region {variables.get('AWS_REGION') or 'us-east-1'}",
    ]
    if variables.get("AWS_PROFILE"):
        parts.append(f"--profile {variables['AWS_PROFILE']}")
    if variables.get("AWS_ENDPOINT_URL"):
        parts.append(f"--endpoint-url {variables['AWS_ENDPOINT_URL']}")
    return f"Asked was with {' '.join(parts)}."


def _sign_in(variables: Mapping[str, str]) -> str:
    profile = variables.get("AWS_PROFILE")
    login = f"aws sso login --profile {profile}" if profile else "aws sso login"
    return f"Sign in again, as with `{login}`, or set new keys, or choose others with --profile."


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and those that it was raised from."""
    while error is not None:
        yield error
        error = error.__cause__
