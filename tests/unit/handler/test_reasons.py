"""The catalogue of reason codes: what the code says is in it, nothing else is, and no cold start pays for it."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import handler
from handler.adapters.table.approval_writes import APPROVAL_WRITES
from handler.adapters.table.expressions import _CONSTANTS
from handler.adapters.table.later_writes import LATER_WRITES
from handler.adapters.table.parking_writes import PARKING_WRITES
from handler.adapters.table.writes import WRITES
from handler.domain import errors
from handler.domain.reasons import CATALOGUE, sentence

ROOT = Path(handler.__path__[0])

# Where a call takes a reason code: the place of the argument.
PLACES = {
    "Fault": 1,
    "UnreadableBodyError": 0,
    "ApprovalRefusedError": 0,
    "ParkedRefusedError": 0,
    "WebhookRefusedError": 0,
    "alarm": 0,
    "send": 2,
}
# Functions that give one back.
GIVES_CODES = "_unusable_reason"
# A fault of an id itself, where there is no usable one.
FAMILIES = {"payment_id": "payment_id_", "refund_id": "refund_id_"}


def name_of(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def codes(node: ast.expr | None) -> Iterator[str]:
    """The codes that an expression may be. Raises ValueError for one that cannot be told, as it would hide a code."""
    match node:
        case None | ast.Constant(""):
            return
        case ast.Constant(str(code)):
            yield code
        case ast.IfExp():
            yield from codes(node.body)
            yield from codes(node.orelse)
        case ast.Dict():
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value in ("reason_code", "StringValue"):
                    yield from codes(value)
        case ast.JoinedStr([ast.Constant(value="payment_id_" | "refund_id_"), ast.FormattedValue(value=code)]):
            # Its members are the faults of the field.
            yield from codes(code)
        case ast.Name() | ast.Attribute() if name_of(node) == "reason_code":
            # Handed on from where it was made.
            return
        case ast.Call() if name_of(node.func) == GIVES_CODES:
            return
        case _:
            raise ValueError(f"line {node.lineno}: cannot tell which reason code `{ast.unparse(node)}` is")


def used_in(source: str) -> Iterator[str]:
    """The reason codes that a module makes."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Assign(targets=[target]) | ast.AnnAssign(target=target) if name_of(target) == "reason_code":
                yield from codes(node.value)
            case ast.Assign(targets=[ast.Name("approval_reasons")], value=ast.Dict(keys=keys)):
                for key in keys:
                    yield from codes(key)
            case ast.keyword(arg="reason_code"):
                yield from codes(node.value)
            case ast.Dict() if any(isinstance(key, ast.Constant) and key.value == "reason_code" for key in node.keys):
                yield from codes(node)
            case ast.FunctionDef(name=name) if name == GIVES_CODES:
                for each in ast.walk(node):
                    if isinstance(each, ast.Return):
                        yield from codes(each.value)
            case ast.Call() if len(node.args) > PLACES.get(name_of(node.func), len(node.args)):
                found = list(codes(node.args[PLACES[name_of(node.func)]]))
                yield from found
                if isinstance(node.args[0], ast.Constant) and node.args[0].value in FAMILIES:
                    yield from (FAMILIES[node.args[0].value] + code for code in found)


def used() -> set[str]:
    found = {code for path in ROOT.rglob("*.py") if path.name != "reasons.py" for code in used_in(path.read_text())}
    written = {
        _CONSTANTS[assignment.partition(" = ")[2]]
        for write in (*WRITES, *APPROVAL_WRITES, *PARKING_WRITES, *LATER_WRITES)
        for assignment in write.set
        if assignment.startswith("#reason_code = ")
    }
    return found | written


def test_every_code_that_is_used_is_in_the_catalogue():
    assert used() - set(CATALOGUE) == set()


def test_every_code_of_the_catalogue_is_used():
    assert set(CATALOGUE) - used() == set()


@pytest.mark.parametrize(
    "source",
    [
        "class E(RetryableError):\n    reason_code = 'new'",
        "class E(RetryableError):\n    reason_code: str = 'new'",
        "faults.append(Fault('amount', 'new'))",
        "faults.append(Fault('amount', 'missing' if absent else 'new'))",
        "reason_code = 'a' if x else 'b' if y else 'new'",
        "item._replace(reason_code='new')",
        "raise UnreadableBodyError('new')",
        "raise ApprovalRefusedError('new', f'{name} is gone')",
        "ports.notifier.alarm('new', transaction_id, 'detail')",
        "ports.rejected.send(message, body, 'new')",
        "logger.info(outcome, extra={'reason_code': 'new'})",
        "approval_reasons = {'new': risk > 5}",
        "def _unusable_reason(faults):\n    return 'new'",
    ],
)
def test_a_new_code_is_found_wherever_one_may_stand(source):
    assert "new" in set(used_in(source))
    assert "new" not in CATALOGUE


def test_a_new_fault_of_an_id_is_two_codes():
    assert set(used_in("Fault('payment_id', 'new')")) == {"new", "payment_id_new"}
    assert set(used_in("Fault('refund_id', 'new')")) == {"new", "refund_id_new"}


@pytest.mark.parametrize(
    "source",
    ["Fault('amount', word)", "alarm(f'{kind}_failed', name, detail)", "reason_code = pick()", "f(reason_code=NEW)"],
)
def test_a_code_that_cannot_be_told_from_the_source_is_refused(source):
    with pytest.raises(ValueError, match="cannot tell"):
        list(used_in(source))


def test_an_error_and_its_code_give_the_same_answer():
    for name, error in inspect.getmembers(errors, inspect.isclass):
        if not issubclass(error, errors.PaymentError) or "reason_code" not in vars(error):
            continue
        # An error of a notice or of the fraud check is given up on, and the payment goes on without.
        comes_again = CATALOGUE[error.reason_code].answer in ("redeliver", "count", "tell", "ask")
        assert comes_again == (issubclass(error, errors.RetryableError) or error is errors.ItemChangedError), name


def test_only_the_payments_own_failures_count():
    own = {code for code, reason in CATALOGUE.items() if reason.is_own_failure}
    assert own == {
        *("scoring_failed", "gateway_refused", "gateway_answer_invalid"),
        *("item_changed", "item_damaged", "reading_too_slow", "table_refused", "tries_used_up"),
    }
    for name, error in inspect.getmembers(errors, inspect.isclass):
        if issubclass(error, errors.RetryableError) and error is not errors.RetryableError:
            assert error.is_own_failure == (error.reason_code in own), name


def test_every_refusal_has_a_status_and_what_only_tells_people_is_an_alarm():
    for code, reason in CATALOGUE.items():
        assert reason.sentence.strip(), code
        assert 400 <= reason.status < 600 if reason.answer == "refuse" else reason.status in (0, 503), code
        assert reason.is_alarm or reason.answer != "tell", code


def test_every_alarm_says_so_in_the_catalogue():
    raised = {
        code
        for path in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and name_of(node.func) == "alarm"
        for code in codes(node.args[0])
    }
    # These are handed on from an error.
    kinds = (errors.ApprovalStartRefusedError, errors.NoticeError, errors.ScoringError, errors.TableRefusedError)
    of_gateway = (
        errors.GatewayKeyRefusedError,
        errors.GatewayReferenceUnknownError,
        errors.FoundOtherContentError,
    )
    handed_on = {error.reason_code for error in (errors.DamagedItemError, *kinds, *of_gateway)}
    assert raised | handed_on == {code for code, reason in CATALOGUE.items() if reason.is_alarm}


def test_a_code_that_only_newer_code_knows_is_shown_as_it_is():
    assert sentence("amount") == "Its amount needs a person"
    assert sentence("from_next_year") == "from_next_year"


def test_the_queue_function_never_imports_the_catalogue():
    program = """
import sys, json
from handler.queue_function import create
records = [
    {"messageId": "1", "body": (payment := '{"payment_id": "p", "order_id": "o", "customer_id": "c", "amount": 25.99,'
        ' "payment_method": "card"}')},
    {"messageId": "2", "body": payment.replace("25.99", "9999")},
    {"messageId": "3", "body": payment.replace("25.99", "0").replace('"p"', '"q"')},
    {"messageId": "4", "body": "not JSON"},
]
answer = create({})({"Records": records}, None)
print(answer["body"]["processed"], answer["body"]["failed"], "handler.domain.reasons" in sys.modules, file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT.parent, env={}
    )
    assert done.stderr.splitlines()[-1] == "2 2 False"
