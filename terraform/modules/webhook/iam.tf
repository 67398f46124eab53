# The function's role: it reads one secret and sends to one queue.

locals {
  permissions = concat(
    [
      { actions = ["logs:CreateLogStream", "logs:PutLogEvents"], resources = ["${aws_cloudwatch_log_group.this.arn}:*"] },
      { actions = ["secretsmanager:GetSecretValue"], resources = [var.secret_arn] },
      { actions = ["sqs:SendMessage"], resources = [aws_sqs_queue.wake_ups.arn] },
    ],
    length(var.secrets_kms_key_arns) == 0 ? [] : [{ actions = ["kms:Decrypt"], resources = var.secrets_kms_key_arns, via = "secretsmanager" }],
    var.tracing ? [{ actions = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"], resources = ["*"] }] : [],
  )
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
  # Roles belong to no region; the name carries one, so that an environment can exist in two.
  name                 = "${local.name}-${local.region}"
  description          = "Role of the webhook of ${var.environment}."
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
  #checkov:skip=CKV_AWS_111:X-Ray takes no resource other than "*"
  #checkov:skip=CKV_AWS_356:as above
  dynamic "statement" {
    for_each = local.permissions
    content {
      actions   = statement.value.actions
      resources = statement.value.resources
      dynamic "condition" {
        for_each = compact([try(statement.value.via, null)])
        content {
          test     = "StringEquals"
          variable = "kms:ViaService"
          values   = ["${condition.value}.${local.region}.amazonaws.com"]
        }
      }
    }
  }
}
