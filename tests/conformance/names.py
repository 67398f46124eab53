"""The names that a plan or a state gives to what it makes, and whether AWS has something under them.

The rule: a name is asked for exactly, and only an answer that it is not there counts as that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from botocore.exceptions import ClientError

_NOT_THERE: Final = {
    "404",
    "AWS.SimpleQueueService.NonExistentQueue",
    "NoSuchBucket",
    "NoSuchEntity",
    "NotFound",
    "NotFoundException",
    "QueueDoesNotExist",
    "ResourceNotFoundException",
    # CloudFormation has no better one for a stack that is not there.
    "ValidationError",
}


class Kind(NamedTuple):
    """One type of Terraform: the attribute that names it, the call that finds it, the line that removes it by hand."""

    attribute: str
    find: Callable[[Mapping[str, Any], str], object]
    by_hand: str


def _topic(clients: Mapping[str, Any], name: str) -> object:
    account = clients["sts"].get_caller_identity()["Account"]
    arn = f"arn:aws:sns:{clients['sns'].meta.region_name}:{account}:{name}"
    return clients["sns"].get_topic_attributes(TopicArn=arn)


def _log_group(clients: Mapping[str, Any], name: str) -> bool:
    found = clients["logs"].describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    return any(group["logGroupName"] == name for group in found)


KINDS: Final[Mapping[str, Kind]] = {
    "aws_sqs_queue": Kind(
        "name",
        lambda clients, name: clients["sqs"].get_queue_url(QueueName=name),
        "aws sqs delete-queue --queue-url $(aws sqs get-queue-url --queue-name {} --query QueueUrl --output text)",
    ),
    "aws_dynamodb_table": Kind(
        "name",
        lambda clients, name: clients["dynamodb"].describe_table(TableName=name),
        "aws dynamodb update-table --no-deletion-protection-enabled --table-name {0} && "
        "aws dynamodb delete-table --table-name {0}",
    ),
    "aws_lambda_function": Kind(
        "function_name",
        lambda clients, name: clients["lambda"].get_function_configuration(FunctionName=name),
        "aws lambda delete-function --function-name {}",
    ),
    "aws_cloudformation_stack": Kind(
        "name",
        lambda clients, name: clients["cloudformation"].describe_stacks(StackName=name),
        "aws cloudformation delete-stack --stack-name {}",
    ),
    "aws_s3_bucket": Kind(
        "bucket",
        lambda clients, name: clients["s3"].head_bucket(Bucket=name),
        "its versions in the console, then aws s3 rb s3://{}",
    ),
    "aws_cloudwatch_log_group": Kind("name", _log_group, "aws logs delete-log-group --log-group-name {}"),
    "aws_iam_role": Kind(
        "name",
        lambda clients, name: clients["iam"].get_role(RoleName=name),
        "its policies, then aws iam delete-role --role-name {}",
    ),
    "aws_sns_topic": Kind("name", _topic, "aws sns delete-topic --topic-arn <the ARN of {}>"),
    "aws_cloudwatch_metric_alarm": Kind(
        "alarm_name",
        lambda clients, name: clients["cloudwatch"].describe_alarms(AlarmNames=[name])["MetricAlarms"],
        "aws cloudwatch delete-alarms --alarm-names {}",
    ),
    "aws_kms_alias": Kind(
        "name",
        lambda clients, name: clients["kms"].describe_key(KeyId=name),
        "aws kms schedule-key-deletion and delete-alias for {}",
    ),
}

# The type of Terraform and the name.
Name = tuple[str, str]


def names_of(resources: Iterable[tuple[str, Mapping[str, Any]]]) -> set[Name]:
    """The names of resources, given as type and attributes; what a plan does not know yet is left out."""
    found: set[Name] = set()
    for kind, attributes in resources:
        if kind in KINDS and (name := attributes.get(KINDS[kind].attribute)):
            found.add((kind, name))
    # The workflow is its stack's, and stays where that goes under protection. Its log tells its name.
    functions = {
        name.removeprefix("/aws/lambda/")
        for kind, name in found
        if kind == "aws_cloudwatch_log_group" and name.startswith("/aws/lambda/")
    }
    return found | {("aws_lambda_function", name) for name in functions}


def planned_names(planned: Mapping[str, Any]) -> set[Name]:
    """Of all that a plan (Terraform's JSON) would have in the end."""
    return names_of((each["type"], each["change"]["after"] or {}) for each in planned["resource_changes"])


def there(clients: Mapping[str, Any], names: Iterable[Name]) -> list[Name]:
    """Those that AWS has, by boto3 clients by service. Raises ClientError where it may not be asked."""
    found = []
    for kind, name in sorted(names):
        try:
            if KINDS[kind].find(clients, name):
                found.append((kind, name))
        except ClientError as error:
            if error.response["Error"]["Code"] not in _NOT_THERE:
                raise
    return found


def by_hand(name: Name) -> str:
    """How to remove one thing without Terraform."""
    return f"{name[0]} {name[1]}: {KINDS[name[0]].by_hand.format(name[1])}"
