# Plans whose policies are written out in full, for tests/terraform/test_permissions.py: by the provider itself, which
# asks AWS nothing here, over resources whose ARNs are given.

provider "aws" {
  region                      = "eu-central-1"
  access_key                  = "none"
  secret_key                  = "none"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
}

override_data {
  target = module.queue.data.aws_caller_identity.current
  values = { account_id = "123456789012" }
}

override_resource {
  target          = module.queue.aws_kms_key.raw_messages
  override_during = plan
  values          = { arn = "arn:aws:kms:eu-central-1:123456789012:key/11111111-1111-1111-1111-111111111111" }
}

override_resource {
  target          = module.queue.aws_sqs_queue.payment
  override_during = plan
  values = {
    arn = "arn:aws:sqs:eu-central-1:123456789012:shop-cloudcafe-payment-processing-test.fifo"
    url = "https://sqs.eu-central-1.amazonaws.com/123456789012/shop-cloudcafe-payment-processing-test.fifo"
  }
}

override_resource {
  target          = module.queue.aws_sqs_queue.rejected
  override_during = plan
  values = {
    arn = "arn:aws:sqs:eu-central-1:123456789012:shop-cloudcafe-payment-processing-test-rejected.fifo"
    url = "https://sqs.eu-central-1.amazonaws.com/123456789012/shop-cloudcafe-payment-processing-test-rejected.fifo"
  }
}

override_resource {
  target          = module.queue.aws_sqs_queue.dead_letter
  override_during = plan
  values          = { arn = "arn:aws:sqs:eu-central-1:123456789012:shop-cloudcafe-payment-processing-test-dlq.fifo" }
}

override_resource {
  target          = module.queue.aws_sqs_queue.failed_starts
  override_during = plan
  values          = { arn = "arn:aws:sqs:eu-central-1:123456789012:shop-cloudcafe-payment-processing-test-failed-starts" }
}

override_resource {
  target          = module.transaction_table.aws_dynamodb_table.this
  override_during = plan
  values = {
    arn        = "arn:aws:dynamodb:eu-central-1:123456789012:table/shop-cloudcafe-payment-transactions-test"
    stream_arn = "arn:aws:dynamodb:eu-central-1:123456789012:table/shop-cloudcafe-payment-transactions-test/stream/2026-11-28T00:00:00.000"
  }
}

override_resource {
  target          = module.outcome_events[0].aws_cloudwatch_log_group.this
  override_during = plan
  values          = { arn = "arn:aws:logs:eu-central-1:123456789012:log-group:/aws/lambda/shop-payment-processor-test-events" }
}

override_resource {
  target          = module.outcome_events[0].aws_sqs_queue.given_up
  override_during = plan
  values          = { arn = "arn:aws:sqs:eu-central-1:123456789012:shop-cloudcafe-payment-events-test-given-up" }
}

override_resource {
  target          = module.outcome_events[0].aws_sqs_queue.events[0]
  override_during = plan
  values = {
    arn = "arn:aws:sqs:eu-central-1:123456789012:shop-cloudcafe-payment-events-test.fifo"
    url = "https://sqs.eu-central-1.amazonaws.com/123456789012/shop-cloudcafe-payment-events-test.fifo"
  }
}

override_resource {
  target          = module.webhook[0].aws_cloudwatch_log_group.this
  override_during = plan
  values          = { arn = "arn:aws:logs:eu-central-1:123456789012:log-group:/aws/lambda/shop-payment-processor-test-webhook" }
}

override_resource {
  target          = module.webhook[0].aws_sqs_queue.wake_ups
  override_during = plan
  values = {
    arn = "arn:aws:sqs:eu-central-1:123456789012:shop-cloudcafe-payment-wake-ups-test.fifo"
    url = "https://sqs.eu-central-1.amazonaws.com/123456789012/shop-cloudcafe-payment-wake-ups-test.fifo"
  }
}

override_resource {
  target          = module.conservation[0].aws_cloudwatch_log_group.this
  override_during = plan
  values          = { arn = "arn:aws:logs:eu-central-1:123456789012:log-group:/aws/lambda/shop-payment-processor-test-conservation" }
}

override_resource {
  target          = module.payment_function.aws_cloudwatch_log_group.this
  override_during = plan
  values          = { arn = "arn:aws:logs:eu-central-1:123456789012:log-group:/aws/lambda/shop-cloudcafe-payment-processor-test" }
}

override_resource {
  target          = module.approval_workflow.aws_cloudwatch_log_group.this["workflow"]
  override_during = plan
  values          = { arn = "arn:aws:logs:eu-central-1:123456789012:log-group:/aws/lambda/shop-payment-processor-test" }
}

override_resource {
  target          = module.approval_workflow.aws_cloudwatch_log_group.this["page"]
  override_during = plan
  values          = { arn = "arn:aws:logs:eu-central-1:123456789012:log-group:/aws/lambda/shop-payment-processor-test-page" }
}

override_resource {
  target          = module.approval_workflow.aws_cloudwatch_log_group.this["reconcile"]
  override_during = plan
  values          = { arn = "arn:aws:logs:eu-central-1:123456789012:log-group:/aws/lambda/shop-payment-processor-test-reconcile" }
}

override_resource {
  target          = module.approval_workflow.aws_kms_key.links
  override_during = plan
  values          = { arn = "arn:aws:kms:eu-central-1:123456789012:key/22222222-2222-2222-2222-222222222222" }
}

override_resource {
  target          = module.approval_workflow.aws_iam_role.this
  override_during = plan
  values          = { arn = "arn:aws:iam::123456789012:role/workflow" }
}

override_resource {
  target          = module.approval_workflow.aws_iam_role.scheduler
  override_during = plan
  values          = { arn = "arn:aws:iam::123456789012:role/payments/scheduler" }
}

override_resource {
  target          = module.payment_function.aws_iam_role.this
  override_during = plan
  values          = { arn = "arn:aws:iam::123456789012:role/payments/queue" }
}

override_resource {
  target          = module.approval_workflow.aws_scheduler_schedule.reconcile
  override_during = plan
  values          = { arn = "arn:aws:scheduler:eu-central-1:123456789012:schedule/default/shop-payment-processor-test-reconcile" }
}

override_resource {
  target          = module.payment_function.aws_lambda_event_source_mapping.payment_queue
  override_during = plan
  values          = { arn = "arn:aws:lambda:eu-central-1:123456789012:event-source-mapping:payments" }
}

override_resource {
  target          = module.webhook[0].aws_lambda_event_source_mapping.wake_ups
  override_during = plan
  values          = { arn = "arn:aws:lambda:eu-central-1:123456789012:event-source-mapping:wake-ups" }
}

override_resource {
  target          = module.code_bucket.aws_s3_bucket.this
  override_during = plan
  values = {
    arn = "arn:aws:s3:::shop-cloudcafe-code-test-123456789012-eu-central-1"
    id  = "shop-cloudcafe-code-test-123456789012-eu-central-1"
  }
}

override_resource {
  target          = module.export_bucket.aws_s3_bucket.this
  override_during = plan
  values = {
    arn = "arn:aws:s3:::shop-cloudcafe-exports-test-123456789012-eu-central-1"
    id  = "shop-cloudcafe-exports-test-123456789012-eu-central-1"
  }
}

override_resource {
  target          = module.observability.aws_sns_topic.alarms
  override_during = plan
  values          = { arn = "arn:aws:sns:eu-central-1:123456789012:shop-cloudcafe-payments-test-alarms" }
}

override_resource {
  target          = module.approval_workflow.aws_sns_topic.approvals
  override_during = plan
  values          = { arn = "arn:aws:sns:eu-central-1:123456789012:shop-payment-approvals-test" }
}

override_resource {
  target          = module.approval_workflow.aws_apigatewayv2_api.page
  override_during = plan
  values = {
    api_endpoint  = "https://abc.execute-api.eu-central-1.amazonaws.com"
    execution_arn = "arn:aws:execute-api:eu-central-1:123456789012:abc"
  }
}

override_resource {
  target          = module.benchmark_functions[0].module.table.aws_dynamodb_table.this
  override_during = plan
  values          = { arn = "arn:aws:dynamodb:eu-central-1:123456789012:table/shop-cloudcafe-payment-transactions-test-bench" }
}

override_resource {
  target          = module.benchmark_functions[0].aws_sqs_queue.rejected
  override_during = plan
  values = {
    arn = "arn:aws:sqs:eu-central-1:123456789012:shop-cloudcafe-payment-processing-test-bench-rejected.fifo"
    url = "https://sqs.eu-central-1.amazonaws.com/123456789012/shop-cloudcafe-payment-processing-test-bench-rejected.fifo"
  }
}

override_resource {
  target          = module.benchmark_functions[0].aws_cloudwatch_log_group.this
  override_during = plan
  values          = { arn = "arn:aws:logs:eu-central-1:123456789012:log-group:/aws/lambda/shop-cloudcafe-payment-processor-test-bench-pure-128" }
}

variables {
  name_prefix               = "shop-"
  role_path                 = "/payments/"
  permissions_boundary_arn  = "arn:aws:iam::123456789012:policy/payments-boundary"
  environment               = "test"
  workspace_is_environment  = false
  package_directory         = "tests/packages"
  account_concurrency       = 1000
  canonical_version_written = 2
  gateway                   = "stripe"
  gateway_mode              = "test"
  gateway_url               = "https://gateway.example.com"
  gateway_secret_arn        = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:gateway-AbCdEf"
  gateway_calls_per_second  = 2000
  dead_letter_reader_arns   = ["arn:aws:iam::123456789012:role/payments-on-call"]
  alarm_emails              = ["payments@example.com"]
  approval_workflow         = { approvers = ["alice@example.com"] }
}

run "what_must_be" {
  command = plan
  variables {
    approvals    = false
    event_target = "queue"
  }
}

run "all_that_may_be" {
  command = plan
  variables {
    tracing                       = true
    fingerprint_pepper_secret_arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:pepper-AbCdEf"
    table_kms_key_arn             = "arn:aws:kms:eu-central-1:123456789012:key/33333333-3333-3333-3333-333333333333"
    secrets_kms_key_arns          = ["arn:aws:kms:eu-central-1:123456789012:key/44444444-4444-4444-4444-444444444444"]
    webhook_secret_arn            = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:webhook-AbCdEf"
    event_target                  = "bus"
    event_bus_arn                 = "arn:aws:events:eu-central-1:123456789012:event-bus/orders"
    conservation                  = true
    vpc                           = { subnet_ids = ["subnet-0123456789abcdef0"], security_group_ids = ["sg-01234567"] }
    benchmark_memory_sizes        = [128]
    benchmark_engines             = ["pure"]
  }
}

# What a system is called that was applied before these three could be said.
run "names_as_ever" {
  command = plan
  variables {
    name_prefix              = ""
    role_path                = "/"
    permissions_boundary_arn = null
    benchmark_memory_sizes   = [128]
    webhook_secret_arn       = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:webhook-AbCdEf"
    conservation             = true
    event_target             = "bus"
    event_bus_arn            = "arn:aws:events:eu-central-1:123456789012:event-bus/orders"
    benchmark_engines        = ["pure"]
  }
}
