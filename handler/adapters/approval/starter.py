"""The queue function's side of the approval workflow: it starts one through Lambda's API and knows no more of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Final

from handler.adapters.support.errors import AwsError
from handler.domain.errors import ApprovalStartError, ApprovalStartRefusedError
from handler.domain.item import Item

# Lambda's API, Invoke, "Errors": what only people can change, in the function or in who may call it.
_REFUSED: Final = frozenset({"AccessDeniedException", "InvalidParameterValueException", "ResourceNotFoundException"})


class LambdaApprovalStarter:
    """`ApprovalStarter` by an asynchronous invocation of an alias or version, named after the item's generation."""

    def __init__(self, client: Callable[[], Any], function_arn: str) -> None:
        self._client = client
        self._function_arn = function_arn

    def start(self, item: Item, request: str) -> None:
        name = item.approval_name
        try:
            self._client().invoke(
                FunctionName=self._function_arn,
                InvocationType="Event",
                DurableExecutionName=name,
                Payload=request.encode(),
            )
        except AwsError as error:
            # Lambda refuses a known name with another payload; with the same it answers as the first time.
            started = error.code == "DurableExecutionAlreadyStartedException"
            if started and hashlib.sha256(request.encode()).hexdigest() == item.request_hash:
                return
            is_refused = error.code in _REFUSED
            raise (ApprovalStartRefusedError if is_refused else ApprovalStartError)(f"{name}: {error}") from error
