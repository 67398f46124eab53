"""Deliberate faults in the shipped code, each of which the simulation must notice: `make test-mutations`.

Every clause, assignment and removal of docs/protocol.md's writes is dropped in turn, so that a new one needs no entry
here but a simulation that notices its absence; the faults that are no clauses are edits of the handler's source.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FunctionType, ModuleType
from typing import Any, Final

from handler.adapters.table import approval_log, parking_log, refund_log, transaction_log
from handler.adapters.table.refund_writes import REFUND_WRITES
from handler.adapters.table.writes import Write
from tests.simulation.clauses import documented_writes
from tests.simulation.refund_traffic import has_refunds
from tests.simulation.simulation import STEPS_MAX, run
from tests.simulation.world import Cut, World

_REFUND_WRITES = {write.name for write in REFUND_WRITES}

# Parts of the names of modules that nobody meets where nothing comes after a charge.
_AFTER_THE_CHARGE = ("webhook", "wake_up", "later", "reconcile_function")

# A mutation that lives through so many seeds has survived.
SEEDS_MAX = 600

# Races that few seeds meet: those that do are played first.
_RARE_SEEDS = (
    258, 857, 189, 74, 591, 814, 830, 862, 1260, 8230, 732, 840, 1549, 2761, 74941,
    127, 488, 2875, 145, 1411, 94, 323, 264, 3654, 659, 726, 5141,
)  # fmt: skip


@dataclass(frozen=True)
class Edit:
    """Replace `old`, which stands once in the module's source, by `new`."""

    module: str
    old: str
    new: str


@dataclass(frozen=True)
class Drop:
    """Leave one clause, assignment or removal, spelled as docs/protocol.md does, out of a write, or put `by` there."""

    write: str
    part: str
    by: str = ""


@dataclass(frozen=True)
class Mutation:
    """`by_effect`: a history must go wrong. Otherwise it is enough that a write would let through what it must not."""

    name: str
    changes: tuple[Edit | Drop, ...]
    by_effect: bool = True


def mutations() -> list[Mutation]:
    made: list[Mutation] = []
    for write in documented_writes().values():
        for clause in write.condition:
            drop = Drop(write.name, clause)
            made.append(Mutation(f"{write.name} without `{clause}`", (drop,), by_effect=drop not in BEHIND))
            if BEHIND.get(drop):
                made.append(
                    Mutation(f"{write.name} without `{clause}` and what stands in front of it", (drop, *BEHIND[drop]))
                )
        made += [
            Mutation(f"{write.name} does not {verb} `{part}`", (Drop(write.name, part),))
            for verb, parts in (("set", write.set), ("remove", write.remove))
            for part in parts
        ]
    return made + [Mutation(name, changes) for name, changes in EDITS.items()]


_STEPS = "handler.domain.approval.steps"
_CHARGE = "handler.domain.charge"
_CLAIM = "handler.domain.claim"
_ENDING = "handler.domain.ending"
_PROCESS = "handler.domain.process"
_SCORE = "handler.domain.score"
_RECORD = "handler.domain.record"
_RECONCILE = "handler.domain.reconcile"
_PARK = "handler.domain.park"
_RESTORED = "handler.domain.restored"
_BREAKER = "handler.domain.breaker"
_PARKED = "handler.domain.parked"
_FUNCTION = "handler.queue_function"
_BATCH = "handler.batch"
_CANONICAL = "handler.domain.canonical"
_ITEM = "handler.domain.item"
_EVENT = "handler.domain.outcome_event"
_DELIVERY = "handler.domain.outcome_delivery"
_RECORDS = "handler.adapters.events.records"
_LATER = "handler.domain.later"
_WAKE_UP = "handler.domain.wake_up"
_WAKE_UPS = "handler.adapters.webhook.wake_ups"
_STRIPE_EVENTS = "handler.adapters.webhook.stripe_events"
_WEBHOOK = "handler.webhook_function"
_RECONCILE_FUNCTION = "handler.reconcile_function"
_EVENTS = "handler.events_function"
_REFUND = "handler.domain.refund_process"
_REFUNDS = "handler.domain.refund_reconcile"
_FORGET = "handler.domain.forget"
_LEASE_IGNORED = Edit(_CLAIM, "if (stored.lease_until or 0) > now_ms:", "if False:")

_OBEYS = 'if item.decision == "approve":'
_CONFLICT_IGNORED = Edit(_CLAIM, "if stored.request_hash != request_hash or is_other:", "if False:")
_RELEASES = "release(claim if is_own else claim._replace(tries=claim.tries - 1), ports)"
_UNSEEN = "claim.gateway_ref, False"
_LAST = "first = own[-1] if own else None"
_STUCK = "max(item.lease_until or 0, item.updated_at) >= stale"
_LAST_WRITE_IGNORED = Edit(_RECONCILE, _STUCK, "(item.lease_until or 0) >= stale")

# Clauses that stand behind others: dropping one alone changes no history, as the others refuse the same writes. They
# are there for what no model has, such as an item changed by hand. Each is dropped once more together with those in
# front of it (or checks of the domain that ask the same), and then a history must go wrong. A new clause belongs here
# only with its reason.
BEHIND: dict[Drop, tuple[Edit | Drop, ...]] = {
    # An item leaves `rejected` by this write alone, which counts the attempt.
    Drop("claim corrected", "status = :rejected"): (Drop("claim corrected", "attempt = :seen"),),
    # The domain asked the same of the item that it read, and nobody changes that without counting the attempt.
    Drop("claim corrected", "attribute_exists(faults)"): (
        Edit(_CLAIM, "    if stored.faults:\n", '    if stored.status == "rejected":\n'),
    ),
    # Nothing that is at fault was ever prepared.
    Drop("claim corrected", "attribute_not_exists(gateway_ref)"): (
        Drop("claim corrected", "status = :rejected"),
        Drop("claim corrected", "attribute_exists(faults)"),
        Edit(_CLAIM, "    if stored.faults:\n", "    if stored.status in FINAL:\n"),
    ),
    # The domain compared the ids first.
    Drop("claim corrected", "message_id <> :message_id"): (
        Edit(_CLAIM, "if is_itself or (not is_valid", "if (not is_valid"),
    ),
    # A final item has no lease that could be over, and the domain looked at the lease.
    Drop("take over", "status = :processing"): (Drop("take over", "lease_until <= :now"), _LEASE_IGNORED),
    # The domain looked at the lease, and only a take-over, which counts the attempt, makes it longer.
    Drop("take over", "lease_until <= :now"): (_LEASE_IGNORED,),
    # The domain compared the hashes, and an item's hash never changes.
    Drop("take over", "request_hash = :request_hash"): (_CONFLICT_IGNORED,),
    # A payment in a workflow has no lease that could be over, and the domain asks for the name first.
    Drop("take over", "attribute_not_exists(approval_name)"): (
        Drop("take over", "lease_until <= :now"),
        Edit(_CLAIM, "if stored.approval_name:", "if False:"),
    ),
    # A settled payment has a reference.
    Drop("store gateway reference", "status = :processing"): (
        Drop("store gateway reference", "attribute_not_exists(gateway_ref)"),
    ),
    # An attempt has one owner, and no owner takes a payment over twice.
    Drop("store gateway reference", "owner = :owner"): (Drop("store gateway reference", "attempt = :attempt"),),
    Drop("store gateway reference", "attempt = :attempt"): (Drop("store gateway reference", "owner = :owner"),),
    # The domain looked at the reference: before the write the payment would have to be retried, prepared, parked again.
    Drop("cancel parked", "attribute_not_exists(gateway_ref)"): (
        Edit(_PARKED, "    if not item.gateway_ref:\n        ended", "    if True:\n        ended"),
    ),
    # Whoever ends or takes over what waits has looked for it too, and found the same; the domain asked for all three.
    Drop("record found", "status = :waiting"): (),
    Drop("record found", "attempt = :attempt"): (),
    Drop("record found", "attribute_not_exists(gateway_ref)"): (),
    # The domain asked for both, and neither ever changes: they are there for an item that is changed by hand, or gone.
    Drop("record refunded", "status = :completed"): (),
    Drop("record refunded", "gateway_ref = :gateway_ref"): (),
    Drop("record disputed", "status = :completed"): (),
    Drop("record disputed", "gateway_ref = :gateway_ref"): (),
    # Two runs would have to meet: what is forgotten leaves the index, and nothing open is in it under that name.
    Drop("forget person", "open_shard = :ended_shard"): (),
    # The domain compared the times first.
    Drop("forget person", "processed_at < :ended_before"): (
        Edit(_FORGET, "item.processed_at >= timestamp(before)", "False"),
    ),
    # The domain asked for the state, and the index was asked for what came before then.
    Drop("forget conflict", "status = :conflict"): (),
    Drop("forget conflict", "created_at < :created_before"): (
        Edit(_FORGET, "decisions.log.indexed_before(name, before=before)", "decisions.log.open_transaction_ids(name)"),
    ),
    # A claim gives a key up once in most histories.
    Drop("next key", "status = :processing"): (
        Drop("next key", "owner = :owner"),
        Drop("next key", "attempt = :attempt"),
    ),
    Drop("next key", "owner = :owner"): (Drop("next key", "attempt = :attempt"),),
    Drop("next key", "attempt = :attempt"): (Drop("next key", "owner = :owner"),),
    # A claim refuses once, and whoever takes the payment over is refused alike: a late refusal would have to arrive
    # while another worker has it, or after that one's own. No seed that CI plays is known to meet it.
    Drop("refuse", "status = :processing"): (),
    Drop("refuse", "owner = :owner"): (),
    Drop("refuse", "attempt = :attempt"): (),
    # What the gateway refuses for good it never prepared; a real one may change its mind in between.
    Drop("refuse", "attribute_not_exists(gateway_ref)"): (),
    # A claim records once.
    Drop("refuse shown", "status = :processing"): (),
    Drop("refuse shown", "owner = :owner"): (),
    Drop("refuse shown", "attempt = :attempt"): (),
    Drop("refuse shown", "attribute_not_exists(gateway_ref)"): (),
    Drop("record shown", "status = :processing"): (
        Drop("record shown", "owner = :owner"),
        Drop("record shown", "attempt = :attempt"),
    ),
    # What people approved is taken over only from an execution that has ended. No seed that was played meets its answer
    # after that while the payment is open.
    Drop("record shown", "owner = :owner"): (),
    Drop("record shown", "attempt = :attempt"): (),
    Drop("record", "status = :processing"): (Drop("record", "owner = :owner"), Drop("record", "attempt = :attempt")),
    Drop("record", "owner = :owner"): (Drop("record", "attempt = :attempt"),),
    Drop("record", "attempt = :attempt"): (Drop("record", "owner = :owner"),),
    # A claim parks once.
    Drop("park", "status = :processing"): (Drop("park", "owner = :owner"), Drop("park", "attempt = :attempt")),
    Drop("park", "owner = :owner"): (Drop("park", "attempt = :attempt"),),
    Drop("park", "attempt = :attempt"): (Drop("park", "owner = :owner"),),
    # A payment would have to be retried and parked again between an operator's reading and a write that comes late.
    Drop("allow retry", "park_no = :seen"): (),
    # One would have to be cancelled or recorded between a message's reading and its take-over: no seed that CI plays
    # is known to meet it.
    Drop("take over parked", "status = :parked"): (),
    # The domain asked the same of the item that it read, and whoever parks it again has counted the attempt.
    Drop("take over parked", "retry_no = park_no"): (
        Edit(
            _CLAIM,
            'return "take_over_parked" if stored.retry_no == stored.park_no else "parked"',
            'return "take_over_parked"',
        ),
    ),
    # Who takes it over writes that it is no longer parked.
    Drop("take over parked", "attempt = :seen"): (Drop("take over parked", "status = :parked"),),
    # The domain compared the hashes, and an item's hash never changes.
    Drop("take over parked", "request_hash = :request_hash"): (_CONFLICT_IGNORED,),
    # Whoever adopts between reconcile's reading and its write comes ten minutes late: reconcile waited for it.
    Drop("restart approval", "(attribute_not_exists(execution_arn) OR execution_arn = :closed)"): (
        Edit(_RECONCILE, "        if item.updated_at >= overdue:", "        if False:"),
    ),
    # A reference is never replaced.
    Drop("record cancelled", "gateway_ref = :gateway_ref"): (),
    # An attempt has one owner, and who takes a payment over writes that it is no longer parked.
    Drop("record parked", "owner = :owner"): (
        Drop("record parked", "attempt = :attempt"),
        Drop("record parked", "status = :parked"),
    ),
    Drop("record parked", "attempt = :attempt"): (
        Drop("record parked", "owner = :owner"),
        Drop("record parked", "status = :parked"),
    ),
    Drop("release", "owner = :owner"): (Drop("release", "attempt = :attempt"),),
    Drop("release", "attempt = :attempt"): (Drop("release", "owner = :owner"),),
    # Who takes it over writes it.
    Drop("take over stuck", "attempt = :seen"): (),
    # Whoever has a lease wrote it within that time; the domain looked at both.
    Drop("take over stuck", "(attribute_not_exists(lease_until) OR lease_until < :stale)"): (
        Drop("take over stuck", "updated_at < :stale"),
        Edit(_RECONCILE, _STUCK, "False"),
    ),
    # The domain looked at the last write, and the next one comes from whoever counts the attempt.
    Drop("take over stuck", "updated_at < :stale"): (_LAST_WRITE_IGNORED,),
    # Between reconcile's read and its write a delayed record has to arrive: no seed that CI plays is known to meet it.
    Drop("take over stuck", "status = :processing"): (),
    # An execution of an earlier generation that never adopted would have to arrive after the restart.
    Drop("adopt approval", "approval_name = :name"): (),
    # The domain compared the hashes, and an item's hash never changes.
    Drop("adopt approval", "request_hash = :request_hash"): (),
    # The engine starts one execution a name, and each generation has its own.
    Drop("adopt approval", "(attribute_not_exists(execution_arn) OR execution_arn = :arn)"): (),
    # A closed execution's last write would have to arrive after the restart: ten minutes and more in practice.
    Drop("ask for approval", "execution_arn = :arn"): (),
    Drop("expire approval", "execution_arn = :arn"): (),
    Drop("reject approval", "execution_arn = :arn"): (),
    Drop("begin approved charge", "execution_arn = :arn"): (),
    # An item's hash and amount never change here; on AWS somebody may edit them by hand.
    Drop("decide approval", "request_hash = :request_hash"): (),
    Drop("begin approved charge", "request_hash = :request_hash"): (),
    Drop("begin approved charge", "amount_minor = :amount_minor"): (),
    # The domain read the decision first, and the first decision stands.
    Drop("reject approval", "decision = :reject"): (Edit(_STEPS, _OBEYS, "if False:"),),
    Drop("begin approved charge", "decision = :approve"): (Edit(_STEPS, _OBEYS, "if True:"),),
    # The domain asked the same of the item that it read, a moment before.
    Drop("expire overdue approval", "approval_expires_at < :overdue"): (
        Edit(_RECONCILE, "item.approval_expires_at < overdue:", "True:"),
    ),
    Drop("expire overdue approval", "attribute_not_exists(decision)"): (
        Edit(
            _RECONCILE, "if not item.decision and item.approval_expires_at is not None", "if item.approval_expires_at"
        ),
    ),
    # Only a waiting item is looked at, and what settles it takes its execution along.
    Drop("restart approval", "status = :pending"): (),
    # A payment never leaves `completed`, and the domain asked for it first.
    Drop("reserve refund", "status = :completed"): (Edit(_REFUND, 'if payment.status != "completed":', "if False:"),),
    # The domain asked the same of the item that it read; a dispute would have to arrive in between.
    Drop("reserve refund", "attribute_not_exists(disputed)"): (),
    # The domain compared the amounts first, and an item's amount never changes.
    Drop("reserve refund", "amount_minor >= :amount_minor"): (
        Edit(
            _REFUND,
            "if payment.refund_reserved + amount",
            "if payment.refund_reserved and payment.refund_reserved + amount",
        ),
    ),
    # What was recorded or stored between reconcile's reading and its write has a reference, and a later date.
    Drop("take over refund", "status = :refund_pending"): (),
    Drop("take over refund", "attribute_not_exists(refund_ref)"): (),
    # Who takes it over dates it: two runs would have to take it over in the same moment.
    Drop("take over refund", "attempt = :seen"): (),
    # The domain looked at the last write, and the next one comes from whoever counts the attempt.
    Drop("take over refund", "updated_at < :stale"): (
        Edit(_REFUNDS, "if not refund.refund_ref and refund.updated_at >= stale:", "if False:"),
    ),
    # A key is given up by who has just called under it: another one would have to take over and record in between.
    Drop("next refund key", "status = :refund_pending"): (),
    Drop("next refund key", "attempt = :attempt"): (),
    # A write that comes twice says the same number again.
    Drop("next refund key", "(attribute_not_exists(gateway_try) OR gateway_try = :seen)"): (),
    # What ended has a reference, or the gateway never had it; and a refund has one reference, whoever stores it.
    Drop("store refund reference", "status = :refund_pending"): (),
    Drop("store refund reference", "attribute_not_exists(refund_ref)"): (),
    # Another run would have to take it over and call between a refusal and its record.
    Drop("fail refund", "attempt = :attempt"): (),
    # Each refund gives back what it had reserved, once.
    Drop("give reservation back", "refund_reserved >= :amount_minor"): (),
    # A repeated restart would have to arrive when the new execution already charges: no seed is known to meet it.
    Drop("restart charge", "owner = :owner"): (),
    Drop("restart charge", "attempt = :attempt"): (),
}

EDITS: dict[str, tuple[Edit | Drop, ...]] = {
    "a refund is called for without a look at the list": (
        Edit(
            _REFUND,
            "        found = look_for(refund, gives)\n        return (",
            "        found = None\n        return (",
        ),
    ),
    "a refund is called for again without a look at the list": (
        Edit(_REFUNDS, "    found = look_for(refund, gives)\n", "    found = None\n"),
    ),
    "the last call of a refund is not waited for": (
        Edit(_REFUNDS, "stale = gives.now_ms() - stuck_after_ms", "stale = gives.now_ms() + 10 * stuck_after_ms"),
        Drop("take over refund", "updated_at < :stale"),
    ),
    "a refund's key is another one for each attempt": (Edit(_REFUND, "{refund.gateway_try}", "{refund.attempt}"),),
    "what a bank returned stays refunded": (Edit(_REFUND, 'if said.state == "failed":', "if False:"),),
    "a refusal of a refund changes nothing": (
        Edit(_REFUND, 'return _fail(refund, response, gives, reason_code="refund_refused")', "raise error"),
    ),
    "a refund fails whatever its call ended with": (
        Edit(
            _REFUND,
            "    except GatewayRefusedError as error:",
            "    except (GatewayRefusedError, RetryableError) as error:",
        ),
        Edit(_REFUND, "code=error.code, request_id=error.request_id", 'code=""'),
    ),
    "other content under a refund id is a duplicate": (
        Edit(
            _REFUND,
            "if (stands.amount_minor, stands.currency) != (request.amount_minor, request.currency):",
            "if False:",
        ),
    ),
    "what is above what is left fails while the table is restored": (
        Edit(_REFUND, 'return Verdict("waiting") if rules.restored_at_ms else Verdict(', "return Verdict("),
    ),
    "what an execution left and another content was charged for is never parked": (
        Edit(_RECONCILE, "and item.request and _parks(claim, item, error, ports)", "and False"),
    ),
    "a refund waits for ever": (Edit(_REFUND, "    if payment.status in OPEN:\n", "    if True:\n"),),
    "no status after an unknown outcome": (
        Edit(
            _CHARGE,
            "        result = _ask(gateway_ref, gateway, times, work)\n"
            '        if result.state == "prepared":\n'
            "            if error",
            "        if True:\n            if error",
        ),
    ),
    "no status before the charge of a stored reference": (Edit(_CHARGE, "    if not is_new:\n", "    if False:\n"),),
    "no status before the charge of a reference found late": (
        Edit(_CHARGE, "return stored.gateway_ref, False", "return stored.gateway_ref, True"),
    ),
    "a charge in progress is repeated": (
        Edit(_CHARGE, '        if result.state != "prepared":', '        if result.state in ("approved", "declined"):'),
    ),
    "the key is not passed": (Edit(_CHARGE, 'return f"{environment}:{payment_id}', 'return f"" and f"{payment_id}'),),
    "the key is another one for each worker": (Edit(_CHARGE, "{claim.gateway_try}", "{claim.attempt}"),),
    "the key is not of the payment's content": (Edit(_CHARGE, "{claim.request_hash[:16]}", "{'0' * 16}"),),
    "a spent key of a charge is not given up": (
        Edit(
            _CHARGE,
            "            if error.spends_key:\n                claim",
            "            if False:\n                claim",
        ),
    ),
    "a spent key of a prepare is not given up": (
        Edit(_CHARGE, "        if error.spends_key and not", "        if False and not"),
    ),
    "a key is given up after no answer": (
        Edit(
            _CHARGE,
            "            if error.spends_key:\n                claim",
            "            if True:\n                claim",
        ),
    ),
    "a key of a prepare is given up after no answer": (
        Edit(_CHARGE, "        if error.spends_key and not", "        if not"),
    ),
    "a key is given up before it is asked what became of the charge": (
        Edit(
            _CHARGE,
            "as error:\n        result = _ask(",
            "as error:\n        claim = _next_key(claim, ports) if error.spends_key else claim\n        result = _ask(",
        ),
        Edit(
            _CHARGE,
            "            if error.spends_key:\n                claim",
            "            if False:\n                claim",
        ),
    ),
    "a reference prepared ahead is used although its claim was refused": (
        Edit(_CHARGE, "work.ahead is None or claim.attempt != 1", "work.ahead is None"),
    ),
    "a reference prepared ahead is not stored": (
        Edit(
            _CHARGE,
            "gateway_ref, is_new = _store(prepared, claim, ports, times, work)",
            "gateway_ref, is_new = (prepared, True) if work.ahead else _store(prepared, claim, ports, times, work)",
        ),
    ),
    "what waits for a person or is declined is prepared ahead": (
        Edit(_PROCESS, 'if rules.routing.route(payment, assessment) != "processing" or', "if"),
    ),
    "what was received before is prepared ahead": (Edit(_PROCESS, "reading.message.receives == 1 and not", "not"),),
    "payments are prepared ahead while the breaker is open": (
        Edit(_PROCESS, "(work.breaker is not None and work.breaker.is_open)", "False"),
    ),
    "a prepare ahead has a key of its own": (
        Edit(_PROCESS, "request_hash=validation.request_hash)", "request_hash='ahead')"),
    ),
    "a prepare that fails ahead is no ordinary failure": (
        Edit(
            _PROCESS,
            "    except RetryableError:\n        # It comes",
            "    except NotImplementedError:\n        # It comes",
        ),
    ),
    "the next key is used before it is written": (
        Edit(_CHARGE, "claim = _next_key(claim, ports)", "claim = claim._replace(gateway_try=claim.gateway_try + 1)"),
    ),
    "the keys that were given up are forgotten": (Edit(_CLAIM, "        item.gateway_try,\n", "        0,\n"),),
    "what the gateway refuses for good comes again": (
        Edit(_PROCESS, "            if not error.is_final:\n", "            if True:\n"),
    ),
    "whatever the gateway refuses is declined": (
        Edit(_PROCESS, "            if not error.is_final:\n", "            if False:\n"),
    ),
    "a lost reference is not cancelled": (
        Edit(
            _CHARGE, "        _cancel_lost(gateway_ref, ports, times, work)\n    _require", "        pass\n    _require"
        ),
    ),
    "the reference that stands is cancelled for the lost one": (
        Edit(
            _CHARGE,
            "        _cancel_lost(gateway_ref, ports, times, work)\n    _require",
            "        _cancel_lost(stored.gateway_ref, ports, times, work)\n    _require",
        ),
    ),
    "a reference that its own write had stored is cancelled": (
        Edit(_CHARGE, "return stored.gateway_ref != gateway_ref and bool(", "return bool("),
    ),
    "what was prepared in vain is cancelled although the payment may get it": (
        Edit(
            _CHARGE,
            'if gateway_ref and (standing.outcome == "conflict" or _is_lost(gateway_ref, standing.item)):',
            "if gateway_ref:",
        ),
    ),
    "the reference is not stored": (
        Edit(
            _CHARGE,
            "gateway_ref, is_new = _store(prepared, claim, ports, times, work)",
            "gateway_ref, is_new = prepared, True",
        ),
    ),
    "a workflow takes over what a message brought": (Edit(_CLAIM, " or not work.takes_over", ""),),
    "a payment that no message brought cannot be claimed": (
        Edit(
            _STEPS,
            "    if route in OPEN:\n",
            '    if not execution.name.startswith("sim-"):\n        raise KeyError\n    if route in OPEN:\n',
        ),
    ),
    "what wider limits had claimed counts as failed": (
        Edit(
            _FUNCTION,
            "outcomes.append(self._settle(readings[place], work_on(place)._replace(ahead=ahead)))",
            "outcomes.append(self._settle(readings[place], work_on(place)._replace(ahead=ahead)))\n"
            '            outcomes[-1] = "rejected" if readings[place].validation.faults else outcomes[-1]',
        ),
    ),
    "lowered limits have no effect": (
        Edit("handler.domain.money", "elif minor > amount_max:", "elif minor > 1_000_000:"),
    ),
    "narrower limits make a claimed payment other content": (
        Edit(_CLAIM, "asked.request_hash if same is None else stored.request_hash", "asked.request_hash"),
    ),
    "time is not watched": (Edit(_CLAIM, "if self.remaining_ms() < times.least_remaining_ms:", "if False:"),),
    "a conflict is taken for a duplicate": (_CONFLICT_IGNORED,),
    "a conflict is not kept": (Edit(_CLAIM, "    log.put_new(conflict)\n", ""),),
    "a leased payment is taken for settled": (Edit(_CLAIM, 'return "in_progress"', 'return "final"'),),
    "its own claim is not recognised": (
        Edit(_CLAIM, "if stored.request_hash == request_hash and stored.owner == owner:", "if False:"),
    ),
    "a take-over keeps its old fencing number": (
        Edit(_CLAIM, "held(tried, work.owner, stored.attempt + 1)", "held(tried, work.owner, stored.attempt)"),
    ),
    # Alone it costs a call: the reference that stands there is met again when one is to be stored, and asked about.
    "a take-over forgets the stored reference, and meets it without asking": (
        Edit(
            _CLAIM,
            "return held(tried, work.owner, stored.attempt + 1)",
            'return held(tried, work.owner, stored.attempt + 1)._replace(gateway_ref="")',
        ),
        Edit(_CHARGE, "return stored.gateway_ref, False", "return stored.gateway_ref, True"),
    ),
    "the approval is started before it is recorded": (
        Edit(
            _PROCESS,
            "    try:\n        with alarmed(ports.notifier):\n            claimed = claim(",
            '    if item.status == "pending_approval":\n'
            "        ports.approvals.start(item, item.request)\n"
            "    try:\n        with alarmed(ports.notifier):\n            claimed = claim(",
        ),
    ),
    "the approval is never started": (Edit(_PROCESS, "_start_approval(claimed.item, ports)", "pass"),),
    "a redelivery does not start the approval": (
        Edit(
            _PROCESS,
            'if claimed.outcome == "pending_approval" and not',
            'if claimed.outcome == "pending_approval" and claimed.item is item and not',
        ),
    ),
    "acknowledged before recorded": (
        Edit(
            _PROCESS,
            '            return "parked"\n        raise\n',
            '            return "parked"\n        return "processing"\n',
        ),
    ),
    "a failed payment is not released": (Edit(_PARK, _RELEASES, "pass"),),
    "what keeps failing is never parked": (Edit(_PARK, "    if _is_time(claim,", "    if False and _is_time(claim,"),),
    "a payment is parked at once": (Edit(_PARK, "claim.tries >= parking.after_tries", "True"),),
    "what takes its method's days comes again": (Edit(_PARK, "error.takes_days or tried_for", "tried_for"),),
    "what may still be a call under way is parked at once": (
        Edit(_PARK, "(error.takes_days or tried_for_ms >= CALLS_ENDED_AFTER_MS)", "True"),
    ),
    "what takes its method's days holds its group up where its own answer was lost": (
        Edit(_PARK, "(error.takes_days or tried_for_ms >= CALLS_ENDED_AFTER_MS)", "error.takes_days"),
    ),
    "what takes its method's days is recorded as declined": (
        Edit(_CHARGE, '    if result.state == "in_progress":\n        _require', "    if False:\n        _require"),
        Edit(_CHARGE, '    if result.state == "in_progress":\n        raise', "    if False:\n        raise"),
        Edit(_CHARGE, '"cancelled", "requires_action")', '"cancelled", "requires_action", "in_progress")'),
        Edit(
            _ENDING,
            '    if result.state in ("approved", "cancelled"):',
            '    if result.state in ("approved", "cancelled", "in_progress"):',
        ),
    ),
    "a charge in progress says nothing of the gateway": (
        Edit(
            _BREAKER,
            "GatewayAnswerError | GatewayRefusedError | ChargeInProgressError)",
            "GatewayAnswerError | GatewayRefusedError)",
        ),
    ),
    "what everybody suffers from parks a payment": (Edit(_PARK, "is_spent = is_own and ", "is_spent = "),),
    "no payment is too old": (
        Edit(_PARK, "    return is_spent or tried_for_ms", "    return is_spent or False and tried_for_ms"),
    ),
    "what everybody suffers from counts": (Edit(_PARK, _RELEASES, "release(claim, ports)"),),
    "no failure counts": (Edit(_PARK, _RELEASES, "release(claim._replace(tries=claim.tries - 1), ports)"),),
    "the breaker never opens": (Edit(_BREAKER, "self.is_open = was_open or is_everybody", "self.is_open = False"),),
    "the breaker never closes": (
        Edit(
            _BREAKER,
            "        self.is_open = False\n        self._answers += 1\n",
            "        self._answers += 1\n",
        ),
    ),
    "an open breaker lets every message ask": (Edit(_BREAKER, "if self.is_open and self._has_asked:", "if False:"),),
    "a 5xx to everybody is a payment's own failure": (
        Edit(_BREAKER, "return self._answers > answers_before and not self.is_open", "return True"),
    ),
    "a payment whose workers are killed is tried for ever": (
        Edit(_PROCESS, "if claimed.tries > rules.parking.after_tries:", "if False:"),
    ),
    "a parked message counts as processed": (
        Edit(_FUNCTION, '"unusable", "parked", "set_aside") for', '"unusable", "set_aside") for'),
    ),
    "a retry goes on with the tries from before": (
        Edit(_CLAIM, "tries=1 if is_retry else stored.tries + 1", "tries=stored.tries + 1"),
    ),
    "the tries of an execution do not count": (
        Edit(_STEPS, "held(item._replace(tries=item.tries + 1),", "held(item,"),
    ),
    "an execution does not know that it parked its payment": (
        Edit(_STEPS, 'if item.status == "parked":', "if False:"),
    ),
    "a retry is sent before it is allowed": (
        Edit(
            _PARKED,
            "    refused = decisions.log.allow_retry(",
            "    queue.send(item, retry_id(item))\n    refused = decisions.log.allow_retry(",
        ),
    ),
    "a workflow's parked payment is retried by a message": (Edit(_PARKED, "if not item.generation:", "if True:"),),
    "a workflow's parked payment is retried while its execution runs": (
        Edit(_PARKED, "if item.execution_arn and not", "if False and not"),
    ),
    "reconcile does not ask about parked payments": (
        Edit(_RECONCILE, "    if not item.gateway_ref:\n", "    if True:\n"),
    ),
    "an unusable message is not kept": (
        Edit(_PROCESS, "        ports.rejected.send(reading.message", "        (reading.message"),
    ),
    "documents are not masked": (
        Edit(
            "handler.domain.card_data",
            "masked = iter(mask_texts(texts, find_card_numbers))",
            "masked = iter(texts)",
        ),
    ),
    "what needs a person waits where nobody can be asked": (
        Edit(_SCORE, '"pending_approval" if self.asks else "declined"', '"pending_approval"'),
    ),
    "what needs a person is charged where nobody can be asked": (
        Edit(
            _SCORE,
            '"pending_approval" if self.asks else "declined"',
            '"pending_approval" if self.asks else "processing"',
        ),
    ),
    "what nobody can be asked about is declined as by a rule": (
        Edit(_ITEM, 'if by_rule else "approval_unavailable"', 'if True else "approval_unavailable"'),
    ),
    "every payment is charged without a person": (
        Edit(_PROCESS, "    status = rules.routing.route(payment, assessment)\n", '    status = "processing"\n'),
    ),
    "a decline is recorded before it is cancelled, and a late confirm captures": (
        Edit(_ENDING, '    if result.state in ("approved", "cancelled"):', '    if result.state != "requires_action":'),
    ),
    "what waits for its customer is recorded before it is cancelled": (
        Edit(
            _ENDING,
            '    if result.state in ("approved", "cancelled"):\n        return result\n',
            '    if result.state != "declined":\n        is_open = result.state == "requires_action"\n'
            '        return result._replace(state="declined") if is_open else result\n',
        ),
    ),
    "why a payment was declined is lost with its cancel": (
        Edit(_ENDING, "code=result.code or code", "code=stands.code and code"),
    ),
    "a charge that is refused ends its payment": (
        Edit(
            _PROCESS,
            "            if not error.is_final:\n",
            "            if not error.is_final and not claimed.gateway_ref:\n",
        ),
    ),
    "what succeeded before its cancel is recorded as declined": (
        Edit(_ENDING, '    if stands.state == "cancelled":', '    if stands.state in ("cancelled", "approved"):'),
    ),
    "a parked payment is given up without the gateway": (
        Edit(
            _PARKED,
            "gateway.cancel(item.gateway_ref)",
            'gateway.status(item.gateway_ref)._replace(state="cancelled")',
        ),
    ),
    "what was charged before its cancel is given up": (
        Edit(_PARKED, '    if stands.state == "approved":', "    if False:"),
        Edit(_PARKED, '    elif stands.state == "cancelled":', "    elif True:"),
    ),
    "what waits at the gateway is given up": (
        Edit(_PARKED, '    elif stands.state == "cancelled":', "    elif True:"),
        Edit(_CHARGE, '    if result.state == "in_progress":\n        raise', "    if False:\n        raise"),
        Edit(_CHARGE, '"cancelled", "requires_action")', '"cancelled", "requires_action", "in_progress")'),
    ),
    "a decline is recorded as completed": (
        Edit(
            _RECORD,
            'status: Status = "completed" if result.state == "approved" else "declined"',
            'status = "completed"',
        ),
    ),
    "a failed record is taken for done": (
        Edit(
            _RECORD,
            "    if final_status is None:\n        raise",
            "    if final_status is None:\n        return status\n        raise",
        ),
        Drop("take over", "lease_until <= :now"),
        _LEASE_IGNORED,
    ),
    "open items cannot be found": (
        Edit(_ITEM, "item = item._replace(open_shard=open_shard(status, request_hash))", "pass"),
    ),
    "amounts pass through floats": (
        Edit(
            "handler.domain.money",
            'int(match[1] + fraction.ljust(digits, "0"))',
            "int(float(text) * 10**digits)",
        ),
    ),
    "a group goes on behind a failed message": (Edit(_BATCH, ", *self._take_back(group)]", "]"),),
    "the messages of a group are settled at once": (
        Edit(_BATCH, "self._at_work.add(self._groups[place])", "pass"),
        Edit(_BATCH, "turns.groups_left()", "10"),
    ),
    "a worker owns by another one's message": (
        Edit(_FUNCTION, "{request_id}:{messages[place].message_id}", "{request_id}:{messages[0].message_id}"),
    ),
    "a worker has the time that its batch began with": (
        Edit(
            _FUNCTION,
            "        remaining_ms = self._remaining_ms(context)\n",
            "        left_ms = self._remaining_ms(context)()\n        remaining_ms = lambda: left_ms\n",
        ),
    ),
    "a worker has the time that its message began with": (
        Edit(_FUNCTION, "Work(owner, remaining_ms,", "Work(owner, lambda left_ms=remaining_ms(): left_ms,"),
    ),
    "all workers ask at once while the breaker is open": (
        Edit(_FUNCTION, "            lambda: self._breaker.is_open,\n", "            lambda: False,\n"),
    ),
    "no message is returned": (
        Edit(_FUNCTION, 'failures = [{"itemIdentifier": message_id} for message_id in failed_ids]', "failures = []"),
    ),
    "returned messages do not wait": (
        Edit(_FUNCTION, "            for returned in groups.values()\n", "            for returned in ()\n"),
    ),
    "returned messages wait each for its own": (
        Edit(_FUNCTION, "setdefault(message.group, [])", "setdefault(message.message_id, [])"),
    ),
    "the delay does not double": (Edit("handler.domain.times", "float(1 << min(max(receives, 1) - 1, 20))", "1.0"),),
    "rejected messages count as processed": (Edit(_FUNCTION, "len(outcomes) - rejected,", "len(outcomes),"),),
    "the rejected queue's failure is ignored": (
        Edit(
            "handler.adapters.queues",
            'raise RejectedQueueUnavailableError(f"message {message.message_id}: {error}") from error',
            "return",
        ),
    ),
    "a refusal is taken for success": (
        Edit(
            "handler.adapters.table.transaction_log",
            "            return from_stored(from_attributes(image))\n        raise failure",
            "            return None\n        raise failure",
        ),
    ),
    "an unanswered write is taken for success": (
        Edit(
            "handler.adapters.table.transaction_log",
            "        raise failure(write.name, transaction_id, error) from error\n    return None",
            "        if error.code:\n"
            "            raise failure(write.name, transaction_id, error) from error\n"
            "    return None",
        ),
    ),
    "the hash is compared in the version that is written": (
        Edit(_CLAIM, "asked = in_version(stored.canonical_version)", "asked = in_version(item.canonical_version)"),
    ),
    "an unknown version is taken for a conflict": (
        Edit(
            _CLAIM,
            "        asked = in_version(stored.canonical_version)\n",
            "        try:\n            asked = in_version(stored.canonical_version)\n        except Exception:\n"
            "            return _conflict(conflict_of(item, item.request_hash, item.canonical_version, "
            "), log)\n",
        ),
    ),
    "an unknown version is read as the first one": (
        Edit(_CANONICAL, "    if rules is None:\n", "    if rules is None:\n        return VERSIONS[1]\n"),
    ),
    "a conflict is kept in the version that is written": (
        Edit(
            _CLAIM,
            "conflict_of(item, request_hash, stored.canonical_version, canonical)",
            "conflict_of(item, item.request_hash, item.canonical_version, canonical)",
        ),
    ),
    "the item's version is not stored": (
        Edit(
            _ITEM,
            "canonical_version=canonical_version,\n        attempt=1,",
            "canonical_version=1,\n        attempt=1,",
        ),
    ),
    "an item without a version counts as one of the second": (
        Edit(_ITEM, '"canonical_version", FIRST_VERSION)', '"canonical_version", 2)'),
    ),
    "what is charged is read in the version that is written": (
        Edit(_PROCESS, "reading.in_version(claimed.canonical_version).claimed", "reading.validation.claimed"),
    ),
    "a workflow reads its input in the version that is written": (
        Edit(_STEPS, "validation = reading.in_version(stored.canonical_version)", "validation = reading.validation"),
    ),
    "an approved payment is not read again before its charge": (
        Edit(_STEPS, "payment = as_held(item, asked) or payment", "pass"),
    ),
    "stored text is read as version 1": (
        Edit("handler.domain.validate", "int(version))\n    if result", "1)\n    if result"),
    ),
    "version 2 does not compose letters": (Edit(_CANONICAL, 'tables.normalize("NFC", run) if known else run', "run"),),
    "version 2 does not know small letters in a currency": (Edit(_CANONICAL, "currency.upper()", "currency"),),
    "version 2 does not know other spellings of an amount": (
        Edit(_CANONICAL, "NumberText(_plain(Decimal(amount)))", "amount"),
    ),
    "version 2 has the faults in its text": (Edit(_CANONICAL, "    if rules.tells_faults:\n", "    if faults:\n"),),
    "a rejected message's own delivery is a conflict": (
        Edit(_CLAIM, "if is_itself or (not", 'if is_itself:\n            return "conflict"\n        if (not'),
    ),
    "a payment now is taken for the duplicate of a rejected message": (
        Edit(_CLAIM, "if is_itself or (not is_valid and (", "if is_itself or (True and ("),
    ),
    "a corrected message is a conflict": (
        Edit(
            _CLAIM, 'return "correct" if len(stored.superseded) < CORRECTIONS_MAX else "conflict"', 'return "conflict"'
        ),
    ),
    "corrections have no end": (Edit(_CLAIM, "len(stored.superseded) < CORRECTIONS_MAX", "True"),),
    "a correction is judged in the rejected message's version": (
        Edit(_CLAIM, "is_valid=not item.faults", "is_valid=asked.payment is not None"),
    ),
    "a correction by an execution is in the rejected message's version": (
        Edit(_STEPS, "if stored is None or stored.faults:", "if stored is None:"),
    ),
    "a correction is dated as its message was read": (
        Edit(
            _CLAIM,
            "        created_at=now_ms,\n        updated_at=now_ms,\n        processed_at",
            "        processed_at",
        ),
    ),
    "a correction keeps the fencing number": (
        Edit(_CLAIM, "attempt=rejected.attempt + 1", "attempt=rejected.attempt"),
        Drop("claim corrected", "attempt = :seen"),
    ),
    "a parking is no outcome of its own": (
        Edit(_EVENT, "len(item.superseded) + item.park_no + (", "len(item.superseded) + ("),
    ),
    "a rejected message that was followed was no outcome": (
        Edit(_EVENT, "len(item.superseded) + item.park_no + (", "item.park_no + ("),
    ),
    "a parked payment is not told of": (
        Edit(_EVENT, "return item.status in OUTCOMES", 'return item.status in OUTCOMES and item.status != "parked"'),
    ),
    "a conflict is not told of": (
        Edit(_EVENT, "return item.status in OUTCOMES", "return item.status in OUTCOMES and item.status != CONFLICT"),
    ),
    "an event does not say that something may follow": (
        Edit(_EVENT, 'item.status == "parked" or bool(item.status == "rejected" and item.faults)', "False"),
    ),
    "only an item's first outcome is told": (
        Edit(_RECORDS, "is_outcome(before) and sequence(before) == sequence(item)", "is_outcome(before)"),
    ),
    "what a worker left is told": (Edit(_RECORDS, "    if not is_outcome(item):\n        return None\n", ""),),
    "an event that was not taken does not come again": (Edit(_DELIVERY, "            again.append(place)\n", ""),),
    "a call that failed does not come again": (Edit(_DELIVERY, "            again += sending\n", ""),),
    "what had no time or stood behind is done": (Edit(_DELIVERY, "sorted(again + left)", "sorted(again)"),),
    "a payment's later event goes while an earlier one waits": (
        Edit(_DELIVERY, "            held.add(event.payment_id)\n", ""),
    ),
    "two events of a payment go in one call": (
        Edit(
            _DELIVERY,
            "payment_id not in held | {events[each].payment_id for each in sending}",
            "payment_id not in held",
        ),
    ),
    "the last record that failed comes again, and what is behind it": (
        Edit(_EVENTS, "for place in again[:1]", "for place in again[-1:]"),
    ),
    "a claim is not counted": (Edit(_ITEM, "        attempt=1,\n        version=1,", "        attempt=1,"),),
    "a conflict is not counted": (
        Edit(
            _CLAIM,
            "        canonical_version=canonical_version,\n        version=1,",
            "        canonical_version=canonical_version,",
        ),
    ),
    "a correction counts its item's writes anew": (Edit(_CLAIM, "        version=rejected.version + 1,\n", ""),),
    "only the last message that was followed is known": (
        Edit(_CLAIM, "superseded=(*rejected.superseded, followed)", "superseded=(followed,)"),
    ),
    "a followed message's own delivery is a conflict": (
        Edit(
            _CLAIM,
            "if message_id and any(each.message_id == message_id for each in stored.superseded):",
            "if False:",
        ),
    ),
    "a followed message's content is a conflict": (
        Edit(_CLAIM, '"final" if is_superseded and not is_valid else "conflict"', '"conflict"'),
    ),
    "a followed message's content is its correction": (
        Edit(_CLAIM, "(is_superseded or stored.request_hash == request_hash)", "(stored.request_hash == request_hash)"),
    ),
    "a payment now is taken for the duplicate of a followed message": (
        Edit(_CLAIM, "bool(item.faults) and _is_superseded(", "_is_superseded("),
        Edit(_CLAIM, "if is_superseded and not is_valid else", "if is_superseded else"),
    ),
    "a followed message's content is compared in the item's version": (
        Edit(
            _CLAIM,
            "in_version(each.canonical_version).request_hash",
            "in_version(stored.canonical_version).request_hash",
        ),
    ),
    "what was charged before a restore is not looked for": (
        Edit(_CHARGE, "claim.gateway_ref or found_reference(claim, payment, rules, ports, work), False", _UNSEEN),
    ),
    "a search after a restore is believed at once": (
        Edit(_RESTORED, "if look_up.clock.now_ms() < rules.restored_at_ms + FOUND_AFTER_MS:", "if False:"),
    ),
    "any reference that is found is the payment's": (
        Edit(_RESTORED, "first = min(own, key=lambda each: _ORDER.index(each.result.state), default=None)", _LAST),
    ),
    "another payment's charge is taken for the payment's": (
        Edit(_RESTORED, "if (each.result.amount_minor, each.result.currency) == asked]", "]"),
    ),
    "a payment is charged beside another one under its id": (
        Edit(_RESTORED, 'if others and (first is None or first.result.state != "approved"):', "if False:"),
    ),
    "people are asked about what was charged before a restore": (
        Edit(_STEPS, "    if ended := _found(claimed.item, rules.payments, ports, work):\n", "    if ended := None:\n"),
        Edit(_RECONCILE, "    if ended := find_end(item):\n", "    if ended := None:\n"),
    ),
    "what was charged before a restore expires": (
        Edit(_RECONCILE, "    if ended := find_end(item):\n", "    if ended := None:\n"),
    ),
    "what was charged before a restore is given up": (
        Edit(_PARKED, "        ended = _found(item, find_end)\n", "        ended = None\n"),
    ),
    "prepares are sent ahead after a restore": (
        Edit(_PROCESS, "reading.message.receives == 1 and not rules.restored_at_ms", "reading.message.receives == 1"),
    ),
    "reconcile starts a used name again": (
        Edit(
            _RECONCILE,
            '            return "waiting"\n    elif not decisions.executions',
            '            return "waiting"\n        decisions.starter.start(item, item.request)\n'
            '        return "restarted"\n    elif not decisions.executions',
        ),
    ),
    "an approval is not obeyed": (
        Edit(
            _STEPS,
            'if item.decision == "approve":\n        return Next("charge")',
            "if False:\n        pass",
        ),
    ),
    "a callback decides": (
        Edit(
            _STEPS,
            "    if _waits(item, execution) and not item.decision and is_called_back:\n",
            "    if _waits(item, execution) and not item.decision and is_called_back:\n"
            '        said = {"decision": "approve", "decided_by": "callback", "comment": "sent with the callback"}\n'
            '        said |= {"callback_id": item.callback_id, "request_hash": item.request_hash}\n'
            "        log.decide_approval(transaction_id, now=clock.now_ms(), **said)\n",
        ),
    ),
    "a repeated adoption moves the time that people have": (
        Drop(
            "adopt approval",
            "approval_expires_at = if_not_exists(approval_expires_at, :expires_at)",
            by="#approval_expires_at = :expires_at",
        ),
    ),
    "the workflow scores instead of the riskier": (
        Edit(_STEPS, "if stored.risk is not None and (", "if stored.risk is not None and True or ("),
    ),
    "reconcile charges": (
        Edit(
            _RECONCILE,
            "            result = ports.gateway.status(gateway_ref)\n            if",
            '            result = ports.gateway.charge(gateway_ref, f"sim:{item.payment_id}")\n            if',
        ),
    ),
    "an approved payment that its execution left uncharged is reported only": (
        Edit(_RECONCILE, "if item.generation:", "if False:"),
    ),
    "reconcile does not record": (
        Edit(_RECONCILE, '            if result.state != "prepared":', "            if False:"),
    ),
    "what came after a charge is not looked at": (
        Edit(_WAKE_UP, "    if item.final_status is not None:", "    if False:"),
    ),
    "refunds are listed only where the charge says that money was given back": (
        Edit(
            _LATER,
            "    refunds = gateway.refunds(item.gateway_ref)\n",
            "    refunds = gateway.refunds(item.gateway_ref) if result.refunded_minor else []\n",
        ),
    ),
    "a refund's next state is not seen": (
        Edit(
            _LATER,
            "if last.get(each.refund_ref) != (each.state, each.amount_minor)",
            "if each.refund_ref not in last",
        ),
    ),
    "a dispute's next state is not seen": (
        Edit(
            _LATER,
            "if last.get(each.dispute_ref) != (each.state, each.amount_minor, each.currency)",
            "if each.dispute_ref not in last",
        ),
    ),
    "the newest states of refunds take the place of the history": (
        Edit(_LATER, "    return (*item.refunded, *new)", "    return tuple(new)"),
    ),
    "the webhook answers 200 though its wake-up is not queued": (
        Edit(
            _WEBHOOK,
            "        self._queue.send(event.wake_up, event.event_id)\n",
            "        try:\n"
            "            self._queue.send(event.wake_up, event.event_id)\n"
            "        except WakeUpNotQueuedError:\n"
            "            pass\n",
        ),
    ),
    "a second event of a reference is dropped as a repeat": (
        Edit(_WAKE_UPS, "MessageDeduplicationId=event_id", "MessageDeduplicationId=wake_up.gateway_ref"),
    ),
    "an event is believed whoever signed it": (Edit(_STRIPE_EVENTS, "    if not sum(", "    if False and not sum("),),
    "events of another account wake": (
        Edit(_STRIPE_EVENTS, '    if event.get("account") is not None:', "    if False:"),
    ),
    "events of the other mode wake": (
        Edit(_STRIPE_EVENTS, 'if event.get("livemode") is not (mode == "live"):', "if False:"),
    ),
    "a wake-up is done with though nobody could look": (
        Edit(
            _RECONCILE_FUNCTION,
            '            _LOG.warning("%s: %s", wake_up.gateway_ref, error)\n            return False',
            '            _LOG.warning("%s: %s", wake_up.gateway_ref, error)\n            return True',
        ),
    ),
    "a wake-up is done with though its payment could not be settled": (
        Edit(_RECONCILE_FUNCTION, 'return finding.outcome != "unsettled"', "return True"),
    ),
    "a look ends a parked payment and looks at nothing that came after": (
        Edit(_WAKE_UP, " if finding.outcome in FINAL else None", " if False else None"),
    ),
    "a look leaves what came after to a worker who does not know of it": (
        Edit(_WAKE_UP, '"unsettled", AlreadyInProgressError.reason_code', '"processing"'),
    ),
    "what came after a charge is no outcome of its own": (Edit(_EVENT, " + item.later_no", ""),),
    "what people were shown leaves the index as what nobody was": (
        Edit(_CLAIM, "        item.shown is not None,\n", "        False,\n"),
    ),
    "what ended is not looked for": (Edit(_FORGET, "for name in (ENDED, CONFLICT)", "for name in (CONFLICT,)"),),
    "what came as a conflict is not looked for": (
        Edit(_FORGET, "for name in (ENDED, CONFLICT)", "for name in (ENDED,)"),
    ),
    "reconcile does not release": (Edit(_RECONCILE, "    release(claim, ports)\n", ""),),
}


@dataclass(frozen=True)
class Mutant:
    """A mutation worked out on the code as it is: new sources by module, new writes by name; nothing is bound yet."""

    sources: dict[str, str]
    writes: dict[str, Write]


def mutate(mutation: Mutation) -> Mutant:
    """Raises ValueError where there is nothing to change, SyntaxError where the changed source is none."""
    mutant = Mutant({}, {})
    for change in mutation.changes:
        if isinstance(change, Drop):
            _drop(change, mutant)
        else:
            _edit(change, mutant)
    return mutant


# Each has the writes that its log sends.
_LOGS: Final = (transaction_log, approval_log, parking_log, refund_log)


def _writes() -> list[tuple[str, Write]]:
    return [each for log in _LOGS for each in inspect.getmembers(log, lambda value: isinstance(value, Write))]


def _drop(change: Drop, mutant: Mutant) -> None:
    for name, shipped in _writes():
        if shipped.name == change.write:
            write = mutant.writes.get(name, shipped)
            changed = write._replace(
                condition=_without(change, write.condition),
                set=_without(change, write.set),
                remove=_without(change, write.remove),
            )
            if changed == write:
                raise ValueError(f"{change.write} has no `{change.part}` to drop")
            mutant.writes[name] = changed
            return
    raise ValueError(f"no write is called {change.write!r}")


def _without(change: Drop, parts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(
        change.by if part.replace("#", "") == change.part else part
        for part in parts
        if change.by or part.replace("#", "") != change.part
    )


def _edit(change: Edit, mutant: Mutant) -> None:
    source = mutant.sources.get(change.module) or inspect.getsource(importlib.import_module(change.module))
    if source.count(change.old) != 1:
        raise ValueError(f"{change.module} has {change.old!r} {source.count(change.old)} times; it must be once")
    mutant.sources[change.module] = source.replace(change.old, change.new)
    compile(mutant.sources[change.module], change.module, "exec")


def bind(mutant: Mutant) -> None:
    """Put the mutant's code under the functions that other modules have already imported; for good."""
    for name, write in mutant.writes.items():
        for log in _LOGS:
            if hasattr(log, name):
                setattr(log, name, write)
    for module_name, source in mutant.sources.items():
        module = importlib.import_module(module_name)
        edited = ModuleType(module_name)
        exec(compile(source, str(module.__file__), "exec"), edited.__dict__)
        for name, value in vars(edited).items():
            if name not in vars(module):
                setattr(module, name, value)
            elif isinstance(value, FunctionType):
                _replace_code(getattr(module, name), value)
            elif inspect.isclass(value) and value.__module__ == module_name:
                shipped = vars(getattr(module, name))
                for attribute, method in vars(value).items():
                    if isinstance(method, FunctionType):
                        _replace_code(shipped[attribute], method)


def _replace_code(shipped: Any, edited: FunctionType) -> None:
    # What dataclasses and NamedTuple generate has free variables of its own and no edit.
    if shipped.__code__ != edited.__code__ and not edited.__code__.co_freevars:
        shipped.__code__ = edited.__code__


@dataclass(frozen=True)
class Hunted:
    name: str
    seed: int
    rule: str
    seconds: float


def hunt(mutation: Mutation, seeds_max: int = SEEDS_MAX) -> Hunted:
    """Play seeds on the mutated code until a rule breaks; seed -1 where none does. Changes this process for good."""
    started = time.monotonic()
    bind(mutate(mutation))
    for seed in _seeds(mutation, seeds_max):
        world = run(seed, steps_max=STEPS_MAX, counterfactual=not mutation.by_effect)
        if world.violations:
            return Hunted(mutation.name, seed, world.violations[0][0], time.monotonic() - started)
    return Hunted(mutation.name, -1, "", time.monotonic() - started)


def _seeds(mutation: Mutation, seeds_max: int) -> Iterator[int]:
    """Those that may meet it: refunds, and what comes after charges, are met where there are some."""
    is_of_refunds = bool(mutation.changes) and all(_is_of_refunds(change) for change in mutation.changes)
    is_after_charges = any(isinstance(each, Edit) and _is_after_charges(each) for each in mutation.changes)
    if not is_of_refunds and not is_after_charges:
        yield from _RARE_SEEDS
    for seed in range(seeds_max):
        world = World(seed, Cut(), STEPS_MAX)
        is_met = has_refunds(world) or (world.profile.later > 0 if is_after_charges else not is_of_refunds)
        if is_met:
            yield seed


def _is_of_refunds(change: Edit | Drop) -> bool:
    return "refund" in change.module if isinstance(change, Edit) else change.write in _REFUND_WRITES


def _is_after_charges(edit: Edit) -> bool:
    return any(part in edit.module for part in _AFTER_THE_CHARGE)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutations", description=__doc__)
    parser.add_argument("--only", default="", help="only mutations whose name contains this text")
    parser.add_argument("--seeds", type=int, default=SEEDS_MAX, help="a mutation that lives through so many survives")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    options = parser.parse_args(arguments)
    chosen = [mutation for mutation in mutations() if options.only in mutation.name]
    survivors = 0
    play: Callable[[Mutation], Hunted] = _Hunt(options.seeds)
    # A process a mutation: a change of the code is for good.
    with multiprocessing.Pool(options.jobs, maxtasksperchild=1) as pool:
        for mutation, hunted in zip(chosen, pool.imap(play, chosen, chunksize=1), strict=True):
            survivors += hunted.seed < 0
            how = f"seed {hunted.seed}: {hunted.rule}" if hunted.seed >= 0 else "SURVIVED"
            kind = "" if mutation.by_effect else " (a clause behind others)"
            print(f"{hunted.seconds:6.1f} s  {mutation.name}{kind}: {how}", flush=True)
    print(f"{len(chosen)} mutations, {survivors} survived")
    return int(survivors > 0)


@dataclass(frozen=True)
class _Hunt:
    seeds_max: int

    def __call__(self, mutation: Mutation) -> Hunted:
        return hunt(mutation, self.seeds_max)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
