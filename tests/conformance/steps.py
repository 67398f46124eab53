"""The way of the proof: from nothing to an environment that was paid through, moved, broken, protected and destroyed.

The rule: a step says what it saw, and whether that is what the docs say; what the emulator cannot play says why.
"""

from __future__ import annotations

import re
import threading
from typing import Final
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.conformance.names import names_of, there
from tests.conformance.questions import ALARM_SECONDS_MAX, AT_THE_END, PAID_THROUGH, PUBLISHED, UNREAD
from tests.conformance.record import Step
from tests.conformance.system import System
from tests.support.payments import body

_RISKY: Final = 900
# A table of rules that is in no package: settings are read and the table opened in init, which then fails.
_BROKEN: Final = "no-such.table"
# Another configuration, as AWS publishes no version of the same one.
_BROKEN_TOO: Final = "nor-such.table"
_NO_NAMES: Final = (
    "ministack does not keep the name that a durable execution is started under, so the workflow leaves it"
)
_NO_ALARMS: Final = "ministack judges an alarm only when somebody puts a metric, and over all dimensions"
_NO_SHARES: Final = f"{_NO_ALARMS}: none brings a canary back"


def first_apply(system: System) -> tuple[str, bool]:
    system.make_inbox()
    said = system.publish()
    found = re.search(r"Apply complete! Resources: (\d+) added, (\d+) changed, (\d+) destroyed", said)
    return found[0] if found else said, found is not None and (found[2], found[3]) == ("0", "0")


def second_plan(system: System) -> tuple[str, bool]:
    changed = system.changes()
    return f"it would change {', '.join(changed)}" if changed else "no changes", not changed


def a_payment(system: System) -> tuple[str, bool]:
    system.send("proof-first")
    status = system.becomes("proof-first", "completed")
    return status or "no item", status == "completed"


def approved_on_the_page(system: System) -> tuple[str, bool]:
    """Past the queue: so the emulator plays it, too."""
    if system.loopback:
        system.switch_durable_mode_on()
    system.clients["lambda"].invoke(
        FunctionName=system.outputs()["approval_alias_arn"],
        InvocationType="Event",
        Payload=body(payment_id="proof-page", amount=_RISKY, payment_token="pm_card_visa").encode(),
    )
    link = system.link()
    looked, page = system.visit(link)
    shown = f"{_RISKY}.00 USD" in page
    token = parse_qs(urlsplit(link).query)["t"][0]
    decided, _ = system.visit(link, urlencode({"t": token, "decision": "approve", "comment": "proof"}))
    status = system.becomes("proof-page", "completed")
    said = f"looking {looked}{'' if shown else ' without the amount'}, deciding {decided}, then {status or 'no item'}"
    return said, (looked, shown, decided, status) == (200, True, 200, "completed")


def approved_on_the_command_line(system: System) -> tuple[str, bool]:
    system.send("proof-risky", amount=_RISKY)
    status = system.becomes("proof-risky", "pending_approval")
    if status != "pending_approval":
        return f"{status or 'no item'} where it should wait for a person", False
    # Before the workflow has asked there is nothing to answer.
    asked = system.until(lambda: "callback_id" in system.item("proof-risky"))
    said = system.command("approvals", "approve", "proof-risky", "--reason", "proof", "--yes").strip()
    status = system.becomes("proof-risky", "completed")
    return f"{'' if asked else 'nobody was asked; '}{said}; then {status}", asked and status == "completed"


def a_canary(system: System) -> tuple[str, bool]:
    said = system.apply(
        memory_size=str(system.memory_sizes[0]), shares="10", hold_seconds=0.2 if system.loopback else 60
    )
    moved = "has 10 % of live" in said and "live moved from version 1 to 2" in said
    return said, moved


def its_rollback(system: System) -> tuple[str, bool]:
    said = system.script("rollback")
    function = system.outputs()["function_name"]
    alias = system.clients["lambda"].get_alias(FunctionName=function, Name="live")
    weights = alias.get("RoutingConfig", {}).get("AdditionalVersionWeights") or {}
    system.send("proof-rolled-back")
    status = system.becomes("proof-rolled-back", "completed")
    said = f"{said.splitlines()[0]}; live is {alias['FunctionVersion']} with weights {weights}; a payment {status}"
    return said, (alias["FunctionVersion"], weights, status) == ("1", {}, "completed")


def memory_sizes(system: System) -> tuple[str, bool]:
    said, fine = [], True
    for size in system.memory_sizes[1:]:
        system.apply(memory_size=str(size))
        system.send(f"proof-{size}")
        status = system.becomes(f"proof-{size}", "completed")
        live = system.clients["lambda"].get_function_configuration(
            FunctionName=system.outputs()["function_name"], Qualifier="live"
        )
        said.append(f"{live['MemorySize']} MB as version {live['Version']}, a payment {status or 'without an item'}")
        fine = fine and (live["MemorySize"], status) == (size, "completed")
    return "; ".join(said), fine


def an_init_that_fails(system: System) -> tuple[str, bool]:
    system.apply(rule_table_path=_BROKEN)
    answer = system.clients["lambda"].invoke(
        FunctionName=system.outputs()["function_name"], Qualifier="live", Payload=b'{"Records": []}'
    )
    error = answer["Payload"].read().decode()
    system.send("proof-broken")
    taken = system.until(lambda: system.waiting(states=("NotVisible",)) == 1)
    waiting, dead, status = system.waiting(), system.waiting("dead_letter_queue_url"), system.status("proof-broken")
    said = f"{answer.get('FunctionError', 'no error')}, {error}; {'taken' if taken else 'not taken'} by the mapping"
    return f"{said}, on the queue {waiting}, dead letters {dead}, item {status or 'none'}", (
        ("FunctionError" in answer, taken, waiting, dead, status) == (True, True, 1, 0, "")
    )


def its_alarm(system: System) -> tuple[str, bool]:
    system.until(lambda: system.alarm("errors") == "ALARM", ALARM_SECONDS_MAX)
    state = system.alarm("errors")
    return f"the alarm on errors is {state}", state == "ALARM"


def nothing_is_lost(system: System) -> tuple[str, bool]:
    said = system.script("rollback").splitlines()[0]
    status = system.becomes("proof-broken", "completed", 2 * ALARM_SECONDS_MAX)
    left, dead = system.waiting(), system.waiting("dead_letter_queue_url")
    system.variables.pop("rule_table_path")
    return f"{said}; the payment is {status or 'nowhere'}, on the queue {left}, dead letters {dead}", (
        (status, dead) == ("completed", 0)
    )


def a_broken_canary_comes_back(system: System) -> tuple[str, bool]:
    system.until(lambda: system.alarm("errors") == "OK", 2 * ALARM_SECONDS_MAX)
    system.publish("--proven", changed={"rule_table_path": _BROKEN_TOO})
    sent: list[str] = []
    ended = threading.Event()

    def send() -> None:
        while not ended.wait(5.0):
            system.send(f"proof-canary-{len(sent)}")
            sent.append(f"proof-canary-{len(sent)}")

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    try:
        said = system.script("deploy", "--published", "--shares", "50", "--hold", f"{ALARM_SECONDS_MAX:g}", code=1)
    finally:
        ended.set()
        sender.join()
    system.variables.pop("rule_table_path")
    done = system.until(lambda: all(system.status(one) == "completed" for one in sent), 2 * ALARM_SECONDS_MAX)
    dead = system.waiting("dead_letter_queue_url")
    said = f"{said.splitlines()[-1]}; {'all' if done else 'not all'} of {len(sent)} payments completed"
    return f"{said}, dead letters {dead}", ("is back at version" in said and done and dead == 0)


def a_destroy_is_refused(system: System) -> tuple[str, bool]:
    before, names = set(system.resources()), _names(system)
    said = system.destroy(expect=1)
    left, gone = set(system.resources()), names - set(there(system.clients, names))
    status = system.status("proof-first")
    error = said[said.find("Error: ") :]
    whole = left == before and not gone and status == "completed"
    return f"{len(left)} of {len(before)} resources left, item {status or 'gone'}; {error}", whole


def _names(system: System) -> set[tuple[str, str]]:
    return names_of((each["type"], each) for each in system.resources().values())


def protection_off(system: System) -> tuple[str, bool]:
    said = system.publish(changed={"deletion_protection": "false"})
    found = re.search(r"Apply complete! Resources: .*", said)
    return found[0] if found else said, found is not None


def destroy(system: System) -> tuple[str, bool]:
    names = _names(system)
    said = system.destroy()
    found = re.search(r"Destroy complete! Resources: \d+ destroyed", said)
    left, known = there(system.clients, names), system.resources()
    said = found[0] if found else said
    return f"{said}; left {', '.join(name for _, name in left) or 'nothing'}", not left and not known


STEPS: Final = (
    Step("first apply", "terraform apply", "everything is added", first_apply),
    Step("second plan", "terraform plan", "no changes", second_plan),
    Step("a payment", "sqs:SendMessage, then its item", "completed", a_payment),
    *PAID_THROUGH,
    Step(
        "a risky payment, approved on its page",
        "the workflow's alias, the link from its topic, a decision by HTTP",
        "200, 200 and completed",
        approved_on_the_page,
    ),
    Step(
        "a risky payment of the queue, approved on the command line",
        "sqs:SendMessage, then `payments approvals approve`",
        "it waits, is approved and completed",
        approved_on_the_command_line,
        not_here=_NO_NAMES,
    ),
    *UNREAD,
    Step("a canary", "an apply of another memory size, 10 % of live, then all", "live moved from 1 to 2", a_canary),
    Step("its rollback", "make rollback", "live is 1 at once, without weights, and pays", its_rollback),
    Step("memory sizes", "an apply of each, and a payment", "each has live, and pays", memory_sizes),
    Step(
        "an init that fails",
        "an apply whose rule table is in no package, then a payment",
        "the message stays on the queue, no dead letter, no item",
        an_init_that_fails,
    ),
    Step("its alarm", "cloudwatch:DescribeAlarms", "errors stands within minutes", its_alarm, not_here=_NO_ALARMS),
    Step("nothing is lost", "make rollback, and wait", "the payment is completed, no dead letter", nothing_is_lost),
    Step(
        "a canary whose init fails comes back",
        "a payment every 5 s while it has 50 % of live",
        "an alarm brings live back, and all are completed",
        a_broken_canary_comes_back,
        not_here=_NO_SHARES,
    ),
    *PUBLISHED,
    *AT_THE_END,
    Step(
        "a protected destroy",
        "terraform destroy",
        "refused by the guard, everything is left",
        a_destroy_is_refused,
    ),
    Step("protection off", "an apply of deletion_protection=false", "changed in place", protection_off),
    Step("the real destroy", "terraform destroy", "nothing is left", destroy),
)
