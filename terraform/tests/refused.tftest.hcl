# Every rule of the root's variables and of the deployment package, broken at least once. A run breaks one rule of each of
# many variables; tests/terraform plans the same values and checks that every rule's message comes.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  package_directory = "tests/packages"
}

run "broken_rules_1" {
  command = plan
  variables {
    role_path                     = "payments/"
    permissions_boundary_arn      = "payments-boundary"
    environment                   = "Dev"
    tags                          = { "aws:owner" = "me" }
    memory_size                   = 127
    architecture                  = "amd64"
    runtime                       = "python3.10"
    package_path                  = "payment-processor.tar"
    timeout_seconds               = 901
    live_version                  = 0
    reserved_concurrency          = 0
    log_level                     = "TRACE"
    log_retention_days            = 364
    batch_size                    = 11
    max_receive_count             = 4
    dead_letter_reader_arns       = ["123456789012"]
    provisioned_capacity          = { read_min = 9, read_max = 8, write_min = 1, write_max = 8 }
    export_retention_days         = 0.5
    table_kms_key_arn             = "alias/payments"
    payment_amount_max            = "0.00"
    payment_currency_rate         = "0"
    other_currencies              = { EUR = { amount_max = "0.00", rate = "1" } }
    approval_amount_minor         = 0.5
    body_bytes_max                = 1023
    canonical_version_written     = 0
    id_shapes                     = "INV#{13},#{16-13}"
    restored_at                   = "2025-11-31T15:04:05Z"
    retry_delay_seconds           = 0
    group_concurrency             = 11
    park_after_tries              = 1.5
    park_after_seconds            = 0
    reconcile_patience_seconds    = 0
    personal_data_days            = 3651
    scoring_engine                = "fast"
    support                       = "heavy"
    rule_table_path               = "rules/names.rules"
    fraud_iterations              = -1
    fingerprint_pepper_secret_arn = "pepper"
    stress_mode                   = "hot"
    stress_delay_seconds          = 61
    stress_operations             = -1
    benchmark_memory_sizes        = [64]
    benchmark_engines             = []
    package_directory             = ""
  }
  expect_failures = [
    var.role_path,
    var.permissions_boundary_arn,
    var.environment,
    var.tags,
    var.memory_size,
    var.architecture,
    var.runtime,
    var.package_path,
    var.timeout_seconds,
    var.live_version,
    var.reserved_concurrency,
    var.log_level,
    var.log_retention_days,
    var.batch_size,
    var.max_receive_count,
    var.dead_letter_reader_arns,
    var.provisioned_capacity,
    var.export_retention_days,
    var.table_kms_key_arn,
    var.payment_amount_max,
    var.payment_currency_rate,
    var.other_currencies,
    var.approval_amount_minor,
    var.body_bytes_max,
    var.canonical_version_written,
    var.id_shapes,
    var.restored_at,
    var.retry_delay_seconds,
    var.group_concurrency,
    var.park_after_tries,
    var.park_after_seconds,
    var.reconcile_patience_seconds,
    var.personal_data_days,
    var.scoring_engine,
    var.support,
    var.rule_table_path,
    var.fraud_iterations,
    var.fingerprint_pepper_secret_arn,
    var.stress_mode,
    var.stress_delay_seconds,
    var.stress_operations,
    var.benchmark_memory_sizes,
    var.benchmark_engines,
    var.package_directory,
  ]
}

run "broken_rules_2" {
  command = plan
  variables {
    role_path               = "/aws-reserved/"
    id_shapes               = "INV?{13}"
    restored_at             = "2999-11-28T15:04:05Z"
    payment_currency        = "JPY"
    payment_amount_max      = "100.5"
    other_currencies        = { JPY = { amount_max = "100", rate = "1" } }
    environment             = "prod"
    memory_size             = 10241
    timeout_seconds         = 10
    canary_percent          = 51
    live_version            = 3
    provisioned_concurrency = -1
    maximum_concurrency     = 1
    provisioned_capacity    = { read_min = 1, read_max = 8, write_min = 1, write_max = 8, utilization_target = 100 }
    scoring_kernel          = "../evil"
    account_concurrency     = 0
  }
  expect_failures = [
    var.role_path,
    var.id_shapes,
    var.restored_at,
    var.payment_amount_max,
    var.other_currencies,
    var.environment,
    var.memory_size,
    var.timeout_seconds,
    var.canary_percent,
    var.provisioned_concurrency,
    var.maximum_concurrency,
    var.provisioned_capacity,
    var.scoring_kernel,
    var.account_concurrency,
  ]
}

run "broken_rules_3" {
  command = plan
  variables {
    name_prefix                = "cloudcafe-"
    role_path                  = "//"
    id_shapes                  = "INV#{13},#{0}"
    restored_at                = "2025-11-28"
    payment_currency           = "KWD"
    payment_amount_max         = "999999999999"
    other_currencies           = { EUR = { amount_max = "9000.00", rate = "27/0" }, JPY = { amount_max = "1500000", rate = "1/150", approval_amount_minor = 0 } }
    memory_size                = 512.5
    canary_percent             = 10
    provisioned_concurrency    = 201
    reserved_concurrency       = 200
    visibility_timeout_seconds = 179
    scoring_kernel             = "portable-1"
    scoring_engine             = "pure"
    gateway_url                = "http://gateway.example.com"
  }
  expect_failures = [
    var.name_prefix,
    var.role_path,
    var.id_shapes,
    var.restored_at,
    var.payment_amount_max,
    var.other_currencies,
    var.gateway_url,
    var.memory_size,
    var.canary_percent,
    var.provisioned_concurrency,
    var.visibility_timeout_seconds,
    var.scoring_kernel,
  ]
}

run "broken_rules_4" {
  command = plan
  variables {
    name_prefix                = "twelve-more-"
    gateway                    = "simulated"
    environment                = "prod"
    workspace_is_environment   = false
    snap_start                 = true
    provisioned_concurrency    = 1
    maximum_concurrency        = 101
    reserved_concurrency       = 100
    visibility_timeout_seconds = 43201
    approvals                  = false
    # An AWS identity is told of nothing.
    approval_workflow = { approvers = ["arn:aws:iam::123456789012:user/alice"] }
  }
  expect_failures = [
    var.name_prefix,
    var.gateway,
    var.approvals,
    var.approval_workflow,
    var.alarm_emails,
    var.snap_start,
    var.maximum_concurrency,
    var.visibility_timeout_seconds,
  ]
}

run "broken_rules_5" {
  command = plan
  variables {
    name_prefix              = "shop"
    gateway                  = "paypal"
    snap_start               = true
    runtime                  = "python3.11"
    package_path             = "tests/packages/python3.11.zip"
    gateway_deadline_seconds = 0
    safety_margin_seconds    = 0
  }
  expect_failures = [
    var.name_prefix,
    var.gateway,
    var.snap_start,
    var.gateway_deadline_seconds,
    var.safety_margin_seconds,
  ]
}

run "empty_texts" {
  command = plan
  variables {
    permissions_boundary_arn      = ""
    package_path                  = ""
    table_kms_key_arn             = ""
    gateway                       = ""
    fingerprint_pepper_secret_arn = ""
    package_directory             = ""
    event_bus_arn                 = ""
  }
  expect_failures = [
    var.permissions_boundary_arn,
    var.package_path,
    var.table_kms_key_arn,
    var.gateway,
    var.fingerprint_pepper_secret_arn,
    var.package_directory,
    var.event_bus_arn,
  ]
}

# The function reads these as text, and takes six digits on each side of the point.
run "seconds_with_more_digits_than_the_function_takes" {
  command = plan
  variables {
    name_prefix              = "Shop-"
    gateway_url              = "https://x:99999"
    gateway_deadline_seconds = 1.1234567
    safety_margin_seconds    = 1.1234567
    retry_delay_seconds      = 1.1234567
    stress_delay_seconds     = 1.1234567
    approval_workflow        = { fraud_service_failure_rate = 0.1234567, shows = ["phone"] }
  }
  expect_failures = [
    var.name_prefix,
    var.gateway_url,
    var.gateway_deadline_seconds,
    var.safety_margin_seconds,
    var.retry_delay_seconds,
    var.stress_delay_seconds,
    var.approval_workflow,
  ]
}

run "seconds_below_a_millisecond" {
  command = plan
  variables {
    name_prefix              = "sthree-"
    gateway_url              = "https://user:secret@gateway.example.com"
    gateway_deadline_seconds = 0.0000001
    safety_margin_seconds    = 0.0009
    retry_delay_seconds      = 0.0009
  }
  expect_failures = [
    var.name_prefix,
    var.gateway_url,
    var.gateway_deadline_seconds,
    var.safety_margin_seconds,
    var.retry_delay_seconds,
  ]
}

run "gateway_that_is_not_named" {
  command = plan
  variables {
    environment              = "prod-eu"
    workspace_is_environment = false
  }
  expect_failures = [var.gateway]
}

run "gateway_that_there_is_not" {
  command = plan
  variables {
    gateway     = "http"
    gateway_url = "https://gateway.example.com"
  }
  expect_failures = [var.gateway]
}

run "a_url_of_no_gateway" {
  command = plan
  variables {
    gateway_url = "https://gateway.example.com"
  }
  expect_failures = [var.gateway]
}

run "roots_of_no_gateway" {
  command = plan
  variables {
    gateway_ca_file = "/opt/roots.pem"
  }
  expect_failures = [var.gateway_ca_file]
}

run "roots_that_are_no_file" {
  command = plan
  variables {
    gateway                   = "stripe"
    gateway_mode              = "test"
    gateway_secret_arn        = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:key"
    canonical_version_written = 2
    maximum_concurrency       = 2
    group_concurrency         = 3
    gateway_ca_file           = "/etc/pki/tls/certs"
  }
  expect_failures = [var.gateway_ca_file]
}

run "simulated_gateway_with_a_url" {
  command = plan
  variables {
    gateway     = "simulated"
    gateway_url = "https://gateway.example.com"
  }
  expect_failures = [var.gateway]
}

run "broken_rules_6" {
  command = plan
  variables {
    name_prefix               = "shop--"
    environment               = "staging"
    workspace_is_environment  = false
    gateway                   = "stripe"
    gateway_mode              = "test"
    gateway_secret_arn        = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:key"
    canonical_version_written = 2
    maximum_concurrency       = 2
    group_concurrency         = 3
    message_retention_seconds = 1209601
    held_versions             = { queue = 3 }
    provisioned_concurrency   = 101
    reserved_concurrency      = 200
    approval_workflow         = { approvers = ["me@example.com"], endpoints = { "you@example.com" = { protocol = "https", endpoint = "https://example.com" } } }
    alarm_endpoints           = { "http://events.example.com" = "https" }
  }
  expect_failures = [
    var.name_prefix,
    var.message_retention_seconds,
    var.held_versions,
    var.provisioned_concurrency,
    var.approval_workflow,
    var.alarm_endpoints,
  ]
}

run "a_role_as_an_approver" {
  command = plan
  variables {
    # Whoever takes it on: that is nobody.
    approval_workflow = { approvers = ["arn:aws:iam::123456789012:role/approver"] }
  }
  expect_failures = [var.approval_workflow]
}

run "an_endpoint_of_an_aws_identity" {
  command = plan
  variables {
    approval_workflow = { approvers = ["arn:aws:iam::123456789012:root"], endpoints = { "arn:aws:iam::123456789012:root" = { protocol = "sms", endpoint = "+491701234567" } } }
  }
  expect_failures = [var.approval_workflow]
}

run "missing_zip" {
  command = plan
  module {
    source = "./modules/deployment_package"
  }
  variables {
    path         = "tests/packages/nowhere.zip"
    architecture = "arm64"
    engine       = "compiled"
    runtime      = "python3.13"
  }
  expect_failures = [output.path]
}

run "zip_without_manifest" {
  command = plan
  module {
    source = "./modules/deployment_package"
  }
  variables {
    path         = "tests/packages/without-manifest.zip"
    architecture = "arm64"
    engine       = "compiled"
    runtime      = "python3.13"
  }
  expect_failures = [output.path]
}

run "zip_that_its_manifest_does_not_describe" {
  command = plan
  module {
    source = "./modules/deployment_package"
  }
  variables {
    path         = "tests/packages/changed.zip"
    architecture = "arm64"
    engine       = "compiled"
    runtime      = "python3.13"
  }
  expect_failures = [output.path]
}

run "zip_of_another_architecture" {
  command = plan
  module {
    source = "./modules/deployment_package"
  }
  variables {
    path         = "tests/packages/payment-processor-x86_64-compiled.zip"
    architecture = "arm64"
    engine       = "compiled"
    runtime      = "python3.13"
  }
  expect_failures = [output.path]
}

run "zip_of_another_runtime" {
  command = plan
  module {
    source = "./modules/deployment_package"
  }
  variables {
    path         = "tests/packages/python3.11.zip"
    architecture = "arm64"
    engine       = "compiled"
    runtime      = "python3.13"
  }
  expect_failures = [output.path]
}

run "zip_of_another_engine" {
  command = plan
  module {
    source = "./modules/deployment_package"
  }
  variables {
    path         = "tests/packages/payment-processor-arm64-pure.zip"
    architecture = "arm64"
    engine       = "compiled"
    runtime      = "python3.13"
  }
  expect_failures = [output.path]
}

run "zip_that_does_not_read_what_is_written" {
  command = plan
  module {
    source = "./modules/deployment_package"
  }
  variables {
    path                      = "tests/packages/payment-processor-arm64-compiled.zip"
    architecture              = "arm64"
    engine                    = "compiled"
    runtime                   = "python3.13"
    canonical_version_written = 3
  }
  expect_failures = [output.path]
}

run "zip_that_does_not_say_what_it_reads" {
  command = plan
  module {
    source = "./modules/deployment_package"
  }
  variables {
    path                      = "tests/packages/payment-processor-x86_64-compiled.zip"
    architecture              = "x86_64"
    engine                    = "compiled"
    runtime                   = "python3.13"
    canonical_version_written = 2
  }
  expect_failures = [output.path]
}

# A rule that reads another variable is not asked while that one is wrong itself.
run "broken_rules_7" {
  command = plan
  variables {
    payment_currency          = "XXX"
    message_retention_seconds = 179999
    package_path              = "tests/packages/python3.11.zip"
    runtime                   = "python3.11"
    alarm_emails              = ["me"]
    approval_workflow         = { approvers = ["me"], timeout_seconds = 90000, retention_days = 0, fraud_service_failure_rate = 2, memory_sizes = { page = 64 } }
  }
  expect_failures = [
    var.payment_currency,
    var.message_retention_seconds,
    var.alarm_emails,
    var.approval_workflow,
  ]
}

run "stripe_without_what_it_needs" {
  command = plan
  variables {
    gateway = "stripe"
  }
  expect_failures = [var.gateway]
}

run "a_mode_and_a_secret_that_are_none" {
  command = plan
  variables {
    gateway_mode       = "sandbox"
    gateway_secret_arn = "sk_test_12345678"
  }
  expect_failures = [var.gateway_mode, var.gateway_secret_arn]
}

run "a_key_of_a_gateway_without_one" {
  command = plan
  variables {
    gateway            = "simulated"
    gateway_secret_arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:gateway"
  }
  expect_failures = [var.gateway]
}

run "a_mode_of_a_gateway_without_one" {
  command = plan
  variables {
    gateway_mode = "test"
  }
  expect_failures = [var.gateway]
}

run "a_currency_that_stripe_does_not_list" {
  command = plan
  variables {
    gateway                   = "stripe"
    gateway_mode              = "test"
    gateway_secret_arn        = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:key"
    canonical_version_written = 2
    maximum_concurrency       = 2
    group_concurrency         = 3
    payment_currency          = "CLF"
  }
  expect_failures = [var.gateway]
}

run "another_currency_that_stripe_does_not_list" {
  command = plan
  variables {
    gateway                   = "stripe"
    gateway_mode              = "test"
    gateway_secret_arn        = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:key"
    canonical_version_written = 2
    maximum_concurrency       = 2
    group_concurrency         = 3
    other_currencies          = { IQD = { amount_max = "1", rate = "1" } }
  }
  expect_failures = [var.gateway]
}

run "half_a_call_a_second" {
  command = plan
  variables {
    gateway_calls_per_second = 0.5
  }
  expect_failures = [var.gateway_calls_per_second]
}

run "more_calls_than_the_gateway_takes" {
  command = plan
  variables {
    gateway                   = "stripe"
    gateway_mode              = "test"
    gateway_secret_arn        = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:key"
    canonical_version_written = 2
    maximum_concurrency       = 4
    group_concurrency         = 2
  }
  expect_failures = [var.gateway_calls_per_second]
}

run "an_alias_as_the_secrets_key" {
  command = plan
  variables {
    secrets_kms_key_arns = ["arn:aws:kms:eu-central-1:123456789012:alias/secrets"]
  }
  expect_failures = [var.secrets_kms_key_arns]
}

run "a_network_without_subnets" {
  command = plan
  variables {
    vpc = { subnet_ids = [], security_group_ids = ["sg-01234567"] }
  }
  expect_failures = [var.vpc]
}

run "a_network_of_other_names" {
  command = plan
  variables {
    vpc = { subnet_ids = ["net-1"], security_group_ids = ["sg-01234567"] }
  }
  expect_failures = [var.vpc]
}

run "a_tag_too_many" {
  command = plan
  variables {
    tags = { for number in [
      1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25,
      26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49,
    ] : "tag-${number}" => "one" }
  }
  expect_failures = [var.tags]
}

run "an_environment_named_like_a_part_of_another" {
  command = plan
  variables {
    environment              = "dev-bench"
    workspace_is_environment = false
    gateway                  = "simulated"
  }
  expect_failures = [var.environment]
}

run "pollers_outside_their_range" {
  command = plan
  variables {
    provisioned_pollers = { min = 1, max = 2001 }
  }
  expect_failures = [var.provisioned_pollers]
}

run "pollers_and_a_maximum" {
  command = plan
  variables {
    provisioned_pollers = { min = 2, max = 20 }
    maximum_concurrency = 100
  }
  expect_failures = [var.provisioned_pollers]
}

run "pollers_beyond_the_reservation" {
  command = plan
  variables {
    provisioned_pollers  = { min = 2, max = 20 }
    reserved_concurrency = 199
  }
  expect_failures = [var.provisioned_pollers]
}

run "an_unknown_event_target" {
  command = plan
  variables {
    event_target = "kafka"
  }
  expect_failures = [var.event_target]
}

run "a_bus_of_events_without_its_arn" {
  command = plan
  variables {
    event_target = "bus"
  }
  expect_failures = [var.event_bus_arn]
}

run "a_bus_beside_a_queue_of_events" {
  command = plan
  variables {
    event_target  = "queue"
    event_bus_arn = "arn:aws:events:eu-central-1:123456789012:event-bus/orders"
  }
  expect_failures = [var.event_bus_arn]
}

run "a_bus_of_events_that_is_a_rule" {
  command = plan
  variables {
    event_target  = "bus"
    event_bus_arn = "arn:aws:events:eu-central-1:123456789012:rule/orders"
  }
  expect_failures = [var.event_bus_arn]
}

run "sums_of_the_simulated_gateway" {
  command = plan
  variables {
    conservation = true
  }
  expect_failures = [var.conservation]
}

run "sums_of_a_table_without_recovery" {
  command = plan
  variables {
    gateway                   = "stripe"
    gateway_mode              = "test"
    gateway_secret_arn        = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:gateway-AbCdEf"
    canonical_version_written = 2
    gateway_calls_per_second  = 2000
    conservation              = true
    point_in_time_recovery    = false
  }
  expect_failures = [var.conservation]
}

run "a_webhook_whose_secret_is_no_arn" {
  command = plan
  variables {
    gateway                   = "stripe"
    gateway_mode              = "test"
    gateway_secret_arn        = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:gateway-AbCdEf"
    gateway_calls_per_second  = 2000
    canonical_version_written = 2
    webhook_secret_arn        = "whsec_something"
  }
  expect_failures = [var.webhook_secret_arn]
}

run "a_webhook_of_the_simulated_gateway" {
  command = plan
  variables {
    webhook_secret_arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:webhook-AbCdEf"
  }
  expect_failures = [var.webhook_secret_arn]
}

run "a_webhook_whose_secret_is_the_gateways_key" {
  command = plan
  variables {
    gateway                   = "stripe"
    gateway_mode              = "test"
    gateway_secret_arn        = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:gateway-AbCdEf"
    gateway_calls_per_second  = 2000
    canonical_version_written = 2
    webhook_secret_arn        = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:gateway-AbCdEf"
  }
  expect_failures = [var.webhook_secret_arn]
}
