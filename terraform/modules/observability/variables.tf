variable "name_prefix" {
  description = "What every name begins with, such as shop-; empty: nothing."
  type        = string
  default     = ""
}

variable "environment" {
  description = "Environment in the names and in the dimension of the custom metrics."
  type        = string
}

variable "function_name" {
  description = "Name of the payment function."
  type        = string
}

variable "log_group_name" {
  description = "Log group of the payment function."
  type        = string
}

variable "workflow_log_group_names" {
  description = "Log groups of the approval workflow's functions by function; none without a workflow."
  type        = map(string)
}

variable "benchmark_log_group_names" {
  description = "Log groups of the benchmark functions."
  type        = list(string)
}

variable "queue_names" {
  description = "Names of the queues: payment, dead_letter, rejected, failed_starts."
  type = object({
    payment       = string
    dead_letter   = string
    rejected      = string
    failed_starts = string
  })
}

variable "polled" {
  description = "Whether the payment queue's mapping takes messages, so that its silence is an alarm."
  type        = bool
}

variable "table_name" {
  description = "Name of the transaction table."
  type        = string
}

variable "duration_alarm_ms" {
  description = "p99 of the function's duration from which on messages go back unclaimed (ms)."
  type        = number
}

variable "concurrency_limit" {
  description = "Execution environments that the function can reach at most; the alarm stands at 80 %."
  type        = number
}

variable "endpoints" {
  description = "Who gets alarms: a protocol of SNS by endpoint."
  type        = map(string)
}

variable "logs_insights_queries" {
  description = "Whether saved Logs Insights queries are made."
  type        = bool
}

variable "tags" {
  description = "Tags of every resource of the module."
  type        = map(string)
}
