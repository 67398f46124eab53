# What people need, as policies to attach to whatever roles or groups an account has for them. Reading dead letters takes
# a place in dead_letter_reader_arns too.

locals {
  functions_arn = join(":", ["arn", local.table_arn[1], "lambda", local.table_arn[3], local.table_arn[4], "function"])
  all_functions = [for role in ["queue", "workflow", "page", "reconcile"] : "${local.functions_arn}:${local.function_names[role]}"]
  executions    = ["${local.functions_arn}:${local.function_names.workflow}:*"]

  state_bucket_arn = "arn:${local.table_arn[1]}:s3:::${join("-", ["cloudcafe-state", var.environment, local.table_arn[4], local.table_arn[3]])}"

  read_payments = [
    { actions = ["dynamodb:GetItem"], resources = [module.transaction_table.table_arn] },
    { actions = ["dynamodb:Query"], resources = ["${module.transaction_table.table_arn}/index/open-shard-index"] },
  ]
  use_tables_key = var.table_kms_key_arn == null ? [] : [{
    actions   = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo"]
    resources = [var.table_kms_key_arn]
    via       = "dynamodb"
  }]
  send_payments = [
    { actions = ["sqs:SendMessage"], resources = [module.queue.payment_queue_arn] },
    { actions = ["kms:Decrypt", "kms:GenerateDataKey"], resources = [module.queue.raw_messages_key_arn], via = "sqs" },
  ]

  people = {
    # Whoever sends payments, and so may charge.
    producer = local.send_payments

    # payments approvals list | show
    reader = concat(local.read_payments, local.use_tables_key, [
      { actions = ["dynamodb:Query"], resources = ["${module.transaction_table.table_arn}/index/fingerprint-index"] },
    ])

    # payments approvals approve | reject, for those whom approval_workflow.approvers names.
    approver = [{ actions = ["execute-api:Invoke"], resources = [module.approval_workflow.decide_arn] }]

    # Dead letters and their redrive, failed starts, rejected copies, and payments parked list | show | retry | cancel, which
    # asks the gateway what became of a payment.
    on_call = concat(local.read_payments, local.use_tables_key, local.send_payments, [
      # What is parked, and no decision.
      {
        actions   = ["dynamodb:UpdateItem"]
        resources = [module.transaction_table.table_arn]
        never     = ["decision", "decided_by", "decided_at", "comment"]
      },
      # A payment that was approved is charged by its execution, or by another where that is closed.
      { actions = ["lambda:GetDurableExecution"], resources = local.executions },
      { actions = ["lambda:InvokeFunction"], resources = [module.approval_workflow.alias_arn] },
      {
        actions   = ["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"]
        resources = [module.queue.dead_letter_queue_arn, module.queue.failed_starts_queue_arn, module.queue.rejected_queue_arn]
      },
      # payments dead-letters looks, and lets go again.
      { actions = ["sqs:ChangeMessageVisibility"], resources = [module.queue.dead_letter_queue_arn] },
      # payments status, of a payment that is not in the table, and its --logs; payments reconcile.
      { actions = ["sqs:GetQueueAttributes"], resources = [module.queue.payment_queue_arn] },
      { actions = ["logs:FilterLogEvents"], resources = [for name in values(local.function_names) : join(":", ["arn", local.table_arn[1], "logs", local.table_arn[3], local.table_arn[4], "log-group", "/aws/lambda/${name}", "*"])] },
      { actions = ["lambda:InvokeFunction"], resources = ["${local.functions_arn}:${local.function_names.reconcile}:live"] },
      {
        actions   = ["sqs:CancelMessageMoveTask", "sqs:ListMessageMoveTasks", "sqs:StartMessageMoveTask"]
        resources = [module.queue.dead_letter_queue_arn]
      },
      # Behind a prefix the command line is told the queue's URL (output commands), else it finds it by its name.
      ], var.name_prefix != "" ? [] : [
      { actions = ["sqs:GetQueueUrl"], resources = [module.queue.payment_queue_arn] },
      ], var.gateway_secret_arn == "" ? [] : [
      { actions = ["secretsmanager:GetSecretValue"], resources = [var.gateway_secret_arn] },
      ], length(var.secrets_kms_key_arns) == 0 ? [] : [
      { actions = ["kms:Decrypt"], resources = var.secrets_kms_key_arns, via = "secretsmanager" },
    ])

    # make deploy-code and make rollback. Terraform itself makes roles and keys: whoever applies it may do anything.
    deployer = [
      {
        actions = [
          "lambda:CreateAlias",
          "lambda:DeleteAlias",
          "lambda:DeleteFunction",
          "lambda:DeleteProvisionedConcurrencyConfig",
          "lambda:GetAlias",
          "lambda:GetFunction",
          "lambda:GetFunctionConfiguration",
          "lambda:GetProvisionedConcurrencyConfig",
          "lambda:ListAliases",
          "lambda:ListDurableExecutionsByFunction",
          "lambda:ListVersionsByFunction",
          "lambda:PublishVersion",
          "lambda:PutProvisionedConcurrencyConfig",
          "lambda:UpdateAlias",
          "lambda:UpdateFunctionCode",
        ]
        resources = flatten([for arn in local.all_functions : [arn, "${arn}:*"]])
      },
      # What things are called is in the state (build/state.py).
      { actions = ["s3:ListBucket"], resources = [local.state_bucket_arn] },
      { actions = ["s3:GetObject"], resources = ["${local.state_bucket_arn}/env:/${var.environment}/payment-processor.tfstate"] },
      {
        actions   = ["cloudwatch:DescribeAlarms"]
        resources = [join(":", ["arn", local.table_arn[1], "cloudwatch", local.table_arn[3], local.table_arn[4], "alarm", "*"])]
      },
    ]
  }
}

data "aws_iam_policy_document" "people" {
  for_each = local.people

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
          values   = ["${condition.value}.${local.table_arn[3]}.amazonaws.com"]
        }
      }
      dynamic "condition" {
        for_each = try([statement.value.never], [])
        content {
          test     = "ForAllValues:StringNotEquals"
          variable = "dynamodb:Attributes"
          values   = condition.value
        }
      }
    }
  }
}

output "policies" {
  description = "Policies to attach, as JSON: producer, reader and approver (command line), on_call, deployer (deploy-code, rollback)."
  value       = { for name, document in data.aws_iam_policy_document.people : name => document.json }
}
