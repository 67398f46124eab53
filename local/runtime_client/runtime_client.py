"""What `awslambdaric` calls when its native client, which exists on Linux only, is missing: the same four functions.

On the path of execution environments elsewhere, and nowhere else: on Lambda and on Linux the native client is used.
"""

import http.client
import os

_VERSION = "/2018-06-01/runtime"
_state: dict[str, str] = {}


def initialize_client(user_agent: str) -> None:
    """Remember what to say in the User-Agent header."""
    _state["user_agent"] = user_agent


def next() -> tuple[bytes, dict[str, str]]:
    """Wait for the next event; its body and the Runtime API's headers."""
    return _request("GET", "/invocation/next", None, {}, 200)


def post_invocation_result(
    invoke_id: str, result_data: bytes, content_type: str, invocation_id: str | None = None
) -> None:
    """Answer an invocation."""
    _request("POST", f"/invocation/{invoke_id}/response", result_data, {"Content-Type": content_type}, 202)


def post_error(invoke_id: str, error_response_data: str, xray_fault: str, invocation_id: str | None = None) -> None:
    """Answer an invocation with the function's error."""
    _request("POST", f"/invocation/{invoke_id}/error", error_response_data.encode(), {}, 202)


def _request(
    method: str, path: str, body: bytes | None, headers: dict[str, str], expected: int
) -> tuple[bytes, dict[str, str]]:
    connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    try:
        connection.request(method, _VERSION + path, body, {"User-Agent": _state["user_agent"], **headers})
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != expected:
            raise RuntimeError(f"the Runtime API answered {answer.status} to {method} {path}: {content!r}")
        return content, dict(answer.getheaders())
    finally:
        connection.close()
