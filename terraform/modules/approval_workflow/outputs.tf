output "alias_arn" {
  description = "Alias live of the workflow, which the queue function starts."
  value       = local.alias_arn
}

output "function_names" {
  description = "Functions by role: workflow, page, reconcile."
  value       = { workflow = local.name, page = aws_lambda_function.page.function_name, reconcile = aws_lambda_function.reconcile.function_name }
}

output "schedule_name" {
  description = "Schedule of reconcile."
  value       = aws_scheduler_schedule.reconcile.name
}

output "alarm_names" {
  description = "Names of the alarms by what they tell."
  value       = merge({ for key, alarm in aws_cloudwatch_metric_alarm.failures : key => alarm.alarm_name }, { reconcile-stopped = aws_cloudwatch_metric_alarm.reconcile_stopped.alarm_name })
}

output "live_version" {
  description = "Version behind alias live; executions that wait stay on theirs."
  value       = aws_cloudformation_stack.workflow.outputs["LiveVersion"]
}

output "page_url" {
  description = "Address of the approval page; only links from notifications lead to a payment."
  value       = "${aws_apigatewayv2_api.page.api_endpoint}/approvals"
}

output "api" {
  description = "The page's HTTP API, for another route: its id, endpoint and execution_arn."
  value       = { id = aws_apigatewayv2_api.page.id, endpoint = aws_apigatewayv2_api.page.api_endpoint, execution_arn = aws_apigatewayv2_api.page.execution_arn }
}

output "reconcile" {
  description = "Alias live of reconcile, and its time-out in seconds."
  value       = { alias_arn = aws_lambda_alias.live["reconcile"].arn, timeout_seconds = local.reconcile_timeout_seconds }
}

output "decide_arn" {
  description = "What execute-api:Invoke is asked on by whoever decides on the command line."
  value       = "${aws_apigatewayv2_api.page.execution_arn}/${aws_apigatewayv2_stage.page.name}/PUT/approvals"
}

output "topic_arn" {
  description = "Topic of notifications to approvers."
  value       = aws_sns_topic.approvals.arn
}

output "log_group_names" {
  description = "Log groups by the function that writes them: workflow, page, reconcile."
  value       = { for function, group in aws_cloudwatch_log_group.this : function => group.name }
}

output "role_arns" {
  description = "ARNs of the functions' roles by role: workflow, page, reconcile; and of the scheduler's."
  value       = merge({ for key, role in aws_iam_role.this : key => role.arn }, { scheduler = aws_iam_role.scheduler.arn })
}

output "schedule_arn" {
  description = "ARN of the schedule of reconcile."
  value       = aws_scheduler_schedule.reconcile.arn
}
