output "alias_arn" {
  description = "Alias live of the workflow, which the queue function starts."
  value       = local.alias_arn
}

output "live_version" {
  description = "Version behind alias live; executions that wait stay on theirs."
  value       = aws_cloudformation_stack.workflow.outputs["LiveVersion"]
}

output "page_url" {
  description = "Address of the approval page; only links from notifications lead to a payment."
  value       = "${aws_apigatewayv2_api.page.api_endpoint}/approvals"
}

output "topic_arn" {
  description = "Topic of notifications to approvers."
  value       = aws_sns_topic.approvals.arn
}

output "log_group_names" {
  description = "Log groups by the function that writes them: workflow, page, reconcile."
  value       = { for function, group in aws_cloudwatch_log_group.this : function => group.name }
}
