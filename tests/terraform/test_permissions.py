"""Every call that a function makes, against the policy that its role gets; and every permission, against the calls.

Held here: what the code asks of AWS (calls.py), and what AWS's services ask in the role's name (asked.py), is allowed;
whatever is allowed is asked for. So for people. Exceptions have their reasons in EXCEPTIONS.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import pytest
from botocore import xform_name

from handler.adapters.table.approval_writes import APPROVAL_WRITES
from handler.adapters.table.forget_writes import FORGET_WRITES
from handler.adapters.table.later_writes import LATER_WRITES
from handler.adapters.table.parking_writes import PARKING_WRITES
from handler.adapters.table.writes import WRITES, Write
from handler.domain.process import read, settle
from local.installation import ROOT
from local.terraform import SOURCE
from tests.support.payments import World, body, message, work
from tests.terraform.asked import (
    ARN,
    FUNCTIONS,
    PACKAGES,
    asked_by_code,
    asked_by_services,
    calls,
    with_keys,
)
from tests.terraform.asked_by_people import asked_by_people, asked_of_exports
from tests.terraform.installation import Plan
from tests.terraform.policies import Request, Statement, allows, denies, matching, of_document, of_text
from tests.terraform.roles import table as roles_table

RUNS = ("what_must_be", "all_that_may_be")

# What may be a call without a permission, and why. There is no permission without a call.
EXCEPTIONS = {
    ("benchmark function", "sqs:ChangeMessageVisibility"): "no queue feeds it: its messages have no receipt handles",
}
# What a package has and none of its functions calls, and why.
UNCALLED = {
    ("processor", "dynamodb", "Query"): "a method of the log that it shares with reconcile",
    ("workflow", "sqs", "ChangeMessageVisibilityBatch"): "of an adapter that the queue function alone is given",
    ("workflow", "sqs", "SendMessageBatch"): "of a target of events that this plan does not choose",
    ("workflow", "dynamodb", "DescribeExport"): "of an adapter with two clients, which calls.py does not follow",
    ("workflow", "dynamodb", "ExportTableToPointInTime"): "as above",
    ("workflow", "sns", "PublishBatch"): "of a target of events that this plan does not choose",
}


# The services that docs/terraform.md tells a boundary to leave to the roles, and a boundary that leaves no more.
[_LEFT] = re.findall(r"must leave them what they do with ([^:]*):", (ROOT / "docs" / "terraform.md").read_text())
SERVICES = set(re.findall(r"`([a-z0-9]+)`", _LEFT)) - {"conservation", "event_target", "vpc", "tracing"}
BOUNDARY: list[Statement] = [{"Effect": "Allow", "Action": [f"{one}:*" for one in SERVICES], "Resource": ["*"]}]


@dataclass
class Compared:
    refused: list[str]
    unused: list[str]


@pytest.fixture(scope="module")
def compared(plans: dict[str, Plan]) -> Compared:
    found = Compared([], [])
    for run in RUNS:
        used: dict[str, set[tuple[str, str]]] = {}
        policies: dict[str, list[Statement]] = {}
        queues = {
            planned["arn"]: of_text(planned["policy"])
            for address, planned in plans[run].items()
            if address.startswith("module.queue.aws_sqs_queue.")
        }
        for who, document, policy, asked in _roles(plans[run]):
            policies[document] = policy
            for request in with_keys(asked, plans[run]):
                used.setdefault(document, set()).update(matching(policy, "Allow", request))
                # A role may do what its policy and its boundary allow; people have no boundary of ours.
                bounded = document in plans[run]["outputs"]["policies"] or allows(BOUNDARY, request)
                allowed = bounded and allows(policy, request)
                allowed = allowed and not denies(queues.get(request.resource, []), as_principal(who, request))
                if not allowed and (who, request.action) not in EXCEPTIONS:
                    found.refused.append(f"{run}: {who} may not {request.action} on {request.resource}")
        for document, policy in policies.items():
            given = {(each, on) for statement in policy for each in statement["Action"] for on in statement["Resource"]}
            found.unused += [f"{run}: {document}: {each} on {on}" for each, on in given - used[document]]
    return found


def as_principal(who: str, request: Request) -> Request:
    """A request as the policy of a queue sees it."""
    role = {"on_call": "payments-on-call"}.get(who, who)
    if who.startswith("queue function"):
        role = "payments/shop-cloudcafe-payment-processor-test-eu-central-1"
    principal = f"arn:aws:iam::123456789012:role/{role}"
    return Request(request.action, request.resource, {"aws:SecureTransport": "true", "aws:PrincipalArn": principal})


@pytest.mark.parametrize("run", RUNS)
def test_nobody_else_reads_what_is_raw(run: str, plans: dict[str, Plan]) -> None:
    readers = {"payment": {"on_call", "queue function"}, "dead_letter": {"on_call"}, "failed_starts": {"on_call"}}
    for name, may in readers.items():
        planned = plans[run][f"module.queue.aws_sqs_queue.{name}"]
        policy = of_text(planned["policy"])
        for each in (
            "ReceiveMessage",
            "DeleteMessage",
            "ChangeMessageVisibility",
            "PurgeQueue",
            "StartMessageMoveTask",
        ):
            request = Request(f"sqs:{each}", planned["arn"])
            people = ("on_call", "queue function", "producer", "reader", "approver", "workflow")
            assert {who for who in people if not denies(policy, as_principal(who, request))} == may, (name, each)


def _roles(plan: Plan) -> Iterator[tuple[str, str, list[Statement], Iterable[Request]]]:
    """Who has which policy, and what is asked in whose name."""
    for name, function in FUNCTIONS.items():
        # Benchmark functions are made on request only.
        if function.document in plan:
            asked = [*asked_by_code(function, plan), *asked_by_services(name, function, plan)]
            if name == "conservation":
                # What makes exports holds two clients, and calls.py follows adapters with one.
                asked += asked_of_exports(plan)
            planned = plan[function.document]
            policy = of_text(planned["policy"]) if "policy" in planned else of_document(planned)
            yield name, function.document, policy, asked
    for person, text in plan["outputs"]["policies"].items():
        yield person, person, of_text(text), asked_by_people(person, plan)
    schedule = plan['module.approval_workflow.aws_lambda_alias.live["reconcile"]']
    started = ARN.format("lambda", f"function:{schedule['function_name']}:{schedule['name']}")
    scheduler = of_text(plan["module.approval_workflow.aws_iam_role_policy.scheduler"]["policy"])
    yield "scheduler", "scheduler", scheduler, [Request("lambda:InvokeFunction", started)]
    if starts := plan.get('module.conservation[0].aws_iam_role_policy.this["scheduler"]'):
        started = ARN.format("lambda", f"function:{plan[FUNCTIONS['conservation'].resource]['function_name']}")
        who = "sums' scheduler"
        yield who, who, of_text(starts["policy"]), [Request("lambda:InvokeFunction", started)]


# What makes a decision, and a state that it leads to.
DECISION = ("decided_by", "decided_at", "comment")


@pytest.mark.parametrize("run", RUNS)
def test_the_pages_function_alone_may_say_who_decided(run: str, plans: dict[str, Plan]) -> None:
    table = plans[run]["module.transaction_table.aws_dynamodb_table.this"]["arn"]

    def may(policy: list[Statement], operation: str, *attributes: str) -> bool:
        return allows(policy, Request(f"dynamodb:{operation}", table, {"dynamodb:Attributes": attributes}))

    deciding, others, claiming = set(), set(), set()
    for who, _, policy, _ in _roles(plans[run]):
        if all(may(policy, "UpdateItem", "transaction_id", "decision", name) for name in DECISION):
            deciding.add(who)
        if may(policy, "UpdateItem", "transaction_id", "status"):
            others.add(who)
        claiming |= {who for name in DECISION if may(policy, "PutItem", "transaction_id", name)}
        assert may(policy, "UpdateItem", *DECISION) == (who == "page"), who
        for name in DECISION:
            assert may(policy, "UpdateItem", "transaction_id", "status", name) == (who == "page"), (who, name)
        # Whose writes have no condition on it may not even name it.
        if who.startswith("queue function") or who == "on_call":
            assert not may(policy, "UpdateItem", "transaction_id", "decision"), who
            assert not may(policy, "PutItem", "transaction_id", "decision"), who
    functions = {name for name in FUNCTIONS if name.startswith("queue function")}
    assert (deciding, others) == ({"page"}, {*functions, "workflow", "page", "reconcile", "on_call"})
    # What its risk decides, a workflow that was invoked directly claims so.
    assert claiming == {"workflow"}


def test_of_all_writes_the_pages_function_may_send_the_decision_alone(plans: dict[str, Plan]) -> None:
    plan = plans["what_must_be"]
    table = plan["module.transaction_table.aws_dynamodb_table.this"]["arn"]
    [policy] = [policy for who, _, policy, _ in _roles(plan) if who == "page"]

    def named(write: Write) -> tuple[str, ...]:
        parts = (*write.condition, *write.set, *write.remove)
        return ("transaction_id", *(name for part in parts for name in re.findall(r"#(\w+)", part)))

    may = {
        write.name
        for write in (*WRITES, *APPROVAL_WRITES, *PARKING_WRITES, *LATER_WRITES, *FORGET_WRITES)
        if write.set and allows(policy, Request("dynamodb:UpdateItem", table, {"dynamodb:Attributes": named(write)}))
    }
    assert may == {"decide approval"}


def test_what_the_queue_function_puts_is_what_its_role_may_put(plans: dict[str, Plan]) -> None:
    world, put = World(), set()
    for text, message_id in (
        (body(), "m-1"),
        (body(amount=30), "m-2"),
        (body(payment_id="risky", amount=9999.99), "m-3"),
        (body(payment_id="wrong", amount=-1), "m-4"),
        (body(payment_id="wrong"), "m-5"),
    ):
        [reading] = read([message(text, message_id)], world.rules, world.ports, lambda: 30_000)
        settle(reading, world.rules, world.ports, work())
        put |= {tuple(sorted(item)) for item in world.dynamodb.items.values()}
    assert len(put) > 2
    plan = plans["what_must_be"]
    table = plan["module.transaction_table.aws_dynamodb_table.this"]["arn"]
    [policy] = [policy for who, _, policy, _ in _roles(plan) if who == "queue function, lean"]
    for attributes in put:
        assert allows(policy, Request("dynamodb:PutItem", table, {"dynamodb:Attributes": attributes})), attributes


def test_no_function_makes_a_call_that_its_role_may_not(
    compared: Compared, bar: Callable[[str, str, str, bool], None]
) -> None:
    bar("calls_without_permission", str(len(compared.refused)), "0", not compared.refused)
    assert compared.refused == []


def test_the_published_boundary_leaves_no_more_than_roles_use(plans: dict[str, Plan]) -> None:
    used = {
        action.partition(":")[0]
        for who, _, policy, _ in _roles(plans["all_that_may_be"])
        for statement in policy
        for action in statement["Action"]
        if who not in plans["all_that_may_be"]["outputs"]["policies"]
    }
    assert used == SERVICES


def test_without_a_prefix_who_is_on_call_may_find_the_queue_by_its_name(plans: dict[str, Plan]) -> None:
    def actions(run: str) -> set[str]:
        policy = of_text(plans[run]["outputs"]["policies"]["on_call"])
        return {action for statement in policy for action in statement["Action"]}

    assert actions("names_as_ever") - actions("what_must_be") == {"sqs:GetQueueUrl"}


def test_no_role_may_what_its_function_never_asks(
    compared: Compared, bar: Callable[[str, str, str, bool], None]
) -> None:
    bar("permissions_without_call", str(len(compared.unused)), "0", not compared.unused)
    assert sorted(compared.unused) == []


@pytest.mark.parametrize("package", PACKAGES.FUNCTIONS)
def test_every_operation_of_a_package_is_called_by_one_of_its_functions(package: str, plans: dict[str, Plan]) -> None:
    # Otherwise calls.py has lost sight of one, whose permission nothing would miss.
    entry = PACKAGES.FUNCTIONS[package].handler.rpartition(".")[0]
    is_processor = entry == "handler"
    functions = [each for each in FUNCTIONS.values() if (each.entry == "handler.queue_function") == is_processor]
    called = {(call.service, call.operation) for each in functions for call in calls(each, plans["all_that_may_be"])}
    listed = {
        (service, xform_name(operation))
        for service, operations in PACKAGES.FUNCTIONS[package].operations.items()
        for operation in operations
        if (package, service, operation) not in UNCALLED and operation not in PACKAGES.DURABLE_OPERATIONS
    }
    assert called == listed


def test_the_threat_model_has_what_every_role_may_do(plans: dict[str, Plan]) -> None:
    roles: dict[str, list[Statement]] = {}
    for who, _, policy, _ in _roles(plans["all_that_may_be"]):
        # What a function stands on changes nothing of what its role may do.
        assert roles.setdefault(who.partition(",")[0], policy) == policy
    made = roles_table(roles.items())
    page = (ROOT / "docs" / "threat-model.md").read_text()
    written = page.partition("<!-- roles -->\n")[2].partition("\n<!-- end of roles -->")[0]
    assert written == made, f"put this between the marks of docs/threat-model.md:\n{made}"


def test_what_is_to_be_attached_fits_a_managed_policy(plans: dict[str, Plan]) -> None:
    # "IAM and AWS STS quotas": 6,144 characters, of which white space does not count.
    texts = plans["all_that_may_be"]["outputs"]["policies"]
    sizes = {who: len("".join(text.split())) for who, text in texts.items()}
    assert max(sizes.values()) <= 6144, sizes


def test_every_role_has_the_policy_document_of_its_own_name() -> None:
    # Which one it is given, a plan does not say, where the document's text is left to the apply.
    for path in SOURCE.glob("modules/*/*.tf"):
        for name, block in re.findall(
            r'^resource "aws_iam_role_policy" "(\w+)" \{\n(.*?)^\}', path.read_text(), re.DOTALL | re.MULTILINE
        ):
            index = r"\[each\.key\]" if "for_each" in block else ""
            assert re.search(rf"policy += data\.aws_iam_policy_document\.{name}{index}\.json$", block, re.MULTILINE), (
                path
            )
            assert re.search(rf"role += aws_iam_role\.{name}{index}\.id$", block, re.MULTILINE), path
