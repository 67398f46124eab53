"""What only an account can tell: each asked in the way that needs the least, and answered by what AWS says.

The rule: nothing is asserted; what the docs expect stands beside what came, and the way goes on whatever it is.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, Final

from botocore.exceptions import ClientError

from tests.conformance.record import Step
from tests.conformance.system import System

# An alarm on whole minutes, three in a row at most, of a metric that comes minutes late.
ALARM_SECONDS_MAX: Final = 600.0
# CloudWatch lists a new metric after 15 minutes; reconcile runs every ten.
_LISTED_SECONDS_MAX: Final = 1200.0
_MOVED_SECONDS_MAX: Final = 900.0
_NOT_ENFORCED: Final = "ministack enforces no IAM, KMS or queue policy"
_NO_METRICS: Final = "ministack has four metrics of Lambda, and none of durable executions"
_NO_PATTERN: Final = "ministack has no TestMetricFilter"
_NO_WEIGHTS: Final = "ministack takes any weights beside provisioned concurrency, and moves at once"
_NO_SNAPSHOT: Final = "ministack says On, and makes no snapshot"
_NO_QUOTAS: Final = "ministack has no Service Quotas"
_NO_SCHEDULE: Final = "ministack checks no role of a schedule, and its first run is ten minutes off"
_NO_POLICIES: Final = "ministack writes no policy of its own for an access log"


def polled_through_its_key(system: System) -> tuple[str, bool]:
    pages = (
        system.clients["lambda"]
        .get_paginator("list_event_source_mappings")
        .paginate(FunctionName=f"{system.outputs()['function_name']}:live")
    )
    found = [each for page in pages for each in page["EventSourceMappings"]]
    said = [f"{each['State']}, {each.get('LastProcessingResult') or 'no result'}" for each in found]
    return "; ".join(said) or "no mapping", [each["State"] for each in found] == ["Enabled"]


def applied_quota(system: System) -> tuple[str, bool]:
    try:
        quota = system.clients["service-quotas"].get_service_quota(ServiceCode="lambda", QuotaCode="L-B99A9384")
    except ClientError as error:
        return str(error), False
    return f"{quota['Quota']['Value']:g} concurrent executions", True


def unread_by_others(system: System) -> tuple[str, bool]:
    try:
        system.clients["sqs"].receive_message(QueueUrl=system.outputs()["dead_letter_queue_url"])
    except ClientError as error:
        return str(error), error.response["Error"]["Code"] in ("AccessDenied", "AccessDeniedException")
    return "read by a caller whom no policy names", False


def moved_by_a_reader(system: System) -> tuple[str, bool]:
    sqs, outputs = system.clients["sqs"], system.outputs()
    system.apply(dead_letter_reader_arns=json.dumps([_principal(system)]))
    system.send("proof-redriven", queue="dead_letter_queue_url")
    sources = {"SourceArn": _arn(sqs, outputs["dead_letter_queue_url"])}
    try:
        sqs.start_message_move_task(**sources, DestinationArn=outputs["queue_arn"])
    except ClientError as error:
        return str(error), False
    ended: list[dict[str, Any]] = []

    def has_ended() -> bool:
        ended[:] = sqs.list_message_move_tasks(**sources)["Results"]
        return bool(ended) and ended[0]["Status"] not in ("RUNNING", "CANCELLING")

    system.until(has_ended)
    task = ended[0] if ended else {"Status": "no task"}
    status = system.becomes("proof-redriven", "completed")
    said = f"{task['Status']} {task.get('FailureReason', '')}, moved {task.get('ApproximateNumberOfMessagesMoved', 0)}"
    return f"{said}, then {status or 'no item'}", (task["Status"], status) == ("COMPLETED", "completed")


def _arn(sqs: Any, url: str) -> str:
    return str(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"])


def _principal(system: System) -> str:
    """The caller as `aws:PrincipalArn` has it: of a role's session the role, whose path the session does not tell."""
    arn = str(system.clients["sts"].get_caller_identity()["Arn"])
    if ":assumed-role/" not in arn:
        return arn
    account, role = arn.split(":")[4], arn.split("/")[1]
    return f"arn:aws:iam::{account}:role/*{role}"


def alarm_lines_match(system: System) -> tuple[str, bool]:
    filters = [each for each in system.resources().values() if each["type"] == "aws_cloudwatch_log_metric_filter"]
    pattern = next(each["pattern"] for each in filters if each["name"].endswith("-alarms"))
    lines = [
        json.dumps({"level": "ERROR", "alarm": "approvers_not_told", "message": "x"}),
        json.dumps({"level": "INFO", "message": "alarm"}),
        json.dumps({"type": "platform.report", "record": {"status": "success"}}),
        "not json with alarm",
    ]
    found = system.clients["logs"].test_metric_filter(filterPattern=pattern, logEventMessages=lines)
    matched = [match["eventNumber"] for match in found["matches"]]
    return f"{pattern} matches lines {matched} of {len(lines)}, the first has the field", matched == [1]


def alarms_have_their_metrics(system: System) -> tuple[str, bool]:
    """Alarms of what has happened in this run; one on failures has no metric as long as there are none."""
    alarms = [each for each in system.resources().values() if each["type"] == "aws_cloudwatch_metric_alarm"]
    wanted = {
        each["alarm_name"]: (each["namespace"], each["metric_name"], each.get("dimensions") or {})
        for each in alarms
        if each.get("metric_name")
    }
    happened = {
        name
        for name, (_, metric, _) in wanted.items()
        if metric.startswith(("Approximate", "Duration", "DurableExecutionStorage"))
    }

    def listed(name: str) -> list[dict[str, str]]:
        namespace, metric, _ = wanted[name]
        pages = (
            system.clients["cloudwatch"].get_paginator("list_metrics").paginate(Namespace=namespace, MetricName=metric)
        )
        return [{one["Name"]: one["Value"] for one in each["Dimensions"]} for page in pages for each in page["Metrics"]]

    system.until(lambda: all(wanted[name][2] in listed(name) for name in happened), _LISTED_SECONDS_MAX)
    missing = []
    for name in sorted(wanted):
        found = listed(name)
        if wanted[name][2] not in found:
            # AWS's own dimensions, by name alone: their values are of other functions.
            shapes = sorted({", ".join(sorted(one)) or "none" for one in found})
            missing.append(f"{name} (AWS has {' | '.join(shapes) or 'no such metric'})")
    absent = [name for name in missing if name.split(" ", maxsplit=1)[0] in happened]
    return f"without a metric of these very dimensions: {'; '.join(missing) or 'none'}", not absent


def weights_between_provisioned(system: System) -> tuple[str, bool]:
    """The procedure's calls one by one, with a second one while the first is under way."""
    functions, name = system.clients["lambda"], system.outputs()["function_name"]
    system.apply(provisioned_concurrency="1")
    before = functions.get_alias(FunctionName=name, Name="live")["FunctionVersion"]
    system.publish(changed={"memory_size": str(system.memory_sizes[0] + 64)})
    new = system.outputs()["newest_version"]
    functions.put_provisioned_concurrency_config(FunctionName=name, Qualifier=new, ProvisionedConcurrentExecutions=1)

    def ready() -> bool:
        config = functions.get_provisioned_concurrency_config(FunctionName=name, Qualifier=new)
        return bool(config["Status"] != "IN_PROGRESS")

    system.until(ready, _MOVED_SECONDS_MAX)
    said = [
        f"a share of 10 %: {_answer(lambda: _point(functions, name, before, {new: 0.1}))}",
        f"all of it: {_answer(lambda: _point(functions, name, new, {}))}",
        f"back at once: {_answer(lambda: _point(functions, name, before, {}))}",
        f"and there again: {_answer(lambda: _point(functions, name, new, {}))}",
    ]
    begun = time.monotonic()

    def whole() -> bool:
        alias = functions.get_alias(FunctionName=name, Name="live")
        return not alias.get("RoutingConfig", {}).get("AdditionalVersionWeights")

    is_whole = system.until(whole, _MOVED_SECONDS_MAX)
    said.append(f"{'whole' if is_whole else 'not whole'} after {time.monotonic() - begun:.0f} s")
    functions.delete_provisioned_concurrency_config(FunctionName=name, Qualifier=new)
    system.apply(provisioned_concurrency=None)
    return "; ".join(said), is_whole and all(each.endswith("200") for each in said[:4])


def _point(functions: Any, name: str, version: str, weights: dict[str, float]) -> Any:
    return functions.update_alias(
        FunctionName=name, Name="live", FunctionVersion=version, RoutingConfig={"AdditionalVersionWeights": weights}
    )


def _answer(ask: Callable[[], Any]) -> str:
    try:
        return str(ask()["ResponseMetadata"]["HTTPStatusCode"])
    except ClientError as error:
        return str(error)


def table_under_a_customers_key(system: System) -> tuple[str, bool]:
    kms = system.clients["kms"]
    key = kms.create_key(Description=f"Table of {system.environment}, while it is proved.")["KeyMetadata"]
    # By its alias the removal finds it.
    kms.create_alias(AliasName=system.key_alias, TargetKeyId=key["KeyId"])
    system.apply(table_kms_key_arn=key["Arn"])
    system.send("proof-customers-key")
    status = system.becomes("proof-customers-key", "completed")
    table = system.clients["dynamodb"].describe_table(TableName=system.outputs()["table_name"])["Table"]
    encryption = table.get("SSEDescription", {})
    system.apply(table_kms_key_arn=None)
    said = (
        f"{encryption.get('SSEType', 'no key')} {encryption.get('Status', '')}, a payment {status or 'without an item'}"
    )
    return said, status == "completed"


def snap_start(system: System) -> tuple[str, bool]:
    said = system.apply(snap_start="true")
    system.send("proof-snapshot")
    status = system.becomes("proof-snapshot", "completed")
    live = system.clients["lambda"].get_function_configuration(
        FunctionName=system.outputs()["function_name"], Qualifier="live"
    )
    optimized = live.get("SnapStart", {}).get("OptimizationStatus", "none")
    system.apply(snap_start=None)
    return f"{said.splitlines()[0]}; snapshot {optimized}, a payment {status or 'without an item'}", (
        (optimized, status) == ("On", "completed")
    )


def policies_of_log_groups(system: System) -> tuple[str, bool]:
    found = system.clients["logs"].describe_resource_policies()["resourcePolicies"]
    ours = [each["policyName"] for each in found if system.environment in each.get("policyDocument", "")]
    return f"{len(found)} of the account's 10, for this environment alone {len(ours)}", not ours


def reconcile_has_run(system: System) -> tuple[str, bool]:
    function = system.outputs()["approval_alias_arn"].split(":")[6] + "-reconcile"

    def streams() -> int:
        found = system.clients["logs"].describe_log_streams(logGroupName=f"/aws/lambda/{function}", limit=50)
        return len(found["logStreams"])

    system.until(lambda: streams() > 0, _LISTED_SECONDS_MAX)
    return f"{streams()} log streams", streams() > 0


def _question(name: str, asked: str, expected: str, play: Callable[[System], tuple[str, bool]], not_here: str) -> Step:
    return Step(name, asked, expected, play, question=True, not_here=not_here)


# After a first payment.
PAID_THROUGH: Final = (
    _question(
        "the poller's use of the queue's key",
        "lambda:ListEventSourceMappings after a payment came through a queue under a key with kms:ViaService",
        "Enabled",
        polled_through_its_key,
        _NOT_ENFORCED,
    ),
    _question(
        "the account's applied quota",
        "servicequotas:GetServiceQuota L-B99A9384",
        "a value, of a new account too",
        applied_quota,
        _NO_QUOTAS,
    ),
    _question(
        "account-wide policies of log groups",
        "logs:DescribeResourcePolicies",
        "none for the access log alone",
        policies_of_log_groups,
        _NO_POLICIES,
    ),
)
# As long as nobody is named a reader.
UNREAD: Final = (
    _question(
        "dead letters and who is not named",
        "sqs:ReceiveMessage by the caller",
        "AccessDenied",
        unread_by_others,
        _NOT_ENFORCED,
    ),
    _question(
        "dead letters and who is named",
        "sqs:StartMessageMoveTask to the payment queue by a reader",
        "COMPLETED, and the payment is charged",
        moved_by_a_reader,
        _NOT_ENFORCED,
    ),
    _question(
        "the alarm field's filter pattern",
        "logs:TestMetricFilter",
        "the one line that has the field",
        alarm_lines_match,
        _NO_PATTERN,
    ),
)
# Each an apply or two.
PUBLISHED: Final = (
    _question(
        "weights between two provisioned versions",
        "lambda:UpdateAlias four times in a row",
        "200 each, and whole within minutes",
        weights_between_provisioned,
        _NO_WEIGHTS,
    ),
    _question(
        "a table under a customer's key",
        "an apply of table_kms_key_arn, and a payment",
        "completed",
        table_under_a_customers_key,
        _NOT_ENFORCED,
    ),
    _question("SnapStart", "an apply of snap_start, and a payment", "On, and completed", snap_start, _NO_SNAPSHOT),
)
# What takes a quarter of an hour to be seen.
AT_THE_END: Final = (
    _question(
        "reconcile's schedule",
        "logs:DescribeLogStreams of reconcile, whose schedule's role has aws:SourceAccount",
        "it has run",
        reconcile_has_run,
        _NO_SCHEDULE,
    ),
    _question(
        "the dimensions of alarms' metrics, of durable executions too",
        "cloudwatch:ListMetrics of every alarm",
        "those of the alarms",
        alarms_have_their_metrics,
        _NO_METRICS,
    ),
)
