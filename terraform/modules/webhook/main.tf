# The webhook: a route of the page's API, a function that checks signatures and queues wake-ups, and the queue from which
# reconcile takes them. The function has no table and no gateway.

locals {
  name   = "${var.name_prefix}payment-processor-${var.environment}-webhook"
  region = split(":", var.secret_arn)[3]

  queue_name = "${var.name_prefix}cloudcafe-payment-wake-ups-${var.environment}"

  # As AWS asks for: six times the time-out of the function that the queue invokes.
  visibility_timeout_seconds = 6 * var.reconcile.timeout_seconds

  variables = {
    ENVIRONMENT               = var.environment
    GATEWAY_MODE              = var.mode
    WEBHOOK_SECRET_ARN        = var.secret_arn
    WAKE_UP_QUEUE_URL         = aws_sqs_queue.wake_ups.url
    POWERTOOLS_TRACE_DISABLED = tostring(!var.tracing)
  }

  retention_seconds = 1209600 # SQS's maximum, 14 days.
}

resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_158:logs carry ids of events and references and no bodies; CloudWatch Logs encrypts them with its own key
  #checkov:skip=CKV_AWS_338:a year is the default (log_retention_days); a development environment may keep less
  name              = "/aws/lambda/${local.name}"
  retention_in_days = var.log_retention_days
  tags              = var.tags
}

resource "aws_lambda_function" "this" {
  #checkov:skip=CKV_AWS_50:tracing is a switch (tracing); PassThrough still joins a caller's trace
  #checkov:skip=CKV_AWS_115:the HTTP API's throttle limits it
  #checkov:skip=CKV_AWS_116:it is invoked synchronously; what it does not take, the gateway sends again
  #checkov:skip=CKV_AWS_117:talks to AWS APIs only
  #checkov:skip=CKV_AWS_173:no secret is in the environment
  #checkov:skip=CKV_AWS_272:the package's SHA-256 is checked against its manifest before every plan
  function_name    = local.name
  description      = "Takes the gateway's signed events, and wakes reconcile for the payment that each is about."
  role             = aws_iam_role.this.arn
  filename         = var.package.path
  source_code_hash = var.package.source_code_hash
  handler          = "handler.webhook_function.lambda_handler"
  runtime          = var.runtime
  architectures    = [var.architecture]
  memory_size      = var.memory_size
  timeout          = 10
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

# ---- the route ------------------------------------------------------------------------------------------------------

resource "aws_apigatewayv2_integration" "this" {
  api_id                 = var.api.id
  integration_type       = "AWS_PROXY"
  integration_uri        = aws_lambda_function.this.arn
  payload_format_version = "2.0"
}

resource "aws_apigatewayv2_route" "this" {
  #checkov:skip=CKV_AWS_309:the gateway's signature is the authorization, checked by the function
  api_id             = var.api.id
  route_key          = "POST /webhook"
  authorization_type = "NONE"
  target             = "integrations/${aws_apigatewayv2_integration.this.id}"
}

resource "aws_lambda_permission" "this" {
  statement_id  = "Webhook"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.this.function_name
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${var.api.execution_arn}/*/POST/webhook"
}

# ---- the queue ------------------------------------------------------------------------------------------------------

# FIFO by reference: two events of one payment are not looked at at once, and a repeated one wakes once.
resource "aws_sqs_queue" "wake_ups" {
  name                       = "${local.queue_name}.fifo"
  fifo_queue                 = true
  deduplication_scope        = "messageGroup"
  fifo_throughput_limit      = "perMessageGroupId"
  visibility_timeout_seconds = local.visibility_timeout_seconds
  message_retention_seconds  = local.retention_seconds
  sqs_managed_sse_enabled    = true
  tags                       = var.tags

  # A gateway that is away for two days loses none.
  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead_letter.arn
    maxReceiveCount     = ceil(172800 / local.visibility_timeout_seconds)
  })
}

resource "aws_sqs_queue" "dead_letter" {
  name                      = "${local.queue_name}-dlq.fifo"
  fifo_queue                = true
  message_retention_seconds = local.retention_seconds
  sqs_managed_sse_enabled   = true
  tags                      = var.tags
}

resource "aws_lambda_event_source_mapping" "wake_ups" {
  event_source_arn        = aws_sqs_queue.wake_ups.arn
  function_name           = var.reconcile.alias_arn
  batch_size              = 10
  function_response_types = ["ReportBatchItemFailures"]
  tags                    = var.tags

  # The gateway's calls are the payments' first; two is the least that Lambda takes.
  scaling_config {
    maximum_concurrency = 2
  }

  # `make stop` disables it.
  lifecycle {
    ignore_changes = [enabled]
  }
}
