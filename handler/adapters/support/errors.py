"""What every support's AWS clients raise, so that an adapter tells errors apart and knows no client library.

The rule it keeps: one type, whose `code` is the service's own word.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class AwsError(Exception):
    """A call of an AWS service that did not do what it asked.

    `code` is the service's, such as ConditionalCheckFailedException; "" where no answer came that can be used, so that
    the call may have taken effect. `document` is the answer's own JSON object: a refused conditional write has the item
    in it that stands in its way.
    """

    def __init__(self, operation: str, code: str, message: str, document: Mapping[str, Any] | None = None) -> None:
        super().__init__(f"{operation}: {code}: {message}" if code else f"{operation}: {message}")
        self.operation = operation
        self.code = code
        self.document = document or {}
