# What wakes a person about events that are not taken, and about looks that fail.

locals {
  alarms = {
    webhook-errors = {
      description = "The webhook failed or ran out of time: its log says why. The gateway sends its events again, for days."
      namespace   = "AWS/Lambda", metric = "Errors", dimensions = { FunctionName = aws_lambda_function.this.function_name }
      statistic   = "Sum", threshold = 0, period = 300
    }
    webhook-unavailable = {
      description = "The webhook could not queue wake-ups and answered 503. The gateway sends these events again, for days."
      namespace   = "CloudCafe/Lambda", metric = "WebhookUnavailable", dimensions = { environment = var.environment }
      statistic   = "Sum", threshold = 0, period = 300
    }
    webhook-refusals = {
      description = "The webhook refused more than 20 requests in an hour: its secret is not the endpoint's, a clock is wrong, or somebody tries."
      namespace   = "CloudCafe/Lambda", metric = "WebhookRefused", dimensions = { environment = var.environment }
      statistic   = "Sum", threshold = 20, period = 3600
    }
    wake-ups-late = {
      description = "A wake-up has waited for six hours: reconcile fails at it, or does not take it. Its payment is as the gateway last said."
      namespace   = "AWS/SQS", metric = "ApproximateAgeOfOldestMessage", dimensions = { QueueName = aws_sqs_queue.wake_ups.name }
      statistic   = "Maximum", threshold = 21600, period = 300
    }
    wake-ups-failed = {
      description = "Looks at payments failed for two days, and their wake-ups were set aside: what the gateway told of them is in no item."
      namespace   = "AWS/SQS", metric = "ApproximateNumberOfMessagesVisible", dimensions = { QueueName = aws_sqs_queue.dead_letter.name }
      statistic   = "Maximum", threshold = 0, period = 300
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name          = "${trimsuffix(local.name, "-webhook")}-${each.key}"
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
