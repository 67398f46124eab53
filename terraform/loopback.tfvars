# What ministack, the AWS of this machine, lacks. Everything that is off here is covered by `terraform test` instead.

# CreateQueryDefinition of CloudWatch Logs.
logs_insights_queries = false

# Service Quotas.
account_concurrency = 1000

# Application Auto Scaling's RegisterScalableTarget: the table stays on demand (provisioned_capacity is null by default).
provisioned_capacity = null
