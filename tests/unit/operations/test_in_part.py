"""What a command had done before it could do no more is told with the refusal."""

from __future__ import annotations

import io
import json
import os
import sys

from botocore.exceptions import ClientError

from operations import __main__ as cli
from operations import checkout
from operations.options import Call, ScriptError

ASKED = {"ENVIRONMENT": "prod", "AWS_REGION": "eu-west-1", "AWS_PROFILE": "ops"}
DENIED = (
    "User: arn:aws:iam::123456789012:user/alice is not authorized to perform: dynamodb:Query on resource: "
    "arn:aws:dynamodb:us-east-1:123456789012:table/payments"
)


def test_what_a_script_did_in_part_is_no_refusal_of_the_whole_whatever_aws_said(tmp_path, monkeypatch, capsys):
    (tmp_path / "build").mkdir()
    words = f"build/stop.py: prod is stopped, and that stands. Query: AccessDeniedException: {DENIED}"
    program = f"import sys; print('was {{}}'.format(sys.argv[-1])); sys.stderr.write({words!r}); sys.exit(3)"
    (tmp_path / "build/stop.py").write_text(program)
    monkeypatch.setattr(checkout, "_ROOT", tmp_path)
    assert cli.main(["stop", "--no-state", "--json"], {**os.environ, **ASKED}) == 1
    shown = capsys.readouterr()
    document = json.loads(shown.err)
    assert document["error"] == words
    assert "Terraform's output `policies`" in document["do"]
    # What it had said by then, and in the form that was asked for.
    assert shown.out == "was --json\n"


def test_what_a_command_has_done_before_it_was_refused_is_told_with_the_refusal(monkeypatch, capsys):
    class Sqs:
        def send_message_batch(self, QueueUrl, Entries):
            if Entries[0]["MessageGroupId"] != "c0":
                raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "SendMessageBatch")
            return {"Successful": [{"Id": each["Id"], "MessageId": "m"} for each in Entries]}

    monkeypatch.setattr(Call, "client", lambda self, service: Sqs())
    lines = [json.dumps({"payment_id": f"p{number}", "customer_id": f"c{number}"}) for number in range(11)]
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(lines)))
    variables = {**ASKED, "PAYMENT_QUEUE_URL": "https://sqs.example/1/q.fifo"}
    assert cli.main(["send", "-", "--yes"], variables) == 1
    first, second, third = capsys.readouterr().err.splitlines()
    assert first.startswith("payments: these credentials may not SendMessageBatch on ")
    assert second.startswith("  10 of 11 were sent; not from line 11 (p10) on. Send the file again")
    assert third.startswith("  Ask for that permission")
    # Where nothing was done, the refusal is the whole of it.
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(lines[1:])))
    assert cli.main(["send", "-", "--yes", "--json"], variables) == 4
    assert "done" not in json.loads(capsys.readouterr().err)


class Functions:
    """Lambda with the configurations of `live` and of what is published next; `fails` is refused."""

    def __init__(self, live, newest, fails=""):
        self.configurations = {"live": live, "$LATEST": newest}
        self.fails = fails

    def __getattr__(self, operation):
        def call(**request):
            if operation == self.fails:
                raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, operation)
            if operation == "update_function_configuration":
                self.configurations["$LATEST"] = request["Environment"]["Variables"]
            return {"Version": "2"}

        return call

    def get_function_configuration(self, FunctionName, Qualifier="$LATEST"):
        variables = self.configurations[Qualifier]
        return {"Environment": {"Variables": variables}, "Version": "1", "CodeSha256": "a"}

    def get_waiter(self, name):
        return self

    def wait(self, **request):
        pass


def test_a_stress_that_is_not_published_says_what_the_next_version_would_have(monkeypatch, capsys):
    functions = Functions({"A": "b"}, {"A": "b"}, fails="publish_version")
    monkeypatch.setattr(Call, "client", lambda self, service: functions)
    assert cli.main(["stress", "on"], ASKED | {"ENVIRONMENT": "dev"}) == 1
    errors = capsys.readouterr().err
    assert "STRESS_MODE is cold_start in what is published next, and none in version 1, which is live. Run it" in errors
    # Run the other way, nothing is left of it.
    assert cli.main(["stress", "off", "--json"], ASKED | {"ENVIRONMENT": "dev"}) == 0
    assert functions.configurations["$LATEST"] == {"A": "b", "STRESS_MODE": "none"}
    document = json.loads(capsys.readouterr().out)
    assert (document["stress_mode_before"], document["stress_mode"]) == ("none", "none")
    assert (document["version_before"], document["version"]) == ("1", "1")


def test_a_stress_whose_version_does_not_come_behind_live_says_how_it_would(monkeypatch, capsys):
    monkeypatch.setattr(Call, "client", lambda self, service: Functions({}, {}))

    def refuses(*arguments, **named):
        raise ScriptError("build/deploy.py: an alarm stands")

    monkeypatch.setattr(checkout, "of_environment", refuses)
    assert cli.main(["stress", "on", "--json"], ASKED | {"ENVIRONMENT": "dev"}) == 1
    assert "`payments deploy --version 2` brings it behind live" in json.loads(capsys.readouterr().err)["done"]
