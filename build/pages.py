"""Write the pages that tell what the code already says, in docs/ and beside Terraform's modules: `make pages`.

The rule it keeps: a page is made from the code alone and is the same on every machine, so that a test can hold that
none has drifted. A new page is a function without arguments that returns Markdown, and its line in `PAGES`.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import click
from schemas import outcome_event
from schemas.message import message_rows, response_rows

from handler import conservation_function, queue_function, reconcile_function, webhook_function
from handler.adapters.table.approval_writes import APPROVAL_WRITES
from handler.adapters.table.forget_writes import FORGET_WRITES
from handler.adapters.table.later_writes import LATER_WRITES
from handler.adapters.table.parking_writes import PARKING_WRITES
from handler.adapters.table.refund_writes import CLAIM_REFUND, REFUND_WRITES
from handler.adapters.table.writes import CLAIM, CLAIM_CORRECTED, WRITES, Write
from handler.domain.item import REQUIRED, REQUIRED_BESIDE, REQUIRED_BESIDE_OPEN, Item
from handler.domain.outcome_event import SCHEMA_VERSION
from handler.domain.reasons import CATALOGUE, Answer
from handler.domain.refund_item import REFUND_REQUIRED, RefundItem
from handler.settings import DEFINED_ELSEWHERE, SETTINGS
from operations.__main__ import every_command, payments
from operations.refusals import EXIT_CODES
from operations.settled import Row

_ALL_WRITES: Final = (*WRITES, *APPROVAL_WRITES, *PARKING_WRITES, *LATER_WRITES, *FORGET_WRITES)
_Node = TypeVar("_Node", bound=ast.AST)

ROOT: Final = Path(__file__).resolve().parent.parent
DOCS: Final = ROOT / "docs"
MADE: Final = "<!-- Made by `make pages`: change the code, not this page. -->"

_ANSWERS: Final[Mapping[Answer, tuple[str, str]]] = {
    "record": (
        "Final",
        "The message can never become a charge, or ended without one: it is recorded and acknowledged.",
    ),
    "redeliver": (
        "Comes again",
        "The message goes back to its queue, a workflow's step is tried again. The cause lies outside of the payment, "
        "and says nothing about it.",
    ),
    "count": (
        "Comes again, as the payment's own failure",
        "The same, but the cause is the payment itself: it counts as a failure of its own.",
    ),
    "ask": ("A person is asked", "The item's `approval_reasons`, the notification and the approval page say why."),
    "refuse": (
        "Refusals",
        "What a person sent is refused, on the approval page (with this HTTP status) or in a terminal; or what came to "
        "the webhook.",
    ),
    "tell": ("Alarms alone", "People are told, and the payment goes on."),
}

# How DynamoDB stores an annotation of Item.
_STORED: Final = {
    "str": "S",
    "int": "N",
    "int | None": "N",
    "Decimal | None": "N",
    'Status | Literal["conflict"]': "S",
    "RefundStatus": "S",
    "tuple[str, ...]": "L of S",
    "tuple[Reason, ...]": "L of M",
    "tuple[Fault, ...]": "L of M",
    "tuple[Superseded, ...]": "L of M",
    "tuple[RefundSeen, ...]": "L of M",
    "tuple[DisputeSeen, ...]": "L of M",
    "GatewayResponse | None": "M",
    "Shown | None": "M",
}


def page(title: str, *parts: str) -> str:
    """A page of parts, each a paragraph, heading or table."""
    return "\n\n".join((f"# {title}", MADE, *parts)) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; a cell's own `|` is escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def item_page() -> str:
    """Every attribute of the stored item."""
    meanings, kinds = item_attributes()
    rows = []
    for name in Item._fields:
        rows.append((f"`{name}`", _STORED[kinds[name]], meanings[name], _required(name), written_by(name)))
    meanings, kinds = _refund()
    of_refunds = [
        (f"`{name}`", _STORED[kinds[name]], meanings[name], _required_of_refund(name), refund_written_by(name))
        for name in RefundItem._fields
    ]
    return page(
        "The item",
        "One transaction of the table, or one conflict beside it. Times are milliseconds since the epoch, amounts "
        "minor units. `handler/domain/item.py` is its type; an item that lacks what its state requires decides nothing "
        "and is an alarm (`item_damaged`). What is empty is not stored. The writes are those of "
        "[the protocol](protocol.md).",
        table(("attribute", "stored as", "meaning", "required", "written by"), rows),
        "S is a string, N a number, L a list, M a map. Rows of `risk_reasons` have `rule_id`, `reason` and `parts`, "
        "rows of `faults` have `field` and `reason_code`, rows of `superseded` have `message_id`, `request_hash` and "
        "`canonical_version`; `gateway_response` has `status`, `authorization_code` and `timestamp`, and where the "
        "gateway has them its `code` and `decline_code` for a decline and its `request_id`. `shown` has `name`, "
        "`email`, `address` and `hits`, whose rows have `rule_id`, `weight` (parts of `10**4`), `field` and `text`: "
        "personal data, which stays when `request` goes.",
        "A payment of which something was to be given back also has `refund_reserved`, a number: the sum of its "
        "refunds that are `pending` or `refunded`, in minor units (*reserve refund*, *give reservation back*).",
        "## A refund",
        "One refund of a payment, as `handler/domain/refund_item.py` has it ([the protocol](protocol.md#refunds)).",
        table(("attribute", "stored as", "meaning", "required", "written by"), of_refunds),
    )


def item_attributes(path: str = "handler/domain/item.py", name: str = "Item") -> tuple[dict[str, str], dict[str, str]]:
    """The meaning and the annotation of each attribute, from the source: the sentence stands below the attribute."""
    body = next(node for node in _nodes(path, ast.ClassDef) if node.name == name).body
    meanings, kinds = {}, {}
    for node, below in zip(body, [*body[1:], None], strict=True):
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        kinds[node.target.id] = ast.unparse(node.annotation).replace("'", '"')
        match below:
            case ast.Expr(ast.Constant(str(sentence))):
                meanings[node.target.id] = " ".join(sentence.split())
            case _:
                raise ValueError(f"{path} does not say below `{node.target.id}` what it means")
    return meanings, kinds


def claimed_attributes() -> set[str]:
    """What a new item can have: all that is set where one is made."""
    return _set_by(
        ("handler/domain/item.py", {"new_item"}),
        ("handler/domain/claim.py", {"conflict_of"}),
        ("handler/domain/approval/steps.py", {"_new_item"}),
    )


def _set_by(*makers: tuple[str, set[str]]) -> set[str]:
    return {
        keyword.arg
        for path, names in makers
        for function in _nodes(path, ast.FunctionDef)
        if function.name in names
        for call in ast.walk(function)
        if isinstance(call, ast.Call) and ast.unparse(call.func) in ("Item", "item._replace")
        for keyword in call.keywords
        if keyword.arg
    }


def reasons_page() -> str:
    """Every reason code, by what happens because of it."""
    parts = []
    for answer, (title, text) in _ANSWERS.items():
        found = {code: reason for code, reason in CATALOGUE.items() if reason.answer == answer}
        with_status = any(reason.status for reason in found.values())
        rows = [
            (
                f"`{code}`",
                reason.sentence + (" *Alarm.*" if reason.is_alarm else ""),
                *([str(reason.status or "")] if with_status else []),
            )
            for code, reason in found.items()
        ]
        head = ("code", "what it says", *(["HTTP status"] if with_status else []))
        parts += [f"## {title}", text, table(head, rows)]
    return page(
        "Reason codes",
        "Items, log lines, alarms and the rejected queue carry a code, which never changes its meaning; "
        "`handler/domain/reasons.py` says what it means. *Alarm* marks what is also a log line with the field `alarm`, "
        "behind the alarm `payment-alarms` ([metrics](metrics.md)).",
        *parts,
    )


class Alarm(NamedTuple):
    """One alarm of Terraform's; the texts are its own expressions."""

    name: str
    description: str
    namespace: str
    metric: str
    statistic: str
    threshold: str
    periods: int
    period_seconds: int


def metrics_page() -> str:
    """Our own metrics, and the alarms of `observability`."""
    alarms = read_alarms()
    queue, reconcile = queue_function, reconcile_function
    published: list[tuple[str, str, tuple[str, ...], str, str]] = [
        (name, unit, queue.DIMENSIONS, "payment function, each invocation", meaning)
        for name, (unit, meaning) in queue.METRICS.items()
    ]
    for name, meaning in reconcile.METRICS.items():
        published.append((name, "none", reconcile.DIMENSIONS, "reconcile, each run", meaning))
    for name, meaning in webhook_function.METRICS.items():
        published.append((name, "Count", reconcile.DIMENSIONS, "webhook, each such request", meaning))
    for name, meaning in conservation_function.METRICS.items():
        published.append((name, "none", reconcile.DIMENSIONS, "conservation, each run of yesterday", meaning))
    lines = "Log lines of any function with the field `alarm`: what must never be ([reason codes](reason-codes.md))."
    published.append(
        ("PaymentAlarms-<environment>", "none", ("none",), "a metric filter on the functions' logs", lines)
    )
    own = [
        (f"`{name}`", unit, ", ".join(dimensions), source, meaning, _alarms_on(name, alarms))
        for name, unit, dimensions, source, meaning in published
    ]
    judged = [
        (
            f"[`{alarm.name}`](runbook.md#{alarm.name})",
            f"{alarm.namespace} `{alarm.metric}`",
            f"{alarm.statistic} > {alarm.threshold} in {alarm.periods} x {alarm.period_seconds} s",
            alarm.description,
        )
        for alarm in alarms
    ]
    return page(
        "Metrics and alarms",
        f"The functions publish their own metrics in the namespace `{queue.NAMESPACE}`, as log lines in CloudWatch's "
        "embedded metric format. The alarms and the dashboard are `terraform/modules/observability`.",
        table(("metric", "unit", "dimensions", "from", "what it says", "alarms"), own),
        "## Alarms",
        "Each is named `cloudcafe-payment-processor-<environment>-<alarm>` and sends to one SNS topic. A metric "
        "without data is an idle system and no alarm. [The runbook](runbook.md) has what to do, and those that are not "
        "over one metric of this system: on the table, the queue's mapping, and workflow, page and reconcile "
        "(`payment-processor-<environment>-<alarm>`). Terraform's `name_prefix` stands in front of all these names.",
        table(("alarm", "metric", "when", "what it means"), judged),
    )


def read_alarms() -> list[Alarm]:
    """The alarms of `terraform/modules/observability/main.tf`. Raises ValueError for a layout that it does not know."""
    text = (ROOT / "terraform" / "modules" / "observability" / "main.tf").read_text()
    own = _found(r'^  namespace += "([^"\n]+)"', text)[1]
    lines_metric = _found(r'alarm_lines_metric += "([^"\n]+)"', text)[1].replace("${var.environment}", "<environment>")
    longer, longer_seconds, seconds = _found(
        r"period += contains\(\[([^\]\n]+)\], each.key\) \? (\d+) : (\d+)", text
    ).groups()
    block = _found(r"^  alarms = \{\n(.*?)^  \}$", text)[1]
    alarms = [
        Alarm(
            name=each["name"],
            description=re.sub(r"\$\{var\.(\w+)\}", r"`\1`", each["description"]).replace('\\"', '"'),
            namespace=own if each["namespace"] == "local.namespace" else each["namespace"].strip('"'),
            metric=lines_metric if each["metric"] == "local.alarm_lines_metric" else each["metric"].strip('"'),
            statistic=each["statistic"],
            threshold=f"`{each['threshold']}`" if "var." in each["threshold"] else each["threshold"],
            periods=int(each["periods"]),
            period_seconds=int(longer_seconds if f'"{each["name"]}"' in longer else seconds),
        )
        for each in _ALARM.finditer(block)
    ]
    names = re.findall(r"^    (\S+) = \{$", block, re.MULTILINE)
    if [alarm.name for alarm in alarms] != names:
        raise ValueError(f"terraform/modules/observability/main.tf: an alarm among {names} has another layout")
    return alarms


_ALARM: Final = re.compile(
    r"""^    (?P<name>\S+) = \{
      description = "(?P<description>.+)"
      namespace +=  ?(?P<namespace>\S+), metric = (?P<metric>\S+), dimensions = .+
      statistic +=  ?"(?P<statistic>\S+)", threshold = (?P<threshold>.+), periods = (?P<periods>\d+)
    \}$""",
    re.MULTILINE,
)


def _found(pattern: str, text: str) -> re.Match[str]:
    match = re.search(pattern, text, re.MULTILINE | re.DOTALL)
    if match is None:
        raise ValueError(f"terraform/modules/observability/main.tf has no {pattern}")
    return match


def _alarms_on(name: str, alarms: Sequence[Alarm]) -> str:
    own = queue_function.NAMESPACE
    return ", ".join(f"`{alarm.name}`" for alarm in alarms if (alarm.namespace, alarm.metric) == (own, name))


def _required(name: str) -> str:
    states = [state for state, names in REQUIRED.items() if name in names]
    if len(states) == len(REQUIRED):
        return "always"
    beside = [f"beside `{other}`" for other, names in REQUIRED_BESIDE.items() if name in names]
    beside += [f"beside `{other}` while open" for other, names in REQUIRED_BESIDE_OPEN.items() if name in names]
    without = [state for state in REQUIRED if state not in states]
    if len(without) < len(states):
        return ", ".join([f"always but {' and '.join(f'`{state}`' for state in without)}", *beside])
    return ", ".join([*(f"`{state}`" for state in states), *beside])


def written_by(name: str) -> str:
    """The writes of the protocol that set or remove an attribute, in words."""
    claimed = claimed_attributes()
    put = {CLAIM: claimed, CLAIM_CORRECTED: claimed | _set_by(("handler/domain/claim.py", {"correction_of"}))}
    changes = []
    for write in _ALL_WRITES:
        if any(assignment.startswith(f"#{name} = ") for assignment in write.set) or (name in put.get(write, ())):
            changes.append(f"*{write.name}*")
        elif f"#{name}" in write.remove:
            changes.append(f"*{write.name}* removes it")
    return "every write" if len(changes) == len(_ALL_WRITES) else ", ".join(changes)


def _required_of_refund(name: str) -> str:
    states = [state for state, names in REFUND_REQUIRED.items() if name in names]
    return "always" if len(states) == len(REFUND_REQUIRED) else ", ".join(f"`{state}`" for state in states)


def refund_written_by(name: str) -> str:
    """The same of an attribute of a refund."""
    claimed = {
        keyword.arg
        for call in _nodes("handler/domain/refund_item.py", ast.Call)
        if ast.unparse(call.func) == "RefundItem"
        for keyword in call.keywords
    }
    changes = [
        f"*{write.name}*" + (" removes it" if f"#{name}" in write.remove else "")
        for write in _of_refunds()
        if any(each.startswith(f"#{name} = ") for each in write.set)
        or f"#{name}" in write.remove
        or (write is CLAIM_REFUND and name in claimed)
    ]
    return "every write" if len(changes) == len(_of_refunds()) else ", ".join(changes)


def _of_refunds() -> list[Write]:
    """The writes of a refund's own item."""
    return [write for write in REFUND_WRITES if not any("#refund_reserved" in part for part in write.set)]


def _nodes(path: str, kind: type[_Node]) -> Iterator[_Node]:
    return (node for node in ast.walk(ast.parse((ROOT / path).read_text())) if isinstance(node, kind))


def events_page() -> str:
    """Every property of an outcome event."""
    return page(
        "Properties of an outcome event",
        f"Version {SCHEMA_VERSION}, as [its JSON Schema]({outcome_event.NAME}) has it; "
        "[events.md](events.md) says what events are for and how they arrive. Those behind `faults_left_out` are the "
        "item's own ([item.md](item.md)); what is empty there is not here either.",
        table(
            ("property", "JSON type", "where", "meaning"), outcome_event.rows(item_attributes(), _envelope(), _refund())
        ),
    )


def event_schema() -> str:
    """The JSON Schema of an outcome event."""
    return outcome_event.schema(item_attributes(), _envelope(), _refund())


def _refund() -> tuple[dict[str, str], dict[str, str]]:
    return item_attributes("handler/domain/refund_item.py", "RefundItem")


def _envelope() -> tuple[dict[str, str], dict[str, str]]:
    return item_attributes("handler/domain/outcome_event.py", "Envelope")


def message_page() -> str:
    """Every field of a payment's message, and of the response."""
    return page(
        "Message and response",
        "A payment's message is one JSON object, at most `BODY_BYTES_MAX` long. Other fields are ignored. "
        "What is wrong with a message is recorded with its [reason codes](reason-codes.md); nothing is guessed. "
        "[The protocol](protocol.md#versions-of-the-canonical-text) says what a version is, and has the message of "
        "[a refund](protocol.md#refunds).",
        table(("field", "what it is", "required", "in version", "meaning"), message_rows()),
        "## Response",
        'The queue function answers `{"statusCode": 200, "body": {...}, "batchItemFailures": [...]}`. '
        "`batchItemFailures` has an `itemIdentifier`, the message's id, for each message that comes back; SQS deletes "
        "the others. The body:",
        table(("field", "meaning"), response_rows()),
    )


def settled_page() -> str:
    """Every column of what `payments export` writes."""
    meanings, kinds = item_attributes("operations/settled.py", "Row")
    rows = [(f"`{name}`", "whole number" if "int" in kinds[name] else "text", meanings[name]) for name in Row._fields]
    return page(
        "Columns of an export",
        "What `payments export` writes ([how](how-to-export.md)): CSV as RFC 4180 has it, in UTF-8, the names in its "
        "first line; with `--json` a JSON object a line. `operations/settled.py` makes the rows.",
        table(("column", "is", "meaning"), rows),
        "Rows are in order of `settled_at`, then of payment, kind and reference: an export of the same period has the "
        "same rows in the same order, but for messages that were rejected for their faults and have been corrected "
        "since. No column names a customer, and none has a token.",
    )


def settings_page() -> str:
    """Every environment variable."""
    readers = tuple(dict.fromkeys(reader for setting in SETTINGS for reader in setting.readers))
    everybody = next(setting.readers for setting in SETTINGS if len(setting.readers) == len(readers))
    return page(
        "Settings",
        "The functions and the command line are set by environment variables. What is set is checked at init, and an "
        "error names the variable, its value and what is allowed; an empty one counts as not set. "
        "`handler/settings.py` has the table; Terraform passes every one of them but Lambda's own "
        "([terraform.md](terraform.md)).",
        table(
            ("variable", "may be", "default", "meaning", "read by"),
            (
                (
                    f"`{setting.name}`",
                    setting.kind.allowed,
                    f"`{setting.default}`" if setting.default else "none",
                    setting.meaning,
                    "all" if setting.readers == everybody else ", ".join(setting.readers),
                )
                for setting in SETTINGS
            ),
        ),
        f"*All* are {', '.join(readers[:-1])} and {readers[-1]}.",
        "## Defined elsewhere",
        table(("variable", "whose, and what it decides here"), ((f"`{n}`", s) for n, s in DEFINED_ELSEWHERE.items())),
    )


def commands_page() -> str:
    """Every command of `payments`, as its own help tells it."""
    parts = []
    for words, command in every_command():
        if not words:
            continue
        called = f"payments {' '.join(words)}"
        if isinstance(command, click.Group):
            parts.append(f"## {called}\n\n{_paragraphs(command.help)}")
            continue
        heading = "##" if len(words) == 1 else "###"
        own = [each for each in command.params if each not in command.common and each.name != "help"]
        named = [each for each in own if isinstance(each, click.Option)]
        usage = [called, *(each.make_metavar(click.Context(command)) for each in own if each not in named)]
        usage += ["[OPTIONS]"] if named else []
        rows = [(f"`{each.opts[0]}`", each.help or "") for each in named]
        listed = [table(("option", "meaning"), rows)] if rows else []
        example = f"```bash\n{command.example}\n```"
        parts += [f"{heading} {called}", _paragraphs(command.help), f"`{' '.join(usage)}`", *listed, example]
    return page(
        "Commands",
        "`payments` is the command line of those who run the system; `payments COMMAND --help` says what stands here. "
        "Every command has these options too, before or after it; the last one counts. An option stands above every "
        "variable, as with the AWS CLI.",
        table(("option", "meaning"), [(f"`{each.opts[0]}`", each.help or "") for each in payments.common]),
        "What moves money or cannot be undone asks first; `--yes` has answered. Where nobody answers, as in a script "
        "without it, nothing is done.",
        "With `--json` an answer is one JSON document a line on standard output, and a refusal one on standard error: "
        "`error` is what happened and to what, `do` what to do, `exit_code` as here:",
        table(("exit code", "meaning"), [(str(code), meaning) for code, meaning in EXIT_CODES.items()]),
        *parts,
    )


def _paragraphs(text: str | None) -> str:
    """A docstring's paragraphs, each on a line of its own."""
    return "\n\n".join(" ".join(each.split()) for each in (text or "").split("\n\n"))


def module_page(module: Path) -> str:
    """Inputs, outputs and resources of a folder of Terraform. Raises ValueError for what does not say what it is."""
    text = "\n".join(path.read_text() for path in sorted(module.glob("*.tf")))
    introduction = re.match(r"(?:# .*\n)+", (module / "main.tf").read_text())
    if introduction is None:
        raise ValueError(f"{module / 'main.tf'} does not begin with what it is for")
    inputs = [
        (f"`{name}`", _described(name, body), _code(_argument(body, "type")), _code(_argument(body, "default")))
        for name, body in _blocks("variable", text)
    ]
    outputs = [(f"`{name}`", _described(name, body)) for name, body in _blocks("output", text)]
    kinds = sorted(set(re.findall(r'^resource "(\w+)"', text, re.MULTILINE)))
    return page(
        "Terraform: the whole system" if module.name == "terraform" else f"Terraform module `{module.name}`",
        re.sub(r"^# ", "", introduction[0].strip(), flags=re.MULTILINE),
        "## Inputs",
        "An input without a default must be given.",
        table(("input", "what it is", "type", "default"), inputs),
        "## Outputs",
        table(("output", "what it is"), outputs),
        "## Resources",
        ", ".join(f"`{kind}`" for kind in kinds) + ("." if kinds else "None."),
    )


def _blocks(kind: str, text: str) -> list[tuple[str, str]]:
    return sorted(re.findall(rf'^{kind} "(\w+)" \{{\n(.*?)^\}}', text, re.DOTALL | re.MULTILINE))


def _argument(body: str, name: str) -> str:
    """An argument of a block on one line, empty where it has none."""
    found = re.search(rf"^  {name} += (.*?)(?=^  [a-z#]|\Z)", body, re.DOTALL | re.MULTILINE)
    lines = re.sub(r"^ *#.*\n", "", found[1] if found else "", flags=re.MULTILINE)
    one = re.sub(r" +=", " =", re.sub(r",?\s*\n\s*", ", ", lines.strip()))
    return re.sub(r"([({\[]), ", r"\1 ", re.sub(r", ([)}\]])", r" \1", one))


def _code(text: str) -> str:
    return f"`{text}`" if text else "none"


def _described(name: str, body: str) -> str:
    description = _argument(body, "description")
    if not description:
        raise ValueError(f"Terraform's {name} has no description")
    return str(json.loads(description))


#: Folders of Terraform with a README each.
MODULES: Final = tuple(
    folder for folder in (ROOT / "terraform", *sorted((ROOT / "terraform" / "modules").iterdir())) if folder.is_dir()
)

PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "message.md": message_page,
    "item.md": item_page,
    "reason-codes.md": reasons_page,
    "metrics.md": metrics_page,
    "settings.md": settings_page,
    "commands.md": commands_page,
    "settled.md": settled_page,
    "event-properties.md": events_page,
}


def main() -> None:
    for name, made in PAGES.items():
        (DOCS / name).write_text(made())
    (DOCS / outcome_event.NAME).write_text(event_schema())
    for module in MODULES:
        (module / "README.md").write_text(module_page(module))


if __name__ == "__main__":
    main()
