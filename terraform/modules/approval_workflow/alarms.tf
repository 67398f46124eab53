# What wakes a person about workflow, page and reconcile.

locals {
  throttled_metric = "PageThrottled-${var.environment}"

  of_function = { for name, function in { workflow = local.name, page = aws_lambda_function.page.function_name, reconcile = aws_lambda_function.reconcile.function_name } : name => { FunctionName = function } }
  of_page     = { ApiId = aws_apigatewayv2_api.page.id }

  # A metric without data is an idle function, not a failing one.
  failures = {
    execution-failed = {
      description = "An approval workflow failed: its log says why. Its payment stays open until reconcile starts it again."
      namespace   = "AWS/Lambda", metric = "DurableExecutionFailed", dimensions = local.of_function.workflow
      statistic   = "Sum", threshold = 0, period = 60
    }
    execution-timed-out = {
      description = "An approval workflow ran into its execution time-out, which its own wait should never reach."
      namespace   = "AWS/Lambda", metric = "DurableExecutionTimedOut", dimensions = local.of_function.workflow
      statistic   = "Sum", threshold = 0, period = 60
    }
    # Of the account, in per cent of its quota.
    executions-running = {
      description = "The account runs 80 % of the durable executions that it may: above that no approval can begin."
      namespace   = "AWS/Lambda", metric = "ApproximateRunningDurableExecutionsUtilization", dimensions = {}
      statistic   = "Maximum", threshold = 80, period = 300
    }
    # Of the 100 MB that one execution may keep.
    execution-storage = {
      description = "An approval workflow keeps 80 MB of the 100 that one execution may: above that it fails."
      namespace   = "AWS/Lambda", metric = "DurableExecutionStorageWrittenBytes", dimensions = local.of_function.workflow
      statistic   = "Maximum", threshold = 80000000, period = 300
    }
    workflow-events-dropped = {
      description = "Lambda dropped the start of an approval workflow. Its payment stays open until reconcile starts it again."
      namespace   = "AWS/Lambda", metric = "AsyncEventsDropped", dimensions = local.of_function.workflow
      statistic   = "Sum", threshold = 0, period = 60
    }
    old-approvals = {
      description = "A payment has waited for a person for three quarters of the time that it may: then it expires. `payments approvals list` shows it."
      namespace   = "CloudCafe/Lambda", metric = "OldestPendingApprovalSeconds", dimensions = { environment = var.environment }
      statistic   = "Maximum", threshold = floor(0.75 * var.approval_timeout_seconds), period = 900
    }
    notices-failed = {
      description = "SNS could not deliver a message to an approver, who was then not asked by it."
      namespace   = "AWS/SNS", metric = "NumberOfNotificationsFailed", dimensions = { TopicName = aws_sns_topic.approvals.name }
      statistic   = "Sum", threshold = 0, period = 60
    }
    page-errors = {
      description = "The approval page failed or ran out of time, and an approver saw no answer: its log says why. The link stays good; send the approver back to it when the cause is gone."
      namespace   = "AWS/Lambda", metric = "Errors", dimensions = local.of_function.page
      statistic   = "Sum", threshold = 0, period = 60
    }
    page-unavailable = {
      description = "The approval page's API answered 5xx: the page, or the webhook behind the same address, failed or could not be started."
      namespace   = "AWS/ApiGateway", metric = "5xx", dimensions = local.of_page
      statistic   = "Sum", threshold = 0, period = 60
    }
    page-refusals = {
      description = "The approval page, or the webhook behind the same address, refused more than 20 requests in five minutes: somebody tries links or signatures, or a mail scanner follows old links."
      namespace   = "AWS/ApiGateway", metric = "4xx", dimensions = local.of_page
      statistic   = "Sum", threshold = 20, period = 300
    }
    page-throttled = {
      description = "The approval page's throttle turned requests away (429), perhaps an approver's among them."
      namespace   = "CloudCafe/Lambda", metric = local.throttled_metric, dimensions = {}
      statistic   = "Sum", threshold = 0, period = 60
    }
    reconcile-errors = {
      description = "Reconcile failed or ran out of time: its log says why. The next run, ten minutes later, tries again; while every run fails, payments that stopped half-way stay open."
      namespace   = "AWS/Lambda", metric = "Errors", dimensions = local.of_function.reconcile
      statistic   = "Sum", threshold = 0, period = 60
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "failures" {
  for_each = local.failures

  alarm_name          = "${local.name}-${each.key}"
  alarm_description   = "${each.value.description} Runbook: docs/runbook.md#${each.key}"
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  period              = each.value.period
  evaluation_periods  = 1
  threshold           = each.value.threshold
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.alarm_topic_arn]
  ok_actions          = [var.alarm_topic_arn]
  tags                = var.tags
}

# The API has a metric of all 4xx, none of 429.
resource "aws_cloudwatch_log_metric_filter" "throttled" {
  name           = "${local.name}-page-throttled"
  log_group_name = aws_cloudwatch_log_group.access.name
  pattern        = "{ $.status = \"429\" && $.route = \"* /approvals\" }"

  metric_transformation {
    name      = local.throttled_metric
    namespace = "CloudCafe/Lambda"
    value     = "1"
  }
}

# A reconcile that does not run publishes neither errors nor old open payments: only its silence tells. Not invocations,
# as wake-ups are some too: what each run publishes at its end, and nothing else does.
resource "aws_cloudwatch_metric_alarm" "reconcile_stopped" {
  alarm_name          = "${local.name}-reconcile-stopped"
  alarm_description   = "Reconcile has not ended a run for an hour, and nobody settles, expires or restarts payments that stopped half-way. See that its schedule is enabled, that the schedule's role may invoke it, and that the account has concurrency left. Right after the first apply this is so until its first run. Runbook: docs/runbook.md#reconcile-stopped"
  namespace           = "CloudCafe/Lambda"
  metric_name         = "OldOpenPayments"
  dimensions          = { environment = var.environment }
  statistic           = "SampleCount"
  period              = 600
  evaluation_periods  = 6
  threshold           = 1
  comparison_operator = "LessThanThreshold"
  treat_missing_data  = "breaching"
  alarm_actions       = [var.alarm_topic_arn]
  ok_actions          = [var.alarm_topic_arn]
  tags                = var.tags
}
