# Every choice is planned; what a plan knows of it is looked at module by module, because a test reads resources only of
# the module that it runs.

mock_provider "aws" {
  source = "./tests/mocks"
}

run "defaults" {
  variables {
    package_directory = "tests/packages"
  }

  assert {
    condition     = output.function_name == "cloudcafe-payment-processor-dev" && output.table_name == "cloudcafe-payment-transactions-dev"
    error_message = "The published names must stay."
  }
  assert {
    condition     = length(output.benchmark_function_names) == 0
    error_message = "Benchmark functions must be made on request only."
  }
  assert {
    condition     = output.live_version == "7"
    error_message = "Without live_version the newest version must be live."
  }
  assert {
    condition     = !aws_dynamodb_table.deletion_guard.deletion_protection_enabled
    error_message = "dev must be destroyed without further ado."
  }
}

run "every_choice_of_the_root" {
  variables {
    environment              = "production"
    workspace_is_environment = false
    package_directory        = "tests/packages"
    memory_size              = 1769
    tracing                  = true
    log_level                = "DEBUG"
    live_version             = 6
    canary_percent           = 10
    reserved_concurrency     = 200
    provisioned_concurrency  = 20
    dead_letter_reader_arns  = ["arn:aws:iam::123456789012:role/payments-on-call"]
    provisioned_capacity     = { read_min = 5, read_max = 100, write_min = 10, write_max = 200 }
    table_kms_key_arn        = "arn:aws:kms:eu-central-1:123456789012:key/1"
    approval_amount_minor    = 50000
    payment_currency         = "KWD"
    payment_amount_max       = "3000.125"
    payment_currency_rate    = "13/4"
    other_currencies = {
      EUR = { amount_max = "9000.00", rate = "27/25" }
      JPY = { amount_max = "1500000", rate = "1/150", approval_amount_minor = 75000 }
    }
    canonical_version_written     = 2
    id_shapes                     = "INV#{13},###-#{7}-#{7},*{20-32}"
    restored_at                   = "2025-11-28T15:04:05Z"
    fingerprint_pepper_secret_arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:pepper"
    gateway                       = "stripe"
    gateway_mode                  = "live"
    gateway_secret_arn            = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:key"
    gateway_url                   = "https://gateway.example.com"
    group_concurrency             = 3
    gateway_calls_per_second      = 2000
    vpc                           = { subnet_ids = ["subnet-0123456789abcdef0"], security_group_ids = ["sg-01234567"] }
    benchmark_memory_sizes        = [128, 512]
    approval_workflow             = { approvers = ["alice@example.com"] }
    alarm_emails                  = ["payments@example.com"]
    alarm_endpoints               = { "https://events.example.com/alarms" = "https" }
    logs_insights_queries         = true
  }

  assert {
    condition     = strcontains(output.commands, "RESTORED_AT=2025-11-28T15:04:05Z") && !strcontains(run.defaults.commands, "RESTORED_AT")
    error_message = "While the table is restored, people's commands must look for what was charged before, as functions do."
  }
  assert {
    condition     = sort(keys(output.benchmark_function_names)) == tolist(["compiled-128", "compiled-512", "pure-128", "pure-512"])
    error_message = "There must be one benchmark function per engine and memory size."
  }
  assert {
    condition     = output.benchmark_function_names["pure-128"] == "cloudcafe-payment-processor-production-bench-pure-128"
    error_message = "A benchmark function's name must carry environment, engine and memory size."
  }
  assert {
    condition     = local.live_variables.GATEWAY == "stripe"
    error_message = "The function must get the gateway that was named."
  }
  assert {
    condition     = local.handler_variables.OTHER_CURRENCIES == "EUR:9000.00:27/25,JPY:1500000:1/150:75000"
    error_message = "OTHER_CURRENCIES must be as the function reads it."
  }
  assert {
    condition     = output.live_version == "6"
    error_message = "live_version must hold alias live."
  }
  assert {
    condition     = aws_dynamodb_table.deletion_guard.deletion_protection_enabled
    error_message = "Outside dev a destroy must be refused."
  }
}

run "names_with_a_prefix" {
  command = plan
  variables {
    package_directory        = "tests/packages"
    name_prefix              = "team-a-shop-"
    role_path                = "/payments/eu/"
    permissions_boundary_arn = "arn:aws:iam::123456789012:policy/payments-boundary"
  }

  assert {
    condition = output.names.functions == {
      queue     = "team-a-shop-cloudcafe-payment-processor-dev"
      workflow  = "team-a-shop-payment-processor-dev"
      page      = "team-a-shop-payment-processor-dev-page"
      reconcile = "team-a-shop-payment-processor-dev-reconcile"
    }
    error_message = "Scripts must find the functions by the outputs."
  }
  assert {
    condition = [
      output.names.alarms["errors"], output.names.alarms["execution-failed"], output.names.alarms["reconcile-stopped"], output.names.schedule, output.names.table
      ] == [
      "team-a-shop-cloudcafe-payment-processor-dev-errors", "team-a-shop-payment-processor-dev-execution-failed",
      "team-a-shop-payment-processor-dev-reconcile-stopped", "team-a-shop-payment-processor-dev-reconcile", "team-a-shop-cloudcafe-payment-transactions-dev"
    ]
    error_message = "Scripts must find alarms, schedule and table by the outputs."
  }
}

run "a_new_account" {
  command = plan
  variables {
    package_directory   = "tests/packages"
    account_concurrency = 10
  }

  assert {
    condition     = jsonencode(output.concurrency) == jsonencode({ account = 10, mapping = 5, reserved = null })
    error_message = "With 10 executions the mapping must leave room for workflow, page and reconcile, and nothing can be reserved."
  }
}

run "a_gateway_with_few_calls" {
  command = plan
  variables {
    package_directory         = "tests/packages"
    gateway                   = "stripe"
    gateway_mode              = "live"
    gateway_secret_arn        = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:key"
    canonical_version_written = 2
  }

  assert {
    condition     = jsonencode(output.concurrency) == jsonencode({ account = 1000, mapping = 3, reserved = null })
    error_message = "Without maximum_concurrency the mapping must keep to the gateway's calls."
  }
}

run "provisioned_pollers_run_ten_batches_each" {
  command = plan
  variables {
    package_directory   = "tests/packages"
    provisioned_pollers = { min = 20, max = 90 }
  }

  assert {
    condition     = jsonencode(output.concurrency) == jsonencode({ account = 1000, mapping = 900, reserved = null })
    error_message = "The mapping's limit must be ten batches for each of its most pollers."
  }
}

run "more_pollers_than_the_account_has_executions_for" {
  command = plan
  variables {
    package_directory   = "tests/packages"
    provisioned_pollers = { min = 20, max = 100 }
  }
  expect_failures = [output.concurrency]
}

run "pollers_that_ask_the_gateway_too_often" {
  command = plan
  variables {
    package_directory         = "tests/packages"
    gateway                   = "stripe"
    gateway_mode              = "live"
    gateway_secret_arn        = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:key"
    canonical_version_written = 2
    provisioned_pollers       = { min = 2, max = 2 }
  }
  expect_failures = [var.gateway_calls_per_second]
}

run "production_reserves_what_its_mapping_uses" {
  command = plan
  variables {
    environment              = "prod"
    workspace_is_environment = false
    package_directory        = "tests/packages"
    gateway                  = "stripe"
    gateway_mode             = "live"
    gateway_secret_arn       = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:key"
    gateway_calls_per_second = 2000

    canonical_version_written = 2
    approval_workflow         = { approvers = ["alice@example.com"] }
    alarm_emails              = ["payments@example.com"]
    account_concurrency       = 150
  }

  assert {
    condition     = output.concurrency == { account = 150, mapping = 50, reserved = 50 }
    error_message = "Production must reserve what its mapping uses, and leave 100."
  }
}

run "production_in_a_new_account" {
  command = plan
  variables {
    environment              = "prod"
    workspace_is_environment = false
    package_directory        = "tests/packages"
    gateway                  = "stripe"
    gateway_mode             = "live"
    gateway_secret_arn       = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:key"
    gateway_calls_per_second = 2000

    canonical_version_written = 2
    approval_workflow         = { approvers = ["alice@example.com"] }
    alarm_emails              = ["payments@example.com"]
    account_concurrency       = 10
  }
  expect_failures = [output.concurrency]
}

run "more_than_the_account_has" {
  command = plan
  variables {
    package_directory   = "tests/packages"
    account_concurrency = 100
    maximum_concurrency = 96
  }
  expect_failures = [output.concurrency]
}

run "a_reservation_that_leaves_less_than_lambda_keeps" {
  command = plan
  variables {
    package_directory    = "tests/packages"
    reserved_concurrency = 901
  }
  expect_failures = [output.concurrency]
}

run "more_provisioned_than_the_account_has_twice" {
  command = plan
  variables {
    package_directory       = "tests/packages"
    provisioned_concurrency = 451
  }
  expect_failures = [output.concurrency]
}

run "snap_start_without_provisioned_concurrency" {
  variables {
    package_directory = "tests/packages"
    snap_start        = true
  }
}

run "queue" {
  module {
    source = "./modules/queue"
  }
  variables {
    environment                = "dev"
    visibility_timeout_seconds = 180
    message_retention_seconds  = 1209600
    max_receive_count          = 1000
    dead_letter_reader_arns    = []
    payment_reader_arns        = ["arn:aws:iam::123456789012:role/payments"]
    tags                       = {}
  }

  assert {
    condition = alltrue([for queue in [aws_sqs_queue.payment, aws_sqs_queue.dead_letter, aws_sqs_queue.rejected] :
    queue.fifo_queue && queue.content_based_deduplication && queue.deduplication_scope == "messageGroup" && queue.fifo_throughput_limit == "perMessageGroupId"])
    error_message = "The FIFO queues must deduplicate by content and have high throughput."
  }
  assert {
    condition     = aws_sqs_queue.payment.name == "cloudcafe-payment-processing-dev.fifo" && aws_sqs_queue.rejected.name == "cloudcafe-payment-processing-dev-rejected.fifo" && aws_sqs_queue.dead_letter.name == "cloudcafe-payment-processing-dev-dlq.fifo"
    error_message = "The queues' names must stay."
  }
  assert {
    condition     = jsondecode(aws_sqs_queue.payment.redrive_policy).maxReceiveCount == 1000
    error_message = "A message must be received as often as asked for before it is a dead letter."
  }
  assert {
    condition = jsondecode(aws_sqs_queue.dead_letter.redrive_allow_policy) == {
      redrivePermission = "byQueue"
      sourceQueueArns   = ["arn:aws:sqs:eu-central-1:123456789012:cloudcafe-payment-processing-dev.fifo"]
    }
    error_message = "Only the payment queue may use the dead-letter queue."
  }
  assert {
    condition     = aws_sqs_queue.payment.kms_master_key_id == aws_kms_key.raw_messages.arn && aws_sqs_queue.dead_letter.kms_master_key_id == aws_kms_key.raw_messages.arn && aws_sqs_queue.failed_starts.kms_master_key_id == aws_kms_key.raw_messages.arn
    error_message = "Raw messages must be encrypted with their own key."
  }
}

run "table_on_demand" {
  module {
    source = "./modules/transaction_table"
  }
  variables {
    name                   = "cloudcafe-payment-transactions-dev"
    point_in_time_recovery = true
    deletion_protection    = true
    tags                   = {}
  }

  assert {
    condition     = aws_dynamodb_table.this.billing_mode == "PAY_PER_REQUEST" && length(aws_appautoscaling_target.table) == 0
    error_message = "On demand must be the default."
  }
  assert {
    condition     = aws_dynamodb_table.this.deletion_protection_enabled && aws_dynamodb_table.this.point_in_time_recovery[0].enabled && aws_dynamodb_table.this.stream_enabled
    error_message = "Deletion protection, point-in-time recovery and stream must be on."
  }
  assert {
    condition     = toset(aws_dynamodb_table.this.global_secondary_index[*].name) == toset(["open-shard-index", "fingerprint-index"])
    error_message = "The sparse index of open payments and that of fingerprints must be there, and none that no code reads."
  }
}

run "table_provisioned" {
  module {
    source = "./modules/transaction_table"
  }
  variables {
    name                   = "cloudcafe-payment-transactions-dev"
    provisioned_capacity   = { read_min = 5, read_max = 100, write_min = 10, write_max = 200, utilization_target = 70 }
    point_in_time_recovery = true
    kms_key_arn            = "arn:aws:kms:eu-central-1:123456789012:key/1"
    deletion_protection    = false
    tags                   = {}
  }

  assert {
    condition     = aws_dynamodb_table.this.billing_mode == "PROVISIONED"
    error_message = "Capacity must be provisioned."
  }
  assert {
    condition     = aws_appautoscaling_target.table["Write"].min_capacity == 10 && aws_appautoscaling_target.table["Write"].max_capacity == 200 && aws_appautoscaling_target.table["Read"].scalable_dimension == "dynamodb:table:ReadCapacityUnits"
    error_message = "Auto-scaling must move read and write capacity between the limits given."
  }
  assert {
    condition     = aws_dynamodb_table.this.server_side_encryption[0].kms_key_arn == "arn:aws:kms:eu-central-1:123456789012:key/1"
    error_message = "The customer key must be used."
  }
}

run "function_with_provisioned_concurrency_and_canary" {
  module {
    source = "./modules/payment_function"
  }
  variables {
    function_name           = "cloudcafe-payment-processor-dev"
    package                 = { path = "tests/packages/payment-processor-arm64-compiled.zip", source_code_hash = "hash", canonical_versions_read = [1, 2] }
    architecture            = "arm64"
    runtime                 = "python3.13"
    memory_size             = 512
    timeout_seconds         = 30
    environment_variables   = { ENVIRONMENT = "dev", CANONICAL_VERSION_WRITTEN = "2" }
    log_level               = "INFO"
    log_retention_days      = 365
    tracing                 = true
    snap_start              = false
    reserved_concurrency    = 200
    provisioned_concurrency = 20
    live_version            = 6
    canary_percent          = 10
    event_source = {
      queue_arn           = "arn:aws:sqs:eu-central-1:123456789012:cloudcafe-payment-processing-dev.fifo"
      batch_size          = 10
      maximum_concurrency = 100
      provisioned_pollers = null
      enabled             = true
    }
    raw_messages_key_arn    = "arn:aws:kms:eu-central-1:123456789012:key/1"
    rejected_queue_arn      = "arn:aws:sqs:eu-central-1:123456789012:rejected.fifo"
    failed_starts_queue_arn = "arn:aws:sqs:eu-central-1:123456789012:failed-starts"
    table_arn               = "arn:aws:dynamodb:eu-central-1:123456789012:table/mocked"
    table_kms_key_arn       = null
    secret_arns             = []
    secrets_kms_key_arns    = []
    vpc                     = { subnet_ids = ["subnet-0123456789abcdef0"], security_group_ids = ["sg-01234567"] }
    approval_function_arn   = null
    tags                    = {}
  }

  assert {
    condition     = aws_lambda_function.this.architectures == tolist(["arm64"]) && aws_lambda_function.this.publish && aws_lambda_function.this.memory_size == 512
    error_message = "The function must be published, on arm64, with the memory asked for."
  }
  assert {
    condition     = endswith(aws_lambda_function.this.description, " Reads canonical text 1, 2.")
    error_message = "A published version must say which versions of the canonical text its code reads."
  }
  assert {
    condition     = aws_lambda_alias.live.name == "live" && aws_lambda_alias.live.function_version == "6" && aws_lambda_alias.live.routing_config[0].additional_version_weights == tomap({ "7" = 0.1 })
    error_message = "Alias live must keep version 6 and give the newest 10 %."
  }
  assert {
    condition     = aws_lambda_provisioned_concurrency_config.live[0].qualifier == "6" && aws_lambda_provisioned_concurrency_config.live[0].provisioned_concurrent_executions == 20
    error_message = "Provisioned concurrency must stand on the version that has the traffic: AWS refuses it on an alias with weights."
  }
  assert {
    condition     = aws_lambda_event_source_mapping.payment_queue.batch_size == 10 && aws_lambda_event_source_mapping.payment_queue.function_response_types == toset(["ReportBatchItemFailures"]) && aws_lambda_event_source_mapping.payment_queue.scaling_config[0].maximum_concurrency == 100
    error_message = "The mapping must take 10 messages, report failures by message, and keep its maximum."
  }
  assert {
    condition     = aws_lambda_function.this.reserved_concurrent_executions == 200 && aws_lambda_function.this.tracing_config[0].mode == "Active" && aws_lambda_function.this.logging_config[0].log_format == "JSON"
    error_message = "Reservation, tracing and JSON logs must be as asked for."
  }
  assert {
    condition     = aws_lambda_function.this.vpc_config[0].subnet_ids == toset(["subnet-0123456789abcdef0"]) && aws_lambda_function.this.vpc_config[0].security_group_ids == toset(["sg-01234567"])
    error_message = "The function must be in the subnets that are given."
  }
  assert {
    condition     = anytrue([for statement in data.aws_iam_policy_document.this.statement : contains(statement.actions, "ec2:CreateNetworkInterface")])
    error_message = "A function in subnets must be allowed to join them."
  }
  assert {
    condition     = aws_lambda_function_event_invoke_config.live.destination_config[0].on_failure[0].destination == "arn:aws:sqs:eu-central-1:123456789012:failed-starts"
    error_message = "Failed asynchronous invocations must go to their queue."
  }
}

run "canary_of_the_version_that_is_live" {
  command = plan
  module {
    source = "./modules/payment_function"
  }
  variables {
    function_name           = "cloudcafe-payment-processor-dev"
    package                 = { path = "tests/packages/payment-processor-arm64-compiled.zip", source_code_hash = "hash" }
    architecture            = "arm64"
    runtime                 = "python3.13"
    memory_size             = 512
    timeout_seconds         = 30
    environment_variables   = {}
    log_level               = "INFO"
    log_retention_days      = 365
    tracing                 = false
    snap_start              = true
    reserved_concurrency    = null
    provisioned_concurrency = 0
    live_version            = 7
    canary_percent          = 10
    event_source = {
      queue_arn           = "arn:aws:sqs:eu-central-1:123456789012:cloudcafe-payment-processing-dev.fifo"
      batch_size          = 10
      maximum_concurrency = null
      provisioned_pollers = null
      enabled             = true
    }
    raw_messages_key_arn    = "arn:aws:kms:eu-central-1:123456789012:key/1"
    rejected_queue_arn      = "arn:aws:sqs:eu-central-1:123456789012:rejected.fifo"
    failed_starts_queue_arn = "arn:aws:sqs:eu-central-1:123456789012:failed-starts"
    table_arn               = "arn:aws:dynamodb:eu-central-1:123456789012:table/mocked"
    table_kms_key_arn       = null
    secret_arns             = []
    secrets_kms_key_arns    = []
    vpc                     = null
    approval_function_arn   = null
    tags                    = {}
  }
  expect_failures = [aws_lambda_alias.live]
}

run "pollers_take_the_place_of_a_maximum" {
  command = plan
  module {
    source = "./modules/payment_function"
  }
  variables {
    function_name           = "cloudcafe-payment-processor-dev"
    package                 = { path = "tests/packages/payment-processor-arm64-compiled.zip", source_code_hash = "hash" }
    architecture            = "arm64"
    runtime                 = "python3.13"
    memory_size             = 512
    timeout_seconds         = 30
    environment_variables   = {}
    log_level               = "INFO"
    log_retention_days      = 365
    tracing                 = false
    snap_start              = true
    reserved_concurrency    = null
    provisioned_concurrency = 0
    live_version            = 7
    canary_percent          = 0
    event_source = {
      queue_arn           = "arn:aws:sqs:eu-central-1:123456789012:cloudcafe-payment-processing-dev.fifo"
      batch_size          = 10
      maximum_concurrency = null
      provisioned_pollers = { min = 20, max = 90 }
      enabled             = true
    }
    raw_messages_key_arn    = "arn:aws:kms:eu-central-1:123456789012:key/1"
    rejected_queue_arn      = "arn:aws:sqs:eu-central-1:123456789012:rejected.fifo"
    failed_starts_queue_arn = "arn:aws:sqs:eu-central-1:123456789012:failed-starts"
    table_arn               = "arn:aws:dynamodb:eu-central-1:123456789012:table/mocked"
    table_kms_key_arn       = null
    secret_arns             = []
    secrets_kms_key_arns    = []
    vpc                     = null
    approval_function_arn   = null
    tags                    = {}
  }

  assert {
    condition = (
      aws_lambda_event_source_mapping.payment_queue.provisioned_poller_config[0].minimum_pollers == 20 &&
      aws_lambda_event_source_mapping.payment_queue.provisioned_poller_config[0].maximum_pollers == 90 &&
      length(aws_lambda_event_source_mapping.payment_queue.scaling_config) == 0
    )
    error_message = "Provisioned pollers must be the mapping's, which then has no maximum: AWS takes one of them."
  }
}

run "held_version_that_does_not_read_what_is_written" {
  command = plan
  module {
    source = "./modules/payment_function"
  }
  variables {
    function_name           = "cloudcafe-payment-processor-dev"
    package                 = { path = "tests/packages/payment-processor-arm64-compiled.zip", source_code_hash = "hash" }
    architecture            = "arm64"
    runtime                 = "python3.13"
    memory_size             = 512
    timeout_seconds         = 30
    environment_variables   = { CANONICAL_VERSION_WRITTEN = "3" }
    log_level               = "INFO"
    log_retention_days      = 365
    tracing                 = false
    snap_start              = true
    reserved_concurrency    = null
    provisioned_concurrency = 0
    live_version            = 6
    canary_percent          = 0
    event_source = {
      queue_arn           = "arn:aws:sqs:eu-central-1:123456789012:cloudcafe-payment-processing-dev.fifo"
      batch_size          = 10
      maximum_concurrency = null
      provisioned_pollers = null
      enabled             = true
    }
    raw_messages_key_arn    = "arn:aws:kms:eu-central-1:123456789012:key/1"
    rejected_queue_arn      = "arn:aws:sqs:eu-central-1:123456789012:rejected.fifo"
    failed_starts_queue_arn = "arn:aws:sqs:eu-central-1:123456789012:failed-starts"
    table_arn               = "arn:aws:dynamodb:eu-central-1:123456789012:table/mocked"
    table_kms_key_arn       = null
    secret_arns             = []
    secrets_kms_key_arns    = []
    vpc                     = null
    approval_function_arn   = null
    tags                    = {}
  }
  expect_failures = [aws_lambda_alias.live]
}

run "held_version_that_does_not_say_what_it_reads" {
  command = plan
  override_data {
    target = data.aws_lambda_function.held
    values = { description = "Validates, scores, charges and records payments of one FIFO queue." }
  }
  module {
    source = "./modules/payment_function"
  }
  variables {
    function_name           = "cloudcafe-payment-processor-dev"
    package                 = { path = "tests/packages/payment-processor-arm64-compiled.zip", source_code_hash = "hash" }
    architecture            = "arm64"
    runtime                 = "python3.13"
    memory_size             = 512
    timeout_seconds         = 30
    environment_variables   = { CANONICAL_VERSION_WRITTEN = "2" }
    log_level               = "INFO"
    log_retention_days      = 365
    tracing                 = false
    snap_start              = true
    reserved_concurrency    = null
    provisioned_concurrency = 0
    live_version            = 6
    canary_percent          = 0
    event_source = {
      queue_arn           = "arn:aws:sqs:eu-central-1:123456789012:cloudcafe-payment-processing-dev.fifo"
      batch_size          = 10
      maximum_concurrency = null
      provisioned_pollers = null
      enabled             = true
    }
    raw_messages_key_arn    = "arn:aws:kms:eu-central-1:123456789012:key/1"
    rejected_queue_arn      = "arn:aws:sqs:eu-central-1:123456789012:rejected.fifo"
    failed_starts_queue_arn = "arn:aws:sqs:eu-central-1:123456789012:failed-starts"
    table_arn               = "arn:aws:dynamodb:eu-central-1:123456789012:table/mocked"
    table_kms_key_arn       = null
    secret_arns             = []
    secrets_kms_key_arns    = []
    vpc                     = null
    approval_function_arn   = null
    tags                    = {}
  }
  expect_failures = [aws_lambda_alias.live]
}

run "benchmark_functions" {
  module {
    source = "./modules/benchmark_functions"
  }
  variables {
    environment           = "live"
    packages              = { pure = { path = "tests/packages/changed.zip", source_code_hash = "hash" } }
    memory_sizes          = [128]
    architecture          = "arm64"
    runtime               = "python3.13"
    timeout_seconds       = 30
    environment_variables = { ENVIRONMENT = "live", GATEWAY = "stripe", GATEWAY_URL = "https://gateway.example.com", GATEWAY_CA_FILE = "/opt/roots.pem" }
    tags                  = {}
  }

  assert {
    condition = alltrue([for function in aws_lambda_function.this :
      function.environment[0].variables.GATEWAY == "simulated" && function.environment[0].variables.GATEWAY_URL == ""
    && function.environment[0].variables.GATEWAY_CA_FILE == ""])
    error_message = "A benchmark function must have the simulated gateway, whatever the payment function has."
  }
}

run "observability" {
  module {
    source = "./modules/observability"
  }
  variables {
    environment               = "dev"
    function_name             = "cloudcafe-payment-processor-dev"
    log_group_name            = "/aws/lambda/cloudcafe-payment-processor-dev"
    workflow_log_group_names  = { workflow = "/aws/lambda/payment-processor-dev", reconcile = "/aws/lambda/payment-processor-dev-reconcile" }
    benchmark_log_group_names = ["/aws/lambda/cloudcafe-payment-processor-dev-bench-pure-128"]
    queue_names               = { payment = "p.fifo", dead_letter = "d.fifo", rejected = "r.fifo", failed_starts = "f" }
    table_name                = "cloudcafe-payment-transactions-dev"
    polled                    = true
    duration_alarm_ms         = 20000
    concurrency_limit         = 100
    endpoints                 = { "payments@example.com" = "email", "https://events.example.com/alarms" = "https" }
    logs_insights_queries     = true
    tags                      = {}
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["message-age"].threshold == 300 && aws_cloudwatch_metric_alarm.this["concurrency"].threshold == 80
    error_message = "Alarms must stand at 300 s of message age and at 80 % of the concurrency limit."
  }
  assert {
    condition = toset(keys(aws_cloudwatch_metric_alarm.this)) == toset([
      "concurrency", "conflicts", "dead-letters", "dropped-events", "duration-p99", "errors", "failed-destinations", "failed-notifications",
      "failed-starts", "message-age", "old-open-payments", "parked-payments", "payment-alarms",
      "rejected-messages", "throttles", "unsettled-refunds",
    ])
    error_message = "Every alarm must be there."
  }
  assert {
    condition     = { for key, alarm in aws_cloudwatch_metric_alarm.sums : key => length(alarm.metric_query) } == { queue-unpolled = 3, table-errors = 5, table-throttles = 7 }
    error_message = "Throttles and errors of table and indexes, and a queue that nobody polls, must be alarms."
  }
  assert {
    condition     = alltrue([for alarm in merge(aws_cloudwatch_metric_alarm.this, aws_cloudwatch_metric_alarm.sums) : contains(alarm.alarm_actions, aws_sns_topic.alarms.arn)])
    error_message = "Every alarm must reach the topic."
  }
  assert {
    condition = toset([for filter in aws_cloudwatch_log_metric_filter.alarms : filter.log_group_name]) == toset([
      "/aws/lambda/cloudcafe-payment-processor-dev", "/aws/lambda/payment-processor-dev", "/aws/lambda/payment-processor-dev-reconcile",
    ])
    error_message = "Lines with the field alarm must be counted in every log group that has them."
  }
  assert {
    condition = alltrue([for filter in aws_cloudwatch_log_metric_filter.alarms :
      filter.pattern == "{ $.alarm = \"*\" }" && filter.metric_transformation[0].name == aws_cloudwatch_metric_alarm.this["payment-alarms"].metric_name
    && filter.metric_transformation[0].namespace == aws_cloudwatch_metric_alarm.this["payment-alarms"].namespace])
    error_message = "The alarm on payment alarms must cover every log group's."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.this["duration-p99"].extended_statistic == "p99" && aws_cloudwatch_metric_alarm.this["duration-p99"].threshold == 20000
    error_message = "The duration alarm must look at p99."
  }
  assert {
    condition = alltrue([for title in ["Duration (ms)", "Cold starts", "Concurrent executions", "Age of the oldest message (s)", "Payments", "Payments that wait for somebody"] :
    contains([for widget in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : widget.properties.title], title)])
    error_message = "The dashboard must show what the stress scenario does, and what waits for somebody."
  }
  assert {
    condition     = length(aws_cloudwatch_query_definition.this) == 4 && [for each in aws_sns_topic_subscription.this : each.protocol] == ["https", "email"]
    error_message = "Saved queries and subscriptions must be made."
  }
}

run "code_bucket" {
  module {
    source = "./modules/code_bucket"
  }
  variables {
    name          = "cloudcafe-code-dev-123456789012-eu-central-1"
    force_destroy = false
    tags          = {}
  }

  assert {
    condition     = aws_s3_bucket_versioning.this.versioning_configuration[0].status == "Enabled" && aws_s3_bucket_public_access_block.this.restrict_public_buckets
    error_message = "Code must be versioned and private."
  }
}

run "export_bucket" {
  module {
    source = "./modules/export_bucket"
  }
  variables {
    name           = "cloudcafe-exports-dev-123456789012-eu-central-1"
    retention_days = 3
    kms_key_arn    = "arn:aws:kms:eu-central-1:123456789012:key/11111111-1111-1111-1111-111111111111"
    force_destroy  = false
    tags           = {}
  }

  assert {
    condition     = aws_s3_bucket_public_access_block.this.restrict_public_buckets && alltrue([for rule in aws_s3_bucket_lifecycle_configuration.this.rule : rule.expiration[0].days == 3 if length(rule.expiration) > 0])
    error_message = "Exports must be private, and deleted after their days."
  }
  assert {
    condition     = toset([for rule in aws_s3_bucket_lifecycle_configuration.this.rule : rule.filter[0].prefix if length(rule.expiration) > 0]) == toset(["AWSDynamoDB/", "conservation/parts/"])
    error_message = "Exports and what a day's sums were made of must be deleted, and the sums must stay."
  }
  assert {
    condition     = one(one(aws_s3_bucket_server_side_encryption_configuration.this.rule).apply_server_side_encryption_by_default).sse_algorithm == "aws:kms" && one(one(aws_s3_bucket_server_side_encryption_configuration.this.rule).apply_server_side_encryption_by_default).kms_master_key_id == var.kms_key_arn
    error_message = "Exports must be encrypted as the table is."
  }
}

run "no_outcome_events_unless_somebody_wants_them" {
  variables {
    package_directory = "tests/packages"
  }

  assert {
    condition     = output.event_target == null
    error_message = "A system that says nothing of events must make none."
  }
}

run "outcome_events_on_a_queue" {
  variables {
    package_directory = "tests/packages"
    event_target      = "queue"
  }

  assert {
    condition     = output.event_target == "https://sqs.eu-central-1.amazonaws.com/123456789012/mocked.fifo"
    error_message = "Events must go to the queue that is made for them."
  }
}

run "outcome_events_on_a_topic" {
  variables {
    package_directory = "tests/packages"
    event_target      = "topic"
  }

  assert {
    condition     = startswith(output.event_target, "arn:aws:sns:")
    error_message = "Events must go to the topic that is made for them."
  }
}

run "outcome_events_on_a_bus" {
  variables {
    package_directory = "tests/packages"
    event_target      = "bus"
    event_bus_arn     = "arn:aws:events:eu-central-1:123456789012:event-bus/orders"
  }

  assert {
    condition     = output.event_target == "arn:aws:events:eu-central-1:123456789012:event-bus/orders"
    error_message = "Events must go to the bus that is named."
  }
}

run "outcome_events_of_the_stream" {
  module {
    source = "./modules/outcome_events"
  }
  variables {
    environment        = "dev"
    target             = "topic"
    package            = { path = "tests/packages/payment-workflow-arm64-compiled.zip", source_code_hash = "x" }
    architecture       = "arm64"
    runtime            = "python3.13"
    memory_size        = 512
    table_arn          = "arn:aws:dynamodb:eu-central-1:123456789012:table/payments"
    stream_arn         = "arn:aws:dynamodb:eu-central-1:123456789012:table/payments/stream/2026"
    alarm_topic_arn    = "arn:aws:sns:eu-central-1:123456789012:alarms"
    log_retention_days = 365
  }

  assert {
    condition     = aws_lambda_event_source_mapping.stream.starting_position == "TRIM_HORIZON" && aws_lambda_event_source_mapping.stream.maximum_retry_attempts == -1
    error_message = "What the stream has must be told, and tried for as long as it has it."
  }
  assert {
    condition     = aws_lambda_event_source_mapping.stream.maximum_record_age_in_seconds < 86400
    error_message = "Lambda must give up before the stream forgets, as it says nothing of what it never read."
  }
  assert {
    condition     = aws_lambda_event_source_mapping.stream.bisect_batch_on_function_error && contains(aws_lambda_event_source_mapping.stream.function_response_types, "ReportBatchItemFailures")
    error_message = "What failed must be told by its record."
  }
  assert {
    condition     = aws_sns_topic.events[0].fifo_topic && aws_sns_topic.events[0].kms_master_key_id == "alias/aws/sns"
    error_message = "The topic must keep the order, and be encrypted."
  }
  assert {
    condition     = local.alarms.events-late.threshold == 6 * 3600 * 1000
    error_message = "Six hours late must ring."
  }
}

run "no_webhook_unless_somebody_wants_it" {
  variables {
    package_directory = "tests/packages"
  }

  assert {
    condition     = output.webhook_url == null
    error_message = "A system that says nothing of a webhook must have none."
  }
}

run "a_webhook_behind_the_pages_api" {
  variables {
    package_directory         = "tests/packages"
    gateway                   = "stripe"
    gateway_mode              = "test"
    gateway_secret_arn        = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:gateway-AbCdEf"
    gateway_calls_per_second  = 2000
    canonical_version_written = 2
    webhook_secret_arn        = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:webhook-AbCdEf"
  }

  assert {
    condition     = endswith(output.webhook_url, "/webhook")
    error_message = "The webhook must have an address."
  }
}

run "the_webhooks_queue_and_route" {
  module {
    source = "./modules/webhook"
  }
  variables {
    environment        = "dev"
    mode               = "live"
    secret_arn         = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:webhook-AbCdEf"
    api                = { id = "abc", endpoint = "https://abc.example.com", execution_arn = "arn:aws:execute-api:eu-central-1:123456789012:abc" }
    reconcile          = { alias_arn = "arn:aws:lambda:eu-central-1:123456789012:function:reconcile:live", timeout_seconds = 300 }
    package            = { path = "tests/packages/payment-workflow-arm64-compiled.zip", source_code_hash = "x" }
    architecture       = "arm64"
    runtime            = "python3.13"
    memory_size        = 512
    alarm_topic_arn    = "arn:aws:sns:eu-central-1:123456789012:alarms"
    log_retention_days = 365
  }

  assert {
    condition     = aws_apigatewayv2_route.this.route_key == "POST /webhook" && endswith(aws_lambda_permission.this.source_arn, "/*/POST/webhook")
    error_message = "The API must invoke the function for its one route alone."
  }
  assert {
    condition     = aws_sqs_queue.wake_ups.fifo_queue && aws_sqs_queue.wake_ups.name == "cloudcafe-payment-wake-ups-dev.fifo" && aws_sqs_queue.wake_ups.visibility_timeout_seconds == 1800
    error_message = "Wake-ups must keep the order of a reference, and be hidden for six times reconcile's time-out."
  }
  assert {
    condition     = jsondecode(aws_sqs_queue.wake_ups.redrive_policy).maxReceiveCount * aws_sqs_queue.wake_ups.visibility_timeout_seconds >= 172800
    error_message = "A gateway that is away for two days must lose no wake-up."
  }
  assert {
    condition     = aws_sqs_queue.wake_ups.sqs_managed_sse_enabled && aws_sqs_queue.dead_letter.sqs_managed_sse_enabled && aws_sqs_queue.dead_letter.fifo_queue
    error_message = "Both queues must be encrypted, and the dead-letter queue of a FIFO queue is one."
  }
  assert {
    condition     = contains(aws_lambda_event_source_mapping.wake_ups.function_response_types, "ReportBatchItemFailures") && aws_lambda_event_source_mapping.wake_ups.function_name == var.reconcile.alias_arn
    error_message = "Reconcile must be woken, and say which wake-ups failed."
  }
  assert {
    condition     = aws_lambda_function.this.environment[0].variables.GATEWAY_MODE == "live" && !contains(keys(aws_lambda_function.this.environment[0].variables), "DYNAMODB_TABLE")
    error_message = "The function must know its mode, and no table."
  }
  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.this : alarm.alarm_actions == toset([var.alarm_topic_arn])]) && length(aws_cloudwatch_metric_alarm.this) == 5
    error_message = "Every alarm must reach the topic."
  }
}

run "no_sums_unless_somebody_wants_them" {
  variables {
    package_directory = "tests/packages"
  }

  assert {
    condition     = length(module.conservation) == 0
    error_message = "A system that says nothing of conservation must ask no gateway for lists."
  }
}

run "the_sums_of_each_day" {
  variables {
    package_directory         = "tests/packages"
    account_concurrency       = 1000
    gateway                   = "stripe"
    gateway_mode              = "test"
    gateway_secret_arn        = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:gateway-AbCdEf"
    gateway_calls_per_second  = 2000
    canonical_version_written = 2
    conservation              = true
  }

  assert {
    condition     = module.conservation[0].function_name == "payment-processor-dev-conservation"
    error_message = "The function must be named after its environment."
  }
}

run "the_sums_function_and_its_alarms" {
  module {
    source = "./modules/conservation"
  }
  variables {
    environment           = "dev"
    environment_variables = { ENVIRONMENT = "dev", GATEWAY = "stripe" }
    table_arn             = "arn:aws:dynamodb:eu-central-1:123456789012:table/transactions"
    export_bucket         = { name = "exports", arn = "arn:aws:s3:::exports" }
    gateway_secret_arn    = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:gateway-AbCdEf"
    package               = { path = "tests/packages/payment-workflow-arm64-compiled.zip", source_code_hash = "x" }
    architecture          = "arm64"
    runtime               = "python3.13"
    memory_size           = 2048
    alarm_topic_arn       = "arn:aws:sns:eu-central-1:123456789012:alarms"
    log_retention_days    = 365
  }

  assert {
    condition     = aws_lambda_function.this.timeout == 900 && aws_scheduler_schedule.this.schedule_expression == "rate(30 minutes)"
    error_message = "A run must have ended before the next one begins."
  }
  assert {
    condition     = aws_lambda_function.this.environment[0].variables.EXPORT_BUCKET == "exports" && aws_lambda_function.this.environment[0].variables.GATEWAY == "stripe"
    error_message = "The function must know its bucket and its gateway."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.this["conservation-late"].treat_missing_data == "breaching" && aws_cloudwatch_metric_alarm.this["conservation-differences"].treat_missing_data == "notBreaching"
    error_message = "A function that does not run must be late, and no difference of nobody's sums."
  }
  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.this : alarm.alarm_actions == toset([var.alarm_topic_arn]) && alarm.period == 3600]) && length(aws_cloudwatch_metric_alarm.this) == 2
    error_message = "Both alarms must reach the topic, and see a run in each period."
  }
}
