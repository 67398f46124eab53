# A role for each function, with what its code calls on the resources it calls it on.

data "aws_iam_policy_document" "assume" {
  for_each = toset(["lambda", "scheduler"])

  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["${each.value}.amazonaws.com"]
    }
    # "Confused deputy prevention in EventBridge Scheduler".
    dynamic "condition" {
      for_each = each.value == "scheduler" ? [local.account] : []
      content {
        test     = "StringEquals"
        variable = "aws:SourceAccount"
        values   = [condition.value]
      }
    }
  }
}

locals {
  # Who decided is told by these, which the page's function alone may name in an update. `decision` is not among them:
  # others name it in conditions, and dynamodb:Attributes has what a request writes and what it asks for alike ("Using IAM
  # policy conditions for fine-grained access control"). By itself it decides nothing (docs/protocol.md, "Who decides").
  of_deciders = ["decided_by", "decided_at", "comment"]

  read_items   = { actions = ["dynamodb:GetItem"], resources = [var.table_arn] }
  update_items = { actions = ["dynamodb:UpdateItem"], resources = [var.table_arn], never = local.of_deciders }
  # With what its condition asks for, and the key.
  decide = {
    actions   = ["dynamodb:UpdateItem"]
    resources = [var.table_arn]
    only      = concat(local.of_deciders, ["decision", "transaction_id", "status", "callback_id", "request_hash", "approval_expires_at", "updated_at", "version"])
  }
  # A payment that needs no person is claimed with its risk's own decision.
  claim      = { actions = ["dynamodb:PutItem"], resources = [var.table_arn] }
  executions = ["${local.function_arn}:*"]
  read_secrets = concat(
    length(var.secret_arns) == 0 ? [] : [{ actions = ["secretsmanager:GetSecretValue"], resources = var.secret_arns }],
    length(var.secrets_kms_key_arns) == 0 ? [] : [{ actions = ["kms:Decrypt"], resources = var.secrets_kms_key_arns, via = "secretsmanager" }],
  )
  use_table_key = var.table_kms_key_arn == null ? [] : [{ actions = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo"], resources = [var.table_kms_key_arn], via = "dynamodb" }]

  # As AWSLambdaVPCAccessExecutionRole has them.
  join_network = var.vpc == null ? [] : [{ actions = ["ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:DeleteNetworkInterface", "ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses"], resources = ["*"] }]

  be_woken = var.wake_ups_queue_arn == null ? [] : [{ actions = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"], resources = [var.wake_ups_queue_arn] }]

  write_traces = var.tracing ? [{ actions = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"], resources = ["*"] }] : []

  permissions = {
    workflow = concat(local.read_secrets, local.use_table_key, local.join_network, local.write_traces, [
      local.read_items,
      local.update_items,
      local.claim,
      { actions = ["lambda:CheckpointDurableExecution", "lambda:GetDurableExecutionState"], resources = local.executions },
      { actions = ["sqs:SendMessage"], resources = [var.rejected_queue_arn] },
      { actions = ["sns:Publish"], resources = [aws_sns_topic.approvals.arn] },
      { actions = ["kms:GenerateMac"], resources = [aws_kms_key.links.arn] },
    ])
    page = concat(local.use_table_key, local.write_traces, [
      local.read_items,
      local.decide,
      { actions = ["dynamodb:Query"], resources = [for index in ["open-shard-index", "fingerprint-index"] : "${var.table_arn}/index/${index}"] },
      # It signs the links of what its list shows.
      { actions = ["kms:GenerateMac", "kms:VerifyMac"], resources = [aws_kms_key.links.arn] },
      { actions = ["lambda:SendDurableExecutionCallbackSuccess"], resources = local.executions },
    ])
    reconcile = concat(local.read_secrets, local.use_table_key, local.join_network, local.write_traces, local.be_woken, [
      local.read_items,
      local.update_items,
      { actions = ["dynamodb:Query"], resources = ["${var.table_arn}/index/open-shard-index"] },
      { actions = ["lambda:GetDurableExecution", "lambda:SendDurableExecutionCallbackSuccess"], resources = local.executions },
      { actions = ["lambda:InvokeFunction"], resources = [local.alias_arn] },
    ])
  }
}

resource "aws_iam_role" "this" {
  for_each = local.permissions

  # Roles belong to no region; the name carries one, so that an environment can exist in two.
  name                 = "${local.name}-${each.key}-${local.region}"
  description          = "Role of the approval ${each.key} of ${var.environment}."
  path                 = var.role_path
  permissions_boundary = var.permissions_boundary_arn
  assume_role_policy   = data.aws_iam_policy_document.assume["lambda"].json
  tags                 = var.tags
}

resource "aws_iam_role_policy" "this" {
  for_each = local.permissions

  name   = "handler"
  role   = aws_iam_role.this[each.key].id
  policy = data.aws_iam_policy_document.this[each.key].json
}

data "aws_iam_policy_document" "this" {
  #checkov:skip=CKV_AWS_111:Lambda's network interfaces and X-Ray take no resource other than "*" ("Actions, resources, and condition keys for Amazon EC2")
  #checkov:skip=CKV_AWS_356:as above
  for_each = local.permissions

  statement {
    sid       = "WriteLogs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.this[each.key].arn}:*"]
  }

  dynamic "statement" {
    for_each = each.value
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
      dynamic "condition" {
        for_each = { for test, names in { StringEquals = try(statement.value.only, []), StringNotEquals = try(statement.value.never, []) } : test => names if length(names) > 0 }
        content {
          test     = "ForAllValues:${condition.key}"
          variable = "dynamodb:Attributes"
          values   = condition.value
        }
      }
    }
  }
}

resource "aws_iam_role" "scheduler" {
  name                 = "${local.name}-scheduler-${local.region}"
  description          = "Starts the reconcile function of ${var.environment}."
  path                 = var.role_path
  permissions_boundary = var.permissions_boundary_arn
  assume_role_policy   = data.aws_iam_policy_document.assume["scheduler"].json
  tags                 = var.tags
}

resource "aws_iam_role_policy" "scheduler" {
  name   = "reconcile"
  role   = aws_iam_role.scheduler.id
  policy = data.aws_iam_policy_document.scheduler.json
}

data "aws_iam_policy_document" "scheduler" {
  statement {
    actions = ["lambda:InvokeFunction"]
    # Composed, not asked of the function: then new code does not have this policy written again.
    resources = ["${local.function_arn}-reconcile:live"]
  }
}

data "aws_iam_policy_document" "links_key" {
  #checkov:skip=CKV_AWS_109:a key policy names its own key as "*", the only form KMS takes; the account's IAM policies decide
  #checkov:skip=CKV_AWS_111:as above
  #checkov:skip=CKV_AWS_356:as above

  # KMS's own default allows kms:*. Named one by one, as for the queues' key: no wildcard action.
  statement {
    sid = "AccountDecidesThroughIam"
    principals {
      type        = "AWS"
      identifiers = ["arn:${local.partition}:iam::${local.account}:root"]
    }
    actions = [
      "kms:CancelKeyDeletion",
      "kms:DescribeKey",
      "kms:DisableKey",
      "kms:EnableKey",
      "kms:GenerateMac",
      "kms:GetKeyPolicy",
      "kms:GetKeyRotationStatus",
      "kms:ListKeyPolicies",
      "kms:ListResourceTags",
      "kms:PutKeyPolicy",
      "kms:ScheduleKeyDeletion",
      "kms:TagResource",
      "kms:UntagResource",
      "kms:UpdateKeyDescription",
      "kms:VerifyMac",
    ]
    resources = ["*"]
  }
}
