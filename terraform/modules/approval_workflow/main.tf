# The approval workflow, a durable function. Provider 5.x has no durable_config, so a small CloudFormation stack makes
# function, version and alias; the rest is Terraform's own.

locals {
  name      = "${var.name_prefix}payment-processor-${var.environment}"
  region    = split(":", var.table_arn)[3]
  account   = split(":", var.table_arn)[4]
  partition = split(":", var.table_arn)[1]

  function_arn = "arn:${local.partition}:lambda:${local.region}:${local.account}:function:${local.name}"
  alias_arn    = "${local.function_arn}:live"

  # Longer than the longest wait, so that the callback's time-out ends it and not the execution's.
  execution_timeout_seconds = 90000

  # A gateway that hangs costs reconcile a deadline a payment, and the queue function's time-out would hold a few of
  # those. Half of the time between two runs, but never less than one payment needs, which timeout_seconds holds.
  # FUNCTION_TIMEOUT_SECONDS stays the queue function's: it says in which proportions payments are leased.
  reconcile_timeout_seconds = max(300, var.timeout_seconds)

  # Of the page too: a link is good for as long as its approver is one, and AWS identities decide there alone.
  approvers = join(",", keys(var.approvers))

  deciding_variables = {
    DYNAMODB_TABLE            = split("/", var.table_arn)[1]
    ENVIRONMENT               = var.environment
    CANONICAL_VERSION_WRITTEN = lookup(var.environment_variables, "CANONICAL_VERSION_WRITTEN", "1")
    APPROVAL_KEY_ID           = aws_kms_key.links.arn
    APPROVAL_FUNCTION_ARN     = local.alias_arn
    APPROVERS                 = local.approvers
    SCORING_ENGINE            = "pure"
    POWERTOOLS_TRACE_DISABLED = tostring(!var.tracing)
  }
  reconcile_variables = merge(var.environment_variables, {
    APPROVAL_FUNCTION_ARN      = local.alias_arn
    POWERTOOLS_TRACE_DISABLED  = tostring(!var.tracing)
    RECONCILE_PATIENCE_SECONDS = tostring(var.reconcile_patience_seconds)
    PERSONAL_DATA_DAYS         = tostring(var.personal_data_days)
  })
  workflow_variables = merge(var.environment_variables, {
    APPROVAL_KEY_ID            = aws_kms_key.links.arn
    APPROVAL_SHOWS             = length(var.shows) == 0 ? "none" : join(",", var.shows)
    APPROVAL_TIMEOUT_SECONDS   = format("%d", var.approval_timeout_seconds)
    APPROVAL_TOPIC_ARN         = aws_sns_topic.approvals.arn
    APPROVAL_PAGE_URL          = "${aws_apigatewayv2_api.page.api_endpoint}/approvals"
    APPROVERS                  = local.approvers
    FRAUD_SERVICE_FAILURE_RATE = tostring(var.fraud_service_failure_rate)
    POWERTOOLS_TRACE_DISABLED  = tostring(!var.tracing)
  })
  tracing_mode = var.tracing ? "Active" : "PassThrough"

  function = merge(local.network, {
    FunctionName  = local.name
    Description   = "Asks a person about a risky payment and charges what is approved. ${local.reads}"
    Role          = aws_iam_role.this["workflow"].arn
    Handler       = "handler.workflow.lambda_handler"
    Runtime       = var.runtime
    Architectures = [var.architecture]
    MemorySize    = var.memory_sizes.workflow
    Timeout       = var.timeout_seconds
    Environment   = { Variables = local.workflow_variables }
    TracingConfig = { Mode = local.tracing_mode }
    LoggingConfig = { LogGroup = aws_cloudwatch_log_group.this["workflow"].name, LogFormat = "JSON" }
    DurableConfig = { ExecutionTimeout = local.execution_timeout_seconds, RetentionPeriodInDays = var.retention_days }
    Code          = { S3Bucket = var.code_bucket, S3Key = aws_s3_object.package.key }
  })
  network = { for name, value in { VpcConfig = var.vpc } : name => { SubnetIds = sort(value.subnet_ids), SecurityGroupIds = sort(value.security_group_ids) } if value != null }

  # A version keeps the description that it was published with; build/packager/published.py reads it.
  reads = "Reads canonical text ${join(", ", var.package.canonical_versions_read)}."

  # A version is published only under a new logical id: one for each code and configuration.
  version_id = "Version${substr(sha256(jsonencode([var.package.source_code_hash, local.function])), 0, 16)}"
}

resource "aws_s3_object" "package" {
  #checkov:skip=CKV_AWS_186:published code in a private bucket, encrypted with S3's own key
  bucket = var.code_bucket
  key    = "payment-workflow/${var.package.source_code_hash == null ? "none" : substr(sha256(var.package.source_code_hash), 0, 32)}.zip"
  source = var.package.path

  # S3 takes ten tags of an object, and of most other things AWS takes 50: it has none, the caller's default ones neither.
  override_provider {
    default_tags {
      tags = {}
    }
  }

  # Versions that executions wait on were made from it.
  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_cloudformation_stack" "workflow" {
  #checkov:skip=CKV_AWS_124:the alarms below and the plan report what goes wrong
  name = "${local.name}-workflow"
  tags = var.tags

  template_body = jsonencode({
    Resources = {
      # Without its function no version is left, and Lambda deletes a function with all of them. One that a failed first
      # apply has made goes again: under its name the next try could make none.
      Function = {
        Type                = "AWS::Lambda::Function"
        DeletionPolicy      = var.deletion_protection ? "RetainExceptOnCreate" : "Delete"
        UpdateReplacePolicy = var.deletion_protection ? "Retain" : "Delete"
        Properties          = local.function
      }
      # Executions that wait are pinned to their version, which a new one leaves alone. One that a failed update has made
      # goes again: the next try could publish nothing new.
      (local.version_id) = {
        Type                = "AWS::Lambda::Version"
        DeletionPolicy      = "RetainExceptOnCreate"
        UpdateReplacePolicy = "Retain"
        Properties          = { FunctionName = { Ref = "Function" } }
      }
      Live = {
        Type = "AWS::Lambda::Alias"
        Properties = {
          Name            = "live"
          FunctionName    = { Ref = "Function" }
          FunctionVersion = try(tostring(var.held_versions.workflow), { "Fn::GetAtt" = [local.version_id, "Version"] })
        }
      }
    }
    Outputs = {
      LiveVersion = { Value = { "Fn::GetAtt" = [local.version_id, "Version"] } }
    }
  })

  depends_on = [aws_iam_role_policy.this]
}

# ---- the page and the reconciler, plain functions of the same ZIP -------------------------------------------------

resource "aws_lambda_function" "page" {
  #checkov:skip=CKV_AWS_50:tracing is a switch (tracing); PassThrough still joins a caller's trace
  #checkov:skip=CKV_AWS_115:the HTTP API's throttle limits it
  #checkov:skip=CKV_AWS_116:it is invoked synchronously, so there is nothing to keep
  #checkov:skip=CKV_AWS_117:talks to AWS APIs only
  #checkov:skip=CKV_AWS_173:no secret is in the environment; the key stays in KMS
  #checkov:skip=CKV_AWS_272:the package's SHA-256 is checked against its manifest before every plan
  function_name    = "${local.name}-page"
  description      = "Shows one payment to one approver and takes the decision. ${local.reads}"
  role             = aws_iam_role.this["page"].arn
  filename         = var.package.path
  source_code_hash = var.package.source_code_hash
  handler          = "handler.approval_page.lambda_handler"
  publish          = true
  runtime          = var.runtime
  architectures    = [var.architecture]
  memory_size      = var.memory_sizes.page
  timeout          = 10
  tags             = var.tags

  environment {
    variables = local.deciding_variables
  }
  tracing_config {
    mode = local.tracing_mode
  }
  logging_config {
    log_group  = aws_cloudwatch_log_group.this["page"].name
    log_format = "JSON"
  }
}

resource "aws_lambda_function" "reconcile" {
  #checkov:skip=CKV_AWS_50:tracing is a switch (tracing); PassThrough still joins a caller's trace
  #checkov:skip=CKV_AWS_115:one run in ten minutes
  #checkov:skip=CKV_AWS_116:the next run does what this one did not
  #checkov:skip=CKV_AWS_117:a choice (vpc): talks to AWS APIs and the gateway only
  #checkov:skip=CKV_AWS_173:no secret is in the environment
  #checkov:skip=CKV_AWS_272:the package's SHA-256 is checked against its manifest before every plan
  function_name    = "${local.name}-reconcile"
  description      = "Settles, expires or restarts payments that stopped half-way; it never charges. ${local.reads}"
  role             = aws_iam_role.this["reconcile"].arn
  filename         = var.package.path
  source_code_hash = var.package.source_code_hash
  handler          = "handler.reconcile_function.lambda_handler"
  publish          = true
  runtime          = var.runtime
  architectures    = [var.architecture]
  memory_size      = var.memory_sizes.reconcile
  timeout          = local.reconcile_timeout_seconds
  tags             = var.tags

  environment {
    variables = local.reconcile_variables
  }
  tracing_config {
    mode = local.tracing_mode
  }
  dynamic "vpc_config" {
    for_each = var.vpc == null ? [] : [var.vpc]
    content {
      subnet_ids         = vpc_config.value.subnet_ids
      security_group_ids = vpc_config.value.security_group_ids
    }
  }
  logging_config {
    log_group  = aws_cloudwatch_log_group.this["reconcile"].name
    log_format = "JSON"
  }

  # Lambda refuses to put a function into a VPC whose role may not make network interfaces yet.
  depends_on = [aws_iam_role_policy.this]
}

resource "aws_lambda_alias" "live" {
  for_each = { page = aws_lambda_function.page, reconcile = aws_lambda_function.reconcile }

  name             = "live"
  description      = "What the ${each.key == "page" ? "HTTP API" : "schedule"} uses."
  function_name    = each.value.function_name
  function_version = lookup(var.held_versions, each.key, each.value.version)
}

resource "aws_scheduler_schedule" "reconcile" {
  #checkov:skip=CKV_AWS_297:the schedule's payload is empty
  name                = "${local.name}-reconcile"
  schedule_expression = "rate(10 minutes)"

  flexible_time_window {
    mode = "OFF"
  }
  target {
    arn      = aws_lambda_alias.live["reconcile"].arn
    role_arn = aws_iam_role.scheduler.arn
  }

  # `make stop` suspends it.
  lifecycle {
    ignore_changes = [state]
  }
}

resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_158:logs carry payment ids and no bodies; CloudWatch Logs encrypts them with its own key
  #checkov:skip=CKV_AWS_338:a year is the default (log_retention_days); a development environment may keep less
  for_each = { workflow = local.name, page = "${local.name}-page", reconcile = "${local.name}-reconcile" }

  name              = "/aws/lambda/${each.value}"
  retention_in_days = var.log_retention_days
  tags              = var.tags
}

# API Gateway has itself named in the account's resource policy of CloudWatch Logs for every group that it writes to, and
# that policy holds some dozen; /aws/vendedlogs/* stands there once.
resource "aws_cloudwatch_log_group" "access" {
  #checkov:skip=CKV_AWS_158:logs carry a request's number, route and status; CloudWatch Logs encrypts them with its own key
  #checkov:skip=CKV_AWS_338:a year is the default (log_retention_days); a development environment may keep less
  name              = "/aws/vendedlogs/${local.name}-page-access"
  retention_in_days = var.log_retention_days
  tags              = var.tags
}

# ---- the key of the links, and the mail ---------------------------------------------------------------------------

resource "aws_kms_key" "links" {
  #checkov:skip=CKV_AWS_7:KMS does not rotate HMAC keys; a new key voids the links that are out, which are asked again
  description              = "Signs links to the approval page of ${var.environment}."
  key_usage                = "GENERATE_VERIFY_MAC"
  customer_master_key_spec = "HMAC_256"
  deletion_window_in_days  = 7
  policy                   = data.aws_iam_policy_document.links_key.json
  tags                     = var.tags
}

resource "aws_sns_topic" "approvals" {
  name              = "${var.name_prefix}payment-approvals-${var.environment}"
  kms_master_key_id = "alias/aws/sns"
  tags              = var.tags
}

# Each approver sees the messages with their own link and no others. AWS identities get none.
resource "aws_sns_topic_subscription" "approver" {
  for_each = { for one, at in var.approvers : one => at if at != null }

  topic_arn     = aws_sns_topic.approvals.arn
  protocol      = each.value.protocol
  endpoint      = each.value.endpoint
  filter_policy = jsonencode({ approver = [each.key] })
}

# ---- the page's address -------------------------------------------------------------------------------------------

resource "aws_apigatewayv2_api" "page" {
  name          = "${local.name}-page"
  description   = "The approval page and the command line's decisions: a signed link or a signed request is the only way in."
  protocol_type = "HTTP"
  tags          = var.tags
}

resource "aws_apigatewayv2_integration" "page" {
  api_id                 = aws_apigatewayv2_api.page.id
  integration_type       = "AWS_PROXY"
  integration_uri        = aws_lambda_alias.live["page"].arn
  payload_format_version = "2.0"
}

resource "aws_apigatewayv2_route" "page" {
  #checkov:skip=CKV_AWS_309:of the page's own two the signed token in the link is the authorization, checked by the function
  # The command line's decisions come as PUT, and AWS says whose they are.
  for_each = { "GET /approvals" = "NONE", "POST /approvals" = "NONE", "PUT /approvals" = "AWS_IAM" }

  api_id             = aws_apigatewayv2_api.page.id
  route_key          = each.key
  authorization_type = each.value
  target             = "integrations/${aws_apigatewayv2_integration.page.id}"
}

resource "aws_apigatewayv2_stage" "page" {
  api_id      = aws_apigatewayv2_api.page.id
  name        = "$default"
  auto_deploy = true
  tags        = var.tags

  # Of a route that is not the page's, such as the webhook's. A gateway's events come in bursts, and what is turned away
  # comes again.
  default_route_settings {
    throttling_burst_limit = 200
    throttling_rate_limit  = 100
  }

  # Each route by itself: a flood of links that are none must not keep a decision out.
  dynamic "route_settings" {
    for_each = aws_apigatewayv2_route.page
    content {
      route_key              = route_settings.value.route_key
      throttling_burst_limit = 20
      throttling_rate_limit  = 10
    }
  }

  # Without query and path: the token is in the query.
  access_log_settings {
    destination_arn = aws_cloudwatch_log_group.access.arn
    format          = jsonencode({ request_id = "$context.requestId", route = "$context.routeKey", status = "$context.status" })
  }
}

resource "aws_lambda_permission" "page" {
  statement_id  = "ApprovalPage"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.page.function_name
  qualifier     = aws_lambda_alias.live["page"].name
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${aws_apigatewayv2_api.page.execution_arn}/*/*/approvals"
}
