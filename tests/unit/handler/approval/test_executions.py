"""Executions through Lambda's API: started under the item's name, woken, asked whether they are closed."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.session import get_session
from botocore.stub import Stubber

from handler.adapters.approval.executions import LambdaCallbacks, LambdaExecutions
from handler.adapters.approval.starter import LambdaApprovalStarter
from handler.domain.errors import ApprovalStartError, ApprovalWakeError
from tests.support.approvals import ARN, CALLBACK, pending


@pytest.fixture
def aws():
    """A stubbed botocore client by service name; every planned answer must have been used."""
    stubbers: list[Stubber] = []

    def make(service: str) -> tuple[Any, Stubber]:
        client = get_session().create_client(
            service, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
        )
        stubbers.append(Stubber(client))
        stubbers[-1].activate()
        return client, stubbers[-1]

    yield make
    for stubber in stubbers:
        stubber.assert_no_pending_responses()


FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:payment-processor-dev:live"


def test_a_workflow_is_started_under_the_items_name_with_the_canonical_bytes(aws):
    client, stubber = aws("lambda")
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


def test_already_started_is_success_for_our_own_request_only(aws):
    client, stubber = aws("lambda")
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
    client, stubber = aws("lambda")
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
    client, stubber = aws("lambda")
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
    client, stubber = aws("lambda")
    stubber.add_client_error("get_durable_execution", "ResourceNotFoundException")
    assert LambdaExecutions(client).is_closed(ARN)
    stubber.add_client_error("get_durable_execution", "AccessDeniedException")
    with pytest.raises(ApprovalStartError):
        LambdaExecutions(client).is_closed(ARN)
