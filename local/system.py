"""The whole payment system on 127.0.0.1: AWS services, execution environments, event source mapping.

The rule: what it starts ends with it, and what it loses it says (`check`).
"""

import errno
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import boto3
from botocore.config import Config

from local import outcome_events
from local.embedded_metrics import MetricForwarder
from local.environment_pool import EnvironmentPool, Watch
from local.event_source_mapping import Batch, EventSourceMapping
from local.execution_environment import INIT_SECONDS_MAX, THROTTLED, ExecutionEnvironment, Outcome
from local.gateway.payments import API_KEY
from local.installation import ROOT, InstallationError, environment
from local.log_groups import LogGroups, group_of
from local.ministack import CREDENTIALS, REGION, Ministack, ServicesError
from local.process_group import ProcessGroup
from local.provisioned import Provisioned
from local.published_function import Code, PublishedFunction
from local.queue_metrics import QueueMetrics
from local.resources import ALIAS, Names, Resources, Times, create
from local.run_folder import new_directory
from local.status import Status
from local.terraform import Terraform, apply, check_installed
from local.worker_logs import WorkerLogs

PROVISIONS = ("local", "terraform")
# What the queue function may stand on; a package has one of them.
SUPPORTS = ("lean", "standard")
_SERVICES = ("sqs", "dynamodb", "lambda", "iam", "cloudwatch", "logs", "secretsmanager", "sns", "sts", "s3")


class LocalSystem:
    """Start everything, be it, end everything: a context manager.

    Attributes for its users: `clients` (boto3 clients by service name), `resources` (queue URLs, names),
    `endpoint_url`, `gateway_variables`, `outcome_events` (what tells them), `directory` and `log_directory`,
    `processes` (start helpers there: they end with the system), `batches` and `outcomes` (what our mapping has done so
    far), `terraform` (what made the resources, else None).
    """

    def __init__(
        self,
        *,
        package: Path | None = None,
        concurrency: int = 4,
        times: Times | None = None,
        gateway_url: str = "",
        environment: str = "dev",
        variables: dict[str, str] | None = None,
        endpoints: dict[str, str] | None = None,
        handler: str = "handler.lambda_handler",
        memory_size: int = 512,
        mapping: str = "local",
        provision: str = "local",
        support: str = "lean",
        python: str = sys.executable,
        runtime_python: Path | None = None,
        port: int = 0,
        directory: Path | None = None,
        idle_seconds_max: float = 300.0,
        init_seconds_max: float = INIT_SECONDS_MAX,
        services: type[Ministack] = Ministack,
    ) -> None:
        """Nothing starts before `__enter__`.

        `package` is an unpacked deployment package for this host, built on `support` when None; `times` the protocol's
        times; `gateway_url` is the gateway simulator's, which is met as Stripe is, and without one the
        functions approve everything by themselves; `variables` are added to the function's; `endpoints`
        (AWS_ENDPOINT_URL_<SERVICE>) are no settings of the function, but what this machine has elsewhere than at
        `endpoint_url`; `mapping` is `local` (ours), `ministack` (its own mapping and worker) or `none`; `provision`
        says who makes the resources, `local` (`local/resources.py`) or `terraform`; `python` is the interpreter of the
        execution environments, or `runtime_python` one that can import awslambdaric by itself; `port` 0 takes a free
        one; `directory` is a new folder in `.build/local` when None; `services` are ministack, or what stands for it.
        """
        if mapping not in ("local", "ministack", "none"):
            raise ValueError(f"mapping {mapping!r} is not one of local, ministack, none")
        if provision not in PROVISIONS:
            raise ValueError(f"provision {provision!r} is not one of {', '.join(PROVISIONS)}")
        self._package = package
        self._concurrency = concurrency
        self.times = times or Times()
        self._gateway_url = gateway_url
        self._support = support
        self._variables = {"SUPPORT": support, **(variables or {})}
        self._endpoints = endpoints or {}
        self.names = Names(environment)
        self._handler = handler
        self._memory_size = memory_size
        self._mapping_kind = mapping
        self._provision = provision
        self.terraform: Terraform | None = None
        self._python = python
        self._runtime_python = runtime_python
        self._port = port
        self.directory = directory or new_directory()
        self.log_directory = self.directory / "logs"
        self._idle_seconds_max = idle_seconds_max
        self.init_seconds_max = init_seconds_max
        self._services = services
        self._lock = threading.Lock()
        self._lost: str | None = None
        self._mapping_errors: list[str] = []
        self.status = Status()
        self.batches: list[Batch] = []
        self.outcomes: list[Outcome] = []
        self.mapping: EventSourceMapping | None = None
        self.pool: EnvironmentPool | None = None
        self._metrics: MetricForwarder | None = None

    def __enter__(self) -> "LocalSystem":
        if self._provision == "terraform":
            check_installed()
        # Both may have to be installed first, and that must not look like a slow start.
        environment("ministack")
        self.runtime_python = self._runtime_python or environment("runtime", self._python) / "python"
        self.log_directory.mkdir(parents=True, exist_ok=True)
        package = (
            self._package or host_package(self.directory / "package", self._python, support=self._support)
        ).resolve()
        with ExitStack() as ends:
            self._ends = ends
            self.processes = ends.enter_context(ProcessGroup(self.directory / "tmp", self.directory / "code"))
            self._start(package)
            # Everything started: from here on `__exit__` ends it, in the reverse order.
            self._ends = ends.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ends.close()

    def _start(self, package: Path) -> None:
        self.services = self._services(self.processes, self.directory, self._port, self._endpoints)
        self._ends.callback(self.services.stop)
        self.services.watch(self._died)
        self.endpoint_url = self.services.url
        self.clients = {name: client(name, self.endpoint_url) for name in _SERVICES}
        self.gateway_variables = self._gateway()
        self._variables = self.gateway_variables | self._variables
        self.resources = self._make_resources(package)
        self._metrics = MetricForwarder(client("cloudwatch", self.endpoint_url), self.note)
        self._ends.callback(self._metrics.stop)
        self.watch = Watch(self._opened, self.status.init_failed, self._invoked)
        streams = client("dynamodbstreams", self.endpoint_url)
        self.outcome_events = outcome_events.start(
            self.clients, streams, self.names, self.directory, told=self.status.event, problem=self.note
        )
        self._ends.callback(self.outcome_events.stop)
        self.log_groups = LogGroups(client("logs", self.endpoint_url), line=self._line, problem=self.note)
        self._ends.callback(self.log_groups.stop)
        worker_logs = WorkerLogs(
            client("logs", self.endpoint_url),
            group_of(self.names.function),
            self.log_directory / "ministack-worker.log",
            line=self._line,
            ours=self.log_groups.has,
            problem=self.note,
        )
        self._ends.callback(worker_logs.stop)
        resources = self.resources
        urls = (resources.queue_url, resources.rejected_queue_url, resources.dead_letter_queue_url)
        self.queue_metrics = QueueMetrics(client("sqs", self.endpoint_url), urls, self._metrics.put, self.note)
        self._ends.callback(self.queue_metrics.stop)
        self.code = Code(self.directory / "code")
        self.code.keep(self.resources.code_sha256, package)
        function = PublishedFunction(client("lambda", self.endpoint_url), self.names.function, ALIAS, self.code)
        self.pool = EnvironmentPool(
            function,
            runtime_python=self.runtime_python,
            processes=self.processes,
            log_directory=self.log_directory,
            host_variables={"AWS_ENDPOINT_URL": self.endpoint_url, **self._endpoints, **CREDENTIALS},
            idle_seconds_max=self._idle_seconds_max,
            init_seconds_max=self.init_seconds_max,
            watch=self.watch,
        )
        self._ends.callback(self.pool.stop)
        functions = client("lambda", self.endpoint_url)
        self.provisioned = Provisioned(functions, self.names.function, self.pool, self._concurrency, self.note)
        if self._mapping_kind == "local":
            self.start_mapping()
        elif self._mapping_kind == "ministack" and self.terraform is None:
            self.clients["lambda"].create_event_source_mapping(
                EventSourceArn=self.resources.queue_arn,
                FunctionName=f"{self.names.function}:{ALIAS}",
                BatchSize=10,
                FunctionResponseTypes=["ReportBatchItemFailures"],
            )

    def _gateway(self) -> dict[str, str]:
        """The settings of every function that talks to the gateway, whose key is a secret of the services."""
        if not self._gateway_url:
            return {"GATEWAY": "simulated"}
        secret = self.clients["secretsmanager"].create_secret(
            Name=f"cloudcafe-payment-gateway-{self.names.environment}", SecretString=API_KEY
        )
        return {
            "GATEWAY": "stripe",
            "GATEWAY_MODE": "test",
            "GATEWAY_SECRET_ARN": secret["ARN"],
            "GATEWAY_URL": self._gateway_url,
            # Version 1 knows no payment_token.
            "CANONICAL_VERSION_WRITTEN": "2",
        }

    def _make_resources(self, package: Path) -> Resources:
        if self._provision == "local":
            return create(
                self.clients,
                self.names,
                self.times,
                package,
                handler=self._handler,
                runtime=self.runtime,
                memory_size=self._memory_size,
                variables=self._variables,
            )
        self.terraform = Terraform(self.directory, self.endpoint_url, start=self.processes.start)
        return apply(
            self.terraform,
            self.names,
            self.times,
            package,
            self.workflow_package(),
            runtime=self.runtime,
            memory_size=self._memory_size,
            variables=self._variables,
            concurrency=self._concurrency,
            # Of its mapping and ours only one may take messages.
            polled=self._mapping_kind == "ministack",
        )

    @property
    def runtime(self) -> str:
        """Lambda's name of what the functions run under."""
        return self.runtime_python.resolve().name

    def workflow_package(self) -> Path:
        """The workflow's unpacked package, built from this checkout once. Raises InstallationError."""
        folder = self.directory / "workflow"
        return folder if folder.exists() else host_package(folder, function="workflow")

    def start_mapping(self) -> None:
        """Start our event source mapping (with `mapping="none"`, once everything is sent)."""
        assert self.pool is not None
        self.mapping = EventSourceMapping(
            client("sqs", self.endpoint_url, read_timeout=30),
            self.resources.queue_url,
            self.resources.queue_arn,
            self.pool.invoke,
            concurrency=self._concurrency,
            finished=self._finished,
            failed=self._mapping_failed,
        )
        self._ends.callback(self.mapping.stop)

    def check(self) -> None:
        """Raise ServicesError if the services died, with what was lost; call it while waiting for anything."""
        if self._lost is not None:
            raise ServicesError(self._lost)

    @property
    def problems(self) -> list[str]:
        """Errors of the system itself so far (not of the function), as sentences."""
        return list(self._mapping_errors)

    def environments(self) -> list[ExecutionEnvironment]:
        """Execution environments alive now; a busy one has `pid`, `request_id`, `event`, `log_path`."""
        return self.pool.environments() if self.pool is not None else []

    def queue_depth(self) -> dict[str, int]:
        """Messages of the payment queue, `waiting` and `in flight`."""
        attributes = self.clients["sqs"].get_queue_attributes(
            QueueUrl=self.resources.queue_url, AttributeNames=["All"]
        )["Attributes"]
        names = {"waiting": "ApproximateNumberOfMessages", "in flight": "ApproximateNumberOfMessagesNotVisible"}
        return {word: int(attributes[name]) for word, name in names.items()}

    def queue_is_empty(self) -> bool:
        """Whether the payment queue has no message left, visible or in flight."""
        return not any(self.queue_depth().values())

    def kill_environment(self, pid: int | None = None, *, working_on: str = "") -> int | None:
        """SIGKILL one environment: by pid, or the busy one whose event contains `working_on`.

        Returns the pid killed, None if there was no such environment (any more).
        """
        for each in self.environments():
            found = each.pid
            if found is None or (pid is not None and found != pid):
                continue
            if working_on and working_on.encode() not in (each.event or b""):
                continue
            each.kill()
            return found
        return None

    def invoke(self, event: bytes) -> Outcome:
        """Run one event in one of our execution environments, past the queue."""
        assert self.pool is not None
        return self.pool.invoke(event)

    def _invoked(self, function: str, outcome: Outcome, concurrent: int) -> None:
        if function == self.names.function and outcome.error_type != THROTTLED:
            with self._lock:
                self.outcomes.append(outcome)
        if self._metrics is not None:
            self._metrics.invoked(function, outcome, concurrent)

    def _opened(self, environment: ExecutionEnvironment) -> None:
        self.log_groups.follow(environment.function.name, environment.log_stream, environment.log_path)

    def _line(self, line: str) -> None:
        """One line of any function's log: its metrics, and what became of a payment."""
        if self._metrics is not None:
            self._metrics.line(line)
        self.status.line(line)

    def _finished(self, batch: Batch) -> None:
        with self._lock:
            self.batches.append(batch)

    def _mapping_failed(self, error: BaseException) -> None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            self._lost = (
                f"no free disk: {error}. What had been recorded is still in {self.names.table}, but no log line can be "
                f"written to {self.log_directory}, so nothing more is run. Free some disk and run it again."
            )
            if self.mapping is not None:
                self.mapping.stop()
        self.note(f"event source mapping: {type(error).__name__}: {error}")

    def note(self, sentence: str) -> None:
        """Take an error of a part of the system as one of its `problems`; from any thread."""
        with self._lock:
            self._mapping_errors.append(sentence)

    def _died(self, sentence: str) -> None:
        in_flight = self.mapping.in_flight if self.mapping is not None else []
        settled = sum(len(batch.message_ids) - len(batch.failed) for batch in self.batches)
        self._lost = (
            f"{sentence}. Lost with it: every message on the queues and every item of {self.names.table} "
            f"({settled} messages had been settled, {len(in_flight)} were being processed: "
            f"{', '.join(in_flight[:10]) or 'none'}). Run it again."
        )
        if self.mapping is not None:
            self.mapping.stop()


def host_package(
    folder: Path, python: str = sys.executable, function: str = "processor", support: str = "lean"
) -> Path:
    """Build a function's package for this machine into `folder` and return it. Raises InstallationError."""
    what = ["--function", function, "--support", support, "--out", str(folder)]
    built = subprocess.run(
        [python, str(ROOT / "build" / "package.py"), "host", *what],
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode != 0:
        raise InstallationError(f"the deployment package could not be built: {built.stderr.strip()}")
    return folder


def client(service: str, endpoint_url: str, read_timeout: float = 20) -> Any:
    """A boto3 client of the loopback services, which never looks at this machine's own AWS settings."""
    return boto3.client(
        service,
        endpoint_url=endpoint_url,
        region_name=REGION,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        config=Config(
            read_timeout=read_timeout, connect_timeout=5, retries={"total_max_attempts": 2}, max_pool_connections=32
        ),
    )
