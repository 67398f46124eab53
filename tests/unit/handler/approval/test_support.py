"""Log lines, metrics and traces of the workflow's functions, each entry module in a process of its own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from handler.adapters.approval.signing import FileSigner
from handler.adapters.approval.support import observe
from handler.domain.approval.token import Invitation, callback_digest, write_token
from handler.domain.errors import ConfigurationError
from handler.reconcile_function import METRICS
from tests.support.approvals import CALLBACK

ROOT = Path(__file__).parents[4]
TRACE = "1-5759e988-bd862e3fe1be46a994272793"
# Lambda's variables that Powertools and X-Ray's SDK read.
LAMBDA = {
    "LAMBDA_TASK_ROOT": "/var/task",
    "_X_AMZN_TRACE_ID": f"Root={TRACE};Parent=53995c3f42cd8ad8;Sampled=1",
    "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
}
# What would put every event and every answer into lines and traces.
TELLTALE = {"POWERTOOLS_LOGGER_LOG_EVENT": "true", "POWERTOOLS_TRACER_CAPTURE_RESPONSE": "true"}
PROGRAM = """
import importlib, json, sys
entry = importlib.import_module(sys.argv[1])
class Context:
    aws_request_id = "req-1"
    function_name = "payment-processor-dev-page"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:payment-processor-dev-page"
    def get_remaining_time_in_millis(self):
        return 30_000
answer = entry.lambda_handler(json.loads(sys.argv[2]), Context())
print(json.dumps({"answer": answer, "traced": "aws_xray_sdk" in sys.modules}), file=sys.stderr)
"""


class Table(BaseHTTPRequestHandler):
    """DynamoDB without any payment, which knows who asked it."""

    agents: ClassVar[set[str]] = set()

    def do_POST(self) -> None:
        self.agents.add(self.headers["User-Agent"].partition("/")[0])
        self.rfile.read(int(self.headers["Content-Length"]))
        said = b'{"Items": [], "Count": 0}' if self.headers["X-Amz-Target"].endswith("Query") else b"{}"
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def variables(tmp_path: Path) -> Iterator[dict[str, str]]:
    """What a function is given, with a table on this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Table)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Table.agents.clear()
    (tmp_path / "key").write_bytes(b"k" * 32)
    (tmp_path / "key").chmod(0o600)
    yield {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "GATEWAY": "simulated",
        "REJECTED_QUEUE_URL": "http://127.0.0.1:1/123456789012/rejected.fifo",
        "SCORING_ENGINE": "pure",
        "APPROVAL_KEY_ID": f"file:{tmp_path / 'key'}",
        "APPROVERS": "alice,bob",
    }
    server.shutdown()
    server.server_close()


def call(module: str, event: dict[str, Any], variables: dict[str, str]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The lines on standard output of one invocation, and what the program said of it."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **variables}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, module, json.dumps(event)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()], json.loads(done.stderr.splitlines()[-1])


def opened(token: str) -> dict[str, Any]:
    """The page's event when a link is opened."""
    return {"requestContext": {"http": {"method": "GET"}}, "rawQueryString": f"t={token}"}


def token(variables: dict[str, str]) -> str:
    signer = FileSigner(Path(variables["APPROVAL_KEY_ID"].removeprefix("file:")))
    expires_at = time.time_ns() // 1_000_000 + 3_600_000
    return write_token(Invitation("txn-pay-1", callback_digest(CALLBACK), "0" * 64, "alice", expires_at), signer)


@pytest.fixture
def daemon() -> Iterator[socket.socket]:
    """Where X-Ray's SDK sends segments to."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.settimeout(0.2)
        yield listening


def segments(daemon: socket.socket) -> list[dict[str, Any]]:
    """All that was sent so far."""
    found = []
    while True:
        try:
            found.append(json.loads(daemon.recv(65_536).partition(b"\n")[2]))
        except TimeoutError:
            return found


def traced(daemon: socket.socket) -> dict[str, str]:
    port = daemon.getsockname()[1]
    return {**LAMBDA, "POWERTOOLS_TRACE_DISABLED": "false", "AWS_XRAY_DAEMON_ADDRESS": f"127.0.0.1:{port}"}


def test_a_line_of_the_page_is_powertools_and_names_its_invocation_and_its_trace(variables):
    [line], said = call("handler.approval_page", opened("forged"), {**variables, **LAMBDA})
    assert said["answer"]["statusCode"] == 403
    assert (line["level"], line["message"]) == ("INFO", "refused: token_invalid")
    assert (line["service"], line["name"]) == ("payment-approval-page", "handler.approval_page")
    assert line["location"].startswith("__call__:")
    assert (line["function_request_id"], line["cold_start"], line["xray_trace_id"]) == ("req-1", True, TRACE)


@pytest.mark.parametrize("module", ["handler.approval_page", "handler.reconcile_function"])
def test_the_calls_of_aws_are_boto3s(module, variables):
    call(module, opened(token(variables)), variables)
    assert Table.agents == {"Boto3"}


def test_no_line_and_no_trace_of_the_page_has_the_link_that_was_opened(variables, daemon):
    secret = token(variables)
    lines, said = call("handler.approval_page", opened(secret), {**variables, **traced(daemon), **TELLTALE})
    assert said["answer"]["statusCode"] == 404
    sent = segments(daemon)
    assert [line["message"] for line in lines] == ["refused: unknown"]
    assert {each["name"] for each in sent} == {"## lambda_handler", "dynamodb"}
    assert secret not in json.dumps([lines, sent])
    assert "no payment txn-pay-1" not in json.dumps(sent)


def test_a_trace_has_the_invocation_and_the_calls_of_aws_in_it(variables, daemon):
    call("handler.reconcile_function", {}, {**variables, **traced(daemon)})
    sent = segments(daemon)
    [invocation] = [each for each in sent if each["name"] == "## lambda_handler"]
    assert (invocation["trace_id"], invocation["parent_id"]) == (TRACE, "53995c3f42cd8ad8")
    assert invocation["annotations"] == {"ColdStart": True, "Service": "payment-reconcile"}
    calls = [each for each in sent if each["parent_id"] == invocation["id"]]
    assert {(each["name"], each["aws"]["operation"]) for each in calls} == {("dynamodb", "Query")}


@pytest.mark.parametrize("said", [{}, {"POWERTOOLS_TRACE_DISABLED": "true"}])
@pytest.mark.parametrize("module", ["handler.approval_page", "handler.reconcile_function"])
def test_untraced_the_sdk_of_x_ray_is_not_imported(module, said, variables):
    _, found = call(module, opened("forged"), {**variables, **LAMBDA, **said})
    assert not found["traced"]


def test_a_switch_of_traces_that_is_no_truth_value_is_an_error_that_names_it():
    with pytest.raises(ConfigurationError, match=r"^POWERTOOLS_TRACE_DISABLED is 'perhaps'; allowed: true or false"):
        observe("payment-reconcile", {"POWERTOOLS_TRACE_DISABLED": "perhaps"})


def test_reconcile_counts_in_the_one_dimension_that_its_alarms_name(variables):
    lines, said = call("handler.reconcile_function", {}, {**variables, "POWERTOOLS_SERVICE_NAME": "another"})
    assert said["answer"] == {"old_open_payments": 0, "parked_payments": 0}
    [line] = [line for line in lines if "_aws" in line]
    [definition] = line["_aws"]["CloudWatchMetrics"]
    assert definition == {
        "Namespace": "CloudCafe/Lambda",
        "Dimensions": [["environment"]],
        "Metrics": [{"Name": name, "Unit": "None"} for name in METRICS],
    }
    assert (line["environment"], line["OldOpenPayments"], line["ParkedPayments"]) == ("dev", [0.0], [0.0])


def test_a_logger_that_is_made_later_writes_the_same_lines():
    program = (
        "import logging; from handler.adapters.approval.support import observe; observe('payment-approval', {});"
        "logging.getLogger('handler.later').info('said', extra={'alarm': 'two_outcomes'})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    line = json.loads(done.stdout)
    # What the metric filter behind an alarm reads.
    assert (line["level"], line["service"], line["message"], line["alarm"]) == (
        *("INFO", "payment-approval", "said", "two_outcomes"),
    )
