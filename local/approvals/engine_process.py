"""The durable engine's process: the SDK's own local runner, which goes on with what was under way when it was killed.

`python -m local.approvals.engine_process PORT LAMBDA_URL DATABASE`. The rule: after its death whatever waits for nobody
is invoked again, as AWS does it; the runner keeps its calls and timers in memory alone, and would leave it for ever. So
it also ends where it cannot keep something (a full disk), and begins anew on what its database holds.
"""

import logging
import os
import sys
from pathlib import Path

from aws_durable_execution_sdk_python.lambda_service import OperationStatus, OperationType
from aws_durable_execution_sdk_python_testing.execution import Execution
from aws_durable_execution_sdk_python_testing.runner import WebRunner, WebRunnerConfig
from aws_durable_execution_sdk_python_testing.stores.base import StoreType
from aws_durable_execution_sdk_python_testing.web.server import WebServiceConfig

from local.loopback import HOST
from local.ministack import REGION

# What is invoked writes its checkpoints by the server, which listens by then.
_AFTER_SECONDS = 0.5


class ResumingRunner(WebRunner):
    """The SDK's runner, which at its start takes up the executions of its database."""

    def start(self) -> None:
        super().start()
        assert self._store is not None
        assert self._executor is not None
        keep = self._store.save

        def keep_or_end(execution: Execution) -> None:
            try:
                keep(execution)
            except RuntimeError as error:
                logging.getLogger(__name__).critical("cannot keep %s: %s", execution.durable_execution_arn, error)
                os._exit(1)

        # An instance's own: the store is made by the start, and everybody holds this one.
        vars(self._store)["save"] = keep_or_end
        for execution in self._store.list_all():
            if execution.is_complete:
                continue
            # The only ways to its timers and to a call; there are no public ones.
            self._executor._schedule_earliest_pending(execution.durable_execution_arn)
            if not _waits(execution):
                self._executor._invoke_execution(execution.durable_execution_arn, delay=_AFTER_SECONDS)


def _waits(execution: Execution) -> bool:
    """Whether an execution is suspended: until its time comes, or for an answer from outside."""
    return any(
        (each.operation_type in (OperationType.CALLBACK, OperationType.WAIT) and each.status is OperationStatus.STARTED)
        or (each.operation_type is OperationType.STEP and each.status is OperationStatus.PENDING)
        for each in execution.operations
    )


def main(port: int, lambda_url: str, database: Path) -> None:
    """Serve until the process is ended."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s - %(name)s - %(levelname)s - %(message)s")
    config = WebRunnerConfig(
        web_service=WebServiceConfig(host=HOST, port=port, log_level=logging.WARNING),
        lambda_endpoint=lambda_url,
        local_runner_region=REGION,
        store_type=StoreType.SQLITE,
        store_path=str(database),
    )
    with ResumingRunner(config) as runner:
        runner.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
