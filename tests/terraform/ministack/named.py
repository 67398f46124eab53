"""ministack with durable executions that keep the name that they are started under, as Lambda's do.

It runs in ministack's own Python environment, in place of `ministack.app`: nothing of ours can be imported here.
"""

from contextvars import ContextVar
from typing import Any

from ministack.app import app  # type: ignore[import-not-found]
from ministack.services import lambda_durable, lambda_svc  # type: ignore[import-not-found]

__all__ = ["app"]

_name: ContextVar[str] = ContextVar("_name", default="")
_build_arn = lambda_durable.build_durable_execution_arn
_invoke = lambda_svc._invoke


def _build_named_arn(function_arn: str, version: str = "$LATEST", name: str | None = None) -> tuple[str, str, str]:
    arn, made, token = _build_arn(function_arn, version, name)
    given = _name.get()
    return (arn.replace(f"/{token}/", f"/{given}/"), given, given) if given else (arn, made, token)


async def _invoke_by_name(function: str, event: Any, headers: Any, *rest: Any) -> Any:
    """Start an execution under the caller's name; a name that is taken starts nothing, as its payload is the same."""
    name = headers.get("x-amz-durable-execution-name", "")
    for arn, execution in lambda_durable._executions.items():
        if name and execution["DurableExecutionName"] == name and f":function:{function}:" in arn:
            return 202, {"X-Amz-Durable-Execution-Arn": arn}, b""
    _name.set(name)
    try:
        return await _invoke(function, event, headers, *rest)
    finally:
        _name.set("")


lambda_durable.build_durable_execution_arn = _build_named_arn
lambda_svc._invoke = _invoke_by_name
