# What wakes a person about events that are late, or given up.

locals {
  of_function = { FunctionName = aws_lambda_function.this.function_name }

  alarms = {
    events-late = {
      description = "Outcome events are six hours late: the target takes none, or the function fails. After 23 hours they are given up."
      namespace   = "AWS/Lambda", metric = "IteratorAge", dimensions = local.of_function
      statistic   = "Maximum", threshold = 21600000, period = 300
    }
    events-given-up = {
      description = "Lambda gave up records of the table's stream, whose outcomes were told to nobody: replay them."
      namespace   = "AWS/SQS", metric = "ApproximateNumberOfMessagesVisible", dimensions = { QueueName = aws_sqs_queue.given_up.name }
      statistic   = "Maximum", threshold = 0, period = 300
    }
    events-errors = {
      description = "The events function failed or ran out of time: its log says why. All that it was given comes again."
      namespace   = "AWS/Lambda", metric = "Errors", dimensions = local.of_function
      statistic   = "Sum", threshold = 0, period = 300
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name          = "${trimsuffix(local.name, "-events")}-${each.key}"
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
