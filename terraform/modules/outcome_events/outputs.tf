output "target" {
  description = "Where events go: the queue's URL, the topic's ARN or the bus's ARN."
  value       = local.target
}

output "function_name" {
  description = "Name of the events function."
  value       = aws_lambda_function.this.function_name
}

output "log_group_name" {
  description = "Log group of the events function."
  value       = aws_cloudwatch_log_group.this.name
}
