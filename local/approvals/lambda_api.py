"""Lambda's API in front of the durable engine and of the workflow's functions, as the queue function and boto3 call it.

The rule: a start is idempotent by name and pinned to the version behind alias `live`, as it is on AWS and is not in the
engine. What does not run here goes on to ministack, so that one endpoint serves all of Lambda.
"""

import hashlib
import json
import re
import sqlite3
import threading
import uuid
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from local.approvals.engine import DurableEngine
from local.approvals.functions import Functions
from local.approvals.server import BODY_BYTES_MAX, Request, Server, fault, refuse
from local.environment_pool import EnvironmentPool
from local.loopback import ask
from local.ministack import REGION
from local.provisioned import Provisioned
from local.refusals import refusal
from local.resources import ALIAS
from local.switches import Switches

_DURABLE = re.compile(r"/2025-12-01/durable-execution")
_EXECUTIONS = re.compile(r"/2025-12-01/functions/([^/]+)/durable-executions")
_CODE = re.compile(r"/2015-03-31/functions(/[^/]+/code)?")
#: AWS: "Lambda quotas", a deployment package of 50 MB in base64, and the rest of its request.
_CODE_BYTES_MAX = 70_167_211
_HOP_BY_HOP = {"connection", "content-length", "host", "keep-alive", "transfer-encoding", "date", "server"}
_PROVISIONED = re.compile(r"/2019-09-30/functions/([^/]+)/provisioned-concurrency")
_INVOKE = re.compile(r"/2015-03-31/functions/([^/]+)/invocations")
# "Signature Version 4": the credential's scope is a day, a region and a service.
_SIGNED_FOR = re.compile(r"Credential=[^/]+/\d+/([^/]+)/")


class LambdaApi:
    """Its `url` is known before it serves; `function` is the workflow.

    A start under the name `loses` is accepted and nothing begins, `lost` times so far.
    """

    def __init__(self, function: str, loses: str = "") -> None:
        self.function = function
        self.loses = loses
        self.lost = 0
        self._server = Server(self._serve, bytes_max=_bytes_max)
        self.url = self._server.url
        self._starting = threading.Lock()

    def open(
        self,
        engine: DurableEngine,
        names: Path,
        services_url: str,
        provisioned: Provisioned,
        functions: Functions,
        *,
        switches: Switches | None = None,
    ) -> None:
        """Serve from now on; `names` is the sqlite file of the executions' names, `services_url` ministack's."""
        self._switches = switches
        self._provisioned = provisioned
        self._functions = functions
        self._engine = engine
        self._names_path = names
        self._services_port = int(services_url.rsplit(":", 1)[1])
        with closing(sqlite3.connect(names)) as file, file:
            file.execute(
                "CREATE TABLE IF NOT EXISTS names (name TEXT PRIMARY KEY, payload TEXT, arn TEXT, version TEXT)"
            )
        self._server.start("approvals")

    def close(self) -> None:
        self._server.stop()

    def _serve(self, request: Request) -> None:
        path = urlsplit(request.path).path
        if refused := refusal(path, request.headers, request.content):
            request.reply(400, refused.body, refused.headers)
            return
        signed_for = _SIGNED_FOR.search(request.headers.get("Authorization", ""))
        if signed_for and signed_for[1] != REGION:
            # Nothing of ours is there, which ministack says as AWS does.
            self._pass_on(request, self._services_port, "ministack")
            return
        query = urlsplit(request.path).query
        switched = self._switches and self._switches.answer(request.command, path, query, request.content)
        if switched:
            request.reply(switched[0], json.dumps(switched[1]).encode())
            return
        invoke = _INVOKE.fullmatch(path)
        if invoke and request.headers.get("X-Dex-Handler-Invoke") == "true":
            self._run(request, unquote(invoke[1]))
        elif invoke and _name(unquote(invoke[1])) == self.function:
            self._start(request, _qualified(request, unquote(invoke[1])))
        elif invoke and self._is_live(request, _qualified(request, unquote(invoke[1]))):
            self._answer(request, self._functions.live(_name(unquote(invoke[1]))))
        elif (found := _EXECUTIONS.fullmatch(path)) and _name(unquote(found[1])) == self.function:
            self._list(request)
        elif found := _PROVISIONED.fullmatch(path):
            told = partial(self._told, _name(unquote(found[1])))
            self._pass_on(request, self._services_port, "ministack", told)
        elif _DURABLE.match(path):
            self._pass_on(request, self._engine.port, "the durable engine")
        else:
            # Every other function and operation is ministack's, so that one endpoint serves all of Lambda.
            self._pass_on(request, self._services_port, "ministack")

    def _told(self, function: str, status: int, body: bytes) -> bytes:
        """What the services say of a function's provisioned concurrency, put right."""
        document = json.loads(body) if status < 300 and body else {}
        for found in [document, *document.get("ProvisionedConcurrencyConfigs", [])]:
            if "RequestedProvisionedConcurrentExecutions" in found:
                found.update(self._provisioned.told(function, found))
        return json.dumps(document).encode() if document else body

    def _pass_on(
        self, request: Request, port: int, name: str, told: Callable[[int, bytes], bytes] = lambda _, body: body
    ) -> None:
        headers = {key: value for key, value in request.headers.items() if key.lower() not in _HOP_BY_HOP}
        try:
            status, body, answered = ask(port, request.command, request.path, request.content, headers)
        except OSError as error:
            request.reply(503, fault("ServiceException", f"{name} is down: {error}"))
            return
        kept = {key: value for key, value in answered.items() if key.lower() not in _HOP_BY_HOP}
        request.reply(status, told(status, body), kept)

    def _run(self, request: Request, function: str) -> None:
        """One invocation of the workflow's handler for the engine, in the version that the execution started on."""
        pool = self._functions.version(self.function, function.rsplit(":", maxsplit=1)[-1])
        if pool is None:
            refuse(request, 404, "ResourceNotFoundException", f"{function} is not a published version of the workflow")
            return
        self._answer(request, pool)

    def _is_live(self, request: Request, function: str) -> bool:
        """Whether somebody waits for the answer of the page or of reconcile behind alias `live`."""
        name, _, qualifier = function.rsplit(":function:", maxsplit=1)[-1].partition(":")
        waits = request.headers.get("X-Amz-Invocation-Type", "RequestResponse") == "RequestResponse"
        return waits and qualifier == ALIAS and self._functions.has(name)

    @staticmethod
    def _answer(request: Request, pool: EnvironmentPool) -> None:
        # AWS: "Invoke", the payload is optional; a function gets an empty object then.
        outcome = pool.invoke(request.content or b"{}")
        request.reply(200, outcome.payload, {"X-Amz-Function-Error": "Unhandled"} if outcome.error_type else {})

    def _list(self, request: Request) -> None:
        """Its executions, of one version or in some states where that is asked; the engine knows neither."""
        asked = parse_qs(urlsplit(request.path).query)
        found, marker = [], ""
        while True:
            page = f"/2025-12-01/functions/{self.function}/durable-executions?MaxItems=1000&Marker={marker}"
            status, body, _ = ask(self._engine.port, "GET", page)
            if status != 200:
                request.reply(status, body)
                return
            answer = json.loads(body)
            found += answer["DurableExecutions"]
            marker = answer.get("NextMarker")
            if not marker:
                break
        if "Qualifier" in asked:
            with closing(sqlite3.connect(self._names_path)) as names:
                rows = names.execute("SELECT arn FROM names WHERE version = ?", asked["Qualifier"][:1])
                of_version = {arn for (arn,) in rows}
            found = [each for each in found if each["DurableExecutionArn"] in of_version]
        if "Statuses" in asked:
            found = [each for each in found if each["Status"] in asked["Statuses"]]
        request.reply(200, json.dumps({"DurableExecutions": found}).encode())

    def _start(self, request: Request, function: str) -> None:
        if function.rsplit(":function:", maxsplit=1)[-1] != f"{self.function}:{ALIAS}":
            message = f"{function} is not {self.function}:{ALIAS}: a durable function is invoked by its alias"
            refuse(request, 404, "ResourceNotFoundException", message)
            return
        if request.headers.get("X-Amz-Invocation-Type") != "Event":
            message = "a wait of a day needs an asynchronous invocation: --invocation-type Event"
            refuse(request, 400, "InvalidParameterValueException", message)
            return
        content = request.content or b"{}"
        try:
            json.loads(content)
        except ValueError as wrong:
            message = f"Could not parse request body into json: {wrong}"
            refuse(request, 400, "InvalidRequestContentException", message)
            return
        name = request.headers.get("X-Amz-Durable-Execution-Name") or str(uuid.uuid4())
        if name == self.loses:
            self.lost += 1
            request.reply(202, b"")
            return
        payload = hashlib.sha256(content).hexdigest()
        # One start at a time: two with one name must not both find it free.
        with self._starting, closing(sqlite3.connect(self._names_path)) as names, names:
            known = names.execute("SELECT payload, arn, version FROM names WHERE name = ?", (name,)).fetchone()
            if known is not None and known[0] != payload:
                message = f"{name} was started with another payload"
                refuse(request, 409, "DurableExecutionAlreadyStartedException", message)
                return
            if known is None:
                version = self._functions.live_version(self.function)
                known = (payload, self._engine.start_execution(self.function, version, name, content), version)
                names.execute("INSERT INTO names VALUES (?, ?, ?, ?)", (name, *known))
        request.reply(202, b"", {"X-Amz-Durable-Execution-Arn": known[1], "X-Amz-Executed-Version": known[2]})


def _bytes_max(path: str) -> int:
    return _CODE_BYTES_MAX if _CODE.fullmatch(urlsplit(path).path) else BODY_BYTES_MAX


def _qualified(request: Request, function: str) -> str:
    """A function with its qualifier, which may stand beside it."""
    (qualifier,) = parse_qs(urlsplit(request.path).query).get("Qualifier", [""])[:1]
    return f"{function}:{qualifier}" if qualifier else function


def _name(function: str) -> str:
    """A function's name out of a name or an ARN, with a qualifier or not."""
    return function.rsplit(":function:", maxsplit=1)[-1].split(":", maxsplit=1)[0]
