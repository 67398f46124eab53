# The approval workflow beside the queue function: what its plan knows.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  package_directory = "tests/packages"
}

run "with_defaults" {
  assert {
    condition     = local.approval_function_arn == output.approval_alias_arn
    error_message = "A plan that says nothing must make a system that asks somebody."
  }
}

run "without_approvals" {
  variables {
    approvals = false
  }

  assert {
    condition     = local.approval_function_arn == null
    error_message = "The function must decline risky payments where approvals are off."
  }
  assert {
    condition     = output.approval_live_version == "3"
    error_message = "What waits already must still be decided: the workflow must stay."
  }
}

run "with_approvers" {
  variables {
    approval_workflow = { approvers = ["alice@example.com", "bob@example.com", "arn:aws:sts::123456789012:assumed-role/approver/alice"] }
  }

  assert {
    condition = {
      for name in ["reader", "approver"] : name => join(" ", sort(distinct(flatten(local.people[name][*].actions))))
    } == { reader = "dynamodb:GetItem dynamodb:Query", approver = "execute-api:Invoke" }
    error_message = "Who decides must be allowed to call the API and nothing else, and who looks to read."
  }

  assert {
    condition     = output.approval_alias_arn == "arn:aws:lambda:eu-central-1:123456789012:function:payment-processor-dev:live"
    error_message = "The workflow must keep its published name, behind alias live."
  }
  assert {
    condition     = output.approval_page_url == "https://abc.execute-api.eu-central-1.amazonaws.com/approvals"
    error_message = "Links must lead to the HTTP API's approvals."
  }
  assert {
    condition     = output.approval_live_version == "3"
    error_message = "The live version must be the stack's."
  }
}

run "outside_dev_without_approvers" {
  command = plan
  variables {
    environment               = "staging"
    workspace_is_environment  = false
    gateway                   = "stripe"
    gateway_mode              = "test"
    gateway_secret_arn        = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:key"
    canonical_version_written = 2
    maximum_concurrency       = 2
    group_concurrency         = 3
  }

  assert {
    condition     = local.approval_function_arn == output.approval_alias_arn
    error_message = "A workflow without approvers must do: payments wait for the command line, and expire in time."
  }
}

run "the_stack" {
  module {
    source = "./modules/approval_workflow"
  }
  variables {
    environment           = "dev"
    package               = { path = "tests/packages/payment-workflow-arm64-compiled.zip", source_code_hash = "hash" }
    code_bucket           = "code"
    architecture          = "arm64"
    runtime               = "python3.13"
    memory_sizes          = { workflow = 512, page = 256, reconcile = 1024 }
    timeout_seconds       = 30
    tracing               = false
    environment_variables = { ENVIRONMENT = "dev" }
    approvers = {
      "alice@example.com" = { protocol = "email", endpoint = "alice@example.com" }
      "bob@example.com"   = { protocol = "https", endpoint = "https://pager.example.com/bob" }

      "arn:aws:iam::123456789012:user/carol" = null
    }
    approval_timeout_seconds   = 86400
    retention_days             = 14
    shows                      = ["name", "email"]
    fraud_service_failure_rate = 0
    reconcile_patience_seconds = 600
    personal_data_days         = 180
    deletion_protection        = true
    table_arn                  = "arn:aws:dynamodb:eu-central-1:123456789012:table/transactions"
    table_kms_key_arn          = null
    rejected_queue_arn         = "arn:aws:sqs:eu-central-1:123456789012:rejected.fifo"
    secret_arns                = []
    secrets_kms_key_arns       = []
    vpc                        = null
    alarm_topic_arn            = "arn:aws:sns:eu-central-1:123456789012:alarms"
    log_retention_days         = 30
    tags                       = { Project = "payments" }
  }

  assert {
    condition     = startswith(aws_cloudwatch_log_group.access.name, "/aws/vendedlogs/") && aws_cloudwatch_log_metric_filter.throttled.log_group_name == aws_cloudwatch_log_group.access.name
    error_message = "The page's access log must not take room in the account's resource policy of logs."
  }
  assert {
    condition     = [for one in aws_apigatewayv2_stage.page.access_log_settings : one.destination_arn] == [aws_cloudwatch_log_group.access.arn]
    error_message = "The access log must be written there."
  }
  assert {
    condition     = { for one in aws_apigatewayv2_stage.page.route_settings : one.route_key => [one.throttling_burst_limit, one.throttling_rate_limit] } == { "GET /approvals" = [20, 10], "POST /approvals" = [20, 10], "PUT /approvals" = [20, 10] } && [for one in aws_apigatewayv2_stage.page.default_route_settings : [one.throttling_burst_limit, one.throttling_rate_limit]] == [[200, 100]]
    error_message = "A flood of one route must not take the other's requests."
  }
  assert {
    condition = [
      jsondecode(aws_cloudformation_stack.workflow.template_body).Resources.Function.Properties.MemorySize,
      aws_lambda_function.page.memory_size, aws_lambda_function.reconcile.memory_size
    ] == [512, 256, 1024]
    error_message = "Each function must have its own memory."
  }
  assert {
    condition     = aws_cloudformation_stack.workflow.tags == tomap({ Project = "payments" }) && aws_s3_object.package.tags == null
    error_message = "S3 takes ten tags of an object: the ZIP must have none of those that everything else has."
  }

  assert {
    condition = [
      one(aws_lambda_function.page.environment).variables.APPROVERS,
      jsondecode(aws_cloudformation_stack.workflow.template_body).Resources.Function.Properties.Environment.Variables.APPROVERS
    ] == [for _ in range(2) : "alice@example.com,arn:aws:iam::123456789012:user/carol,bob@example.com"]
    error_message = "The page must know whom the workflow asks: whoever is taken off the list has no good links any more."
  }
  assert {
    condition     = one(aws_lambda_function.reconcile.environment).variables.PERSONAL_DATA_DAYS == "180"
    error_message = "Reconcile must be told after how many days personal data is forgotten."
  }
  assert {
    condition     = jsondecode(aws_cloudformation_stack.workflow.template_body).Resources.Function.Properties.Environment.Variables.APPROVAL_SHOWS == "email,name"
    error_message = "Approvers must see what policy allows of the customer, and no more."
  }
  assert {
    condition     = { for key, route in aws_apigatewayv2_route.page : key => route.authorization_type } == { "GET /approvals" = "NONE", "POST /approvals" = "NONE", "PUT /approvals" = "AWS_IAM" }
    error_message = "Decisions without a link must be signed, and AWS must say by whom."
  }
  assert {
    condition     = endswith(output.decide_arn, ":abc/$default/PUT/approvals")
    error_message = "An approver must be allowed the decision's route alone."
  }
  assert {
    condition     = jsondecode(aws_cloudformation_stack.workflow.template_body).Resources.Function.Properties.DurableConfig.ExecutionTimeout == 90000
    error_message = "An execution must outlive the longest wait."
  }
  assert {
    condition     = !can(jsondecode(aws_cloudformation_stack.workflow.template_body).Resources.Function.Properties.VpcConfig)
    error_message = "Without vpc the workflow must be in no network of ours."
  }
  assert {
    condition     = alltrue([for name, one in jsondecode(aws_cloudformation_stack.workflow.template_body).Resources : one.DeletionPolicy == "RetainExceptOnCreate" && one.UpdateReplacePolicy == "Retain" if one.Type == "AWS::Lambda::Version"])
    error_message = "Versions that executions wait on must stay."
  }
  assert {
    condition     = jsondecode(aws_cloudformation_stack.workflow.template_body).Resources.Function.DeletionPolicy == "RetainExceptOnCreate"
    error_message = "Lambda deletes a function with all its versions: under deletion protection it must stay, but after a first creation that failed."
  }
  assert {
    condition = alltrue([
      jsondecode(aws_cloudformation_stack.workflow.template_body).Resources.Function.Properties.TracingConfig.Mode == "PassThrough",
      aws_lambda_function.page.tracing_config[0].mode == "PassThrough",
      aws_lambda_function.reconcile.tracing_config[0].mode == "PassThrough",
      alltrue([for variables in [local.workflow_variables, local.deciding_variables, local.reconcile_variables] : variables.POWERTOOLS_TRACE_DISABLED == "true"]),
      !contains(flatten([for allowed in values(local.permissions) : allowed[*].actions]), "xray:PutTraceSegments"),
    ])
    error_message = "Nothing must be traced unasked."
  }
  assert {
    condition     = !strcontains(aws_apigatewayv2_stage.page.access_log_settings[0].format, "path") && !strcontains(aws_apigatewayv2_stage.page.access_log_settings[0].format, "query")
    error_message = "A link's query must not be logged."
  }
  assert {
    condition = { for one, subscription in aws_sns_topic_subscription.approver : one => [subscription.protocol, subscription.endpoint, jsondecode(subscription.filter_policy).approver] } == {
      "alice@example.com" = ["email", "alice@example.com", ["alice@example.com"]]
      "bob@example.com"   = ["https", "https://pager.example.com/bob", ["bob@example.com"]]
    }
    error_message = "An approver must get no link but their own, where they take it."
  }
  assert {
    condition = alltrue([for action in ["lambda:GetDurableExecution", "lambda:SendDurableExecutionCallbackSuccess"] :
      contains(flatten([for allowed in local.permissions.reconcile : allowed.actions if allowed.resources == local.executions]), action)
    ])
    error_message = "Reconcile must be allowed to look at executions and to wake them."
  }
  assert {
    condition     = aws_lambda_function.reconcile.timeout == 300
    error_message = "A gateway that hangs must not starve reconcile."
  }
  assert {
    condition = jsonencode({ for key, alarm in aws_cloudwatch_metric_alarm.failures : key => [alarm.metric_name, lookup(alarm.dimensions, "FunctionName", "")] if alarm.namespace == "AWS/Lambda" }) == jsonencode({
      execution-failed        = ["DurableExecutionFailed", "payment-processor-dev"]
      execution-storage       = ["DurableExecutionStorageWrittenBytes", "payment-processor-dev"]
      execution-timed-out     = ["DurableExecutionTimedOut", "payment-processor-dev"]
      executions-running      = ["ApproximateRunningDurableExecutionsUtilization", ""]
      page-errors             = ["Errors", "payment-processor-dev-page"]
      reconcile-errors        = ["Errors", "payment-processor-dev-reconcile"]
      workflow-events-dropped = ["AsyncEventsDropped", "payment-processor-dev"]
    })
    error_message = "Every function that can fail must have its alarm."
  }
  assert {
    condition = alltrue([
      { for key in ["page-refusals", "page-unavailable"] : key => aws_cloudwatch_metric_alarm.failures[key].metric_name } == { page-refusals = "4xx", page-unavailable = "5xx" },
      aws_cloudwatch_metric_alarm.failures["page-throttled"].metric_name == aws_cloudwatch_log_metric_filter.throttled.metric_transformation[0].name,
      aws_cloudwatch_metric_alarm.failures["old-approvals"].threshold == 64800,
      aws_cloudwatch_metric_alarm.failures["notices-failed"].metric_name == "NumberOfNotificationsFailed",
    ])
    error_message = "What the page turns away, approvals that nobody decides, and messages that reach nobody must be alarms."
  }
  assert {
    condition = (
      aws_cloudwatch_metric_alarm.reconcile_stopped.treat_missing_data == "breaching"
      && aws_cloudwatch_metric_alarm.reconcile_stopped.dimensions == tomap({ environment = "dev" })
      && aws_cloudwatch_metric_alarm.reconcile_stopped.metric_name == "OldOpenPayments"
      && aws_cloudwatch_metric_alarm.reconcile_stopped.statistic == "SampleCount"
    )
    error_message = "Silence of reconcile's runs must be an alarm, whatever wake-ups it takes."
  }
  assert {
    condition = alltrue([for alarm in concat(values(aws_cloudwatch_metric_alarm.failures), [aws_cloudwatch_metric_alarm.reconcile_stopped]) :
    alarm.alarm_actions == toset([var.alarm_topic_arn])])
    error_message = "Every alarm must reach the topic."
  }
}

run "a_time_out_longer_than_reconciles_own" {
  command = plan
  module {
    source = "./modules/approval_workflow"
  }
  variables {
    environment                = "dev"
    package                    = { path = "tests/packages/payment-workflow-arm64-compiled.zip", source_code_hash = "hash" }
    code_bucket                = "code"
    architecture               = "arm64"
    runtime                    = "python3.13"
    memory_sizes               = { workflow = 512, page = 256, reconcile = 1024 }
    timeout_seconds            = 900
    tracing                    = true
    environment_variables      = {}
    approvers                  = {}
    approval_timeout_seconds   = 86400
    retention_days             = 14
    shows                      = []
    fraud_service_failure_rate = 0
    reconcile_patience_seconds = 600
    personal_data_days         = 180
    deletion_protection        = true
    table_arn                  = "arn:aws:dynamodb:eu-central-1:123456789012:table/transactions"
    table_kms_key_arn          = null
    rejected_queue_arn         = "arn:aws:sqs:eu-central-1:123456789012:rejected.fifo"
    secret_arns                = []
    secrets_kms_key_arns       = []
    vpc                        = { subnet_ids = ["subnet-0123456789abcdef0"], security_group_ids = ["sg-01234567"] }
    alarm_topic_arn            = "arn:aws:sns:eu-central-1:123456789012:alarms"
    log_retention_days         = 30
    tags                       = {}
  }

  assert {
    condition = alltrue([
      aws_lambda_function.reconcile.vpc_config[0].subnet_ids == toset(["subnet-0123456789abcdef0"]),
      jsondecode(aws_cloudformation_stack.workflow.template_body).Resources.Function.Properties.VpcConfig == { SubnetIds = ["subnet-0123456789abcdef0"], SecurityGroupIds = ["sg-01234567"] },
      length(aws_lambda_function.page.vpc_config) == 0,
      contains(flatten(local.permissions.workflow[*].actions), "ec2:CreateNetworkInterface"),
      contains(flatten(local.permissions.reconcile[*].actions), "ec2:CreateNetworkInterface"),
    ])
    error_message = "What talks to the gateway must be in the subnets that are given, and be allowed to; the page need not."
  }
  assert {
    condition     = local.workflow_variables.APPROVAL_SHOWS == "none"
    error_message = "Nothing allowed must not be all, which the setting means when it is empty."
  }
  assert {
    condition = alltrue([
      jsondecode(aws_cloudformation_stack.workflow.template_body).Resources.Function.Properties.TracingConfig.Mode == "Active",
      aws_lambda_function.page.tracing_config[0].mode == "Active",
      aws_lambda_function.reconcile.tracing_config[0].mode == "Active",
      alltrue([for variables in [local.workflow_variables, local.deciding_variables, local.reconcile_variables] : variables.POWERTOOLS_TRACE_DISABLED == "false"]),
      alltrue([for allowed in values(local.permissions) : contains(flatten(allowed[*].actions), "xray:PutTraceSegments")]),
    ])
    error_message = "All three must be traced where traces are asked for, and may write them."
  }
  assert {
    condition     = aws_lambda_function.reconcile.timeout == 900
    error_message = "Reconcile must have the time that one payment needs, whatever the gateway's deadline."
  }
}

run "as_many_approvers_as_lambda_has_room_for" {
  command = plan
  variables {
    approval_workflow = { approvers = [for number in range(40) : "approver-${format("%02d", number)}@payments.example.com"] }
  }
}

run "more_approvers_than_lambda_has_room_for" {
  command = plan
  variables {
    approval_workflow = { approvers = [for number in range(80) : "approver-${format("%02d", number)}@payments.example.com"] }
  }
  expect_failures = [output.variables_bytes]
}

run "memory_of_one_function" {
  command = plan
  variables {
    memory_size       = 1769
    approval_workflow = { memory_sizes = { page = 256 } }
  }

  assert {
    condition     = local.workflow_memory_sizes == { workflow = 1769, page = 256, reconcile = 1769 }
    error_message = "Functions of the workflow must have memory_size, but those that are given their own."
  }
}

run "a_region_of_another_partition" {
  command = plan
  override_data {
    target = data.aws_partition.current
    values = { partition = "aws-cn" }
  }
  expect_failures = [data.aws_partition.current]
}
