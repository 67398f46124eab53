"""Services that ministack lacks: a call of one is answered with a sentence, in JSON or to a form in XML.

ministack says `{"error": ...}`, which clients show as an error without words. The rule: all other answers stay.
"""

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

_Message = MutableMapping[str, Any]
_Send = Callable[[_Message], Awaitable[None]]
_Receive = Callable[[], Awaitable[_Message]]
App = Callable[[_Message, _Receive, _Send], Awaitable[None]]

# What ministack says, whole.
_LACKS = b'{"error": "Unsupported service: '
_KIND = "UnknownOperationException"


def with_sentences(app: App) -> App:
    """An ASGI application whose callers are told which service is not there."""

    async def answered(scope: _Message, receive: _Receive, send: _Send) -> None:
        await app(scope, receive, _telling(scope, send) if scope["type"] == "http" else send)

    return answered


def _telling(scope: _Message, send: _Send) -> _Send:
    kind = dict(scope["headers"]).get(b"content-type", b"")
    is_form = kind.startswith(b"application/x-www-form-urlencoded")
    held: list[_Message] = []

    async def tell(message: _Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 400:
            held.append(message)
            return
        if held:
            body = message.get("body", b"")
            if body.startswith(_LACKS) and not message.get("more_body"):
                service = json.loads(body)["error"].rsplit(" ", 1)[1]
                sentence = f"the local system has no {service} (docs/local.md)"
                body = (_xml(sentence) if is_form else json.dumps({"__type": _KIND, "message": sentence})).encode()
                headers = {b"content-type": b"text/xml" if is_form else b"application/json"}
                headers[b"x-amzn-errortype"] = _KIND.encode()
                headers[b"content-length"] = str(len(body)).encode()
                message, held[0] = {**message, "body": body}, {**held[0], "headers": [*headers.items()]}
            await send(held.pop())
        await send(message)

    return tell


def _xml(sentence: str) -> str:
    error = f"<Error><Type>Sender</Type><Code>{_KIND}</Code><Message>{sentence}</Message></Error>"
    return f"<ErrorResponse>{error}<RequestId/></ErrorResponse>"
