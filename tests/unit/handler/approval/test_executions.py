"""Executions through Lambda's API: started under the item's name, woken, asked whether they are closed."""

from __future__ import annotations

import pytest

from handler.adapters.approval.executions import LambdaCallbacks, LambdaExecutions
from handler.adapters.approval.starter import LambdaApprovalStarter
from handler.domain.errors import ApprovalStartError, ApprovalWakeError
from tests.support.approvals import ARN, CALLBACK, pending
from tests.support.aws import SUPPORTS, stubbed


@pytest.fixture
def aws():
    """The reference's client of Lambda, as the workflow has it, and its stub."""
    with stubbed("standard", "lambda") as aws:
        yield aws


@pytest.fixture(params=SUPPORTS)
def starting(request):
    """Either support's, as the queue function starts workflows."""
    with stubbed(request.param, "lambda") as aws:
        yield aws


FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:payment-processor-dev:live"


def test_a_workflow_is_started_under_the_items_name_with_the_canonical_bytes(starting):
    client, stubber = starting
    item = pending().stored()
    stubber.add_response(
        "invoke",
        {"StatusCode": 202},
        {
            "FunctionName": FUNCTION,
            "InvocationType": "Event",
            "DurableExecutionName": "dev-pay-abc123-1",
            "Payload": item.request.encode(),
        },
    )
    LambdaApprovalStarter(lambda: client, FUNCTION).start(item, item.request)


def test_already_started_is_success_for_our_own_request_only(starting):
    client, stubber = starting
    item = pending().stored()
    starter = LambdaApprovalStarter(lambda: client, FUNCTION)
    for _ in range(2):
        stubber.add_client_error("invoke", "DurableExecutionAlreadyStartedException")
    starter.start(item, item.request)
    with pytest.raises(ApprovalStartError):
        starter.start(item, item.request + " ")
    stubber.add_client_error("invoke", "TooManyRequestsException")
    with pytest.raises(ApprovalStartError):
        starter.start(item, item.request)


def test_a_callback_that_is_over_is_no_error(aws):
    client, stubber = aws
    stubber.add_response(
        "send_durable_execution_callback_success", {}, {"CallbackId": CALLBACK, "Result": b'{"approved": true}'}
    )
    LambdaCallbacks(client).wake(CALLBACK, "approve")
    stubber.add_client_error("send_durable_execution_callback_success", "CallbackTimeoutException")
    LambdaCallbacks(client).wake(CALLBACK, "approve")
    stubber.add_client_error("send_durable_execution_callback_success", "TooManyRequestsException")
    with pytest.raises(ApprovalWakeError):
        LambdaCallbacks(client).wake(CALLBACK, "approve")


@pytest.mark.parametrize(("status", "closed"), [("RUNNING", False), ("FAILED", True), ("SUCCEEDED", True)])
def test_an_execution_is_closed_when_lambda_says_so(aws, status, closed):
    client, stubber = aws
    answer = {
        "DurableExecutionArn": ARN,
        "DurableExecutionName": "n",
        "FunctionArn": FUNCTION,
        "StartTimestamp": 0,
        "Status": status,
    }
    stubber.add_response("get_durable_execution", answer, {"DurableExecutionArn": ARN})
    assert LambdaExecutions(client).is_closed(ARN) is closed


def test_an_execution_that_is_forgotten_is_closed(aws):
    client, stubber = aws
    stubber.add_client_error("get_durable_execution", "ResourceNotFoundException")
    assert LambdaExecutions(client).is_closed(ARN)
    stubber.add_client_error("get_durable_execution", "AccessDeniedException")
    with pytest.raises(ApprovalStartError):
        LambdaExecutions(client).is_closed(ARN)
