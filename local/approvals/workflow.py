"""The approval workflow on this machine: its function in every published version, its page, and what serves them.

The rule: everything that is started here ends with `running`.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from handler.domain.payment import approval_name
from local.approvals.engine import EXECUTION_TIMEOUT_SECONDS, RETENTION_DAYS, DurableEngine
from local.approvals.functions import Functions
from local.approvals.identities import OPERATOR
from local.approvals.lambda_api import LambdaApi
from local.approvals.mail import Link, Mail
from local.approvals.page import Page
from local.approvals.schedule import Schedule
from local.approvals.webhook import Webhook
from local.execution_environment import ExecutionEnvironment
from local.ministack import ACCOUNT, CREDENTIALS, REGION
from local.resources import ALIAS
from local.switches import Switches
from local.system import LocalSystem, client

# A person waits for the page, and an approved charge for the workflow: on a busy machine neither gets along with a
# run's scaled time-out, which only the queue function's messages need to come back soon.
TIMEOUT_SECONDS_MIN = 10
# As Terraform's schedule has it, its time-out, and its patience.
RECONCILE_SECONDS = 600.0
PATIENCE_SECONDS = 600.0
# Of reconcile and webhook: warm from one call to the next where these follow closely, as in `make run`: a cold start
# costs more than a call.
WARM_SECONDS_MAX = 30.0
RECONCILE_TIMEOUT_SECONDS = 300


class Approvals:
    """Make it before the local system (which needs `variables` and `endpoints`), then run it with `running(system)`."""

    def __init__(
        self,
        *,
        environment_name: str = "dev",
        timeout_seconds: float = 86_400,
        approvers: tuple[str, ...] = ("alice", "bob", OPERATOR),
        page_port: int = 0,
        variables: dict[str, str] | None = None,
        package: Path | None = None,
        reconcile_seconds: float = RECONCILE_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
        loses_start_of: str = "",
    ) -> None:
        """`timeout_seconds` is how long a person may take; `variables` are added to the workflow's.

        Reconcile runs every `reconcile_seconds`, and waits `patience_seconds` for a workflow that is late. The first
        execution of payment `loses_start_of` never begins.

        `package` is the workflow's unpacked deployment package, built from this checkout when None. It runs under the
        local system's own `runtime_python`, if that has one.
        """
        self.function = f"payment-processor-{environment_name}"
        self.timeout_seconds = timeout_seconds
        self.approvers = approvers
        self._extra = variables or {}
        self._reconcile_seconds = reconcile_seconds
        self._patience_seconds = patience_seconds
        self._package = package
        self._page = Page(page_port)
        first = approval_name(environment_name, loses_start_of, 1) if loses_start_of else ""
        self._api = LambdaApi(self.function, first)
        self.endpoint_url = self._api.url
        self.page_url = self._page.url

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
        directory = system.directory / "approvals"
        directory.mkdir(exist_ok=True)
        key = directory / "key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(32))
        self._mail = Mail(system.clients["sns"], system.clients["sqs"], system.names.environment, self.page_url)
        package = self._package or system.workflow_package()
        deciding = {
            "DYNAMODB_TABLE": system.names.table,
            "ENVIRONMENT": system.names.environment,
            "REJECTED_QUEUE_URL": system.resources.rejected_queue_url,
            "APPROVAL_KEY_ID": f"file:{key}",
        }
        self._functions = functions = Functions(system, package, self.endpoints)
        workflow = {
            **deciding,
            **system.times.variables(),
            **system.gateway_variables,
            "APPROVAL_TIMEOUT_SECONDS": f"{self.timeout_seconds:g}",
            "APPROVAL_TOPIC_ARN": self._mail.topic_arn,
            "APPROVAL_PAGE_URL": self.page_url,
            "APPROVERS": ",".join(self.approvers),
            **self._extra,
        }
        timeout_seconds = max(system.times.function_timeout_seconds, TIMEOUT_SECONDS_MIN)
        durable = {"ExecutionTimeout": EXECUTION_TIMEOUT_SECONDS, "RetentionPeriodInDays": RETENTION_DAYS}
        functions.make(
            self.function, "handler.workflow.lambda_handler", timeout_seconds, workflow, DurableConfig=durable
        )
        page = f"{self.function}-page"
        appointed = deciding | {"APPROVERS": workflow["APPROVERS"]}
        functions.make(page, "handler.approval_page.lambda_handler", timeout_seconds, appointed)
        reconcile = f"{self.function}-reconcile"
        paying = {
            **deciding,
            **system.times.variables(),
            **system.gateway_variables,
            **self.variables,
            "RECONCILE_PATIENCE_SECONDS": f"{self._patience_seconds:g}",
        }
        functions.make(
            reconcile,
            "handler.reconcile_function.lambda_handler",
            RECONCILE_TIMEOUT_SECONDS,
            paying,
            idle_seconds_max=WARM_SECONDS_MAX,
        )
        self.webhook = webhook = self._webhook()
        self._schedule = Schedule(reconcile, self._reconcile_seconds, system.note)
        self._engine = DurableEngine(directory, system.processes, self.endpoint_url, system.note)
        wake_ups = webhook.start(functions.live(reconcile)) if webhook else None
        switches = None
        # What Terraform made is told by ministack, which has it.
        if system.mapping is not None and system.terraform is None:
            mappings = {system.names.function: system.mapping}
            if wake_ups:
                mappings[reconcile] = wake_ups
            switches = Switches(mappings, reconcile, self._schedule)
        names = directory / "names.sqlite"
        self._api.open(self._engine, names, system.endpoint_url, system.provisioned, functions, switches=switches)
        self._page.open(functions.live(page), functions.live(f"{self.function}-webhook") if webhook else None)
        self._engine.start()
        self._engine.keep()
        self._schedule.start(functions.live(reconcile))
        self.environment_variables = {
            "AWS_ENDPOINT_URL": system.endpoint_url,
            "AWS_REGION": REGION,
            **CREDENTIALS,
            **deciding,
            "APPROVAL_PAGE_URL": self.page_url,
            **self.endpoints,
            **self.variables,
        }
        try:
            yield self
        finally:
            self._schedule.stop()
            if webhook:
                webhook.stop()
            self._api.close()
            self._page.close()
            functions.stop()
            self._engine.stop()

    def _webhook(self) -> Webhook | None:
        """Its queue and its function, where the gateway has events and Terraform has not said what there is."""
        if self._system.terraform is not None or self._system.gateway_variables["GATEWAY"] == "simulated":
            return None
        webhook = Webhook(self._system)
        name, entry = f"{self.function}-webhook", "handler.webhook_function.lambda_handler"
        self._functions.make(name, entry, TIMEOUT_SECONDS_MIN, webhook.variables, idle_seconds_max=WARM_SECONDS_MAX)
        return webhook

    @property
    def webhook_url(self) -> str:
        """Where the gateway's events go; "" where there is no webhook."""
        return self._page.webhook_url

    def environments(self) -> list[ExecutionEnvironment]:
        """Those of workflow, page and reconcile that are alive now, of every version."""
        return self._functions.environments()

    @property
    def starts_lost(self) -> int:
        """How often the start that is lost was asked for."""
        return self._api.lost

    @property
    def engine_pid(self) -> int | None:
        return self._engine.pid

    @property
    def engine_starts(self) -> int:
        return self._engine.starts

    def mail(self) -> list[Link]:
        """The links that came since the last call."""
        return self._mail.links()

    def decide(self, link: Link, decision: str, comment: str) -> int:
        """Send the form behind a link, as a browser does; returns the page's HTTP status."""
        return self._page.decide(link, decision, comment)


def durable_client(approvals: Approvals) -> Any:
    """A boto3 Lambda client of the local durable engine, e.g. to approve with a bare callback."""
    return client("lambda", approvals.endpoint_url)
