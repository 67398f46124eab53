"""The approval page's address: what API Gateway does between a browser, or the command line, and the page's function.

Where there is a webhook, it is another route of the same API.

The rule: nothing of an answer is changed, nothing is cached, and a PUT goes on under the identity that has signed it.
"""

import base64
import json
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from local.approvals.identities import IDENTITIES, signer
from local.approvals.mail import Link
from local.approvals.server import Request, Server
from local.environment_pool import EnvironmentPool
from local.loopback import ask
from local.ministack import bound_socket


class Page:
    """Its `url` is known before it serves. Raises ServicesError for a port that cannot be had."""

    def __init__(self, port: int = 0) -> None:
        if port:
            # A port in use is told with its owner, as the services' own is.
            bound_socket(port).close()
        self._server = Server(self._serve, port)
        self.url = f"{self._server.url}/approvals"
        self.webhook_url = ""

    def open(self, function: EnvironmentPool, webhook: EnvironmentPool | None = None) -> None:
        """Serve from now on what `function` answers, and `webhook`."""
        self._function = function
        self._webhook = webhook
        self.webhook_url = f"{self._server.url}/webhook" if webhook else ""
        self._server.start("approval-page")

    def close(self) -> None:
        self._server.stop()

    def decide(self, link: Link, decision: str, comment: str) -> int:
        """Send the form behind a link, as a browser does; returns the page's HTTP status."""
        url = urlsplit(link.url)
        form = urlencode({"t": parse_qs(url.query)["t"][0], "decision": decision, "comment": comment})
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return ask(self._server.server_port, "POST", url.path, form.encode(), headers)[0]

    def _serve(self, request: Request) -> None:
        """What API Gateway does: an event of payload format 2.0, and the answer back."""
        url = urlsplit(request.path)
        is_event = self._webhook is not None and (request.command, url.path) == ("POST", "/webhook")
        if url.path != "/approvals" and not is_event:
            request.reply(404, b"", {"Cache-Control": "no-store"})
            return
        event: dict[str, Any] = {
            "version": "2.0",
            "rawPath": url.path,
            "rawQueryString": url.query,
            "headers": {name.lower(): value for name, value in request.headers.items()},
            "requestContext": {"http": {"method": request.command, "path": url.path}},
            "body": base64.b64encode(request.content).decode(),
            "isBase64Encoded": True,
        }
        if request.command == "PUT":
            address, headers = f"{self._server.url}{request.path}", dict(request.headers)
            iam = signer("PUT", address, headers, request.content, IDENTITIES)
            if iam is None:
                request.reply(403, b'{"message":"Forbidden"}', {"Cache-Control": "no-store"})
                return
            event["requestContext"]["authorizer"] = {"iam": iam}
        function = self._webhook if is_event and self._webhook else self._function
        outcome = function.invoke(json.dumps(event).encode())
        if outcome.error_type:
            request.reply(502, b"", {"Cache-Control": "no-store"})
            return
        answer = json.loads(outcome.payload)
        request.reply(answer["statusCode"], answer["body"].encode(), answer["headers"])
