"""The batch contract of the queue function: the published response, partial failures, order within a group."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from handler.adapters.gateways.simulated import SimulatedGateway
from handler.adapters.gateways.stripe import StripeGateway
from handler.adapters.memory_queues import MemorySourceQueue
from handler.adapters.support.errors import AwsError
from handler.approval_composition import compose_workflow
from handler.composition import Clients, compose
from handler.domain.errors import ConfigurationError, GatewayUnavailableError
from handler.domain.ports import PaymentGateway
from handler.domain.process import read, settle
from handler.domain.validate import Limits
from handler.queue_function import DIMENSIONS, METRICS, NAMESPACE, QueueFunction, create
from handler.settings import Settings, read_settings
from scoring.kernel import load_engine
from tests.support.payments import CARD, World, body, message, record, work
from tests.support.queue_function import Context, batch, create_function, metrics_of

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def no_instance_role(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without credentials the SDK would wait for a role that no machine of ours has."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def source_queue() -> MemorySourceQueue:
    return MemorySourceQueue()


@pytest.fixture
def logged() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def function(world: World, source_queue: MemorySourceQueue, logged: io.StringIO) -> QueueFunction:
    return create_function(world, source_queue, logged, world.rules)


def test_the_response_is_the_published_one_with_batch_item_failures_beside_it(function):
    response = function(batch(record(body())), Context())
    assert response["statusCode"] == 200
    assert response["batchItemFailures"] == []
    assert response["body"].keys() == {"processed", "failed", "cold_start", "duration_ms", "conflicts"}
    assert (response["body"]["processed"], response["body"]["failed"]) == (1, 0)
    assert response["body"]["cold_start"] is True
    assert function(batch(record(body(), "m-2")), Context())["body"]["cold_start"] is False


@pytest.mark.parametrize(
    ("initialization_type", "cold"),
    [
        ("on-demand", True),
        ("snap-start", True),
        ("", True),
        ("provisioned-concurrency", False),
        ("lambda-managed-instances", False),
    ],
)
def test_a_cold_start_is_one_that_a_payment_waited_for(capsys, initialization_type, cold):
    function = create({"AWS_LAMBDA_INITIALIZATION_TYPE": initialization_type, "SCORING_ENGINE": "pure"})
    assert function(batch(record(body())), Context())["body"]["cold_start"] is cold
    assert metrics_of(capsys.readouterr().out)["ColdStart"] == [float(cold)]
    assert function(batch(record(body(), "m-2")), Context())["body"]["cold_start"] is False


def test_an_empty_batch_and_an_event_without_records_are_nothing(function):
    events: tuple[dict[str, Any], ...] = ({"Records": []}, {})
    for event in events:
        assert function(event, Context())["body"]["processed"] == 0


def test_a_record_without_message_id_is_processed(function, world):
    assert function({"Records": [{"body": body()}]}, {})["body"]["processed"] == 1
    assert world.item()["status"] == "completed"


def test_a_failing_payment_returns_with_the_later_ones_of_its_group_and_others_go_on(function, world, source_queue):
    world.gateway.scripts["prepare"] = [None, GatewayUnavailableError("503")]
    records = [
        record(body(payment_id=f"pay-{number}"), f"m-{number}", group)
        for number, group in enumerate(["a", "b", "a", "b", "c"])
    ]
    response = function(batch(*records), Context())
    assert response["batchItemFailures"] == [{"itemIdentifier": "m-1"}, {"itemIdentifier": "m-3"}]
    assert (response["body"]["processed"], response["body"]["failed"]) == (3, 2)
    assert "txn-pay-3" not in world.dynamodb.items
    assert source_queue.delays == [("m-1", 5), ("m-3", 5)]


def test_a_whole_batch_that_fails_is_a_partial_response_and_not_an_exception(function, world):
    world.gateway.scripts["prepare"] = [GatewayUnavailableError("503")]
    response = function(batch(record(body())), Context())
    assert response["batchItemFailures"] == [{"itemIdentifier": "m-1"}]


@pytest.mark.parametrize(("receives", "seconds"), [(1, 5), (2, 10), (4, 40), (7, 180), (20, 180)])
def test_returned_messages_wait_twice_as_long_each_time(function, world, source_queue, receives, seconds):
    world.gateway.scripts["prepare"] = [GatewayUnavailableError("503")]
    function(batch(record(body(), receives=receives)), Context())
    assert source_queue.delays == [("m-1", seconds)]


def test_a_batch_of_duplicates_charges_once(function, world):
    response = function(batch(*(record(body(), f"m-{number}") for number in range(10))), Context())
    assert response["body"]["processed"] == 10
    assert world.gateway.calls == ["prepare", "charge"]


def test_rejected_payments_count_as_failed_and_are_acknowledged(function):
    response = function(batch(record("not json", "m-1"), record(body(amount=-1), "m-2")), Context())
    assert (response["body"]["processed"], response["body"]["failed"]) == (0, 2)
    assert response["batchItemFailures"] == []


def test_a_reason_is_logged_with_what_was_refused_and_not_with_what_wider_limits_had_claimed(
    world, source_queue, logged
):
    claimed = read([message()], world.rules, world.ports, lambda: 30_000)[0]
    assert settle(claimed, world.rules, world.ports, work("req-0:m-1")) == "completed"
    narrow = world.rules._replace(limits=Limits(amount_max_minor=100))
    create_function(world, source_queue, logged, narrow)(
        batch(record(body()), record(body(payment_id="pay-2"), message_id="m-2", group="group-2")), Context()
    )
    lines = {line["message"]: line.get("reason_code") for line in map(json.loads, logged.getvalue().splitlines())}
    assert lines == {"duplicate": None, "rejected": "amount_too_large"}


def test_an_unexpected_error_returns_the_message(function, world):
    world.gateway.scripts["prepare"] = [KeyError("a bug")]
    assert function(batch(record(body())), Context())["batchItemFailures"] == [{"itemIdentifier": "m-1"}]


def test_metrics_have_the_published_names_and_their_units(function, capsys):
    function(batch(record(body()), record("x", "m-2")), Context())
    line = metrics_of(capsys.readouterr().out)
    assert (line["ProcessedPayments"], line["FailedPayments"], line["ColdStart"], line["LambdaErrors"]) == (
        [1.0],
        [1.0],
        [1.0],
        [0.0],
    )
    definition = line["_aws"]["CloudWatchMetrics"][0]
    assert definition["Namespace"] == "CloudCafe/Lambda"
    units = {metric["Name"]: metric["Unit"] for metric in definition["Metrics"]}
    assert units["Duration"] == "Milliseconds"
    assert set(units.values()) == {"Milliseconds", "Count"}
    optional = ("PreparedInVain", "FoundAtGateway")  # where prepares are sent ahead, after a restore of the table
    assert units == {name: unit for name, (unit, _) in METRICS.items() if name not in optional}


def test_metrics_have_the_dimensions_that_alarms_and_dashboard_name(capsys):
    create({"SCORING_ENGINE": "pure"})(batch(record(body())), Context())
    definition = metrics_of(capsys.readouterr().out)["_aws"]["CloudWatchMetrics"][0]
    assert definition["Namespace"] == NAMESPACE
    assert [set(dimensions) for dimensions in definition["Dimensions"]] == [set(DIMENSIONS)]


def test_logs_carry_the_payment_id_and_never_a_body_or_card_number(function, logged, capsys):
    text = body(description="a latte", customer_id=CARD, payment_id="pay-77")
    function(batch(record(text, group=CARD), record(f"{CARD} broken", "m-2")), Context())
    lines = [json.loads(line) for line in logged.getvalue().splitlines()]
    output = logged.getvalue() + capsys.readouterr().out
    assert {"pay-77"} <= {line.get("correlation_id") for line in lines}
    assert (CARD in output, "latte" in output) == (False, False)


def test_a_refunds_log_lines_carry_its_payments_id_and_no_card_number(function, logged):
    text = '{"refund": {"payment_id": "%s", "refund_id": "r-1", "amount": 1.00, "currency": "USD"}}'
    function(batch(record(text % "pay-78"), record(text % CARD, "m-2")), Context())
    lines = [json.loads(line) for line in logged.getvalue().splitlines() if '"message_id"' in line]
    assert {(line["message_id"], line["correlation_id"]) for line in lines} == {("m-1", "pay-78"), ("m-2", "")}
    assert CARD not in logged.getvalue()


def test_a_failed_init_leaves_the_garbage_collector_on():
    snippet = """
import gc, os, handler
os.environ["STRESS_MODE"] = "warm"
try:
    handler.lambda_handler
except Exception as error:
    print(error, gc.isenabled())
"""
    assert run("-c", snippet).stdout.endswith("allowed: none | cold_start True\n")


URL = "https://gateway.example"
OUTSIDE = {
    "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
    "REJECTED_QUEUE_URL": "http://127.0.0.1:1/000000000000/rejected.fifo",
}

IN_LAMBDA = {**OUTSIDE, "AWS_LAMBDA_FUNCTION_NAME": "cloudcafe-payment-processor-dev"}
DEV_IN_LAMBDA = {**IN_LAMBDA, "ENVIRONMENT": "dev"}
SIMULATED_IN_LAMBDA = {**DEV_IN_LAMBDA, "GATEWAY": "simulated"}
STRIPE = {
    **OUTSIDE,
    "GATEWAY": "stripe",
    "GATEWAY_MODE": "test",
    "GATEWAY_SECRET_ARN": "arn:aws:secretsmanager:us-east-1:000000000000:secret:key",
    "GATEWAY_URL": URL,
    "CANONICAL_VERSION_WRITTEN": "2",
}


@pytest.fixture
def gateway_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the secret holds."""
    monkeypatch.setattr("handler.composition.read_text", lambda client, arn: "sk_test_12345678")


class UnreachedTable:
    def get_item(self, **_: Any) -> Any:
        raise AwsError("GetItem", "", "not reached")


def unreached(settings: Settings) -> Clients | None:
    return None if settings.in_memory else lambda service: UnreachedTable()


def gateway_of(**variables: str) -> PaymentGateway:
    settings = read_settings(variables)
    return compose(settings, load_engine("pure"), logging.getLogger(__name__), unreached(settings)).ports.gateway


@pytest.mark.parametrize(
    ("variables", "gateway"),
    [
        ({}, SimulatedGateway),
        ({"ENVIRONMENT": "stage"}, SimulatedGateway),
        ({**OUTSIDE}, SimulatedGateway),
        ({**OUTSIDE, "GATEWAY": "simulated"}, SimulatedGateway),
        (SIMULATED_IN_LAMBDA, SimulatedGateway),
        ({**IN_LAMBDA, "GATEWAY": "simulated"}, SimulatedGateway),
        ({**OUTSIDE, "ENVIRONMENT": "live", "GATEWAY": "simulated"}, SimulatedGateway),
        ({**STRIPE, "ENVIRONMENT": "prod"}, StripeGateway),
    ],
)
@pytest.mark.usefixtures("gateway_key")
def test_the_gateway_is_the_one_that_is_named(variables, gateway):
    assert type(gateway_of(**variables)) is gateway


@pytest.mark.parametrize("environment", ["live", "prod-eu", "stage", "devel", "benchmark", "prod", "production"])
def test_no_environment_but_dev_runs_on_the_simulated_gateway_unnamed(environment):
    with pytest.raises(ConfigurationError, match=r"^GATEWAY is not set"):
        gateway_of(**OUTSIDE, ENVIRONMENT=environment)


@pytest.mark.parametrize("given", [IN_LAMBDA, DEV_IN_LAMBDA, {**DEV_IN_LAMBDA, "GATEWAY": ""}])
def test_in_lambda_no_gateway_is_fallen_into(given):
    with pytest.raises(ConfigurationError, match=r"^GATEWAY is not set; allowed: stripe, .*, or simulated, .*Lambda$"):
        gateway_of(**given)


@pytest.mark.parametrize("environment", ["prod", "production"])
@pytest.mark.parametrize("outside", [OUTSIDE, IN_LAMBDA, {}])
def test_production_never_runs_on_the_simulated_gateway(environment, outside):
    with pytest.raises(ConfigurationError, match=r"^GATEWAY is 'simulated'"):
        gateway_of(**outside, ENVIRONMENT=environment, GATEWAY="simulated")
    with pytest.raises(ConfigurationError, match=r"^GATEWAY is not set"):
        gateway_of(**outside, ENVIRONMENT=environment)


def test_a_gateway_and_a_url_that_contradict_each_other_fail_init():
    with pytest.raises(ConfigurationError, match=r"^GATEWAY is 'simulated'"):
        gateway_of(GATEWAY="simulated", GATEWAY_URL=URL)
    with pytest.raises(ConfigurationError, match=r"^GATEWAY is not set; allowed: stripe, as GATEWAY_URL is set"):
        gateway_of(GATEWAY_URL=URL)


@pytest.mark.parametrize(
    ("given", "name"),
    [({}, "simulated"), (STRIPE, "stripe")],
)
@pytest.mark.usefixtures("gateway_key", "credentials")
def test_init_says_which_gateway_it_has_and_that_the_simulated_one_moves_no_money(capsys, given, name):
    create({"SCORING_ENGINE": "pure", **given})
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    [ready] = [line for line in lines if line["message"] == "ready"]
    assert (ready["gateway"], ready["gateway_url"]) == (name, given.get("GATEWAY_URL", ""))
    told = "the gateway is simulated: it approves every payment, and no money moves"
    warned = [line["level"] for line in lines if line["message"] == told]
    assert warned == ["WARNING"] * (name == "simulated")


WORKFLOW = "payment-processor-dev:live"


@pytest.mark.parametrize(
    ("variables", "asks"),
    [
        (SIMULATED_IN_LAMBDA, False),
        ({**SIMULATED_IN_LAMBDA, "APPROVAL_FUNCTION_ARN": WORKFLOW}, True),
        ({**OUTSIDE}, True),
        ({}, True),
    ],
)
def test_only_a_function_in_lambda_without_a_workflow_declines_what_needs_a_person(variables, asks):
    settings = read_settings(variables)
    services = compose(settings, load_engine("pure"), logging.getLogger(__name__), unreached(settings))
    assert services.rules.routing.asks is asks


@pytest.mark.usefixtures("credentials")
def test_a_function_in_lambda_without_a_workflow_says_so_at_init(capsys):
    create({**SIMULATED_IN_LAMBDA, "SCORING_ENGINE": "pure"})
    assert "approval_unavailable" in capsys.readouterr().out
    create({**SIMULATED_IN_LAMBDA, "APPROVAL_FUNCTION_ARN": WORKFLOW, "SCORING_ENGINE": "pure"})
    assert "approval_unavailable" not in capsys.readouterr().out


@pytest.mark.usefixtures("credentials")
def test_the_workflow_itself_always_has_somebody_to_ask():
    rules, _ = compose_workflow({**SIMULATED_IN_LAMBDA, "AWS_REGION": "us-east-1"})
    assert rules.payments.routing.asks


def test_in_memory_a_risky_payment_is_recorded_as_pending_and_says_so():
    done = run("-m", "handler", "events/high_risk.json")
    assert done.returncode == 0, done.stderr
    assert '"processed": 1' in done.stdout
    assert '"message":"pending_approval"' in done.stdout
    assert "no workflow is deployed" in done.stderr


@pytest.mark.usefixtures("credentials")
def test_the_rejected_queue_must_be_named_outside_memory():
    with pytest.raises(Exception, match="REJECTED_QUEUE_URL is not set"):
        create({"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "SCORING_ENGINE": "pure"})


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "FRAUD_ITERATIONS": "10"}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=environment, cwd=ROOT, check=False
    )


def test_the_published_snippet_works_and_says_that_it_works_in_memory():
    snippet = """
import handler
import json

event = {
    'Records': [{
        'body': json.dumps({
            'payment_id': 'test-123',
            'order_id': 'ord-123',
            'customer_id': 'cust-456',
            'amount': 25.99,
            'payment_method': 'credit_card'
        })
    }]
}

result = handler.lambda_handler(event, {})
print(json.dumps(result, indent=2))
"""
    done = run("-c", snippet)
    assert done.returncode == 0, done.stderr
    assert '"processed": 1' in done.stdout
    assert "in memory" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "processed"), [([], 1), (["events/low_risk.json"], 1), (["events/sqs_batch.json"], 4)]
)
def test_the_package_runs_as_a_program(arguments, processed):
    done = run("-m", "handler", *arguments)
    assert done.returncode == 0, done.stderr
    assert f'"processed": {processed}' in done.stdout


def test_importing_the_package_imports_nothing_of_the_queue_function():
    done = run(
        "-c", "import sys, handler; print([name for name in sys.modules if 'botocore' in name or 'powertools' in name])"
    )
    assert done.stdout.strip() == "[]"
