# The payment queue, where it sends what it cannot deliver (dead letters, raw), what the function refuses (rejected,
# masked) and what Lambda could not start (failed starts, raw).

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

locals {
  name = "${var.name_prefix}cloudcafe-payment-processing-${var.environment}"

  # The queues name each other in their policies. Composed from the key's ARN, the names need no second resource per
  # policy, each of which the provider polls for 25 s, and no region data source, whose attribute changed its name in 6.x.
  arn_prefix               = join(":", concat(["arn", local.key_arn[1], "sqs"], slice(local.key_arn, 3, 5)))
  key_arn                  = split(":", aws_kms_key.raw_messages.arn)
  payment_queue_arn        = "${local.arn_prefix}:${local.name}.fifo"
  dead_letter_queue_arn    = "${local.arn_prefix}:${local.name}-dlq.fifo"
  rejected_queue_arn       = "${local.arn_prefix}:${local.name}-rejected.fifo"
  failed_starts_queue_arn  = "${local.arn_prefix}:${local.name}-failed-starts"
  reading                  = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:PurgeQueue", "sqs:StartMessageMoveTask"]
  deduplication_scope      = "messageGroup"
  throughput_limit         = "perMessageGroupId"
  retention_of_the_refused = 1209600 # SQS's maximum, 14 days: a person needs time to look.
}

# SQS moves a dead letter with the encryption that it arrived with ("Encryption at rest in Amazon SQS"): a key on the
# dead-letter queue alone would leave every dead letter outside it. So the payment queue has the key too.
resource "aws_kms_key" "raw_messages" {
  description             = "Raw payment messages of ${var.environment}: waiting, dead, or never started."
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = data.aws_iam_policy_document.raw_messages_key.json
  tags                    = var.tags
}

resource "aws_kms_alias" "raw_messages" {
  name          = "alias/${local.name}"
  target_key_id = aws_kms_key.raw_messages.key_id
}

data "aws_iam_policy_document" "raw_messages_key" {
  #checkov:skip=CKV_AWS_109:a key policy names its own key as "*", the only form KMS takes; the account's IAM policies decide
  #checkov:skip=CKV_AWS_111:as above
  #checkov:skip=CKV_AWS_356:as above

  # The account's own IAM policies decide who uses and manages the key. Named one by one: no wildcard action.
  statement {
    sid = "AccountDecidesThroughIam"
    principals {
      type        = "AWS"
      identifiers = ["arn:${data.aws_partition.current.partition}:iam::${data.aws_caller_identity.current.account_id}:root"]
    }
    actions = [
      "kms:CancelKeyDeletion",
      "kms:CreateAlias",
      "kms:CreateGrant",
      "kms:Decrypt",
      "kms:DeleteAlias",
      "kms:DescribeKey",
      "kms:DisableKey",
      "kms:DisableKeyRotation",
      "kms:EnableKey",
      "kms:EnableKeyRotation",
      "kms:Encrypt",
      "kms:GenerateDataKey",
      "kms:GetKeyPolicy",
      "kms:GetKeyRotationStatus",
      "kms:ListGrants",
      "kms:ListKeyPolicies",
      "kms:ListResourceTags",
      "kms:PutKeyPolicy",
      "kms:RevokeGrant",
      "kms:ScheduleKeyDeletion",
      "kms:TagResource",
      "kms:UntagResource",
      "kms:UpdateAlias",
      "kms:UpdateKeyDescription",
    ]
    resources = ["*"]
  }
}

# Raw bodies may hold what a sender should never have sent; who reads them is named, not implied by an account.
data "aws_iam_policy_document" "queue" {
  for_each = {
    payment       = { arn = local.payment_queue_arn, raw = true, readers = setunion(var.dead_letter_reader_arns, var.payment_reader_arns) }
    dead_letter   = { arn = local.dead_letter_queue_arn, raw = true, readers = var.dead_letter_reader_arns }
    rejected      = { arn = local.rejected_queue_arn, raw = false, readers = [] }
    failed_starts = { arn = local.failed_starts_queue_arn, raw = true, readers = var.dead_letter_reader_arns }
  }

  statement {
    sid    = "RefuseWithoutTls"
    effect = "Deny"
    principals {
      type        = "*"
      identifiers = ["*"]
    }
    actions   = concat(local.reading, ["sqs:SendMessage"])
    resources = [each.value.arn]
    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }

  dynamic "statement" {
    for_each = each.value.raw ? [each.value.arn] : []
    content {
      sid    = "OnlyNamedReaders"
      effect = "Deny"
      principals {
        type        = "*"
        identifiers = ["*"]
      }
      actions   = local.reading
      resources = [statement.value]
      dynamic "condition" {
        for_each = length(each.value.readers) > 0 ? [each.value.readers] : []
        content {
          test     = "ArnNotLike"
          variable = "aws:PrincipalArn"
          values   = condition.value
        }
      }
    }
  }
}

resource "aws_sqs_queue" "payment" {
  name                        = "${local.name}.fifo"
  fifo_queue                  = true
  content_based_deduplication = true
  deduplication_scope         = local.deduplication_scope
  fifo_throughput_limit       = local.throughput_limit
  visibility_timeout_seconds  = var.visibility_timeout_seconds
  message_retention_seconds   = var.message_retention_seconds
  receive_wait_time_seconds   = 20
  kms_master_key_id           = aws_kms_key.raw_messages.arn
  policy                      = data.aws_iam_policy_document.queue["payment"].json
  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead_letter.arn
    maxReceiveCount     = var.max_receive_count
  })
  tags = var.tags
}

resource "aws_sqs_queue" "dead_letter" {
  name                        = "${local.name}-dlq.fifo"
  fifo_queue                  = true
  content_based_deduplication = true
  deduplication_scope         = local.deduplication_scope
  fifo_throughput_limit       = local.throughput_limit
  message_retention_seconds   = local.retention_of_the_refused
  kms_master_key_id           = aws_kms_key.raw_messages.arn
  policy                      = data.aws_iam_policy_document.queue["dead_letter"].json
  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [local.payment_queue_arn]
  })
  tags = var.tags
}

# Masked copies: outside the raw key, so that whoever answers for senders' mistakes can read them.
resource "aws_sqs_queue" "rejected" {
  name                        = "${local.name}-rejected.fifo"
  fifo_queue                  = true
  content_based_deduplication = true
  deduplication_scope         = local.deduplication_scope
  fifo_throughput_limit       = local.throughput_limit
  message_retention_seconds   = local.retention_of_the_refused
  sqs_managed_sse_enabled     = true
  policy                      = data.aws_iam_policy_document.queue["rejected"].json
  tags                        = var.tags
}

# Lambda's destinations for asynchronous invocations take standard queues only.
resource "aws_sqs_queue" "failed_starts" {
  name                      = "${local.name}-failed-starts"
  message_retention_seconds = local.retention_of_the_refused
  kms_master_key_id         = aws_kms_key.raw_messages.arn
  policy                    = data.aws_iam_policy_document.queue["failed_starts"].json
  tags                      = var.tags
}
