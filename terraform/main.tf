# The whole system for one environment. No provider block: region, credentials and endpoint come from the environment
# (AWS_REGION, AWS_ACCESS_KEY_ID or a profile, AWS_ENDPOINT_URL), and this root can be used as a module.

locals {
  tags = merge({ Project = "cloudcafe-payment-processor", Environment = var.environment }, var.tags)

  function_name       = "${var.name_prefix}cloudcafe-payment-processor-${var.environment}"
  deletion_protection = coalesce(var.deletion_protection, var.environment != "dev")

  table_arn         = split(":", module.transaction_table.table_arn) # [3] is the region, [4] the account
  package_directory = coalesce(var.package_directory, "${path.module}/../dist")
  package_engine    = var.scoring_engine == "pure" ? "pure" : "compiled"

  secret_arns = compact([var.fingerprint_pepper_secret_arn, var.gateway_secret_arn])

  # Composed, as the webhook's queue waits for the function that this is a permission of.
  wake_ups_queue_arn = join(":", ["arn", local.table_arn[1], "sqs", local.table_arn[3], local.table_arn[4], "${var.name_prefix}cloudcafe-payment-wake-ups-${var.environment}.fifo"])

  # Without it the function declines a payment that a person must decide on. The workflow itself is always there, so that
  # those that wait already are decided, charged or expired however this is set.
  approval_function_arn = var.approvals ? module.approval_workflow.alias_arn : null

  # Lambda runs durable functions from this one on. The ZIP may be packaged for another, as the queue function may run on
  # it: then the workflow, its page and reconcile do without bytecode, and their init takes longer.
  workflow_runtime = "python3.13"

  # Of the functions that handle real payments.
  live_variables = merge(local.chosen_variables, {
    DYNAMODB_TABLE     = module.transaction_table.table_name
    REJECTED_QUEUE_URL = module.queue.rejected_queue_url
  })

  # Those of them that a plan knows.
  chosen_variables = merge(local.handler_variables, {
    GATEWAY                       = coalesce(var.gateway, "simulated")
    GATEWAY_URL                   = var.gateway_url
    GATEWAY_CA_FILE               = var.gateway_ca_file
    GATEWAY_MODE                  = var.gateway_mode
    GATEWAY_OFF_SESSION           = tostring(var.gateway_off_session)
    GATEWAY_SECRET_ARN            = var.gateway_secret_arn
    RESTORED_AT                   = var.restored_at
    SCORING_ENGINE                = var.scoring_engine
    FINGERPRINT_PEPPER_SECRET_ARN = var.fingerprint_pepper_secret_arn == null ? "" : var.fingerprint_pepper_secret_arn
  })

  variables_bytes = 1000 + length(jsonencode(merge(local.chosen_variables, { APPROVERS = join(",", var.approval_workflow.approvers) })))

  workflow_memory_sizes = { for function, own in var.approval_workflow.memory_sizes : function => coalesce(own, var.memory_size) }

  # Of all functions. Lambda reserves AWS_REGION and sets it itself.
  handler_variables = {
    ENVIRONMENT           = var.environment
    STRESS_MODE           = var.stress_mode
    STRESS_DELAY_SECONDS  = tostring(var.stress_delay_seconds)
    STRESS_OPERATIONS     = format("%d", var.stress_operations)
    PAYMENT_CURRENCY      = var.payment_currency
    PAYMENT_AMOUNT_MAX    = var.payment_amount_max
    ID_SHAPES             = var.id_shapes
    PAYMENT_CURRENCY_RATE = var.payment_currency_rate
    OTHER_CURRENCIES = join(",", [for code, each in var.other_currencies : join(":", compact([
      code, each.amount_max, each.rate, each.approval_amount_minor == null ? "" : format("%d", each.approval_amount_minor)
    ]))])
    BODY_BYTES_MAX             = format("%d", var.body_bytes_max)
    CANONICAL_VERSION_WRITTEN  = format("%d", var.canonical_version_written)
    APPROVAL_AMOUNT_MINOR      = var.approval_amount_minor == null ? "" : format("%d", var.approval_amount_minor)
    FRAUD_ITERATIONS           = format("%d", var.fraud_iterations)
    SCORING_KERNEL             = var.scoring_kernel
    RULE_TABLE_PATH            = var.rule_table_path
    FUNCTION_TIMEOUT_SECONDS   = tostring(var.timeout_seconds)
    VISIBILITY_TIMEOUT_SECONDS = tostring(var.visibility_timeout_seconds)
    GATEWAY_DEADLINE_SECONDS   = tostring(var.gateway_deadline_seconds)
    SAFETY_MARGIN_SECONDS      = tostring(var.safety_margin_seconds)
    RETRY_DELAY_SECONDS        = tostring(var.retry_delay_seconds)
    PARK_AFTER_TRIES           = format("%d", var.park_after_tries)
    PARK_AFTER_SECONDS         = tostring(var.park_after_seconds)
    POWERTOOLS_LOG_LEVEL       = var.log_level
  }
}

# Lambda takes 4 KB of variables, names and quotes included. What only an apply knows of the workflow's, which has the most
# (names, URLs and ARNs of what it makes), is below 1,000 bytes.
output "variables_bytes" {
  description = "Bytes of Lambda's 4,096 that the workflow's environment variables take at most."
  value       = local.variables_bytes

  precondition {
    condition     = local.variables_bytes <= 4096
    error_message = "The workflow's environment variables would have up to ${local.variables_bytes} bytes, and Lambda takes 4096 in all: name fewer approval_workflow.approvers and other_currencies, or shorter id_shapes."
  }
}

# The packages have botocore's data of no other partition.
data "aws_partition" "current" {
  lifecycle {
    postcondition {
      condition     = self.partition == "aws"
      error_message = "The region is in AWS's partition ${self.partition} (China, GovCloud and the like), where this does not run: set AWS_REGION to one of partition aws, such as us-east-1."
    }
  }
}

module "package" {
  source = "./modules/deployment_package"

  path         = coalesce(var.package_path, "${local.package_directory}/payment-processor-${var.architecture}-${local.package_engine}.zip")
  architecture = var.architecture
  engine       = var.scoring_engine
  runtime      = var.runtime

  canonical_version_written = var.canonical_version_written
}

module "queue" {
  source = "./modules/queue"

  name_prefix                = var.name_prefix
  environment                = var.environment
  visibility_timeout_seconds = var.visibility_timeout_seconds
  message_retention_seconds  = var.message_retention_seconds
  max_receive_count          = var.max_receive_count
  dead_letter_reader_arns    = var.dead_letter_reader_arns
  payment_reader_arns        = ["arn:${local.table_arn[1]}:iam::${local.table_arn[4]}:role${var.role_path}${local.function_name}-${local.table_arn[3]}"]
  tags                       = local.tags
}

module "transaction_table" {
  source = "./modules/transaction_table"

  name                   = "${var.name_prefix}cloudcafe-payment-transactions-${var.environment}"
  provisioned_capacity   = var.provisioned_capacity
  point_in_time_recovery = var.point_in_time_recovery
  kms_key_arn            = var.table_kms_key_arn
  deletion_protection    = local.deletion_protection
  tags                   = local.tags
}

module "payment_function" {
  source = "./modules/payment_function"

  function_name           = local.function_name
  package                 = module.package
  architecture            = var.architecture
  runtime                 = var.runtime
  memory_size             = var.memory_size
  timeout_seconds         = var.timeout_seconds
  log_level               = var.log_level
  log_retention_days      = var.log_retention_days
  tracing                 = var.tracing
  snap_start              = var.snap_start
  reserved_concurrency    = local.reserved_concurrency
  provisioned_concurrency = var.provisioned_concurrency
  live_version            = var.live_version
  canary_percent          = var.canary_percent

  event_source = {
    queue_arn           = module.queue.payment_queue_arn
    batch_size          = var.batch_size
    maximum_concurrency = var.provisioned_pollers == null ? local.maximum_concurrency : null
    provisioned_pollers = var.provisioned_pollers
    enabled             = var.event_source_enabled
  }

  raw_messages_key_arn    = module.queue.raw_messages_key_arn
  rejected_queue_arn      = module.queue.rejected_queue_arn
  failed_starts_queue_arn = module.queue.failed_starts_queue_arn
  table_arn               = module.transaction_table.table_arn
  table_kms_key_arn       = var.table_kms_key_arn
  secret_arns             = local.secret_arns
  secrets_kms_key_arns    = var.secrets_kms_key_arns
  approval_function_arn   = local.approval_function_arn
  vpc                     = var.vpc

  role_path                = var.role_path
  permissions_boundary_arn = var.permissions_boundary_arn

  environment_variables = merge(local.live_variables, {
    PAYMENT_QUEUE_URL     = module.queue.payment_queue_url
    SUPPORT               = var.support
    GROUP_CONCURRENCY     = format("%d", var.group_concurrency)
    PREPARE_AHEAD         = var.prepare_ahead == null ? "" : tostring(var.prepare_ahead)
    APPROVAL_FUNCTION_ARN = local.approval_function_arn == null ? "" : local.approval_function_arn
  })

  tags = local.tags
}

module "benchmark_package" {
  source   = "./modules/deployment_package"
  for_each = length(var.benchmark_memory_sizes) > 0 ? var.benchmark_engines : []

  path         = "${local.package_directory}/payment-processor-${var.architecture}-${each.value}.zip"
  architecture = var.architecture
  engine       = each.value
  runtime      = var.runtime

  canonical_version_written = var.canonical_version_written
}

module "benchmark_functions" {
  source = "./modules/benchmark_functions"
  count  = length(var.benchmark_memory_sizes) > 0 ? 1 : 0

  name_prefix           = var.name_prefix
  environment           = var.environment
  packages              = module.benchmark_package
  memory_sizes          = var.benchmark_memory_sizes
  architecture          = var.architecture
  runtime               = var.runtime
  timeout_seconds       = var.timeout_seconds
  environment_variables = local.handler_variables
  tags                  = local.tags

  role_path                = var.role_path
  permissions_boundary_arn = var.permissions_boundary_arn
}

module "observability" {
  source = "./modules/observability"

  name_prefix               = var.name_prefix
  environment               = var.environment
  function_name             = module.payment_function.function_name
  log_group_name            = module.payment_function.log_group_name
  workflow_log_group_names  = merge(module.approval_workflow.log_group_names, { for events in module.outcome_events : "events" => events.log_group_name }, { for webhook in module.webhook : "webhook" => webhook.log_group_name }, { for conservation in module.conservation : "conservation" => conservation.log_group_name })
  benchmark_log_group_names = flatten(module.benchmark_functions[*].log_group_names)
  queue_names = {
    payment       = module.queue.payment_queue_name
    dead_letter   = module.queue.dead_letter_queue_name
    rejected      = module.queue.rejected_queue_name
    failed_starts = module.queue.failed_starts_queue_name
  }
  table_name            = module.transaction_table.table_name
  polled                = var.event_source_enabled
  duration_alarm_ms     = 1000 * (var.timeout_seconds - var.gateway_deadline_seconds - var.safety_margin_seconds)
  concurrency_limit     = local.maximum_concurrency
  endpoints             = merge({ for address in var.alarm_emails : address => "email" }, var.alarm_endpoints)
  logs_insights_queries = var.logs_insights_queries
  tags                  = local.tags
}

# Where code lies that CloudFormation deploys: the approval workflow's.
module "code_bucket" {
  source = "./modules/code_bucket"

  name          = join("-", ["${var.name_prefix}cloudcafe-code", var.environment, local.table_arn[4], local.table_arn[3]])
  force_destroy = !local.deletion_protection
  tags          = local.tags
}

# Where exports of the table lie until they are read: `payments export`.
module "export_bucket" {
  source = "./modules/export_bucket"

  name           = join("-", ["${var.name_prefix}cloudcafe-exports", var.environment, local.table_arn[4], local.table_arn[3]])
  retention_days = var.export_retention_days
  kms_key_arn    = var.table_kms_key_arn
  force_destroy  = !local.deletion_protection
  tags           = local.tags
}

module "workflow_package" {
  source = "./modules/deployment_package"

  path         = "${local.package_directory}/payment-workflow-${var.architecture}-${local.package_engine}.zip"
  architecture = var.architecture
  engine       = var.scoring_engine
  runtime      = local.workflow_runtime

  other_runtime             = var.runtime
  canonical_version_written = var.canonical_version_written
}

module "approval_workflow" {
  source = "./modules/approval_workflow"

  name_prefix                = var.name_prefix
  environment                = var.environment
  package                    = module.workflow_package
  code_bucket                = module.code_bucket.bucket_name
  architecture               = var.architecture
  runtime                    = local.workflow_runtime
  memory_sizes               = local.workflow_memory_sizes
  timeout_seconds            = var.timeout_seconds
  tracing                    = var.tracing
  environment_variables      = local.live_variables
  approvers                  = { for one in var.approval_workflow.approvers : one => startswith(one, "arn:") ? null : lookup(var.approval_workflow.endpoints, one, { protocol = "email", endpoint = one }) }
  approval_timeout_seconds   = var.approval_workflow.timeout_seconds
  retention_days             = var.approval_workflow.retention_days
  shows                      = var.approval_workflow.shows
  fraud_service_failure_rate = var.approval_workflow.fraud_service_failure_rate
  reconcile_patience_seconds = var.reconcile_patience_seconds
  personal_data_days         = var.personal_data_days
  table_arn                  = module.transaction_table.table_arn
  table_kms_key_arn          = var.table_kms_key_arn
  rejected_queue_arn         = module.queue.rejected_queue_arn
  secret_arns                = local.secret_arns
  secrets_kms_key_arns       = var.secrets_kms_key_arns
  wake_ups_queue_arn         = var.webhook_secret_arn == "" ? null : local.wake_ups_queue_arn
  vpc                        = var.vpc
  role_path                  = var.role_path
  permissions_boundary_arn   = var.permissions_boundary_arn
  deletion_protection        = local.deletion_protection
  held_versions              = var.held_versions
  alarm_topic_arn            = module.observability.alarm_topic_arn
  log_retention_days         = var.log_retention_days
  tags                       = local.tags
}

module "outcome_events" {
  source = "./modules/outcome_events"
  count  = var.event_target == "none" ? 0 : 1

  name_prefix              = var.name_prefix
  environment              = var.environment
  target                   = var.event_target
  bus_arn                  = var.event_bus_arn
  package                  = module.workflow_package
  architecture             = var.architecture
  runtime                  = local.workflow_runtime
  memory_size              = var.memory_size
  table_arn                = module.transaction_table.table_arn
  stream_arn               = module.transaction_table.stream_arn
  table_kms_key_arn        = var.table_kms_key_arn
  tracing                  = var.tracing
  role_path                = var.role_path
  permissions_boundary_arn = var.permissions_boundary_arn
  alarm_topic_arn          = module.observability.alarm_topic_arn
  log_retention_days       = var.log_retention_days
  tags                     = local.tags
}

module "webhook" {
  source = "./modules/webhook"
  count  = var.webhook_secret_arn == "" ? 0 : 1

  name_prefix              = var.name_prefix
  environment              = var.environment
  mode                     = var.gateway_mode
  secret_arn               = var.webhook_secret_arn
  secrets_kms_key_arns     = var.secrets_kms_key_arns
  api                      = module.approval_workflow.api
  reconcile                = module.approval_workflow.reconcile
  package                  = module.workflow_package
  architecture             = var.architecture
  runtime                  = local.workflow_runtime
  memory_size              = var.memory_size
  tracing                  = var.tracing
  role_path                = var.role_path
  permissions_boundary_arn = var.permissions_boundary_arn
  alarm_topic_arn          = module.observability.alarm_topic_arn
  log_retention_days       = var.log_retention_days
  tags                     = local.tags
}

moved {
  from = module.approval_workflow[0]
  to   = module.approval_workflow
}

# An empty table that is destroyed before anything else, as it depends on every module with resources, and whose deletion
# DynamoDB refuses under protection: so the destroy ends there. Nothing else can do it: a destroy asks no precondition,
# and prevent_destroy takes no variable. It is there without protection too, as a count would remove it without asking.
resource "aws_dynamodb_table" "deletion_guard" {
  #checkov:skip=CKV_AWS_119:it is empty and nothing writes to it
  #checkov:skip=CKV_AWS_28:it is empty and nothing writes to it
  #checkov:skip=CKV2_AWS_16:on demand it costs nothing, as nothing reads or writes it
  name                        = "${var.name_prefix}cloudcafe-deletion-guard-${var.environment}"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "nothing"
  deletion_protection_enabled = local.deletion_protection
  tags                        = local.tags

  attribute {
    name = "nothing"
    type = "S"
  }

  depends_on = [
    module.queue,
    module.transaction_table,
    module.payment_function,
    module.benchmark_functions,
    module.observability,
    module.code_bucket,
    module.export_bucket,
    module.approval_workflow,
    module.outcome_events,
    module.webhook,
    module.conservation,
  ]
}
