# The sums of each day, beside everything and in no payment's path.

module "conservation" {
  source = "./modules/conservation"
  count  = var.conservation ? 1 : 0

  name_prefix              = var.name_prefix
  environment              = var.environment
  environment_variables    = local.live_variables
  table_arn                = module.transaction_table.table_arn
  table_kms_key_arn        = var.table_kms_key_arn
  export_bucket            = { name = module.export_bucket.bucket_name, arn = module.export_bucket.bucket_arn }
  gateway_secret_arn       = var.gateway_secret_arn
  secrets_kms_key_arns     = var.secrets_kms_key_arns
  package                  = module.workflow_package
  architecture             = var.architecture
  runtime                  = local.workflow_runtime
  memory_size              = max(2048, var.memory_size)
  vpc                      = var.vpc
  tracing                  = var.tracing
  role_path                = var.role_path
  permissions_boundary_arn = var.permissions_boundary_arn
  alarm_topic_arn          = module.observability.alarm_topic_arn
  log_retention_days       = var.log_retention_days
  tags                     = local.tags
}
