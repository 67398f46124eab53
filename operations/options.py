"""What every command of `payments` takes beside its own options, and what it works with and answers through.

The rule it keeps: an option stands before or after a command alike, the last one counts, and nothing is composed before
a command asks for it.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from handler.domain.approval.ports import Decisions

_GIVEN: Final = "payments.given"
# What the SDK reads itself; what an option says must stand where it looks.
_KEYS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_ENDPOINT: Final = "AWS_ENDPOINT_URL"
# A day before and after them is a date, too; no item is older.
_YEAR_MIN, _YEAR_MAX = 1970, 9998


class NotConfirmedError(click.ClickException):
    """Nobody said yes: nothing was done."""

    exit_code = 6


class ScriptError(click.ClickException):
    """What a script of the checkout said where it did not do its work, or did it `in_part`."""

    def __init__(self, message: str, *, in_part: bool = False) -> None:
        super().__init__(message)
        self.in_part = in_part


class Name(click.ParamType[str]):
    """What was forgotten, as a shell's variable that is not set, never means all."""

    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if not text.strip():
            self.fail("must not be empty", param, ctx)
        return text


NAME: Final = Name()


class Time(click.ParamType[int]):
    """A time as items and events have it, in milliseconds; where `takes_days`, a day is its beginning in UTC."""

    name = "time"

    def __init__(self, *, takes_days: bool = False) -> None:
        self._takes_days = takes_days

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value)
        if self._takes_days and re.fullmatch(r"\d{4}-\d\d-\d\d", text):
            text += "T00:00:00Z"
        if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", text):
            wanted = "2026-11-27 or 2026-11-27T00:00:00Z" if self._takes_days else "2026-11-27T00:00:00Z"
            self.fail(f"must be as {wanted}", param, ctx)
        try:
            moment = datetime.fromisoformat(text)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if not _YEAR_MIN <= moment.year <= _YEAR_MAX:
            self.fail(f"must be in the years {_YEAR_MIN} to {_YEAR_MAX}", param, ctx)
        return int(1000 * moment.timestamp())


class Call:
    """One command: whose variables it has, what it works with, how it asks and answers.

    `environment` are the caller's variables, `given` the options that stand before or after the command.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.given: dict[str, Any] = {}
        #: What a command has done that stays if it goes no further, and what to do then.
        self.stands = ""
        self._clients: dict[str, Any] = {}

    @property
    def is_json(self) -> bool:
        return bool(self.given.get("json"))

    @cached_property
    def sdk_variables(self) -> dict[str, str]:
        """The caller's variables as the SDK is to read them: an option stands above every variable, as with `aws`."""
        variables = dict(self._environment)
        if profile := self.given.get("profile"):
            # Keys in the environment would win over the profile that was asked for.
            variables = {name: value for name, value in variables.items() if name not in _KEYS}
            variables["AWS_PROFILE"] = profile
        if region := self.given.get("region"):
            variables |= {"AWS_REGION": region, "AWS_DEFAULT_REGION": region}
        if url := self.given.get("endpoint_url"):
            # One for a service of its own would win over the one that was asked for.
            variables = {name: value for name, value in variables.items() if not name.startswith(f"{_ENDPOINT}_")}
            variables[_ENDPOINT] = url
        return variables

    @cached_property
    def variables(self) -> dict[str, str]:
        """The same, with the environment's name, region, table, queue and workflow."""
        variables = self.sdk_variables
        named = self.given.get("environment")
        name = named or variables.get("ENVIRONMENT") or "dev"
        # What is exported is of the environment that is exported beside it.
        given = {} if named else variables
        return {
            **variables,
            "ENVIRONMENT": name,
            "APPROVAL_FUNCTION_ARN": given.get("APPROVAL_FUNCTION_ARN") or f"payment-processor-{name}:live",
            "DYNAMODB_TABLE": given.get("DYNAMODB_TABLE") or f"cloudcafe-payment-transactions-{name}",
            "PAYMENT_QUEUE_URL": given.get("PAYMENT_QUEUE_URL", ""),
            "EVENT_TARGET": given.get("EVENT_TARGET", ""),
            "EXPORT_BUCKET": given.get("EXPORT_BUCKET", ""),
            "AWS_REGION": variables.get("AWS_REGION") or variables.get("AWS_DEFAULT_REGION") or self._profiles_region(),
        }

    def _profiles_region(self) -> str:
        """The region of the caller's profile, as the AWS CLI takes it."""
        import botocore.session

        profile = botocore.session.Session(profile=self.sdk_variables.get("AWS_PROFILE") or None)
        return profile.get_config_variable("region") or "us-east-1"

    @cached_property
    def decisions(self) -> Decisions:
        """Table, workflow and clock of the environment. Raises ConfigurationError."""
        from handler import approval_composition

        return approval_composition.compose_decisions(self.variables)

    def client(self, service: str) -> Any:
        """A client of AWS, which raises botocore's errors; one that waits as long as a person does."""
        if service not in self._clients:
            from botocore.config import Config
            from botocore.session import get_session

            limits = Config(connect_timeout=5, read_timeout=900, retries={"mode": "standard", "total_max_attempts": 3})
            session = get_session()
            self._clients[service] = session.create_client(
                service, region_name=self.variables["AWS_REGION"], config=limits
            )
        return self._clients[service]

    def confirm(self, what: str) -> None:
        """Ask before money moves or something ends for good; `--yes` has answered. Raises NotConfirmedError."""
        if self.given.get("yes"):
            return
        try:
            agreed = click.confirm(f"{what} Continue?", err=True)
        except click.Abort as error:
            # The question's line has no end: a refusal, as JSON too, has its own.
            print(file=sys.stderr)
            raise NotConfirmedError(
                "nobody answered, so nothing was done. A script that means it says --yes."
            ) from error
        if not agreed:
            raise NotConfirmedError("not confirmed: nothing was done.")

    def say(self, text: str, **document: Any) -> None:
        """One line of the answer: `document` as JSON where that was asked for, else `text`."""
        print(self._line(text, document), flush=True)

    def warn(self, text: str) -> None:
        """One line on standard error: what was not done, of several things that were asked for."""
        self.note(text, error=text)

    def note(self, text: str, **document: Any) -> None:
        """One line on standard error of what happens meanwhile: `document` as JSON where that was asked for."""
        print(self._line(f"payments: {text}", document), file=sys.stderr, flush=True)

    def _line(self, text: str, document: Mapping[str, Any]) -> str:
        if not self.is_json:
            return text
        from operations.output import to_json

        return to_json(document)

    @contextmanager
    def as_the_sdk_reads_it(self) -> Iterator[None]:
        """While it lasts, this process's own variables are `sdk_variables` where an option changed them."""
        before = dict(os.environ)
        wanted = self.sdk_variables
        for name in [name for name in self._environment if name not in wanted]:
            os.environ.pop(name, None)
        os.environ.update({name: value for name, value in wanted.items() if self._environment.get(name) != value})
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


def _keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value and parameter.name:
        context.find_root().obj.given[parameter.name] = value


def _option(*names: str, **attributes: Any) -> click.Option:
    return click.Option(names, callback=_keep, expose_value=False, **attributes)


def _globals() -> list[click.Option]:
    return [
        _option("--json", is_flag=True, help="Answer with one JSON document a line."),
        _option(
            "--environment", type=NAME, metavar="NAME", help="The suffix of all names (default: ENVIRONMENT, else dev)."
        ),
        _option("--profile", type=NAME, metavar="NAME", help="A profile of the AWS configuration."),
        _option(
            "--region",
            type=NAME,
            metavar="NAME",
            help="The region (default: AWS_REGION, AWS_DEFAULT_REGION, the profile's, us-east-1).",
        ),
        _option("--endpoint-url", type=NAME, metavar="URL", help="Where AWS is asked, as what `make up` prints."),
    ]


def one_of(**given: object) -> None:
    """Of two that exclude each other, by how they are written, exactly one is given. Raises UsageError."""
    first, second = (name if name.isupper() else f"--{name}" for name in given)
    count = sum(bool(value) for value in given.values())
    if count == 2:
        raise click.UsageError(f"{first} and {second} exclude each other: name one of them")
    if not count:
        raise click.UsageError(f"name a {first}, or {second}")


# `--yes` is taken where something is asked.
def confirmed(command: Callable[..., Any]) -> Callable[..., Any]:
    """The option `--yes` of a command that calls `Call.confirm`."""
    said = click.option("--yes", is_flag=True, callback=_keep, expose_value=False, help="Do not ask: for scripts.")
    return said(command)


class _Helped(click.Command):
    """A command with the options of all, an example, and help in two lists."""

    example: str

    def __init__(self, *arguments: Any, example: str, **attributes: Any) -> None:
        self.example = example
        self.common = _globals()
        super().__init__(*arguments, **attributes)
        self.params += self.common

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, common in (("Options", False), ("Options of every command", True)):
            records = [
                record
                for parameter in self.get_params(ctx)
                if isinstance(parameter, click.Option)
                and (parameter in self.common) is common
                and (record := parameter.get_help_record(ctx))
            ]
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Example"):
            formatter.write_text(self.example)


class Command(_Helped):
    """A command that does something."""

    def invoke(self, ctx: click.Context) -> Any:
        with ctx.obj.as_the_sdk_reads_it():
            return super().invoke(ctx)


class Topic(_Helped, click.Group):
    """A command with commands of its own."""

    command_class = Command

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_options(ctx, formatter)
        self.format_commands(ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Each with the first sentences of its help whole, where Click cuts them."""
        found = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        with formatter.section("Commands"):
            formatter.write_dl([(name, (each.help or "").partition("\n")[0]) for name, each in found.items() if each])


pass_call = click.pass_obj
