# What wakes a person about money on which items and gateway do not agree, and about sums that nobody has.

locals {
  alarms = {
    conservation-differences = {
      description = "The items of yesterday and the gateway's list do not agree on what was captured, refunded or disputed: `payments conservation` names each movement."
      metric      = "ConservationDifferences", missing = "notBreaching", periods = 1
    }
    # A function that does not run publishes nothing: its silence is as late as its word.
    conservation-late = {
      description = "The sums of yesterday, or of a day before it, are not made eight hours after its end, or their function has not run for two hours: its log says what fails. Right after the first apply this is so until its first run."
      metric      = "ConservationLate", missing = "breaching", periods = 2
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name          = "${trimsuffix(local.name, "-conservation")}-${each.key}"
  alarm_description   = "${each.value.description} Runbook: docs/runbook.md#${each.key}"
  namespace           = "CloudCafe/Lambda"
  metric_name         = each.value.metric
  dimensions          = { environment = var.environment }
  statistic           = "Maximum"
  period              = 3600
  evaluation_periods  = each.value.periods
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = each.value.missing
  alarm_actions       = [var.alarm_topic_arn]
  ok_actions          = [var.alarm_topic_arn]
  tags                = var.tags
}
