"""The commands of the two published documents, word for word, and what each comes to here with either AWS CLI.

The rule: a command works as it stands, or ends with the sentence in which AWS, or its CLI, says what it wants instead;
then the command with that put right works. The queue's URL, which says ACCOUNT, is the reader's to fill in.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

FUNCTION = "--function-name cloudcafe-payment-processor-dev"
BODY = (
    r"{\"payment_id\":\"pay-$i\",\"order_id\":\"ord-$i\",\"customer_id\":\"cust-$i\","
    r"\"amount\":$((RANDOM % 100 + 10)).99,\"payment_method\":\"credit_card\"}"
)
QUEUE = "https://sqs.us-east-1.amazonaws.com/ACCOUNT/cloudcafe-payment-processing-dev.fifo"


class Command(NamedTuple):
    """One command: `shows` is in what it prints where it works, `refused` has the sentence by version of the CLI."""

    published: str
    shows: str
    refused: Mapping[int, str] = MappingProxyType({})
    corrected: tuple[tuple[str, str], ...] = ()


def metric(name: str, statistics: str) -> str:
    return f"""aws cloudwatch get-metric-statistics \\
  --namespace AWS/Lambda \\
  --metric-name {name} \\
  --dimensions Name=FunctionName,Value=cloudcafe-payment-processor-dev \\
  --start-time 2024-01-01T00:00:00Z \\
  --end-time 2024-01-01T01:00:00Z \\
  --period 60 \\
  {statistics}"""


def invoke(event: str) -> Command:
    published = f"""aws lambda invoke \\
  --function-name payment-processor-dev:live \\
  --invocation-type Event \\
  --cli-binary-format raw-in-base64-out \\
  --payload file://events/{event}.json \\
  --region us-east-1 \\
  response.json"""
    unknown = {1: r"Unknown options: --cli-binary-format, response\.json"}
    return Command(published, r'"StatusCode": 202', unknown, (("  --cli-binary-format raw-in-base64-out \\\n", ""),))


COMMANDS = {
    "update the code": Command(
        f"""aws lambda update-function-code \\
  {FUNCTION} \\
  --zip-file fileb://payment-processor.zip""",
        '"CodeSha256"',
    ),
    "update the variables": Command(
        f"""aws lambda update-function-configuration \\
  {FUNCTION} \\
  --environment Variables="{{
    DYNAMODB_TABLE=cloudcafe-payment-transactions-dev,
    ENVIRONMENT=dev,
    AWS_REGION=us-east-1
  }}\"""",
        '"ENVIRONMENT": "dev"',
        dict.fromkeys((1, 2), "Reserved keys used in this request: AWS_REGION"),
        ((",\n    AWS_REGION=us-east-1", ""),),
    ),
    "enable the stress mode": Command(
        f"""aws lambda update-function-configuration \\
  {FUNCTION} \\
  --environment Variables="{{
    STRESS_MODE=cold_start,
    DYNAMODB_TABLE=cloudcafe-payment-transactions-dev
  }}\"""",
        '"STRESS_MODE": "cold_start"',
    ),
    "send payments": Command(
        # Two of the loop's thousand: each is a process of most of a CPU-second.
        f"""for i in {{1..2}}; do
  aws sqs send-message \\
    --queue-url {QUEUE} \\
    --message-body "{BODY}" \\
    --message-group-id "payment-group-$((i % 10))" &
done

wait""",
        r'(?s)"MessageId".*"MessageId"',
    ),
    "view concurrent executions": Command(
        metric("ConcurrentExecutions", "--statistics Maximum"), r'"Datapoints": \[\]'
    ),
    "view the duration": Command(
        metric("Duration", "--statistics Average \\\n  --extended-statistics p99"),
        r'"Datapoints": \[\]',
        dict.fromkeys((1, 2), "either Statistics or ExtendedStatistics, but not both"),
        (("  --statistics Average \\\n", ""),),
    ),
    "view errors": Command(metric("Errors", "--statistics Sum"), r'"Datapoints": \[\]'),
    "test memory sizes": Command(
        # Without the loop's ten seconds of waiting for each update.
        f"""for MEMORY in 128 256 512 1024; do
  echo "Testing with ${{MEMORY}}MB memory..."

  aws lambda update-function-configuration \\
    {FUNCTION} \\
    --memory-size $MEMORY
done""",
        r'(?s)"MemorySize": 128.*"MemorySize": 256.*"MemorySize": 512.*"MemorySize": 1024',
    ),
    "provision concurrency": Command(
        f"""aws lambda put-provisioned-concurrency-config \\
  {FUNCTION} \\
  --provisioned-concurrent-executions 10""",
        '"RequestedProvisionedConcurrentExecutions": 10',
        dict.fromkeys((1, 2), "the following arguments are required: --qualifier"),
        (("  --provisioned", "  --qualifier live --provisioned"),),
    ),
    "scale the table": Command(
        """aws application-autoscaling register-scalable-target \\
  --service-namespace dynamodb \\
  --resource-id table/cloudcafe-payment-transactions-dev \\
  --scalable-dimension dynamodb:table:WriteCapacityUnits \\
  --min-capacity 5 \\
  --max-capacity 100""",
        "",
        dict.fromkeys((1, 2), "and needs none: the table is on demand"),
    ),
    "put the table on demand": Command(
        """aws dynamodb update-table \\
  --table-name cloudcafe-payment-transactions-dev \\
  --billing-mode PAY_PER_REQUEST""",
        '"BillingMode": "PAY_PER_REQUEST"',
    ),
    "a low-risk payment": invoke("low_risk"),
    "a high-risk payment": invoke("high_risk"),
    "monitor": Command(
        "aws logs tail /aws/lambda/payment-processor --since 5m --follow",
        "START RequestId",
        {1: "(?s)Invalid choice.*filter-log-events", 2: "log group does not exist: /aws/lambda/payment-processor"},
        (("/payment-processor", "/payment-processor-dev"),),
    ),
}
# Version 1 has no `tail`; and it alone sends SQS's calls to AWS whatever AWS_ENDPOINT_URL says.
FOR_VERSION_1 = {
    "monitor": (("logs tail /aws", "logs filter-log-events --log-group-name /aws"), (" --since 5m --follow", "")),
    "send payments": (("--queue-url", '--endpoint-url "$AWS_ENDPOINT_URL" --queue-url'),),
}


def filled_in(name: str, text: str, version: int) -> str:
    """A published text with what its reader fills in, and where it would leave this machine, what keeps it here."""
    text = text.replace(QUEUE, '"$QUEUE_URL"')
    return corrected(text, FOR_VERSION_1["send payments"]) if (name, version) == ("send payments", 1) else text


def corrected(text: str, corrections: tuple[tuple[str, str], ...]) -> str:
    """The text with each correction made, which must find its place."""
    for old, new in corrections:
        assert text.count(old) == 1, f"{old!r} is not once in {text}"
        text = text.replace(old, new)
    return text
