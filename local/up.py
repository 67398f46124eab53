"""`python -m local up`: the system stays up for the AWS CLI until it is told to stop."""

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from local.approvals.workflow import Approvals
from local.console import ConsolePage
from local.gateway import process
from local.installation import BUILD, ROOT, InstallationError
from local.ministack import CREDENTIALS, REGION, ServicesError
from local.options import environment, package, port, positive
from local.refusals import ENDPOINTS
from local.run_folder import new_directory
from local.system import PROVISIONS, LocalSystem
from local.view import View

PORT = 4566
#: What the last `make up` printed for another terminal: the view below these lines is painted again while one copies.
EXPORTS = BUILD / "local" / "exports"
#: How often the provisioned concurrency is looked up.
PROVISION_SECONDS = 3.0


def main(arguments: list[str]) -> int:
    """Run until Ctrl-C; 1 when it cannot start or the services died."""
    options = _options(arguments)
    try:
        approvals = Approvals(environment_name=options.environment, page_port=options.page_port)
        directory = new_directory()
        with (
            _gateway(options.gateway, directory / "gateway.sqlite") as gateway_url,
            LocalSystem(
                package=options.package,
                port=options.port,
                concurrency=options.concurrency,
                mapping=options.mapping,
                environment=options.environment,
                gateway_url=gateway_url,
                variables=approvals.variables,
                endpoints=approvals.endpoints,
                provision=options.provision,
                directory=directory,
            ) as system,
            approvals.running(system),
            closing(ConsolePage(system, approvals)) as page,
        ):
            _introduce(system, approvals, page)
            _wait(system, approvals, page)
    except (ServicesError, InstallationError, process.GatewayError) as error:
        print(f"local up: {error}", file=sys.stderr)
        return 1
    return 0


@contextmanager
def _gateway(name: str, database: Path) -> Iterator[str]:
    """The URL of a gateway that is met as Stripe is, "" for the one inside the functions."""
    if name == "simulated":
        yield ""
        return
    with process.running(database, seed=1, rates={}, planned={}) as (_, url):
        yield url


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local up", description=__doc__)
    parser.add_argument("--port", type=port, default=PORT, help="port on 127.0.0.1, 0 for any free one (%(default)s)")
    parser.add_argument("--concurrency", type=positive, default=4, help="environments at most (%(default)s)")
    parser.add_argument("--environment", type=environment, default="dev", help="the suffix of all names (%(default)s)")
    parser.add_argument("--mapping", choices=("local", "ministack"), default="local", help="who polls the queue")
    parser.add_argument("--provision", choices=PROVISIONS, default="local", help="who makes queues, table and function")
    parser.add_argument("--page-port", type=port, default=0, help="port of the approval page (any free one)")
    parser.add_argument(
        "--gateway",
        choices=("simulated", "stripe"),
        default="simulated",
        help="simulated approves everything inside the functions; stripe is a process that speaks as Stripe does",
    )
    parser.add_argument("--package", type=package, help="an unpacked deployment package (built when not given)")
    return parser.parse_args(arguments)


def _introduce(system: LocalSystem, approvals: Approvals, page: ConsolePage) -> None:
    names = system.names
    print(f"# {names.function}:live is up behind {names.queue}; logs are in {system.log_directory}")
    if system.gateway_variables["GATEWAY"] == "simulated":
        print("# The gateway is simulated: it approves every payment, and no money moves.")
    else:
        url = system.gateway_variables["GATEWAY_URL"]
        print(f"# The gateway at {url} speaks as Stripe does, with its test tokens; no money moves.")
        print(f"# What takes days there (pm_usBankAccount) settles with: curl -X DELETE {url}/_faults")
    lines = [f"export {name}={value}" for name, value in exports(system, approvals).items()]
    EXPORTS.write_text("\n".join(lines) + "\n")
    print(f"# In another terminal `. {EXPORTS.relative_to(ROOT)}`, or these lines:", *lines, sep="\n")
    print(
        "# Risky payments wait for `payments approvals list`, or for the links of their approvers, which appear here."
    )
    print(f"# What moves here, and faults to switch on, in a browser: {page.url}")
    print("# Ctrl-C stops it; the queue and the table go with it.", flush=True)


def exports(system: LocalSystem, approvals: Approvals) -> dict[str, str]:
    """What the AWS CLI, `payments`, `python -m handler` and the snippet of docs/local.md need to meet this system."""
    return {
        "AWS_ENDPOINT_URL": system.endpoint_url,
        **approvals.endpoints,
        **dict.fromkeys(ENDPOINTS, approvals.endpoint_url),
        **CREDENTIALS,
        "AWS_DEFAULT_REGION": REGION,
        "QUEUE_URL": system.resources.queue_url,
        "ENVIRONMENT": system.names.environment,
        "DYNAMODB_TABLE": system.names.table,
        "REJECTED_QUEUE_URL": system.resources.rejected_queue_url,
        **approvals.variables,
        "APPROVAL_PAGE_URL": approvals.page_url,
        **({"WEBHOOK_URL": approvals.webhook_url} if approvals.webhook_url else {}),
        **system.gateway_variables,
    }


def _wait(system: LocalSystem, approvals: Approvals, page: ConsolePage) -> None:
    said = 0
    unseen = ""
    provisioned_at = time.monotonic()
    try:
        with View(Console(), system.status) as view:
            while True:
                time.sleep(0.5)
                system.check()
                if time.monotonic() - provisioned_at > PROVISION_SECONDS:
                    system.provisioned.follow()
                    provisioned_at = time.monotonic()
                for problem in system.problems[said:]:
                    view.tell(f"local up: {problem}", "red")
                    said += 1
                try:
                    _look(system, approvals, view, page)
                # This only looks: the system goes on where the services are slow, or somebody has deleted a queue. If
                # they died, `check` says so a moment later.
                except (BotoCoreError, ClientError) as error:
                    if str(error) != unseen:
                        view.tell(f"local up: queue and mail cannot be looked at: {error}", "red")
                    unseen = str(error)
                else:
                    unseen = ""
    except KeyboardInterrupt:
        print("stopping", file=sys.stderr, flush=True)


def _look(system: LocalSystem, approvals: Approvals, view: View, page: ConsolePage) -> None:
    for link in approvals.mail():
        page.tell(link)
        view.tell(f"# mail to {link.approver}: {link.transaction_id} {link.url}")
        view.tell(f"# all that waits for {link.approver}: {link.list_url}")
    queue = system.queue_depth() | {"s old": system.queue_metrics.oldest_seconds or 0}
    page.show(queue)
    view.show(queue, [*system.environments(), *approvals.environments()])
