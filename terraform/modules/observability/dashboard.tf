# What the stress scenario shows: duration, cold starts, concurrency, message age, failed and parked payments.

locals {
  handler_metric = {
    for metric in ["ProcessedPayments", "FailedPayments", "Conflicts", "ColdStart", "LambdaErrors"] :
    metric => [local.namespace, metric, "environment", local.handler_dimensions.environment, "service", local.handler_dimensions.service]
  }
  lambda_metric = { for metric in ["Duration", "ConcurrentExecutions", "Throttles", "Errors", "Invocations"] : metric => ["AWS/Lambda", metric, "FunctionName", var.function_name] }

  graphs = [
    { title = "Duration (ms)", metrics = [
      concat(local.lambda_metric.Duration, [{ stat = "p50", label = "p50" }]),
      concat(local.lambda_metric.Duration, [{ stat = "p99", label = "p99" }]),
    ], line = { label = "messages go back unclaimed", value = var.duration_alarm_ms } },
    { title = "Cold starts", metrics = [
      concat(local.handler_metric.ColdStart, [{ stat = "Sum", label = "cold starts" }]),
      concat(local.lambda_metric.Invocations, [{ stat = "Sum", label = "invocations" }]),
    ], line = null },
    { title = "Concurrent executions", metrics = [
      concat(local.lambda_metric.ConcurrentExecutions, [{ stat = "Maximum", label = "concurrent" }]),
      concat(local.lambda_metric.Throttles, [{ stat = "Sum", label = "throttles" }]),
    ], line = { label = "limit", value = var.concurrency_limit } },
    { title = "Age of the oldest message (s)", metrics = [
      ["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", var.queue_names.payment, { stat = "Maximum", label = "age" }],
    ], line = { label = "alarm", value = 300 } },
    { title = "Payments", metrics = [
      concat(local.handler_metric.ProcessedPayments, [{ stat = "Sum", label = "processed" }]),
      concat(local.handler_metric.FailedPayments, [{ stat = "Sum", label = "failed" }]),
      concat(local.handler_metric.Conflicts, [{ stat = "Sum", label = "conflicts, of the processed" }]),
      concat(local.handler_metric.LambdaErrors, [{ stat = "Sum", label = "handler errors" }]),
      concat(local.lambda_metric.Errors, [{ stat = "Sum", label = "invocation errors" }]),
    ], line = null },
    { title = "Payments that wait for somebody", metrics = [
      for metric, label in { ParkedPayments = "parked", OldOpenPayments = "open for too long" } :
      [local.namespace, metric, "environment", var.environment, { stat = "Maximum", period = 900, label = label }]
    ], line = null },
    { title = "Messages", metrics = [
      for role, name in var.queue_names :
      ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", name, { stat = "Maximum", label = replace(role, "_", " ") }]
    ], line = null },
    { title = "Table", metrics = [
      ["AWS/DynamoDB", "ConsumedWriteCapacityUnits", "TableName", var.table_name, { stat = "Sum", label = "write units" }],
      ["AWS/DynamoDB", "ConsumedReadCapacityUnits", "TableName", var.table_name, { stat = "Sum", label = "read units" }],
      ["AWS/DynamoDB", "WriteThrottleEvents", "TableName", var.table_name, { stat = "Sum", label = "throttled writes" }],
    ], line = null },
  ]
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = local.name
  dashboard_body = jsonencode({
    widgets = concat(
      [for index, graph in local.graphs : {
        type   = "metric"
        x      = 12 * (index % 2)
        y      = 6 * floor(index / 2)
        width  = 12
        height = 6
        properties = merge(
          {
            title   = graph.title
            region  = local.region
            view    = "timeSeries"
            period  = 60
            metrics = graph.metrics
            yAxis   = { left = { min = 0 } }
          },
          graph.line == null ? {} : { annotations = { horizontal = [graph.line] } },
        )
      }],
      [{
        type   = "alarm"
        x      = 12 * (length(local.graphs) % 2)
        y      = 6 * floor(length(local.graphs) / 2)
        width  = 12
        height = 6
        properties = {
          title  = "Alarms"
          alarms = [for alarm in merge(aws_cloudwatch_metric_alarm.this, aws_cloudwatch_metric_alarm.sums) : alarm.arn]
        }
      }],
    )
  })
}
