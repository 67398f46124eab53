"""The approval workflow on this machine: a durable engine, the workflow's function and its page, the approvers' mail.

The engine is the SDK's own local runner over SQLite, and not ministack's durable functions, because a wait must survive
`kill -9` of the engine (ministack keeps executions in memory, and runs `$LATEST` only). In front of it stands Lambda's
API as the queue function and boto3 call it, which is where a start becomes idempotent by name and is pinned to the
version behind alias `live`, as it is on AWS and is not in the runner.
"""

import base64
import hashlib
import http.client
import json
import os
import re
import secrets
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

from local.environment_pool import EnvironmentPool
from local.execution_environment import ExecutionEnvironment, FunctionVersion, Outcome
from local.installation import environment
from local.ministack import ACCOUNT, CREDENTIALS, HOST, REGION, ServicesError
from local.resources import ALIAS
from local.system import LocalSystem, client, host_package

# The seed's one hour is shorter than its own wait of a day.
EXECUTION_TIMEOUT_SECONDS = 90_000
READY_SECONDS_MAX = 30.0
# A person waits for the page, and an approved charge for the workflow: on a busy machine neither gets along with a
# run's scaled time-out, which only the queue function's messages need to come back soon.
TIMEOUT_SECONDS_MIN = 10
# Waits end their environment at once here, to show that a suspended execution uses no process.
IDLE_SECONDS_MAX = 1.0
BODY_BYTES_MAX = 6 * 1024 * 1024

_DURABLE = re.compile(r"/2025-12-01/durable-execution")
_HOP_BY_HOP = {"connection", "content-length", "host", "keep-alive", "transfer-encoding", "date", "server"}
_INVOKE = re.compile(r"/2015-03-31/functions/([^/]+)/invocations")


@dataclass(frozen=True)
class Link:
    """What one approver found in the mail."""

    approver: str
    transaction_id: str
    url: str


@dataclass(frozen=True)
class _Fixed:
    """A version, which never changes: an alias moves to another one."""

    version: FunctionVersion

    def current(self) -> FunctionVersion:
        return self.version


class Approvals:
    """Make it before the local system (which needs `variables` and `endpoints`), then run it with `running(system)`."""

    def __init__(
        self,
        *,
        environment_name: str = "dev",
        timeout_seconds: float = 86_400,
        approvers: tuple[str, ...] = ("alice", "bob"),
        gateway_url: str = "",
        page_port: int = 0,
        variables: dict[str, str] | None = None,
        package: Path | None = None,
    ) -> None:
        """`timeout_seconds` is how long a person may take; `variables` are added to the workflow's.

        `package` is the workflow's unpacked deployment package, built from this checkout when None. It runs under the
        local system's own `runtime_python`, if that has one.
        """
        self.function = f"payment-processor-{environment_name}"
        self.timeout_seconds = timeout_seconds
        self.approvers = approvers
        self._gateway_url = gateway_url
        self._extra = variables or {}
        self._package = package
        self._front = _server(self._api)
        self._page = _server(self._open_page, page_port)
        self.endpoint_url = f"http://{HOST}:{self._front.server_port}"
        self.page_url = f"http://{HOST}:{self._page.server_port}/approvals"
        self._starting = threading.Lock()
        self._stopping = threading.Event()
        self._engine: subprocess.Popen[bytes] | None = None
        self._engine_port = 0
        self.engine_starts = 0
        # A pool for each published version of the workflow, as executions that wait need theirs again.
        self._versions: dict[str, EnvironmentPool] = {}
        self._live = ""

    @property
    def variables(self) -> dict[str, str]:
        """The queue function's setting: which workflow it starts."""
        return {"APPROVAL_FUNCTION_ARN": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{self.function}:{ALIAS}"}

    @property
    def endpoints(self) -> dict[str, str]:
        """Where it is started on this machine."""
        return {"AWS_ENDPOINT_URL_LAMBDA": self.endpoint_url}

    @contextmanager
    def running(self, system: LocalSystem) -> Iterator["Approvals"]:
        """Everything up, and down again at the end. Raises ServicesError, InstallationError."""
        self._system = system
        self._directory = system.directory / "approvals"
        self._directory.mkdir(exist_ok=True)
        self._names_path = self._directory / "names.sqlite"
        with closing(sqlite3.connect(self._names_path)) as names, names:
            names.execute(
                "CREATE TABLE IF NOT EXISTS names (name TEXT PRIMARY KEY, payload TEXT, arn TEXT, version TEXT)"
            )
        key = self._directory / "key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(32))
        topic_arn = self._mail(system)
        package = self._package or host_package(system.directory / "workflow", function="workflow")
        deciding = {
            "DYNAMODB_TABLE": system.names.table,
            "ENVIRONMENT": system.names.environment,
            "REJECTED_QUEUE_URL": system.resources.rejected_queue_url,
            "APPROVAL_KEY_ID": f"file:{key}",
        }
        self._workflow = {
            **deciding,
            **system.times.variables(),
            "GATEWAY": "http" if self._gateway_url else "simulated",
            "GATEWAY_URL": self._gateway_url,
            "APPROVAL_TIMEOUT_SECONDS": f"{self.timeout_seconds:g}",
            "APPROVAL_TOPIC_ARN": topic_arn,
            "APPROVAL_PAGE_URL": self.page_url,
            "APPROVERS": ",".join(self.approvers),
            **self._extra,
        }
        self.publish(package)
        page = f"{self.function}-page"
        self._page_pool = self._pool(package, "handler.approval_page.lambda_handler", page, "1", deciding)
        for server in (self._front, self._page):
            threading.Thread(target=server.serve_forever, name="approvals", daemon=True).start()
        self.start_engine()
        keeper = threading.Thread(target=self._keep_engine, name="durable-engine", daemon=True)
        keeper.start()
        self.environment_variables = {
            "AWS_ENDPOINT_URL": system.endpoint_url,
            "AWS_REGION": REGION,
            **CREDENTIALS,
            **deciding,
            **self.endpoints,
            **self.variables,
        }
        try:
            yield self
        finally:
            self._stopping.set()
            for server in (self._front, self._page):
                server.shutdown()
                server.server_close()
            for pool in (*self._versions.values(), self._page_pool):
                pool.stop()
            if self._engine is not None:
                # Twice: this ends a start that is under way, and one may have begun just before.
                self._engine.kill()
                keeper.join()
                self._engine.kill()
                self._engine.wait()

    def publish(self, package: Path) -> str:
        """Publish an unpacked package as the workflow's next version and move alias `live` to it; returns the version.

        Executions that started before stay on theirs, as on AWS.
        """
        version = str(len(self._versions) + 1)
        self._versions[version] = self._pool(
            package, "handler.workflow.lambda_handler", self.function, version, self._workflow
        )
        self._live = version
        return version

    def environments(self) -> list[ExecutionEnvironment]:
        """Those of the workflow that are alive now, of every version."""
        return [each for pool in list(self._versions.values()) for each in pool.environments()]

    def _pool(
        self, package: Path, handler: str, name: str, version_number: str, variables: dict[str, str]
    ) -> EnvironmentPool:
        system = self._system
        logs = system.log_directory / name / version_number
        logs.mkdir(parents=True, exist_ok=True)
        version = FunctionVersion(
            name=name,
            version=version_number,
            arn=f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}:{version_number}",
            code=package,
            handler=handler,
            timeout_seconds=max(system.times.function_timeout_seconds, TIMEOUT_SECONDS_MIN),
            memory_size=512,
            variables=variables,
        )
        return EnvironmentPool(
            _Fixed(version),  # type: ignore[arg-type]
            runtime_python=system.runtime_python or environment("runtime") / "python",
            processes=system.processes,
            log_directory=logs,
            host_variables={
                "AWS_ENDPOINT_URL": system.endpoint_url,
                **CREDENTIALS,
                **self.endpoints,
            },
            idle_seconds_max=IDLE_SECONDS_MAX,
            init_seconds_max=system.init_seconds_max,
        )

    # ---- the approvers' mail ------------------------------------------------------------------------------------

    def _mail(self, system: LocalSystem) -> str:
        """A topic, and a queue that stands for the approvers' mailboxes; returns the topic's ARN."""
        sns, sqs = system.clients["sns"], system.clients["sqs"]
        topic_arn = str(sns.create_topic(Name=f"payment-approvals-{system.names.environment}")["TopicArn"])
        self._inbox = sqs.create_queue(QueueName=f"payment-approvals-{system.names.environment}")["QueueUrl"]
        queue_arn = sqs.get_queue_attributes(QueueUrl=self._inbox, AttributeNames=["QueueArn"])["Attributes"][
            "QueueArn"
        ]
        sns.subscribe(TopicArn=topic_arn, Protocol="sqs", Endpoint=queue_arn)
        return topic_arn

    def mail(self) -> list[Link]:
        """The links that came since the last call."""
        sqs = self._system.clients["sqs"]
        links = []
        while True:
            messages = sqs.receive_message(QueueUrl=self._inbox, MaxNumberOfMessages=10).get("Messages", [])
            if not messages:
                return links
            for message in messages:
                sqs.delete_message(QueueUrl=self._inbox, ReceiptHandle=message["ReceiptHandle"])
                notice = json.loads(message["Body"])
                url = re.search(rf"{re.escape(self.page_url)}\?t=\S+", notice["Message"])
                payment = re.search(r"^Payment: (\S+)$", notice["Message"], re.MULTILINE)
                if url and payment:
                    approver = notice["MessageAttributes"]["approver"]["Value"]
                    links.append(Link(approver, f"txn-{payment[1]}", url[0]))

    def decide(self, link: Link, decision: str, comment: str) -> int:
        """Send the form behind a link, as a browser does; returns the page's HTTP status."""
        url = urlsplit(link.url)
        form = urlencode({"t": parse_qs(url.query)["t"][0], "decision": decision, "comment": comment})
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return _ask(self._page.server_port, "POST", url.path, form.encode(), headers)[0]

    # ---- the engine ---------------------------------------------------------------------------------------------

    @property
    def engine_pid(self) -> int | None:
        return self._engine.pid if self._engine is not None else None

    def start_engine(self) -> None:
        """Start the SDK's runner on what its database holds. Raises ServicesError."""
        self._engine_port = self._engine_port or _free_port()
        command = [sys.executable, "-m", "aws_durable_execution_sdk_python_testing.cli", "start-server"]
        command += ["--host", HOST, "--port", str(self._engine_port), "--lambda-endpoint", self.endpoint_url]
        command += ["--local-runner-region", REGION, "--store-type", "sqlite"]
        command += ["--store-path", str(self._directory / "executions.sqlite"), "--log-level", "WARNING"]
        log = self._directory / "engine.log"
        with log.open("ab") as output:
            self._engine = self._system.processes.start(
                command, stdout=output, stderr=output, env={**os.environ, **CREDENTIALS, "AWS_DEFAULT_REGION": REGION}
            )
        self.engine_starts += 1
        deadline = time.monotonic() + READY_SECONDS_MAX
        while time.monotonic() < deadline and self._engine.poll() is None:
            try:
                if _ask(self._engine_port, "GET", "/health", b"", {})[0] == 200:
                    return
            except OSError:
                time.sleep(0.05)
        raise ServicesError(f"the durable engine did not start on port {self._engine_port}: see {log}")

    def _keep_engine(self) -> None:
        """What a service manager does: start the engine again when it died."""
        while not self._stopping.wait(0.2):
            if self._engine is not None and self._engine.poll() is not None:
                try:
                    self.start_engine()
                except ServicesError:
                    # Killed while it started: the system goes away.
                    if not self._stopping.is_set():
                        raise

    # ---- Lambda's API in front of it ----------------------------------------------------------------------------

    def _api(self, request: "_Request") -> None:
        path = urlsplit(request.path).path
        invoke = _INVOKE.fullmatch(path)
        if invoke and request.headers.get("X-Dex-Handler-Invoke") == "true":
            self._run(request, unquote(invoke[1]))
        elif invoke and unquote(invoke[1]).rsplit(":function:", maxsplit=1)[-1].split(":")[0] == self.function:
            self._start(request, unquote(invoke[1]))
        elif _DURABLE.match(path):
            self._pass_on(request, self._engine_port, "the durable engine")
        else:
            # Every other function and operation is ministack's, so that one endpoint serves all of Lambda.
            self._pass_on(request, int(self._system.endpoint_url.rsplit(":", 1)[1]), "ministack")

    def _pass_on(self, request: "_Request", port: int, name: str) -> None:
        headers = {key: value for key, value in request.headers.items() if key.lower() not in _HOP_BY_HOP}
        try:
            status, body, answered = _ask(port, request.command, request.path, request.body, headers)
        except OSError as error:
            request.answer(503, _fault("ServiceException", f"{name} is down: {error}"))
            return
        request.answer(status, body, {key: value for key, value in answered.items() if key.lower() not in _HOP_BY_HOP})

    def _run(self, request: "_Request", function: str) -> None:
        """One invocation of the workflow's handler for the engine, in the version that the execution started on."""
        pool = self._versions.get(function.rsplit(":", maxsplit=1)[-1])
        if pool is None:
            _refuse(request, 404, "ResourceNotFoundException", f"{function} is not a published version of the workflow")
            return
        outcome: Outcome = pool.invoke(request.body)
        headers = {"X-Amz-Function-Error": "Unhandled"} if outcome.error_type else {}
        request.answer(200, outcome.payload, headers)

    def _start(self, request: "_Request", function: str) -> None:
        if function.rsplit(":function:", maxsplit=1)[-1] != f"{self.function}:{ALIAS}":
            message = f"{function} is not {self.function}:{ALIAS}: a durable function is invoked by its alias"
            _refuse(request, 404, "ResourceNotFoundException", message)
            return
        if request.headers.get("X-Amz-Invocation-Type") != "Event":
            message = "a wait of a day needs an asynchronous invocation: --invocation-type Event"
            _refuse(request, 400, "InvalidParameterValueException", message)
            return
        name = request.headers.get("X-Amz-Durable-Execution-Name") or str(uuid.uuid4())
        payload = hashlib.sha256(request.body).hexdigest()
        # One start at a time: two with one name must not both find it free.
        with self._starting, closing(sqlite3.connect(self._names_path)) as names, names:
            known = names.execute("SELECT payload, arn, version FROM names WHERE name = ?", (name,)).fetchone()
            if known is not None and known[0] != payload:
                message = f"{name} was started with another payload"
                _refuse(request, 409, "DurableExecutionAlreadyStartedException", message)
                return
            if known is None:
                version = self._live
                known = (payload, self._start_execution(name, version, request.body), version)
                names.execute("INSERT INTO names VALUES (?, ?, ?, ?)", (name, *known))
        request.answer(202, b"", {"X-Amz-Durable-Execution-Arn": known[1], "X-Amz-Executed-Version": known[2]})

    def _start_execution(self, name: str, version: str, payload: bytes) -> str:
        body = {
            "AccountId": ACCOUNT,
            "FunctionName": self.function,
            # The engine keeps it and names it in every invocation, also after its own death; an alias would move.
            "FunctionQualifier": version,
            "ExecutionName": name,
            "ExecutionTimeoutSeconds": EXECUTION_TIMEOUT_SECONDS,
            "ExecutionRetentionPeriodDays": 14,
            "InvocationId": str(uuid.uuid4()),
            "Input": payload.decode(),
        }
        status, answer, _ = _ask(
            self._engine_port,
            "POST",
            "/start-durable-execution",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        if status != 201:
            raise ServicesError(f"the durable engine did not start {name}: {status} {answer[:200]!r}")
        return str(json.loads(answer)["ExecutionArn"])

    # ---- the page -----------------------------------------------------------------------------------------------

    def _open_page(self, request: "_Request") -> None:
        """What API Gateway does: an event of payload format 2.0, and the answer back."""
        url = urlsplit(request.path)
        if url.path != "/approvals":
            request.answer(404, b"", {"Cache-Control": "no-store"})
            return
        event = {
            "version": "2.0",
            "rawPath": url.path,
            "rawQueryString": url.query,
            "requestContext": {"http": {"method": request.command, "path": url.path}},
            "body": base64.b64encode(request.body).decode(),
            "isBase64Encoded": True,
        }
        outcome = self._page_pool.invoke(json.dumps(event).encode())
        if outcome.error_type:
            request.answer(502, b"", {"Cache-Control": "no-store"})
            return
        answer = json.loads(outcome.payload)
        request.answer(answer["statusCode"], answer["body"].encode(), answer["headers"])


class _Request(BaseHTTPRequestHandler):
    """One request with its body read; it logs nothing, as a link's query is a secret."""

    protocol_version = "HTTP/1.1"
    body = b""

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if length > BODY_BYTES_MAX:
            self.close_connection = True
            self.answer(413, b"")
            return
        self.body = self.rfile.read(length)
        try:
            self.server.serve(self)  # type: ignore[attr-defined]
        except (ServicesError, OSError) as error:
            _refuse(self, 503, "ServiceException", str(error))

    do_POST = do_PUT = do_DELETE = do_HEAD = do_GET

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        given = {"content-type": "application/json", **{name.lower(): value for name, value in (headers or {}).items()}}
        self.send_response(status)
        for name, value in given.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        return


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, serve: Any, port: int) -> None:
        super().__init__((HOST, port), _Request)
        self.serve = serve

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that was killed leaves a broken connection, which is its own loss; anything else is shown."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def _server(serve: Any, port: int = 0) -> _Server:
    return _Server(serve, port)


def _ask(port: int, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes, dict[str, str]]:
    """One request to a loopback service: status, body, headers. Raises OSError."""
    with closing(http.client.HTTPConnection(HOST, port, timeout=30)) as connection:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read(), dict(answer.getheaders())


def _free_port() -> int:
    """The runner takes no port 0; it must also come back on the same one."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _refuse(request: _Request, status: int, kind: str, message: str) -> None:
    request.answer(status, _fault(kind, message), {"x-amzn-errortype": kind})


def _fault(kind: str, message: str) -> bytes:
    return json.dumps({"Type": kind, "Message": message, "message": message}).encode()


def durable_client(approvals: Approvals) -> Any:
    """A boto3 Lambda client of the local durable engine, e.g. for the seed's way to approve."""
    return client("lambda", approvals.endpoint_url)
