output "url" {
  description = "What the gateway sends events to."
  value       = "${var.api.endpoint}/webhook"
}

output "function_name" {
  description = "Name of the webhook's function."
  value       = aws_lambda_function.this.function_name
}

output "log_group_name" {
  description = "Log group of the webhook's function."
  value       = aws_cloudwatch_log_group.this.name
}

output "queue_name" {
  description = "Name of the queue of wake-ups."
  value       = aws_sqs_queue.wake_ups.name
}

output "mapping_arn" {
  description = "ARN of the wake-ups' event source mapping."
  value       = aws_lambda_event_source_mapping.wake_ups.arn
}
