variable "name_prefix" {
  description = "What every name begins with, such as shop-; empty: nothing."
  type        = string
  default     = ""
}

variable "environment" {
  description = "Environment in the names of the queues, for example dev."
  type        = string
}

variable "visibility_timeout_seconds" {
  description = "How long SQS hides a payment while a worker holds it (0 to 43200 s)."
  type        = number
}

variable "message_retention_seconds" {
  description = "How long an unprocessed message is kept (60 to 1209600 s)."
  type        = number
}

variable "max_receive_count" {
  description = "Receives before a message becomes a dead letter (1 to 1000)."
  type        = number
}

variable "dead_letter_reader_arns" {
  description = "Principals that may read dead letters, failed starts and waiting payments; empty: nobody."
  type        = set(string)
}

variable "payment_reader_arns" {
  description = "Principals that may read waiting payments beside those: the payment function's role."
  type        = set(string)
}

variable "tags" {
  description = "Tags of every resource of the module."
  type        = map(string)
}
