# What the handler's adapters call, on the resources they call it on, and nothing else.

locals {
  region = split(":", var.table_arn)[3]
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
  name                 = "${var.function_name}-${split(":", aws_cloudwatch_log_group.this.arn)[3]}"
  description          = "Role of ${var.function_name}."
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
  #checkov:skip=CKV_AWS_111:X-Ray and Lambda's network interfaces take no resource other than "*" ("Actions, resources, and condition keys")
  #checkov:skip=CKV_AWS_356:as above

  statement {
    sid       = "WriteLogs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.this.arn}:*"]
  }

  statement {
    sid       = "TakePayments"
    actions   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ChangeMessageVisibility"]
    resources = [var.event_source.queue_arn]
  }

  statement {
    sid       = "RejectMessagesAndReportFailedStarts"
    actions   = ["sqs:SendMessage"]
    resources = [var.rejected_queue_arn, var.failed_starts_queue_arn]
  }

  statement {
    sid       = "ReadAndWriteRawMessages"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [var.raw_messages_key_arn]
    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["sqs.${local.region}.amazonaws.com"]
    }
  }

  statement {
    sid       = "ReadTransactions"
    actions   = ["dynamodb:GetItem"]
    resources = [var.table_arn]
  }

  # But no decision: that is a person's (docs/protocol.md, "Who decides").
  statement {
    sid       = "KeepTransactions"
    actions   = ["dynamodb:PutItem", "dynamodb:UpdateItem"]
    resources = [var.table_arn]
    condition {
      test     = "ForAllValues:StringNotEquals"
      variable = "dynamodb:Attributes"
      values   = ["decision", "decided_by", "decided_at", "comment"]
    }
  }

  dynamic "statement" {
    for_each = var.table_kms_key_arn == null ? [] : [var.table_kms_key_arn]
    content {
      sid       = "UseTheTablesKey"
      actions   = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo"]
      resources = [statement.value]
      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["dynamodb.${local.region}.amazonaws.com"]
      }
    }
  }

  dynamic "statement" {
    for_each = length(var.secret_arns) == 0 ? [] : [var.secret_arns]
    content {
      sid       = "ReadSecrets"
      actions   = ["secretsmanager:GetSecretValue"]
      resources = statement.value
    }
  }

  dynamic "statement" {
    for_each = length(var.secrets_kms_key_arns) == 0 ? [] : [var.secrets_kms_key_arns]
    content {
      sid       = "UseTheSecretsKeys"
      actions   = ["kms:Decrypt"]
      resources = statement.value
      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["secretsmanager.${local.region}.amazonaws.com"]
      }
    }
  }

  dynamic "statement" {
    for_each = var.approval_function_arn == null ? [] : [var.approval_function_arn]
    content {
      sid       = "StartApprovals"
      actions   = ["lambda:InvokeFunction"]
      resources = [statement.value]
    }
  }

  # As AWSLambdaVPCAccessExecutionRole has them.
  dynamic "statement" {
    for_each = var.vpc == null ? [] : ["*"]
    content {
      sid       = "JoinTheNetwork"
      actions   = ["ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:DeleteNetworkInterface", "ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses"]
      resources = [statement.value]
    }
  }

  dynamic "statement" {
    for_each = var.tracing ? ["*"] : []
    content {
      sid       = "WriteTraces"
      actions   = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]
      resources = [statement.value]
    }
  }
}
