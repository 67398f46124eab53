"""`payments approvals approve | reject` over HTTP, signed, to what stands for API Gateway here.

Both ends are the shipped ones: the command line, and the local system's page with its function in this process.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from handler.approval_page import ApprovalPage
from local.approvals.identities import OPERATOR
from local.approvals.page import Page
from local.approvals.server import Request, Server
from local.ministack import CREDENTIALS, REGION
from operations import __main__ as cli
from tests.support.approvals import ApprovalWorld, TestSigner, decisions, pending
from tests.support.payments import KEY

CFO = "arn:aws:iam::000000000000:user/chief-financial-officer"
APPROVERS = {"alice", OPERATOR}
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def world() -> ApprovalWorld:
    return pending()


@pytest.fixture
def page(world: ApprovalWorld) -> Iterator[Page]:
    """The local page's address, over its function in this process."""
    served = Page()

    def invoke(event: bytes) -> Any:
        answer = ApprovalPage(decisions(world), TestSigner(), APPROVERS)(json.loads(event), {})
        return SimpleNamespace(error_type="", payload=json.dumps(answer).encode())

    served.open(SimpleNamespace(invoke=invoke))  # type: ignore[arg-type]
    yield served
    served.close()


@pytest.fixture
def command(
    world: ApprovalWorld, page: Page, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Runs `payments approvals ...` with the local system's credentials; returns exit code, output and errors."""
    for name, value in {**CREDENTIALS, "AWS_EC2_METADATA_DISABLED": "true"}.items():
        monkeypatch.setenv(name, value)
    for name in ("HTTP_PROXY", "http_proxy", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str, **variables: str) -> tuple[int, str, str]:
        given = {"AWS_REGION": REGION, "APPROVAL_PAGE_URL": page.url, "SCORING_ENGINE": "pure"} | variables
        code = cli.main(["approvals", *arguments, "--yes"], given)
        return code, *capsys.readouterr()

    return run


def serving(answer: Callable[[Request], None]) -> Server:
    server = Server(answer)
    server.start("a-server")
    return server


def test_who_decided_is_whose_key_signed(command: Command, world: ApprovalWorld) -> None:
    code, said, errors = command("approve", "pay-abc123", "--reason", "called the customer")
    assert (code, said) == (0, f"{KEY} approved by {OPERATOR}: called the customer\n"), errors
    assert (world.item()["decision"], world.item()["decided_by"]) == ("approve", OPERATOR)
    code, _, errors = command("reject", KEY, "--reason", "stolen")
    assert (code, errors.startswith(f"payments: {KEY} was approved by {OPERATOR} at ")) == (1, True)


def test_an_sts_of_ones_own_makes_nobody_another(
    command: Command, world: ApprovalWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def says_cfo(request: Request) -> None:
        asked.append(request.path)
        xml = f"<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>{CFO}</Arn></GetCallerIdentityResult>"
        request.reply(200, f"{xml}</GetCallerIdentityResponse>".encode(), {"Content-Type": "text/xml"})

    server = serving(says_cfo)
    try:
        # The command line's own variables, and those that botocore reads.
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", server.url)
        own_sts = {"AWS_ENDPOINT_URL_STS": server.url}
        monkeypatch.setitem(globals(), "APPROVERS", {"alice", CFO})
        code, said, errors = command("approve", KEY, "--reason", "I am the chief financial officer", **own_sts)
    finally:
        server.stop()
    assert (code, said) == (1, "")
    assert errors == f"payments: {OPERATOR} is no approver: nothing was decided.\n"
    assert asked == []
    assert "decision" not in world.item()
    assert world.callbacks.woken == []


@pytest.mark.parametrize(
    "credentials",
    [{"AWS_ACCESS_KEY_ID": "nobody"}, {"AWS_SECRET_ACCESS_KEY": "guessed"}],
    ids=["an unknown key", "a wrong secret"],
)
def test_credentials_that_aws_does_not_know_are_told_what_is_needed(
    command: Command, world: ApprovalWorld, monkeypatch: pytest.MonkeyPatch, credentials: dict[str, str]
) -> None:
    for name, value in credentials.items():
        monkeypatch.setenv(name, value)
    code, _, errors = command("approve", KEY, "--reason", "x")
    assert code == 4
    assert errors.startswith("payments: AWS did not let the request through: nothing was decided. ")
    assert "may execute-api:Invoke on the page's PUT /approvals, as policy `approver` says" in errors
    assert "decision" not in world.item()


def test_a_page_of_another_environment_decides_nothing(command: Command, world: ApprovalWorld) -> None:
    code, _, errors = command("--environment", "prod", "approve", KEY, "--reason", "x")
    assert (code, errors) == (
        1,
        "payments: This page decides in environment dev, not in prod: nothing was decided.\n",
    )
    assert "decision" not in world.item()


@pytest.mark.parametrize(
    ("status", "body", "ends", "said"),
    [
        (404, b'{"message":"Not Found"}', 2, "APPROVAL_PAGE_URL is 'http://127.0.0.1:"),
        (405, b"<!doctype html>", 2, "APPROVAL_PAGE_URL is 'http://127.0.0.1:"),
        (429, b'{"message":"Too Many Requests"}', 5, "too many requests: nothing was decided; try again in a minute"),
        (500, b'{"message":"Internal Server Error"}', 5, "500: Internal Server Error; it is not known whether the dec"),
        (502, b"<html>", 5, "502: it is not known whether the decision stands: send it again, as the same one counts"),
        (200, b"[]", 5, "200: it is not known whether the decision stands"),
        (
            503,
            b'{"reason_code": "approval_wake_failed", "message": "Your decision is recorded. Send it again."}',
            5,
            "payments: Your decision is recorded. Send it again.\n",
        ),
    ],
)
def test_an_answer_that_is_no_decision_says_what_is_known(
    command: Command, status: int, body: bytes, ends: int, said: str
) -> None:
    server = serving(lambda request: request.reply(status, body))
    try:
        code, _, errors = command("approve", KEY, "--reason", "x", APPROVAL_PAGE_URL=f"{server.url}/approvals")
    finally:
        server.stop()
    assert (code, said in errors) == (ends, True), errors


def test_a_page_that_is_not_there_says_that_nothing_is_known(command: Command, page: Page) -> None:
    server = Server(lambda request: None)
    server.server_close()
    code, _, errors = command("approve", KEY, "--reason", "x", APPROVAL_PAGE_URL=f"{server.url}/approvals")
    assert (code, "it is not known whether the decision stands: send it again" in errors) == (5, True), errors


def test_without_an_address_the_command_says_where_it_stands(command: Command) -> None:
    code, _, errors = command("approve", KEY, "--reason", "x", APPROVAL_PAGE_URL="")
    assert code == 2
    assert errors.startswith("payments: APPROVAL_PAGE_URL is not set; allowed: the approval page's address, as output")
