"""ministack's APIs by their names, which no resolver knows, for a program that asks an HTTP proxy for what is not here.

The rule: what a request says and what it is answered go through unchanged.
"""

from urllib.parse import urlsplit

from local.approvals.server import Request, Server
from local.loopback import ask

_HOP_BY_HOP = {"connection", "content-length", "date", "keep-alive", "proxy-connection", "server", "transfer-encoding"}


class NameProxy(Server):
    """A proxy in front of the services at `services_url`; `variables` have a program ask it."""

    def __init__(self, services_url: str) -> None:
        super().__init__(self._pass_on)
        self._port = urlsplit(services_url).port or 80
        # No host is excepted: to Python, 127.0.0.1 would be the end of every name here.
        self.variables = {"HTTP_PROXY": self.url, "http_proxy": self.url, "NO_PROXY": "", "no_proxy": ""}

    def _pass_on(self, request: Request) -> None:
        url = urlsplit(request.path)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP}
        path = f"{url.path}?{url.query}" if url.query else url.path
        status, body, answered = ask(
            self._port, request.command, path, request.content, {**headers, "Host": url.netloc}
        )
        request.reply(
            status, body, {name: value for name, value in answered.items() if name.lower() not in _HOP_BY_HOP}
        )
