"""The gateway's events: the shipped webhook takes them, a FIFO queue keeps wake-ups, the shipped reconcile looks.

The rule: an event comes again until it is answered with 200, and its wake-up until a look came to its end; both come
late, repeated and in any order, and so do events that are forged or another account's.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from handler.adapters.support.errors import AwsError
from handler.adapters.webhook.signing_secrets import SigningSecrets
from handler.adapters.webhook.wake_ups import SqsWakeUps
from handler.reconcile_function import ReconcileFunction
from handler.settings import WebhookSettings
from handler.webhook_function import Webhook
from tests.simulation.functions import Context, Metrics
from tests.simulation.queue import BATCH_MAX, FifoQueue, Message
from tests.simulation.refund_traffic import has_refunds
from tests.simulation.traffic import Sent
from tests.simulation.world import EPOCH_MS, HOUR, MINUTE, SECOND, Invocation, NoAnswerError, RefusedError

if TYPE_CHECKING:
    from tests.simulation.gateway import Intent
    from tests.simulation.simulation import Simulation

_SECRET = "whsec_of_the_simulation"
_SETTINGS = WebhookSettings("sim", "test", "webhook", "wake-ups")
_WEBHOOK_TIMEOUT_MS = 10_000
# The mapping's maximum concurrency (terraform/modules/webhook).
_LOOKS_AT_ONCE = 2
_TYPES = {"approved": "payment_intent.succeeded", "declined": "payment_intent.payment_failed"}


@dataclass(frozen=True)
class Event:
    """`strange`: what makes it none of ours, "" for one that has to be taken; `kind`: the gateway's type."""

    number: int
    gateway_ref: str
    payment_id: str
    kind: str
    strange: str = ""

    @property
    def event_id(self) -> str:
        return f"evt_{self.number}{self.strange}"

    def body(self, environment: str) -> str:
        """As Stripe has them: an intent and its charge carry our metadata, a refund and a dispute do not."""
        names = self.kind.startswith(("payment_intent", "charge."))
        told: dict[str, object] = {
            "metadata": {"environment": environment, "payment_id": self.payment_id} if names else {}
        }
        if self.kind.startswith("payment_intent"):
            told |= {"object": "payment_intent", "id": self.gateway_ref}
        else:
            told["payment_intent"] = self.gateway_ref
        event = {"id": self.event_id, "type": self.kind, "livemode": self.strange == "mode", "data": {"object": told}}
        return json.dumps(event | ({"account": "acct_other"} if self.strange == "account" else {}))


class _Secrets:
    """The client of the secret; there was none before it."""

    def get_secret_value(self, *, SecretId: str, VersionStage: str) -> dict[str, Any]:
        if VersionStage == "AWSPREVIOUS":
            raise AwsError("get_secret_value", "ResourceNotFoundException", SecretId)
        return {"SecretString": _SECRET, "CreatedDate": datetime.fromtimestamp(0, UTC)}


class WakeUps:
    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._world = simulation.world
        self._queue = FifoQueue(self._world)
        self._queue.changed = lambda when: self._world.at(when + 1, self._poll)
        self._idle = _LOOKS_AT_ONCE
        self._events = self._deliveries = self._looks = 0
        # By reference: the newest event that was delivered.
        self._newest: dict[str, int] = {}
        self._queued: set[str] = set()

    def plan(self, faulty_until: int) -> None:
        for index in range(3 if has_refunds(self._world) else 0):
            self._world.at(int(self._world.draw(f"acts/gives back/{index}") * faulty_until), self._gives_back)

    def _gives_back(self) -> None:
        """Somebody gives something back in the gateway's dashboard, of whatever was captured."""
        gateway = self._simulation.gateway
        captured = [gateway_ref for gateway_ref in gateway.intents if gateway.refunds.left(gateway_ref) > 1]
        if captured and self._world.fault("gives back", [("something", 0.5)]):
            gateway_ref = self._world.pick("gives back/which", captured)
            gateway.refunds.make(gateway_ref, gateway.refunds.left(gateway_ref) // 2)

    def redrive(self) -> None:
        dead, self._queue.dead = self._queue.dead, []
        for message in dead:
            self._queue.send(message.sent)

    # ---- the gateway ----
    def came_back(self, gateway_ref: str) -> None:
        """Something of a refund or a dispute changed."""
        names = self._world.draw_next(f"woken/{gateway_ref}/names") < 0.5
        self._tell(gateway_ref, "charge.refunded" if names else "refund.updated")

    def ended(self, intent: Intent) -> None:
        """A charge ended. Most seeds have no events of that: what they are known to meet stays as it is."""
        if intent.state in _TYPES and has_refunds(self._world):
            self._tell(intent.gateway_ref, _TYPES[intent.state])

    def _tell(self, gateway_ref: str, kind: str) -> None:
        """The gateway tells of a reference, late, also twice; others do as if."""
        world, untold = self._world, self._simulation.auditor.refunds.untold
        self._events += 1
        event = Event(self._events, gateway_ref, self._simulation.gateway.intents[gateway_ref].payment_id, kind)
        untold.add(event.event_id)
        at = world.now + world.between(f"woken/{gateway_ref}/at", 10, 60_000)
        for _ in range(world.between(f"woken/{gateway_ref}", 1, 2)):
            world.at(at, lambda: self._deliver(event))
            # The second one at once, or later.
            at += world.between(
                f"woken/{gateway_ref}/again", 0, world.pick(f"woken/{gateway_ref}/within", (40, 60_000))
            )
        strange = world.fault(f"strange/{gateway_ref}", [(each, 0.05) for each in ("signature", "account", "mode")])
        if strange:
            forged = Event(self._events, gateway_ref, event.payment_id, "payment_intent.succeeded", strange)
            world.at(at, lambda: self._deliver(forged))

    def _deliver(self, event: Event) -> None:
        """One request to the webhook, in an environment of its own; it comes again unless it is answered with 200."""
        world, simulation = self._world, self._simulation
        self._deliveries += 1
        environment = simulation.environment_of(f"h{self._deliveries}")
        invocation = environment.invocation
        invocation.lasts = _WEBHOOK_TIMEOUT_MS
        self._count(event)
        body, seconds = event.body(_SETTINGS.environment), (EPOCH_MS + world.now) // 1000
        secret = "whsec_of_somebody_else" if event.strange == "signature" else _SECRET
        signature = hmac.digest(secret.encode(), f"{seconds}.{body}".encode(), "sha256").hex()
        request = {"body": body, "headers": {"stripe-signature": f"t={seconds},v1={signature}"}}
        world.tell(f"{invocation.name}: {event.event_id} ({event.kind}) of {event.gateway_ref}")

        def answered() -> int:
            secrets = SigningSecrets(_Secrets(), _SETTINGS.secret_arn, environment)
            queue = SqsWakeUps(_Client(self, event, invocation), _SETTINGS.queue_url)
            answer = Webhook(_SETTINGS, secrets, queue, environment, Metrics())(request, Context(invocation))
            return int(answer["statusCode"])

        def done(status_code: int | None) -> None:
            world.tell(f"{invocation.name}: {status_code or 'no answer'}")
            if event.strange:
                return
            if status_code == 200 and event.event_id not in self._queued:
                simulation.auditor.fail("200 is a queued wake-up", f"{event.event_id} of {event.gateway_ref} is lost")
            if status_code != 200 or world.fault(f"answer/{event.event_id}", [("lost", world.profile.lost)]):
                within = world.pick("woken/later", (MINUTE, HOUR, 5 * HOUR)) if world.faults_on else MINUTE
                world.at(world.now + world.between("woken/later", SECOND, within), lambda: self._deliver(event))

        world.start(invocation, answered, done)

    def _count(self, event: Event) -> None:
        tally, newest = self._world.tally, self._newest.get(event.gateway_ref, 0)
        tally["events_that_are_not_ours"] += event.strange != ""
        tally["webhooks_delivered"] += event.strange == ""
        tally["webhooks_repeated"] += event.event_id in self._queued
        tally["webhooks_out_of_order"] += event.number < newest
        self._newest[event.gateway_ref] = max(event.number, newest)

    # ---- the queue of wake-ups ----
    def queue(self, event: Event, request: dict[str, Any]) -> None:
        """A wake-up arrives at the queue."""
        group, name = request["MessageGroupId"], request["MessageDeduplicationId"]
        if event.strange or group != event.gateway_ref:
            self._simulation.auditor.fail("only our events wake", f"{event} wakes {group}")
        if self._queue.is_duplicate(name):
            self._world.tell(f"queue: {name} was sent before")
            return
        self._queued.add(event.event_id)
        payment_id = event.payment_id
        self._queue.send(Sent(0, self._world.now, group, payment_id, event.event_id, 0, (), request["MessageBody"]))

    def _poll(self) -> None:
        while self._idle:
            batch = self._queue.receive(self._world.between("wake-ups/batch", 1, BATCH_MAX))
            if not batch:
                return
            self._idle -= 1
            self._look(batch)

    def _look(self, batch: Sequence[Message]) -> None:
        """One call of reconcile with a batch, in the newest deployment; one that knows no wake-ups is not woken."""
        simulation, world = self._simulation, self._world
        self._looks += 1
        environment = simulation.environment_of(f"k{self._looks}")
        invocation = environment.invocation
        world.tell(f"{invocation.name} looks: {', '.join(message.name for message in batch)}")
        receipts = [f"{message.message_id}/{message.receipt}" for message in batch]
        names = [message.message_id for message in batch]
        came_back = {message: self._came_back(message.sent.group) for message in batch}
        event = {
            "Records": [
                {
                    "messageId": each.message_id,
                    "body": each.sent.body,
                    "attributes": {"MessageGroupId": each.sent.group},
                }
                for each in batch
            ]
        }

        def failed() -> list[str]:
            if not invocation.release.gives_back:
                return names
            ports = simulation.ports(environment)
            decisions = simulation.engine.decisions(ports, environment)
            function = ReconcileFunction(simulation.restored(), ports, decisions, Metrics())
            failures = function(event, Context(invocation))["batchItemFailures"]
            return [str(each["itemIdentifier"]) for each in failures]

        def done(failures: list[str] | None) -> None:
            self._idle += 1
            for message, receipt in zip(batch, receipts, strict=True):
                if message.message_id not in (names if failures is None else failures):
                    self._is_done_with(message, came_back[message])
                    if not world.fault("wake-up deleted", [("lost", world.profile.poller)]):
                        self._queue.delete(receipt)
            self._queue.changed(world.now)

        world.start(invocation, failed, done)

    def _came_back(self, gateway_ref: str) -> dict[str, str]:
        """What the gateway says of refunds and disputes now."""
        gateway = self._simulation.gateway
        states = {each.refund_ref: str(each.state) for each in gateway.refunds.listed(gateway_ref)}
        return states | {each.dispute_ref: str(each.state) for each in gateway.later.disputes(gateway_ref)}

    def _is_done_with(self, message: Message, came_back: dict[str, str]) -> None:
        """Whoever says so has asked the gateway: what it had said before the look stands in the item."""
        simulation, sent = self._simulation, message.sent
        simulation.auditor.refunds.untold.discard(sent.spelling)
        item = simulation.table.item(f"txn-{sent.payment_id}") or {}
        if item.get("gateway_ref") != sent.group or json.loads(sent.body)["says"] or self._world.restored_at:
            return
        rows = [*item.get("refunded", ()), *item.get("disputed", ())]
        seen = {(row.get("refund_ref") or row["dispute_ref"], row["state"]) for row in rows}
        newest = self._came_back(sent.group)
        missing = [ref for ref, state in came_back.items() if (ref, state) not in seen and newest[ref] == state]
        if missing:
            simulation.auditor.fail("done with is looked at", f"{message.name}: the item lacks {', '.join(missing)}")


class _Client:
    """The SQS client of the webhook while it takes one event."""

    def __init__(self, wake_ups: WakeUps, event: Event, invocation: Invocation) -> None:
        self._wake_ups = wake_ups
        self._event = event
        self._invocation = invocation

    def send_message(self, **request: Any) -> dict[str, Any]:
        def effect() -> None:
            self._wake_ups.queue(self._event, request)

        try:
            self._invocation.request("wake up", self._event.event_id, effect, deadline=1_000, latency=(1, 8))
        except RefusedError:
            raise AwsError("send_message", "ServiceUnavailable", "slow down") from None
        except NoAnswerError:
            raise AwsError("send_message", "", "no answer") from None
        return {}
