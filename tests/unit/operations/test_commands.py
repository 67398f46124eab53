"""What all commands of `payments` share: options, help, confirmation, the frame of a refusal, exit codes."""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys

import click
import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, EndpointConnectionError, ProfileNotFound

from handler import approval_composition as composition
from handler.adapters.support.errors import AwsError
from handler.domain.errors import GatewayAnswerError, TransactionLogUnavailableError
from operations import __main__ as cli
from operations import checkout, refusals
from operations.options import Call, Command, Topic
from tests.support.parking import Queue, decisions, parked
from tests.support.payments import KEY

COMMANDS = {" ".join(words): command for words, command in cli.every_command()}


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_has_the_common_options_and_help_with_an_example_of_itself(words, capsys):
    command = COMMANDS[words]
    assert cli.main([*words.split(), "--help"], {}) == 0
    shown = capsys.readouterr().out
    for option in ("--json", "--environment", "--profile", "--region", "--endpoint-url"):
        assert option in shown
    assert isinstance(command, Command | Topic)
    assert words in command.example
    assert " ".join(command.example.split()) in " ".join(shown.split())


@pytest.mark.parametrize("words", COMMANDS)
def test_every_example_is_a_command_that_is_there(words):
    example = COMMANDS[words].example
    line = example.partition("$(payments ")[2].partition(")")[0] if "$(" in example else example
    options = [part for part in line.split() if part not in ("payments", "--environment", "prod")]
    assert any(" ".join(options).startswith(name) for name in COMMANDS if name), example


def test_the_line_of_help_that_is_shown_before_a_module_is_loaded_is_its_docstrings_first():
    for name, entry in cli.COMMANDS.items():
        command = cli.payments.get_command(click.Context(cli.payments), name)
        assert command is not None
        assert (command.help or "").partition("\n")[0] == entry.help


def test_help_loads_no_module_of_a_command_and_nothing_of_the_functions():
    program = "import sys; from operations.__main__ import main; main(['--help'], {}); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = done.stdout.splitlines()[-1]
    assert "'operations.options'" in loaded
    for name in ("boto3", "botocore", "handler", "rich", "operations.parked"):
        assert f"'{name}'" not in loaded


# ---- options --------------------------------------------------------------------------------------------------


@pytest.fixture
def composed(monkeypatch):
    """What commands were composed from: settings, and what the SDK would have read in the process's own variables."""
    given = []

    def compose(environment):
        given.append((environment, dict(os.environ)))
        return decisions(parked())

    monkeypatch.setattr(composition, "compose_decisions", compose)
    monkeypatch.setattr("operations.parked.open_items", lambda log, status: ([], 0))
    return given


@pytest.mark.parametrize(
    "words",
    [
        ["--environment", "prod", "parked", "list"],
        ["parked", "--environment", "prod", "list"],
        ["parked", "list", "--environment", "prod"],
        ["--environment", "dev", "parked", "--environment", "stage", "list", "--environment", "prod"],
    ],
)
def test_an_option_stands_before_or_after_a_command_and_the_last_one_counts(composed, words):
    assert cli.main(words, {}) == 0
    assert composed[0][0]["ENVIRONMENT"] == "prod"


def test_a_profile_that_is_asked_for_wins_over_keys_in_the_environment(composed, monkeypatch):
    variables = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_SESSION_TOKEN": "c", "AWS_REGION": "r"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cli.main(["parked", "list", "--profile", "ops"], os.environ) == 0
    for read in composed[0]:
        assert read["AWS_PROFILE"] == "ops"
        assert not {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"} & read.keys()
    # What a command sets for the SDK is gone with it.
    assert (os.environ["AWS_ACCESS_KEY_ID"], os.environ.get("AWS_PROFILE")) == ("a", None)


def test_an_endpoint_that_is_asked_for_wins_over_a_services_own(composed, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", "http://127.0.0.1:1")
    assert cli.main(["parked", "list", "--endpoint-url", "http://127.0.0.1:2", "--region", "r-1"], os.environ) == 0
    for read in composed[0]:
        assert (read["AWS_ENDPOINT_URL"], read["AWS_REGION"]) == ("http://127.0.0.1:2", "r-1")
        assert "AWS_ENDPOINT_URL_LAMBDA" not in read


def test_an_environment_that_is_asked_for_takes_nothing_that_is_exported_for_another(composed):
    exported = {"DYNAMODB_TABLE": "t-dev", "PAYMENT_QUEUE_URL": "q-dev", "APPROVAL_FUNCTION_ARN": "w-dev:live"}
    assert cli.main(["parked", "list"], exported) == 0
    assert cli.main(["--environment", "prod", "parked", "list"], exported) == 0
    names = [[read[0][name] for name in exported] for read in composed]
    assert names == [
        ["t-dev", "q-dev", "w-dev:live"],
        ["cloudcafe-payment-transactions-prod", "", "payment-processor-prod:live"],
    ]


@pytest.mark.parametrize("option", ["--environment", "--profile", "--region", "--endpoint-url"])
def test_an_option_that_a_shells_unset_variable_left_empty_is_wrong_usage(composed, option, capsys):
    assert cli.main(["parked", "list", option, ""], {}) == 2
    assert "must not be empty" in capsys.readouterr().err
    assert composed == []


# ---- confirmation ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "code", "sent"), [("y\n", 0, 1), ("n\n", 6, 0), ("\n", 6, 0), ("", 6, 0)], ids=["y", "n", "enter", "end"]
)
def test_what_moves_money_is_asked_for_and_only_yes_is_yes(monkeypatch, capsys, answer, code, sent):
    world, queue = parked(), Queue()
    monkeypatch.setattr(composition, "compose_decisions", lambda environment: decisions(world))
    monkeypatch.setattr(composition, "compose_retries", lambda environment: (queue, None))
    monkeypatch.setattr(composition, "caller_identity", lambda: "alice")
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
    before = world.item()
    assert cli.main(["parked", "retry", KEY], {}) == code
    assert len(queue.sent) == sent
    assert (world.item() == before) is (sent == 0)
    errors = capsys.readouterr().err
    assert f"{KEY}, 25.99 USD, may be charged again. Continue? [y/N]" in errors
    assert ("nothing was done" in errors) is (sent == 0)


@pytest.mark.parametrize(
    "words",
    [
        "approvals approve",
        "approvals reject",
        "cancel",
        "parked retry",
        "parked cancel",
        "pepper rotate",
        "refund",
        "send",
        "start",
        "dead-letters redrive",
    ],
    ids=lambda words: words,
)
def test_what_cannot_be_undone_has_an_answer_for_scripts(words):
    assert any("--yes" in option.opts for option in COMMANDS[words].params)


# ---- refusals -------------------------------------------------------------------------------------------------

DENIED = (
    "User: arn:aws:iam::123456789012:user/alice is not authorized to perform: dynamodb:GetItem on resource: "
    "arn:aws:dynamodb:us-east-1:123456789012:table/payments because no identity-based policy allows the "
    "dynamodb:GetItem action"
)
ASKED = {"ENVIRONMENT": "prod", "AWS_REGION": "eu-west-1", "AWS_PROFILE": "ops"}


def of_the_log(code: str, message: str) -> Exception:
    """As the table's adapter raises it."""
    error = TransactionLogUnavailableError("get txn-1")
    error.__cause__ = AwsError("GetItem", code, message)
    return error


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            of_the_log("AccessDeniedException", DENIED),
            (
                4,
                "arn:aws:iam::123456789012:user/alice may not dynamodb:GetItem on "
                "arn:aws:dynamodb:us-east-1:123456789012:table/payments",
                "Terraform's output `policies`",
            ),
        ),
        (
            AwsError("ReceiveMessage", "AccessDenied", "Access to the resource https://sqs.example/1/q is denied."),
            (4, "these credentials may not ReceiveMessage on https://sqs.example/1/q", "--profile"),
        ),
        (
            of_the_log("ExpiredTokenException", "The security token included in the request is expired"),
            (4, "the credentials have expired", "aws sso login --profile ops"),
        ),
        (
            ClientError({"Error": {"Code": "InvalidClientTokenId", "Message": "invalid"}}, "GetCallerIdentity"),
            (4, "AWS does not know these credentials", "aws sso login --profile ops"),
        ),
        (
            AwsError("describe_table", "", "Unable to locate credentials"),
            (4, "Unable to locate credentials", "aws sso login --profile ops"),
        ),
        (OSError(errno.ENOSPC, "No space left on device"), (1, "No space left on device", "Make room")),
        (ProfileNotFound(profile="ops"), (4, "The config profile (ops) could not be found", "--profile")),
        (
            of_the_log("ResourceNotFoundException", "Requested resource not found"),
            (3, "Requested resource not found", "--environment prod --region eu-west-1 --profile ops"),
        ),
        (
            of_the_log("", 'Could not connect to the endpoint URL: "http://127.0.0.1:1/"'),
            (5, "Could not connect to the endpoint URL", "--region eu-west-1"),
        ),
        (
            EndpointConnectionError(endpoint_url="http://127.0.0.1:1/"),
            (5, "Could not connect to the endpoint URL", "--region eu-west-1"),
        ),
        (
            ConnectTimeoutError(endpoint_url="http://127.0.0.1:1/"),
            (5, "Connect timeout on endpoint URL", "--region eu-west-1"),
        ),
        (of_the_log("ThrottlingException", "slow down"), (5, "get txn-1", "")),
        (AwsError("GetItem", "InternalServerError", "oops"), (5, "AWS did not answer as expected", "Run it again.")),
        (GatewayAnswerError("an answer that cannot be"), (1, "an answer that cannot be", "")),
    ],
)
def test_a_refusal_says_what_happened_to_what_and_what_to_do(error, told, monkeypatch, capsys):
    code, said, do = told

    def fails(environment):
        raise error

    monkeypatch.setattr(composition, "compose_decisions", fails)
    assert cli.main(["parked", "list"], ASKED) == code
    first, _, second = capsys.readouterr().err.partition("\n")
    assert first.startswith("payments: ")
    assert said in first
    assert do in second
    assert cli.main(["parked", "list", "--json"], ASKED) == code
    document = json.loads(capsys.readouterr().err)
    assert (document["exit_code"], said in document["error"], do in document.get("do", "")) == (code, True, True)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("build/stop.py: Unable to locate credentials", (4, "build/stop.py: Unable", "aws sso login --profile ops")),
        (
            f"build/stop.py: query processing#0: Query: AccessDeniedException: {DENIED}",
            (
                4,
                "arn:aws:iam::123456789012:user/alice may not dynamodb:GetItem on "
                "arn:aws:dynamodb:us-east-1:123456789012:table/payments",
                "Terraform's output `policies`",
            ),
        ),
        (
            "build/stop.py: query processing#0: Query: ResourceNotFoundException: Requested resource not found",
            (3, "build/stop.py: query processing#0: Query: Res", "--environment prod --region eu-west-1"),
        ),
        (
            "An error occurred (ResourceNotFoundException) when calling the GetAlias operation: Function not found",
            (3, "Function not found", "--environment prod --region eu-west-1"),
        ),
        ('build/stop.py: Could not connect to the endpoint URL: "http://127.0.0.1:1/"', (5, "connect", "its address?")),
        ("prod keeps its state elsewhere: once, with the credentials of prod", (1, "prod keeps its state", "")),
    ],
)
def test_a_scripts_refusal_is_told_as_a_commands_own(words, told, tmp_path, monkeypatch, capsys):
    code, said, do = told
    (tmp_path / "build").mkdir()
    (tmp_path / "build/stop.py").write_text(f"import sys; sys.exit({words!r})")
    monkeypatch.setattr(checkout, "_ROOT", tmp_path)
    assert cli.main(["stop", "--no-state", "--json"], {**os.environ, **ASKED}) == code
    document = json.loads(capsys.readouterr().err)
    assert (document["exit_code"], said in document["error"], do in document.get("do", "")) == (code, True, True)


def test_an_argument_that_a_script_calls_wrong_is_wrong_usage_of_the_command(capsys):
    assert cli.main(["cost", "--memory-size", "5"], dict(os.environ)) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("Usage: payments cost ")
    assert shown.endswith("Error: argument --memory-size: 5 is not a number from 128 to 10240\n")


def test_a_fault_of_our_own_is_no_refusal(monkeypatch):
    def fails(environment):
        raise KeyError("a mistake")

    monkeypatch.setattr(composition, "compose_decisions", fails)
    with pytest.raises(KeyError, match="a mistake"):
        cli.main(["parked", "list"], {})


def test_a_command_that_is_interrupted_says_so(monkeypatch, capsys):
    def interrupted(environment):
        raise KeyboardInterrupt

    monkeypatch.setattr(composition, "compose_decisions", interrupted)
    assert cli.main(["parked", "list"], {}) == 130
    assert capsys.readouterr().err.strip() == "payments: interrupted"


@pytest.mark.parametrize(
    ("words", "first", "second"),
    [
        ("dead-letters redrive", "--group a", "--all"),
        ("parked retry", "pay-1", "--reason timeout"),
        ("events replay", "pay-1", "--state parked"),
        ("deploy", f"--zip {__file__}", "--version 1"),
    ],
)
def test_of_two_that_exclude_each_other_one_is_named_and_both_are_told_as_both(words, first, second, capsys):
    assert cli.main([*words.split(), *first.split(), *second.split()], {}) == 2
    assert "exclude each other: name one of them" in capsys.readouterr().err
    assert cli.main(words.split(), {}) == 2
    assert f", or {second.split()[0]}" in capsys.readouterr().err


@pytest.mark.parametrize("words", [words for words, command in COMMANDS.items() if isinstance(command, Topic)])
def test_a_topics_help_has_the_first_line_of_each_commands_whole(words, capsys):
    assert cli.main([*words.split(), "--help"], {}) == 0
    shown = " ".join(capsys.readouterr().out.split())
    below = [each for name, each in COMMANDS.items() if name and name.rpartition(" ")[0] == words]
    assert below
    for each in below:
        line = (each.help or "").partition("\n")[0]
        assert line.endswith((".", "payments`."))
        assert line in shown


def test_every_code_that_is_used_is_documented():
    used = {refusals.REFUSED, refusals.USAGE, refusals.NOT_THERE, refusals.FORBIDDEN, refusals.UNSETTLED, 0, 6, 130}
    assert used == refusals.EXIT_CODES.keys()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands(shell, capsys):
    assert cli.main(["completion", shell], {}) == 0
    assert "_PAYMENTS_COMPLETE" in capsys.readouterr().out


def test_completion_offers_the_commands_of_a_topic():
    asked = {"_PAYMENTS_COMPLETE": "bash_complete", "COMP_WORDS": "payments parked ", "COMP_CWORD": "2"}
    program = "from operations.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={**os.environ, **asked}, check=False
    )
    assert {"plain,list", "plain,retry"} <= set(done.stdout.splitlines())


def test_a_call_without_options_leaves_the_callers_variables_as_they_are():
    call = Call({"AWS_PROFILE": "mine", "AWS_ACCESS_KEY_ID": "a"})
    assert call.sdk_variables == {"AWS_PROFILE": "mine", "AWS_ACCESS_KEY_ID": "a"}
