"""The approval workflow's executions from outside, through Lambda's API: whether one has ended, and waking one."""

from __future__ import annotations

import json
from typing import Any, Final

from handler.adapters.approval.notices import _LOG
from handler.adapters.support.errors import AwsError
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
        except AwsError as error:
            if error.code not in _CALLBACK_OVER:
                raise ApprovalWakeError(f"the workflow was not woken: {error}") from error
            _LOG.info("the callback is over: %s", error.code)


class LambdaExecutions:
    """`Executions` by GetDurableExecution; one that is past its retention is closed."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def is_closed(self, execution_arn: str) -> bool:
        try:
            answer = self._client.get_durable_execution(DurableExecutionArn=execution_arn)
        except AwsError as error:
            if error.code == "ResourceNotFoundException":
                return True
            raise ApprovalStartError(f"{execution_arn}: {error}") from error
        return answer["Status"] in _CLOSED
