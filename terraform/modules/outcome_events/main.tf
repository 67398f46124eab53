# Outcome events: the table's stream, a function that makes events of it, and where they go. Nothing of it is in a payment's
# own path.

locals {
  name   = "${var.name_prefix}payment-processor-${var.environment}-events"
  region = split(":", var.table_arn)[3]

  events_name = "${var.name_prefix}cloudcafe-payment-events-${var.environment}"

  target = var.target == "queue" ? one(aws_sqs_queue.events[*].url) : var.target == "topic" ? one(aws_sns_topic.events[*].arn) : var.bus_arn

  # As `OUTCOMES` of handler/domain/outcome_event.py; a test holds the two together.
  outcomes = ["cancelled", "completed", "declined", "expired", "rejected", "parked", "conflict"]

  retention_seconds = 1209600 # SQS's maximum, 14 days: what nobody receives for a while is not lost.
}

resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_158:logs carry payment ids and no bodies; CloudWatch Logs encrypts them with its own key
  #checkov:skip=CKV_AWS_338:a year is the default (log_retention_days); a development environment may keep less
  name              = "/aws/lambda/${local.name}"
  retention_in_days = var.log_retention_days
  tags              = var.tags
}

resource "aws_lambda_function" "this" {
  #checkov:skip=CKV_AWS_50:tracing is a switch (tracing); PassThrough still joins a caller's trace
  #checkov:skip=CKV_AWS_115:one invocation at a time for each shard of the stream
  #checkov:skip=CKV_AWS_116:what the mapping gives up goes to a queue of its own
  #checkov:skip=CKV_AWS_117:talks to AWS APIs only
  #checkov:skip=CKV_AWS_173:no secret is in the environment
  #checkov:skip=CKV_AWS_272:the package's SHA-256 is checked against its manifest before every plan
  function_name    = local.name
  description      = "Makes outcome events of the table's stream."
  role             = aws_iam_role.this.arn
  filename         = var.package.path
  source_code_hash = var.package.source_code_hash
  handler          = "handler.events_function.lambda_handler"
  runtime          = var.runtime
  architectures    = [var.architecture]
  memory_size      = var.memory_size
  timeout          = 60
  tags             = var.tags

  environment {
    variables = local.variables
  }
  tracing_config {
    mode = var.tracing ? "Active" : "PassThrough"
  }
  logging_config {
    log_group  = aws_cloudwatch_log_group.this.name
    log_format = "JSON"
  }
}

locals {
  variables = {
    ENVIRONMENT               = var.environment
    EVENT_TARGET              = local.target
    POWERTOOLS_TRACE_DISABLED = tostring(!var.tracing)
  }
}

resource "aws_lambda_event_source_mapping" "stream" {
  event_source_arn = var.stream_arn
  function_name    = aws_lambda_function.this.arn
  # From as far back as the stream goes: what is told twice has one id, what is not told is lost.
  starting_position       = "TRIM_HORIZON"
  batch_size              = 100
  function_response_types = ["ReportBatchItemFailures"]
  # What fails is told by its own record, and tried for as long as the stream keeps it but an hour, in which Lambda says
  # what it gave up.
  bisect_batch_on_function_error = true
  maximum_retry_attempts         = -1
  maximum_record_age_in_seconds  = 82800
  tags                           = var.tags

  filter_criteria {
    filter {
      pattern = jsonencode({ dynamodb = { NewImage = { status = { S = local.outcomes } } } })
    }
  }
  destination_config {
    on_failure {
      destination_arn = aws_sqs_queue.given_up.arn
    }
  }

  # Creating the mapping tests the role's rights on the stream.
  depends_on = [aws_iam_role_policy.this]
}

# Where records lie, by shard and sequence numbers, that were not told in 23 hours; Lambda sends to standard queues alone.
resource "aws_sqs_queue" "given_up" {
  name                      = "${local.events_name}-given-up"
  message_retention_seconds = local.retention_seconds
  sqs_managed_sse_enabled   = true
  tags                      = var.tags
}

resource "aws_sqs_queue" "events" {
  count = var.target == "queue" ? 1 : 0

  name                      = "${local.events_name}.fifo"
  fifo_queue                = true
  deduplication_scope       = "messageGroup"
  fifo_throughput_limit     = "perMessageGroupId"
  message_retention_seconds = local.retention_seconds
  sqs_managed_sse_enabled   = true
  tags                      = var.tags
}

resource "aws_sns_topic" "events" {
  count = var.target == "topic" ? 1 : 0

  name              = "${local.events_name}.fifo"
  fifo_topic        = true
  kms_master_key_id = "alias/aws/sns"
  tags              = var.tags
}
