"""What `payments doctor` looks at, one method a check.

The rule it keeps: a check asks for itself, so that each says alone which permission it lacks, and compares what is
there with what Terraform says it made, and with what the protocol needs.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Final, Literal
from uuid import uuid4

import click

from handler.domain.payment import transaction_id
from handler.domain.rules import PRODUCTION
from operations import checkout
from operations.finding import Finding
from operations.names import ROLES, beside, function, log_groups, mapping_states, queue_url
from operations.options import Call
from operations.role_checks import of_role

# Of Lambda, in Service Quotas.
_CONCURRENT_EXECUTIONS: Final = "L-B99A9384"
_INDEX: Final = "open-shard-index"
_TEST_SECONDS: Final = 120.0
_READY_DAYS: Final = 14


class Checks:
    """The checks of one environment. Each yields findings, and raises what its calls of AWS raise."""

    def __init__(self, call: Call, *, has_state: bool) -> None:
        self._call = call
        self._has_state = has_state
        self._environment = call.variables["ENVIRONMENT"]
        self._is_production = self._environment in PRODUCTION

    @cached_property
    def _outputs(self) -> Mapping[str, Any]:
        """Terraform's outputs by name; empty where it made nothing, or shall not be asked."""
        if not self._has_state:
            return {}
        said = checkout.lines(self._call, "build/state.py", "--environment", self._environment, "--outputs")
        return {name: each["value"] for name, each in json.loads("".join(said)).items()}

    @cached_property
    def _functions(self) -> dict[str, dict[str, Any]]:
        """The configurations behind alias live, by role."""
        functions = self._call.client("lambda")
        return {
            role: functions.get_function_configuration(FunctionName=function(self._call, role), Qualifier="live")
            for role in ROLES
        }

    @property
    def _settings(self) -> dict[str, str]:
        """The queue function's variables."""
        return dict(self._functions["queue"].get("Environment", {}).get("Variables", {}))

    def credentials(self) -> Iterator[Finding]:
        who = self._call.client("sts").get_caller_identity()
        yield Finding("credentials", "ok", f"{who['Arn']} in {self._call.variables['AWS_REGION']}")

    def terraform(self) -> Iterator[Finding]:
        if not self._has_state:
            return
        if not self._outputs:
            yield Finding("terraform", "look", "its state has no outputs of this environment: nothing to compare with")
            return
        there = {
            "queue_url": queue_url(self._call),
            "table_name": self._call.variables["DYNAMODB_TABLE"],
            "function_name": function(self._call, "queue"),
        }
        for name, value in there.items():
            made = self._outputs.get(name)
            if made == value:
                yield Finding("terraform", "ok", f"{name} is {value}")
            else:
                do = "Export what output `commands` has: another environment is asked."
                yield Finding("terraform", "wrong", f"{name} is {value}, and its outputs say {made}", do)
        live, made = self._functions["queue"]["Version"], str(self._outputs.get("live_version"))
        if live != made:
            yield Finding("terraform", "look", f"version {live} is live, and was {made} at the last apply", "make plan")

    def queues(self) -> Iterator[Finding]:
        sqs, url = self._call.client("sqs"), queue_url(self._call)
        names = {"payment queue": url, "dead letters": beside(url, "dlq"), "rejected": beside(url, "rejected")}
        found = {
            name: sqs.get_queue_attributes(QueueUrl=each, AttributeNames=["All"])["Attributes"]
            for name, each in names.items()
        }
        payment = found["payment queue"]
        timeout = int(self._functions["queue"]["Timeout"])
        visibility = int(payment["VisibilityTimeout"])
        redrive = json.loads(payment.get("RedrivePolicy") or "{}")
        wanted = {
            f"visibility time-out {visibility} s, six times the function's {timeout} s": visibility >= 6 * timeout,
            "dead letters go to the queue beside it": redrive.get("deadLetterTargetArn")
            == found["dead letters"]["QueueArn"],
            f"{redrive.get('maxReceiveCount')} receives make a dead letter": int(redrive.get("maxReceiveCount", 0))
            >= 1000,
            "each group has its own throughput": payment.get("FifoThroughputLimit") == "perMessageGroupId",
        }
        for said, holds in wanted.items():
            yield Finding("queues", "ok" if holds else "wrong", said, "" if holds else "`make apply` puts it right.")
        for name in ("dead letters", "rejected"):
            count = int(found[name]["ApproximateNumberOfMessages"])
            do = {"dead letters": "payments dead-letters list", "rejected": "docs/runbook.md, rejected-messages"}[name]
            yield Finding("queues", "look" if count else "ok", f"{name}: {count}", do if count else "")

    def table(self) -> Iterator[Finding]:
        dynamodb, name = self._call.client("dynamodb"), self._call.variables["DYNAMODB_TABLE"]
        table = dynamodb.describe_table(TableName=name)["Table"]
        keys = [each["AttributeName"] for each in table["KeySchema"]]
        indexes = {each["IndexName"]: each.get("IndexStatus") for each in table.get("GlobalSecondaryIndexes", [])}
        wanted = {
            f"{name} is {table['TableStatus']}": table["TableStatus"] == "ACTIVE",
            f"its key is {', '.join(keys)}": keys == ["transaction_id"],
            f"its index of open payments is {indexes.get(_INDEX, 'missing')}": indexes.get(_INDEX) == "ACTIVE",
        }
        if self._is_production:
            backups = dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
            status = backups.get("PointInTimeRecoveryDescription", {}).get("PointInTimeRecoveryStatus")
            wanted |= {
                f"point-in-time recovery is {status}": status == "ENABLED",
                "it is protected from deletion": bool(table.get("DeletionProtectionEnabled")),
            }
        for said, holds in wanted.items():
            yield Finding("table", "ok" if holds else "wrong", said, "" if holds else "`make apply` puts it right.")

    def versions(self) -> Iterator[Finding]:
        functions = self._call.client("lambda")
        for role, live in self._functions.items():
            name = function(self._call, role)
            newest = functions.get_function_configuration(FunctionName=name)
            same = live["CodeSha256"] == newest["CodeSha256"]
            said = f"{role}: version {live['Version']} on {live['Runtime']} is live: {live.get('Description') or '-'}"
            if same:
                yield Finding("versions", "ok", said)
            else:
                do = f"`payments deploy --function {role} --version ...` or `make apply`, unless it came back."
                yield Finding("versions", "look", f"{said} Newer code is there and not live", do)
        written = {
            role: live.get("Environment", {}).get("Variables", {}).get("CANONICAL_VERSION_WRITTEN", "1")
            for role, live in self._functions.items()
            if role in ("queue", "workflow")
        }
        if len(set(written.values())) > 1:
            yield Finding("versions", "wrong", f"they write different canonical texts: {written}", "`make apply`.")

    def roles(self) -> Iterator[Finding]:
        """What the functions may do, by IAM's simulation; who asks needs rights of their own for that."""
        for role, live in self._functions.items():
            yield from of_role(self._call.client("iam"), role, live["Role"])

    def engine(self) -> Iterator[Finding]:
        """What the newest environment said when it was ready, else what the settings ask for."""
        asked = f"settings ask for {self._settings.get('SCORING_ENGINE') or 'the one that is packaged'}"
        since = int(1000 * (time.time() - 86_400 * _READY_DAYS))
        pages = (
            self._call.client("logs")
            .get_paginator("filter_log_events")
            .paginate(logGroupName=log_groups(self._call)[0], filterPattern='"scoring"', startTime=since)
        )
        ready = [document for page in pages for each in page["events"] if (document := _ready(each["message"]))]
        if not ready:
            yield Finding("engine", "look", f"no environment has started in {_READY_DAYS} days; {asked}")
            return
        said = ready[-1]
        yield Finding("engine", "ok", f"in use: {json.dumps(said['scoring'])}, support {said['support']}; {asked}")
        gateway = f"gateway {said['gateway']} {said.get('gateway_mode') or ''}".strip()
        simulated = said["gateway"] == "simulated" and self._is_production
        yield Finding("engine", "wrong" if simulated else "ok", gateway)
        if said["stress_mode"] != "none":
            yield Finding("engine", "look", f"STRESS_MODE is {said['stress_mode']}", "payments stress off")

    def quotas(self) -> Iterator[Finding]:
        functions = self._call.client("lambda")
        limit = int(functions.get_account_settings()["AccountLimit"]["ConcurrentExecutions"])
        name = f"{function(self._call, 'queue')}:live"
        pages = functions.get_paginator("list_event_source_mappings").paginate(FunctionName=name)
        mappings = [each for page in pages for each in page["EventSourceMappings"]]
        at_once = max((each.get("ScalingConfig", {}).get("MaximumConcurrency") or 0 for each in mappings), default=0)
        said = f"the account runs {limit} executions at once, the mapping {at_once or 'as many as there are'}"
        fits = at_once <= limit - 100
        do = f"Ask AWS for more (Service Quotas, {_CONCURRENT_EXECUTIONS}), or lower maximum_concurrency."
        yield Finding("quotas", "ok" if fits else "wrong", said, "" if fits else do)

    def running(self) -> Iterator[Finding]:
        """What `payments stop` switches off."""
        schedule = function(self._call, "reconcile")
        states = [
            *(("the payment queue's mapping", state) for state in mapping_states(self._call, "queue")),
            *(("the mapping of the webhook's wake-ups", state) for state in mapping_states(self._call, "reconcile")),
            ("reconcile's schedule", self._call.client("scheduler").get_schedule(Name=schedule)["State"].capitalize()),
        ]
        if not any("queue" in what for what, _ in states):
            said = f"{function(self._call, 'queue')}:live has no mapping that Lambda knows"
            yield Finding("running", "look", said, "`make apply`, but on `make up`.")
        off = [f"{what} is {state}" for what, state in states if state != "Enabled"]
        if off:
            yield Finding("running", "look", f"it is stopped: {', '.join(off)}", "payments start")
        else:
            yield Finding("running", "ok", f"{', '.join(what for what, _ in states)}: Enabled")

    def alarms(self) -> Iterator[Finding]:
        cloudwatch = self._call.client("cloudwatch")
        prefixes = [function(self._call, role) for role in ("queue", "workflow")]
        found = [
            alarm
            for prefix in prefixes
            for page in cloudwatch.get_paginator("describe_alarms").paginate(AlarmNamePrefix=f"{prefix}-")
            for alarm in page["MetricAlarms"]
        ]
        if not found:
            state: Literal["wrong", "look"] = "wrong" if self._is_production else "look"
            yield Finding(
                "alarms", state, f"there is none whose name begins with {prefixes[0]}-", "`make apply` makes them."
            )
            return
        for alarm in found:
            if alarm["StateValue"] == "ALARM":
                name = alarm["AlarmName"]
                told = name.removeprefix(f"{prefixes[0]}-").removeprefix(f"{prefixes[1]}-")
                yield Finding("alarms", "wrong", f"{name} stands", f"docs/runbook.md, {told}")
        quiet = [alarm["AlarmName"] for alarm in found if not alarm["AlarmActions"] or not alarm["ActionsEnabled"]]
        if quiet:
            yield Finding("alarms", "wrong", f"these tell nobody: {', '.join(quiet)}", "`make apply` puts it right.")
        for topic in sorted({topic for alarm in found for topic in alarm["AlarmActions"]}):
            yield from self._recipients(topic)
        yield Finding("alarms", "ok", f"{len(found)} are there")

    def _recipients(self, topic: str) -> Iterator[Finding]:
        pages = self._call.client("sns").get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
        subscriptions = [each for page in pages for each in page["Subscriptions"]]
        pending = [each["Endpoint"] for each in subscriptions if each["SubscriptionArn"] == "PendingConfirmation"]
        told = [each["Endpoint"] for each in subscriptions if each["Endpoint"] not in pending]
        name = topic.rpartition(":")[2]
        if pending:
            yield Finding(
                "alarms", "wrong", f"not confirmed: {', '.join(pending)}", "They click the link that AWS sent."
            )
        if told:
            yield Finding("alarms", "ok", f"{name} tells {', '.join(told)}")
        else:
            state: Literal["wrong", "look"] = "wrong" if self._is_production else "look"
            yield Finding("alarms", state, f"{name} tells nobody", "Terraform's alarm_emails or alarm_endpoints.")

    def test_payment(self) -> Iterator[Finding]:
        """One payment through queue and function. Raises ClickException where money could move."""
        if self._is_production or self._settings.get("GATEWAY") != "simulated":
            gateway = self._settings.get("GATEWAY") or "unnamed"
            raise click.ClickException(
                f"none is sent: environment {self._environment} has gateway {gateway}, and a test payment goes to the "
                "simulated one outside production alone"
            )
        payment = f"doctor-{uuid4()}"
        document = {
            "payment_id": payment,
            "order_id": payment,
            "customer_id": "doctor",
            "amount": 1,
            "payment_method": "credit_card",
        }
        sent = self._call.client("sqs").send_message(
            QueueUrl=queue_url(self._call), MessageBody=json.dumps(document), MessageGroupId=payment
        )
        begun = time.monotonic()
        while time.monotonic() - begun < _TEST_SECONDS:
            item = self._call.decisions.log.get(transaction_id(payment))
            if item is not None and item.final_status:
                state: Literal["ok", "wrong"] = "ok" if item.status == "completed" else "wrong"
                took = time.monotonic() - begun
                yield Finding("test payment", state, f"{payment} is {item.status} after {took:.1f} s", "")
                return
            time.sleep(0.5)
        yield Finding(
            "test payment",
            "wrong",
            f"{payment} (message {sent['MessageId']}) is not settled after {_TEST_SECONDS:g} s",
            f"payments status {payment} --logs",
        )


def _ready(line: str) -> dict[str, Any] | None:
    """The log line of an environment that has started, as a document."""
    try:
        document = json.loads(line)
    except ValueError:
        return None
    return document if isinstance(document, dict) and document.get("message") == "ready" else None
