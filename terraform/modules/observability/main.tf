# What wakes a person, and where that person looks first.

locals {
  name      = "${var.name_prefix}cloudcafe-payment-processor-${var.environment}"
  namespace = "CloudCafe/Lambda"
  region    = split(":", aws_sns_topic.alarms.arn)[3]
  account   = split(":", aws_sns_topic.alarms.arn)[4]

  alarm_lines_metric = "PaymentAlarms-${var.environment}"

  # The dimensions that the handler publishes its metrics with.
  handler_dimensions = { environment = var.environment, service = "payment-processor" }
  function           = { FunctionName = var.function_name }

  # Everything is judged over whole minutes. A metric without data is an idle system, not a failing one.
  alarms = {
    message-age = {
      description = "A payment has waited for more than 300 s: the function is throttled or failing, one payment keeps failing in front of its group, or there are too few message groups to scale."
      namespace   = "AWS/SQS", metric = "ApproximateAgeOfOldestMessage", dimensions = { QueueName = var.queue_names.payment }
      statistic   = "Maximum", threshold = 300, periods = 3
    }
    dead-letters = {
      description = "A payment was received too often and is now a dead letter; its group goes on without it. Look at it, then redrive its group in order."
      namespace   = "AWS/SQS", metric = "ApproximateNumberOfMessagesVisible", dimensions = { QueueName = var.queue_names.dead_letter }
      statistic   = "Maximum", threshold = 0, periods = 1
    }
    rejected-messages = {
      description = "A message could not be recorded: it has no usable payment id, or its item is damaged or was refused; its masked copy says why (reason_code)."
      namespace   = "AWS/SQS", metric = "ApproximateNumberOfMessagesVisible", dimensions = { QueueName = var.queue_names.rejected }
      statistic   = "Maximum", threshold = 0, periods = 1
    }
    failed-starts = {
      description = "Lambda gave up on an asynchronous invocation of the payment function; its event lies on the failed-starts queue."
      namespace   = "AWS/SQS", metric = "ApproximateNumberOfMessagesVisible", dimensions = { QueueName = var.queue_names.failed_starts }
      statistic   = "Maximum", threshold = 0, periods = 1
    }
    errors = {
      description = "An invocation ended with an error or a time-out; its whole batch comes back."
      namespace   = "AWS/Lambda", metric = "Errors", dimensions = local.function
      statistic   = "Sum", threshold = 0, periods = 1
    }
    throttles = {
      description = "Lambda refused to start the function: raise reserved_concurrency or the account's limit, or lower maximum_concurrency."
      namespace   = "AWS/Lambda", metric = "Throttles", dimensions = local.function
      statistic   = "Sum", threshold = 0, periods = 3
    }
    duration-p99 = {
      description = "One invocation in a hundred runs so long that messages go back to the queue unclaimed."
      namespace   = "AWS/Lambda", metric = "Duration", dimensions = local.function
      statistic   = "p99", threshold = var.duration_alarm_ms, periods = 5
    }
    concurrency = {
      description = "The function uses 80 % of the ${var.concurrency_limit} execution environments that it can have."
      namespace   = "AWS/Lambda", metric = "ConcurrentExecutions", dimensions = local.function
      statistic   = "Maximum", threshold = floor(0.8 * var.concurrency_limit), periods = 3
    }
    conflicts = {
      description = "A message came under the payment_id of another payment: it was acknowledged and not charged. `payments conflicts list` shows what was sent; a sender that numbers its payments anew sends nothing else."
      namespace   = local.namespace, metric = "Conflicts", dimensions = local.handler_dimensions
      statistic   = "Sum", threshold = 0, periods = 1
    }
    old-open-payments = {
      description = "Reconcile found payments that stayed open for longer than their lease and its grace allow."
      namespace   = local.namespace, metric = "OldOpenPayments", dimensions = { environment = var.environment }
      statistic   = "Maximum", threshold = 0, periods = 1
    }
    parked-payments = {
      description = "Payments kept failing and were parked: `payments parked list` shows them with their reasons, to be retried or cancelled."
      namespace   = local.namespace, metric = "ParkedPayments", dimensions = { environment = var.environment }
      statistic   = "Maximum", threshold = 0, periods = 1
    }
    unsettled-refunds = {
      description = "Reconcile could not bring refunds on for an hour, as the gateway or the table fails: money that was to be given back is not."
      namespace   = local.namespace, metric = "UnsettledRefunds", dimensions = { environment = var.environment }
      statistic   = "Minimum", threshold = 0, periods = 4
    }
    dropped-events = {
      description = "Lambda dropped an asynchronous invocation of the payment function without having run it."
      namespace   = "AWS/Lambda", metric = "AsyncEventsDropped", dimensions = local.function
      statistic   = "Sum", threshold = 0, periods = 1
    }
    failed-destinations = {
      description = "Lambda could not put an asynchronous invocation that failed onto the failed-starts queue: its event is gone."
      namespace   = "AWS/Lambda", metric = "DestinationDeliveryFailures", dimensions = local.function
      statistic   = "Sum", threshold = 0, periods = 1
    }
    failed-notifications = {
      description = "SNS could not deliver an alarm to one of its endpoints, so that somebody was not told."
      namespace   = "AWS/SNS", metric = "NumberOfNotificationsFailed", dimensions = { TopicName = aws_sns_topic.alarms.name }
      statistic   = "Sum", threshold = 0, periods = 1
    }
    payment-alarms = {
      description = "A function saw what must never be, for example two different outcomes of one charge, or could not reach the approvers or, for several payments in a row, the gateway, or the gateway refuses the key or does not know a payment that it prepared. Search the logs of the payment function, the approval workflow and reconcile for \"alarm\": the line says what to look at."
      namespace   = local.namespace, metric = local.alarm_lines_metric, dimensions = {}
      statistic   = "Sum", threshold = 0, periods = 1
    }
  }
}

locals {
  # Judged over the sum of metrics that CloudWatch has one by one.
  sums = merge(
    {
      table-throttles = {
        description = "DynamoDB throttled the table or an index: payments come again later. On demand a hot key or a burst does that, provisioned a maximum that is too low."
        metrics = [for pair in setproduct(["ReadThrottleEvents", "WriteThrottleEvents"], concat([{}], [for index in ["open-shard-index", "fingerprint-index"] : { GlobalSecondaryIndexName = index }])) :
        { namespace = "AWS/DynamoDB", name = pair[0], dimensions = merge({ TableName = var.table_name }, pair[1]) }]
        comparison = "GreaterThanThreshold", threshold = 0, period = 60, periods = 3, missing = "notBreaching"
      }
      table-errors = {
        description = "DynamoDB failed by itself (HTTP 500) on the table: payments come again later, and AWS's health page says more."
        metrics = [for operation in ["GetItem", "PutItem", "UpdateItem", "Query"] :
        { namespace = "AWS/DynamoDB", name = "SystemErrors", dimensions = { TableName = var.table_name, Operation = operation } }]
        comparison = "GreaterThanThreshold", threshold = 0, period = 60, periods = 3, missing = "notBreaching"
      }
    },
    # A mapping that polls, polls an empty queue too.
    var.polled ? {
      queue-unpolled = {
        description = "Nobody has asked the payment queue for messages for a quarter of an hour: its mapping is disabled, by `make stop` for example, or lacks its rights or its function."
        metrics = [for name in ["NumberOfEmptyReceives", "NumberOfMessagesReceived"] :
        { namespace = "AWS/SQS", name = name, dimensions = { QueueName = var.queue_names.payment } }]
        comparison = "LessThanThreshold", threshold = 1, period = 300, periods = 3, missing = "breaching"
      }
    } : {},
  )
}

resource "aws_cloudwatch_metric_alarm" "sums" {
  for_each = local.sums

  alarm_name          = "${local.name}-${each.key}"
  alarm_description   = "${each.value.description} Runbook: docs/runbook.md#${each.key}"
  evaluation_periods  = each.value.periods
  comparison_operator = each.value.comparison
  threshold           = each.value.threshold
  treat_missing_data  = each.value.missing
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
  tags                = var.tags

  metric_query {
    id          = "sum"
    expression  = "SUM(METRICS())"
    label       = each.key
    return_data = true
  }

  dynamic "metric_query" {
    for_each = each.value.metrics
    content {
      id = "m${metric_query.key}"
      metric {
        namespace   = metric_query.value.namespace
        metric_name = metric_query.value.name
        dimensions  = metric_query.value.dimensions
        stat        = "Sum"
        period      = each.value.period
      }
    }
  }
}

resource "aws_sns_topic" "alarms" {
  #checkov:skip=CKV_AWS_26:alarms carry names and counts, no payment; with the AWS managed key CloudWatch could not publish
  name = "${local.name}-alarms"
  tags = var.tags
}

data "aws_iam_policy_document" "alarms" {
  statement {
    sid = "CloudWatchPublishesAlarms"
    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com"]
    }
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.alarms.arn]
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}

resource "aws_sns_topic_policy" "alarms" {
  arn    = aws_sns_topic.alarms.arn
  policy = data.aws_iam_policy_document.alarms.json
}

resource "aws_sns_topic_subscription" "this" {
  for_each = var.endpoints

  topic_arn = aws_sns_topic.alarms.arn
  protocol  = each.value
  endpoint  = each.key
}

moved {
  from = aws_sns_topic_subscription.email
  to   = aws_sns_topic_subscription.this
}

# Every function reports what must never be as a log line with the field `alarm`; one metric counts them all.
resource "aws_cloudwatch_log_metric_filter" "alarms" {
  for_each = merge({ payment = var.log_group_name }, var.workflow_log_group_names)

  name           = "${local.name}-alarms"
  log_group_name = each.value
  pattern        = "{ $.alarm = \"*\" }"

  metric_transformation {
    name      = local.alarm_lines_metric
    namespace = local.namespace
    value     = "1"
  }
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name         = "${local.name}-${each.key}"
  alarm_description  = "${each.value.description} Runbook: docs/runbook.md#${each.key}"
  namespace          = each.value.namespace
  metric_name        = each.value.metric
  dimensions         = each.value.dimensions
  statistic          = startswith(each.value.statistic, "p") ? null : each.value.statistic
  extended_statistic = startswith(each.value.statistic, "p") ? each.value.statistic : null
  # Reconcile publishes every 10 minutes: in between, the alarm stands.
  period              = contains(["old-open-payments", "parked-payments", "unsettled-refunds"], each.key) ? 900 : 60
  evaluation_periods  = each.value.periods
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.threshold
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
  tags                = var.tags
}

resource "aws_cloudwatch_query_definition" "this" {
  for_each = var.logs_insights_queries ? local.queries : {}

  name            = "${local.name}/${each.key}"
  log_group_names = each.value.log_group_names
  query_string    = each.value.query
}
