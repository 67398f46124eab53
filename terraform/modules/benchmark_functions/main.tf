# One function per engine and memory size, for the cold-start lab: own role, own table, own queue of rejected messages,
# the simulated gateway whatever the payment function uses. No queue feeds them; the lab invokes them.

locals {
  functions = {
    for pair in setproduct(keys(var.packages), var.memory_sizes) :
    "${pair[0]}-${pair[1]}" => { engine = pair[0], memory_size = pair[1] }
  }
  name = "${var.name_prefix}cloudcafe-payment-processor-${var.environment}-bench"
}

module "table" {
  source = "../transaction_table"

  name                   = "${var.name_prefix}cloudcafe-payment-transactions-${var.environment}-bench"
  point_in_time_recovery = false
  deletion_protection    = false
  tags                   = var.tags
}

resource "aws_sqs_queue" "rejected" {
  name                        = "${var.name_prefix}cloudcafe-payment-processing-${var.environment}-bench-rejected.fifo"
  fifo_queue                  = true
  content_based_deduplication = true
  sqs_managed_sse_enabled     = true
  tags                        = var.tags
}

resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_158:generated payments only
  #checkov:skip=CKV_AWS_338:the lab keeps its own records; raw lines are of use for days
  for_each = local.functions

  name              = "/aws/lambda/${local.name}-${each.key}"
  retention_in_days = 14
  tags              = var.tags
}

resource "aws_lambda_function" "this" {
  #checkov:skip=CKV_AWS_50:a trace per invocation would be part of what is measured
  #checkov:skip=CKV_AWS_115:the lab decides its own concurrency
  #checkov:skip=CKV_AWS_116:invoked synchronously
  #checkov:skip=CKV_AWS_117:a VPC would be part of what is measured
  #checkov:skip=CKV_AWS_173:no secret is in the environment
  #checkov:skip=CKV_AWS_272:the package's SHA-256 is checked against its manifest before every plan
  for_each = local.functions

  function_name    = "${local.name}-${each.key}"
  description      = "Cold-start lab: ${each.value.engine} engine, ${each.value.memory_size} MB."
  role             = aws_iam_role.this.arn
  filename         = var.packages[each.value.engine].path
  source_code_hash = var.packages[each.value.engine].source_code_hash
  handler          = "handler.lambda_handler"
  runtime          = var.runtime
  architectures    = [var.architecture]
  memory_size      = each.value.memory_size
  timeout          = var.timeout_seconds
  tags             = var.tags

  environment {
    variables = merge(var.environment_variables, {
      DYNAMODB_TABLE     = module.table.table_name
      REJECTED_QUEUE_URL = aws_sqs_queue.rejected.url
      SCORING_ENGINE     = each.value.engine
      GATEWAY            = "simulated"
      GATEWAY_URL        = ""
      GATEWAY_CA_FILE    = ""
      GATEWAY_SECRET_ARN = ""
    })
  }

  # Text: the lab reads REPORT lines.
  logging_config {
    log_group  = aws_cloudwatch_log_group.this[each.key].name
    log_format = "Text"
  }

  depends_on = [aws_iam_role_policy.this]
}

data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "this" {
  name                 = "${local.name}-${split(":", module.table.table_arn)[3]}"
  description          = "Role of the benchmark functions of ${var.environment}."
  path                 = var.role_path
  permissions_boundary = var.permissions_boundary_arn
  assume_role_policy   = data.aws_iam_policy_document.assume.json
  tags                 = var.tags
}

resource "aws_iam_role_policy" "this" {
  name   = "handler"
  role   = aws_iam_role.this.id
  policy = data.aws_iam_policy_document.this.json
}

data "aws_iam_policy_document" "this" {
  statement {
    sid       = "WriteLogs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = [for group in aws_cloudwatch_log_group.this : "${group.arn}:*"]
  }

  statement {
    sid       = "KeepTransactions"
    actions   = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"]
    resources = [module.table.table_arn]
  }

  statement {
    sid       = "RejectMessages"
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.rejected.arn]
  }
}
