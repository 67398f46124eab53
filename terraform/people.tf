# What people need, as policies to attach to whatever roles or groups an account has for them. Reading dead letters takes
# a place in dead_letter_reader_arns too.

locals {
  functions_arn      = join(":", ["arn", local.table_arn[1], "lambda", local.table_arn[3], local.table_arn[4], "function"])
  all_functions      = [for role in ["queue", "workflow", "page", "reconcile"] : "${local.functions_arn}:${local.function_names[role]}"]
  charging_functions = [for role in ["queue", "workflow", "reconcile"] : "${local.functions_arn}:${local.function_names[role]}"]
  executions         = ["${local.functions_arn}:${local.function_names.workflow}:*"]

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
  # What things are called is in the state (build/state.py).
  read_state = [
    { actions = ["s3:ListBucket"], resources = [local.state_bucket_arn] },
    { actions = ["s3:GetObject"], resources = ["${local.state_bucket_arn}/env:/${var.environment}/payment-processor.tfstate"] },
  ]
  read_alarms = [{
    actions   = ["cloudwatch:DescribeAlarms"]
    resources = [join(":", ["arn", local.table_arn[1], "cloudwatch", local.table_arn[3], local.table_arn[4], "alarm", "*"])]
  }]
  # Behind a prefix the command line is told the queue's URL (output commands), else it finds it by its name.
  find_queue = var.name_prefix != "" ? [] : [{ actions = ["sqs:GetQueueUrl"], resources = [module.queue.payment_queue_arn] }]

  mappings = concat([module.payment_function.mapping_arn], module.webhook[*].mapping_arn)
  # payments stop | start, and what status and doctor say of it.
  see_whether_stopped = [
    { actions = ["lambda:ListEventSourceMappings"], resources = ["*"] },
    { actions = ["scheduler:GetSchedule"], resources = [module.approval_workflow.schedule_arn] },
  ]
  stop = concat(local.read_state, local.see_whether_stopped, [
    { actions = ["lambda:GetEventSourceMapping", "lambda:UpdateEventSourceMapping"], resources = local.mappings },
    { actions = ["scheduler:UpdateSchedule"], resources = [module.approval_workflow.schedule_arn] },
    # An update names the whole schedule, with its role.
    { actions = ["iam:PassRole"], resources = [module.approval_workflow.role_arns.scheduler], to = "scheduler" },
    # No version that forgot a restore is started.
    { actions = ["lambda:GetAlias", "lambda:GetFunctionConfiguration"], resources = flatten([for arn in local.charging_functions : [arn, "${arn}:*"]]) },
  ])
  function_roles = concat([module.payment_function.role_arn], [for role in ["workflow", "page", "reconcile"] : module.approval_workflow.role_arns[role]])
  pepper_arn     = join(":", ["arn", local.table_arn[1], "secretsmanager", local.table_arn[3], local.table_arn[4], "secret", "payment-fingerprint-pepper-${var.environment}-*"])

  send_payments = [
    { actions = ["sqs:SendMessage"], resources = [module.queue.payment_queue_arn] },
    { actions = ["kms:Decrypt", "kms:GenerateDataKey"], resources = [module.queue.raw_messages_key_arn], via = "sqs" },
  ]

  # payments conservation, and its --run.
  see_sums = [for each in concat([
    { actions = ["s3:GetObject"], resources = ["${module.export_bucket.bucket_arn}/conservation/results/*"] },
    # So that a day without sums is told from one that is forbidden.
    { actions = ["s3:ListBucket"], resources = [module.export_bucket.bucket_arn] },
    { actions = ["lambda:InvokeFunction"], resources = ["${local.functions_arn}:${local.function_names.workflow}-conservation"] },
    ], var.table_kms_key_arn == null ? [] : [
    { actions = ["kms:Decrypt"], resources = [var.table_kms_key_arn], via = "s3" },
  ]) : each if var.conservation]

  people = {
    # Whoever sends payments, and so may charge.
    producer = local.send_payments

    # payments approvals list | show
    reader = concat(local.read_payments, local.use_tables_key, [
      { actions = ["dynamodb:Query"], resources = ["${module.transaction_table.table_arn}/index/fingerprint-index"] },
    ])

    # payments approvals approve | reject, for those whom approval_workflow.approvers names.
    approver = [{ actions = ["execute-api:Invoke"], resources = [module.approval_workflow.decide_arn] }]

    # Dead letters and their redrive, failed starts, rejected copies, payments parked list | show | retry | cancel, which
    # asks the gateway what became of a payment, and payments stop | start.
    on_call = concat(local.read_payments, local.use_tables_key, local.send_payments, local.stop, local.find_queue, local.see_sums, [
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
      ], var.gateway_secret_arn == "" ? [] : [
      { actions = ["secretsmanager:GetSecretValue"], resources = [var.gateway_secret_arn] },
      ], length(var.secrets_kms_key_arns) == 0 ? [] : [
      { actions = ["kms:Decrypt"], resources = var.secrets_kms_key_arns, via = "secretsmanager" },
    ])

    # payments doctor, but its test payment: it reads settings, and no payment.
    observer = concat(local.read_state, local.read_alarms, local.see_whether_stopped, local.find_queue, [
      {
        actions   = ["sqs:GetQueueAttributes"]
        resources = [module.queue.payment_queue_arn, module.queue.dead_letter_queue_arn, module.queue.rejected_queue_arn]
      },
      { actions = ["dynamodb:DescribeTable"], resources = [module.transaction_table.table_arn] },
      { actions = ["lambda:GetFunctionConfiguration"], resources = flatten([for arn in local.all_functions : [arn, "${arn}:*"]]) },
      { actions = ["lambda:GetAccountSettings"], resources = ["*"] },
      { actions = ["iam:GetRolePolicy", "iam:ListRolePolicies", "iam:SimulatePrincipalPolicy"], resources = local.function_roles },
      { actions = ["logs:FilterLogEvents"], resources = [join(":", ["arn", local.table_arn[1], "logs", local.table_arn[3], local.table_arn[4], "log-group", "/aws/lambda/${local.function_names.queue}", "*"])] },
      { actions = ["sns:ListSubscriptionsByTopic"], resources = [module.observability.alarm_topic_arn] },
      ], !local.production ? [] : [
      { actions = ["dynamodb:DescribeContinuousBackups"], resources = [module.transaction_table.table_arn] },
    ])

    # payments export: it reads what the table has, and writes nothing but exports.
    accountant = concat(local.use_tables_key, local.see_sums, [
      { actions = ["dynamodb:DescribeTable", "dynamodb:ExportTableToPointInTime"], resources = [module.transaction_table.table_arn] },
      { actions = ["dynamodb:DescribeExport"], resources = ["${module.transaction_table.table_arn}/export/*"] },
      # So that an object that is missing is told from one that is forbidden.
      { actions = ["s3:ListBucket"], resources = [module.export_bucket.bucket_arn] },
      # "Requesting a table export in DynamoDB": DynamoDB writes in the name of whoever asked.
      {
        actions   = ["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject", "s3:PutObjectAcl"]
        resources = ["${module.export_bucket.bucket_arn}/AWSDynamoDB/*"]
      },
      ], var.table_kms_key_arn == null ? [] : [
      { actions = ["kms:Decrypt", "kms:GenerateDataKey"], resources = [var.table_kms_key_arn], via = "s3" },
    ])

    # make deploy-code and make rollback, payments stress outside production, and payments pepper. Terraform itself makes
    # roles and keys: whoever applies it may do anything.
    deployer = concat(local.read_state, local.read_alarms, [
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
      { actions = ["secretsmanager:CreateSecret", "secretsmanager:PutSecretValue"], resources = [local.pepper_arn] },
      ], local.production ? [] : [
      { actions = ["lambda:UpdateFunctionConfiguration"], resources = [local.all_functions[0]] },
      ], length(var.secrets_kms_key_arns) == 0 ? [] : [
      { actions = ["kms:Decrypt", "kms:GenerateDataKey"], resources = var.secrets_kms_key_arns, via = "secretsmanager" },
    ])
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
        for_each = compact([try(statement.value.to, null)])
        content {
          test     = "StringEquals"
          variable = "iam:PassedToService"
          values   = ["${condition.value}.amazonaws.com"]
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
  description = "Policies to attach, as JSON: producer, reader and approver (command line), on_call (stop and start too), observer (doctor), accountant (export), deployer (deploy-code, rollback, stress, pepper)."
  value       = { for name, document in data.aws_iam_policy_document.people : name => document.json }
}
