output "payment_queue_arn" {
  description = "ARN of the FIFO queue that payments arrive on."
  value       = aws_sqs_queue.payment.arn
}

output "payment_queue_url" {
  description = "URL of the FIFO queue that payments arrive on."
  value       = aws_sqs_queue.payment.url
}

output "payment_queue_name" {
  description = "Name of the FIFO queue that payments arrive on."
  value       = aws_sqs_queue.payment.name
}

output "rejected_queue_arn" {
  description = "ARN of the queue of masked copies of messages without a usable payment id."
  value       = aws_sqs_queue.rejected.arn
}

output "rejected_queue_url" {
  description = "URL of the queue of masked copies of messages without a usable payment id."
  value       = aws_sqs_queue.rejected.url
}

output "rejected_queue_name" {
  description = "Name of the queue of masked copies of messages without a usable payment id."
  value       = aws_sqs_queue.rejected.name
}

output "dead_letter_queue_arn" {
  description = "ARN of the dead-letter queue."
  value       = aws_sqs_queue.dead_letter.arn
}

output "dead_letter_queue_url" {
  description = "URL of the queue of raw messages that were received too often."
  value       = aws_sqs_queue.dead_letter.url
}

output "dead_letter_queue_name" {
  description = "Name of the queue of raw messages that were received too often."
  value       = aws_sqs_queue.dead_letter.name
}

output "failed_starts_queue_arn" {
  description = "ARN of the queue of asynchronous invocations that Lambda gave up on."
  value       = aws_sqs_queue.failed_starts.arn
}

output "failed_starts_queue_name" {
  description = "Name of the queue of asynchronous invocations that Lambda gave up on."
  value       = aws_sqs_queue.failed_starts.name
}

output "raw_messages_key_arn" {
  description = "ARN of the key that raw messages are encrypted with; producers need kms:GenerateDataKey and kms:Decrypt on it."
  value       = aws_kms_key.raw_messages.arn
}
