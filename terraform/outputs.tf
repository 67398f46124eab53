output "queue_url" {
  description = "URL of the FIFO queue that payments arrive on."
  value       = module.queue.payment_queue_url
}

output "queue_arn" {
  description = "ARN of the FIFO queue that payments arrive on."
  value       = module.queue.payment_queue_arn
}

output "raw_messages_key_arn" {
  description = "Key of the payment queue; producers need kms:GenerateDataKey and kms:Decrypt on it."
  value       = module.queue.raw_messages_key_arn
}

output "rejected_queue_url" {
  description = "URL of the queue of masked copies of messages without a usable payment id."
  value       = module.queue.rejected_queue_url
}

output "dead_letter_queue_url" {
  description = "URL of the queue of raw messages that were received too often."
  value       = module.queue.dead_letter_queue_url
}

output "table_name" {
  description = "Table of payment transactions."
  value       = module.transaction_table.table_name
}

output "table_arn" {
  description = "ARN of the table of payment transactions."
  value       = module.transaction_table.table_arn
}

output "function_name" {
  description = "Name of the payment function; invoke its alias live."
  value       = module.payment_function.function_name
}

output "function_arn" {
  description = "ARN of the payment function without a version."
  value       = module.payment_function.function_arn
}

output "alias_arn" {
  description = "ARN of alias live of the payment function."
  value       = module.payment_function.alias_arn
}

output "live_version" {
  description = "Version behind alias live."
  value       = module.payment_function.live_version
}

output "newest_version" {
  description = "Version that this configuration published."
  value       = module.payment_function.newest_version
}

locals {
  function_names = merge({ queue = local.function_name }, module.approval_workflow.function_names)
}

output "names" {
  description = "What the scripts of build/ find by name: functions by role, alarms, the schedule of reconcile, the table."
  value = {
    functions = local.function_names
    alarms    = merge(module.observability.alarm_names, module.approval_workflow.alarm_names)
    schedule  = module.approval_workflow.schedule_name
    table     = module.transaction_table.table_name
  }
}

output "benchmark_function_names" {
  description = "Benchmark functions by <engine>-<MB>."
  value       = merge(module.benchmark_functions[*].function_names...)
}

output "code_bucket_name" {
  description = "Bucket of code that CloudFormation deploys."
  value       = module.code_bucket.bucket_name
}

output "export_bucket_name" {
  description = "Bucket of the table's exports, which are deleted after export_retention_days."
  value       = module.export_bucket.bucket_name
}

output "alarm_topic_arn" {
  description = "SNS topic that alarms are sent to."
  value       = module.observability.alarm_topic_arn
}

output "dashboard_url" {
  description = "Dashboard in the CloudWatch console."
  value       = module.observability.dashboard_url
}

output "commands" {
  description = "AWS CLI lines for this environment: terraform output -raw commands."
  value       = <<-EOT
    # Send one payment
    aws sqs send-message --region ${local.table_arn[3]} \
      --queue-url ${module.queue.payment_queue_url} \
      --message-group-id payment-group-1 \
      --message-body '{"payment_id":"pay-1","order_id":"ord-1","customer_id":"cust-1","amount":25.99,"payment_method":"credit_card","payment_token":"pm_card_visa"}'

    # A thousand, in 50 message groups: no more batches run at once than there are groups
    for batch in {0..99}; do
      entries=
      for i in $(seq $((10 * batch + 1)) $((10 * batch + 10))); do
        entries="$entries,{\"Id\":\"$i\",\"MessageGroupId\":\"payment-group-$((i % 50))\",\"MessageBody\":\"{\\\"payment_id\\\":\\\"load-$i\\\",\\\"order_id\\\":\\\"ord-$i\\\",\\\"customer_id\\\":\\\"cust-$i\\\",\\\"amount\\\":$((RANDOM % 100 + 10)).99,\\\"payment_method\\\":\\\"credit_card\\\",\\\"payment_token\\\":\\\"pm_card_visa\\\"}\"}"
      done
      aws sqs send-message-batch --region ${local.table_arn[3]} \
        --queue-url ${module.queue.payment_queue_url} --entries "[$${entries#,}]" --query Failed
    done

    # Past the queue, one batch (from the repository)
    aws lambda invoke --region ${local.table_arn[3]} --function-name ${module.payment_function.function_name} --qualifier live \
      --cli-binary-format raw-in-base64-out --payload file://events/sqs_batch.json response.json

    # Read it back
    aws dynamodb get-item --region ${local.table_arn[3]} \
      --table-name ${module.transaction_table.table_name} \
      --key '{"transaction_id":{"S":"txn-pay-1"}}'

    # Follow the log
    aws logs tail ${module.payment_function.log_group_name} --region ${local.table_arn[3]} --since 5m --follow

    # Concurrent executions, duration (p99) and errors of the last hour: put the metric's name and statistic in
    aws cloudwatch get-metric-statistics --region ${local.table_arn[3]} \
      --namespace AWS/Lambda --metric-name ConcurrentExecutions --statistics Maximum \
      --dimensions Name=FunctionName,Value=${module.payment_function.function_name} --period 60 \
      --start-time $(($(date +%s) - 3600)) --end-time $(date +%s)

    # See and decide what waits, from the repository
    export AWS_REGION=${local.table_arn[3]} ENVIRONMENT=${var.environment} DYNAMODB_TABLE=${module.transaction_table.table_name} \
      APPROVAL_FUNCTION_ARN=${module.approval_workflow.alias_arn} PAYMENT_QUEUE_URL=${module.queue.payment_queue_url} \
      APPROVAL_PAGE_URL=${module.approval_workflow.page_url} EXPORT_BUCKET=${module.export_bucket.bucket_name}${var.restored_at == "" ? "" : " RESTORED_AT=${var.restored_at}"}
    .venv/bin/payments approvals list

    # What Terraform would overwrite, so use it instead (from the repository): memory size, stress, provisioned concurrency
    make apply ENVIRONMENT=${var.environment} MEMORY_SIZE=1024
    make apply ENVIRONMENT=${var.environment} TF_ARGS='-var stress_mode=cold_start'
    make apply ENVIRONMENT=${var.environment} TF_ARGS='-var provisioned_concurrency=10'
  EOT
}

output "event_target" {
  description = "Where outcome events go: the queue's URL, the topic's ARN or the bus's ARN; null where none are made."
  value       = one(module.outcome_events[*].target)
}

output "webhook_url" {
  description = "Address that Stripe sends events to; null where there is no webhook."
  value       = one(module.webhook[*].url)
}

output "approval_alias_arn" {
  description = "Alias live of the approval workflow."
  value       = module.approval_workflow.alias_arn
}

output "approval_live_version" {
  description = "Version behind that alias; executions that wait stay on theirs."
  value       = module.approval_workflow.live_version
}

output "approval_page_url" {
  description = "Address of the approval page, and of the command line's decisions (APPROVAL_PAGE_URL)."
  value       = module.approval_workflow.page_url
}
