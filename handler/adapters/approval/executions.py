"""The approval workflow's executions from outside, through Lambda's API: whether one has ended, and waking one."""

from __future__ import annotations

import json
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from handler.adapters.approval.notices import _LOG
from handler.domain.errors import ApprovalStartError, ApprovalWakeError

_CLOSED: Final = frozenset({"SUCCEEDED", "FAILED", "TIMED_OUT", "STOPPED"})
# The callback was answered before, timed out, or its execution has ended: nobody waits for it any more.
_CALLBACK_OVER: Final = frozenset(
    {"CallbackTimeoutException", "InvalidParameterValueException", "ResourceNotFoundException"}
)


class LambdaCallbacks:
    """`ApprovalCallbacks` by SendDurableExecutionCallbackSuccess."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def wake(self, callback_id: str, decision: str) -> None:
        result = json.dumps({"approved": decision == "approve"}).encode()
        try:
            self._client.send_durable_execution_callback_success(CallbackId=callback_id, Result=result)
        except ClientError as error:
            if error.response["Error"]["Code"] not in _CALLBACK_OVER:
                raise ApprovalWakeError(f"the workflow was not woken: {error}") from error
            _LOG.info("the callback is over: %s", error.response["Error"]["Code"])
        except BotoCoreError as error:
            raise ApprovalWakeError(f"the workflow was not woken: {error}") from error


class LambdaExecutions:
    """`Executions` by GetDurableExecution; one that is past its retention is closed."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def is_closed(self, execution_arn: str) -> bool:
        try:
            answer = self._client.get_durable_execution(DurableExecutionArn=execution_arn)
        except ClientError as error:
            if error.response["Error"]["Code"] == "ResourceNotFoundException":
                return True
            raise ApprovalStartError(f"{execution_arn}: {error}") from error
        except BotoCoreError as error:
            raise ApprovalStartError(f"{execution_arn}: {error}") from error
        return answer["Status"] in _CLOSED
