# The live function: published, behind alias `live`, fed by the payment queue.

locals {
  canonical_version_written = lookup(var.environment_variables, "CANONICAL_VERSION_WRITTEN", "1")
}

resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_158:logs carry payment ids and no bodies; CloudWatch Logs encrypts them with its own key
  #checkov:skip=CKV_AWS_338:a year is the default (log_retention_days); a development environment may keep less

  name              = "/aws/lambda/${var.function_name}"
  retention_in_days = var.log_retention_days
  tags              = var.tags
}

resource "aws_lambda_function" "this" {
  #checkov:skip=CKV_AWS_50:tracing is a switch (tracing); PassThrough still joins a caller's trace
  #checkov:skip=CKV_AWS_115:reserved concurrency is a choice (reserved_concurrency); the mapping's maximum_concurrency limits queue traffic
  #checkov:skip=CKV_AWS_116:asynchronous failures go to the failed-starts queue by the alias's on-failure destination
  #checkov:skip=CKV_AWS_117:a choice (vpc): it talks to AWS APIs and a public gateway only, and a VPC adds a NAT gateway and its cost
  #checkov:skip=CKV_AWS_173:no secret is in the environment; the pepper stays in Secrets Manager
  #checkov:skip=CKV_AWS_272:the package's SHA-256 is checked against its manifest before every plan

  function_name                  = var.function_name
  description                    = "Validates, scores, charges and records payments of one FIFO queue. Reads canonical text ${join(", ", var.package.canonical_versions_read)}."
  role                           = aws_iam_role.this.arn
  filename                       = var.package.path
  source_code_hash               = var.package.source_code_hash
  handler                        = "handler.lambda_handler"
  runtime                        = var.runtime
  architectures                  = [var.architecture]
  memory_size                    = var.memory_size
  timeout                        = var.timeout_seconds
  publish                        = true
  reserved_concurrent_executions = var.reserved_concurrency == null ? -1 : var.reserved_concurrency
  tags                           = var.tags

  environment {
    variables = var.environment_variables
  }

  logging_config {
    log_group             = aws_cloudwatch_log_group.this.name
    log_format            = "JSON"
    application_log_level = var.log_level
    system_log_level      = "INFO"
  }

  tracing_config {
    mode = var.tracing ? "Active" : "PassThrough"
  }

  dynamic "vpc_config" {
    for_each = var.vpc == null ? [] : [var.vpc]
    content {
      subnet_ids         = vpc_config.value.subnet_ids
      security_group_ids = vpc_config.value.security_group_ids
    }
  }

  dynamic "snap_start" {
    for_each = var.snap_start ? ["PublishedVersions"] : []
    content {
      apply_on = snap_start.value
    }
  }

  # Creating the mapping tests the role's rights on the queue.
  depends_on = [aws_iam_role_policy.this]
}

# A version keeps the description that it was published with, and there what its code reads.
data "aws_lambda_function" "held" {
  count = var.live_version == null ? 0 : 1

  function_name = var.function_name
  qualifier     = var.live_version
}

# On the version and not on the alias, where AWS refuses it beside weights, which AWS itself puts there while an alias moves.
# A new version has its own before `live` moves to it, and the old one keeps its until then.
resource "aws_lambda_provisioned_concurrency_config" "live" {
  count = var.provisioned_concurrency > 0 ? 1 : 0

  function_name                     = aws_lambda_function.this.function_name
  qualifier                         = coalesce(var.live_version, aws_lambda_function.this.version)
  provisioned_concurrent_executions = var.provisioned_concurrency

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_lambda_alias" "live" {
  name             = "live"
  description      = "What the queue and every caller use."
  function_name    = aws_lambda_function.this.function_name
  function_version = coalesce(var.live_version, aws_lambda_function.this.version)

  dynamic "routing_config" {
    for_each = var.canary_percent > 0 ? [var.canary_percent / 100] : []
    content {
      additional_version_weights = { (aws_lambda_function.this.version) = routing_config.value }
    }
  }

  lifecycle {
    # As build/packager/environment.py refuses it.
    precondition {
      condition     = alltrue([for held in data.aws_lambda_function.held : contains(split(", ", try(regex("Reads canonical text ([0-9, ]+)\\.", held.description)[0], "1")), local.canonical_version_written)])
      error_message = "Version ${coalesce(var.live_version, "null")} of ${var.function_name} does not read version ${local.canonical_version_written} of the canonical text, which is written: set live_version to a version that reads it, or null for the newest."
    }

    precondition {
      condition     = var.canary_percent == 0 || var.live_version != aws_lambda_function.this.version
      error_message = "live_version ${coalesce(var.live_version, "null")} is the newest version itself, so there is nothing to try on ${var.canary_percent} %: set canary_percent = 0, or live_version to the version before."
    }
  }

  depends_on = [aws_lambda_provisioned_concurrency_config.live]
}


resource "aws_lambda_function_event_invoke_config" "live" {
  function_name          = aws_lambda_function.this.function_name
  qualifier              = aws_lambda_alias.live.name
  maximum_retry_attempts = 2

  # Lambda's own default, named because it reports it: without it every plan shows a change.
  maximum_event_age_in_seconds = 21600

  destination_config {
    on_failure {
      destination = var.failed_starts_queue_arn
    }
  }
}

resource "aws_lambda_event_source_mapping" "payment_queue" {
  event_source_arn        = var.event_source.queue_arn
  function_name           = aws_lambda_alias.live.arn
  batch_size              = var.event_source.batch_size
  enabled                 = var.event_source.enabled
  function_response_types = ["ReportBatchItemFailures"]
  tags                    = var.tags

  dynamic "scaling_config" {
    for_each = var.event_source.maximum_concurrency == null ? [] : [var.event_source.maximum_concurrency]
    content {
      maximum_concurrency = scaling_config.value
    }
  }

  dynamic "provisioned_poller_config" {
    for_each = var.event_source.provisioned_pollers[*]
    content {
      minimum_pollers = provisioned_poller_config.value.min
      maximum_pollers = provisioned_poller_config.value.max
    }
  }

  # `make stop` disables it, and an apply must not set payments going again.
  lifecycle {
    ignore_changes = [enabled]
  }
}
