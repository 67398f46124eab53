output "function_name" {
  description = "Name of the function."
  value       = aws_lambda_function.this.function_name
}

output "function_arn" {
  description = "ARN of the function without a version."
  value       = aws_lambda_function.this.arn
}

output "alias_arn" {
  description = "ARN of alias live."
  value       = aws_lambda_alias.live.arn
}

output "live_version" {
  description = "Version behind alias live."
  value       = aws_lambda_alias.live.function_version
}

output "newest_version" {
  description = "Version that this configuration published."
  value       = aws_lambda_function.this.version
}

output "log_group_name" {
  description = "Log group of the function."
  value       = aws_cloudwatch_log_group.this.name
}

output "mapping_arn" {
  description = "ARN of the payment queue's event source mapping."
  value       = aws_lambda_event_source_mapping.payment_queue.arn
}

output "role_arn" {
  description = "ARN of the function's role."
  value       = aws_iam_role.this.arn
}
