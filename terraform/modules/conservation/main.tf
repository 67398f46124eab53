# The sums of each day: a function on a schedule, which holds the items of a day, from an export of the table, against what
# the gateway lists. It writes nothing to the table and moves no money; its results lie in the bucket of exports.

locals {
  name    = "${var.name_prefix}payment-processor-${var.environment}-conservation"
  region  = split(":", var.table_arn)[3]
  account = split(":", var.table_arn)[4]

  variables = merge(var.environment_variables, {
    EXPORT_BUCKET             = var.export_bucket.name
    POWERTOOLS_TRACE_DISABLED = tostring(!var.tracing)
  })
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
  #checkov:skip=CKV_AWS_115:one run in half an hour
  #checkov:skip=CKV_AWS_116:the next run does what this one did not
  #checkov:skip=CKV_AWS_117:a choice (vpc): talks to AWS APIs and the gateway only
  #checkov:skip=CKV_AWS_173:no secret is in the environment
  #checkov:skip=CKV_AWS_272:the package's SHA-256 is checked against its manifest before every plan
  function_name    = local.name
  description      = "Compares what the items of a day captured, gave back and saw disputed with what the gateway lists."
  role             = aws_iam_role.this["function"].arn
  filename         = var.package.path
  source_code_hash = var.package.source_code_hash
  handler          = "handler.conservation_function.lambda_handler"
  runtime          = var.runtime
  architectures    = [var.architecture]
  memory_size      = var.memory_size
  # Lambda's longest: what a run does not get done, the next one does.
  timeout = 900
  tags    = var.tags

  environment {
    variables = local.variables
  }
  tracing_config {
    mode = var.tracing ? "Active" : "PassThrough"
  }
  dynamic "vpc_config" {
    for_each = var.vpc == null ? [] : [var.vpc]
    content {
      subnet_ids         = vpc_config.value.subnet_ids
      security_group_ids = vpc_config.value.security_group_ids
    }
  }
  logging_config {
    log_group  = aws_cloudwatch_log_group.this.name
    log_format = "JSON"
  }

  # Lambda refuses to put a function into a VPC whose role may not make network interfaces yet.
  depends_on = [aws_iam_role_policy.this]
}

resource "aws_scheduler_schedule" "this" {
  #checkov:skip=CKV_AWS_297:the schedule's payload is empty
  name = local.name
  # Longer than a run may take, so that there is one at a time.
  schedule_expression = "rate(30 minutes)"

  flexible_time_window {
    mode = "OFF"
  }
  target {
    arn      = aws_lambda_function.this.arn
    role_arn = aws_iam_role.this["scheduler"].arn
  }
}
