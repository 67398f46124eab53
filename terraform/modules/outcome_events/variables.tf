variable "name_prefix" {
  description = "What every name begins with, such as shop-; empty: nothing."
  type        = string
  default     = ""
}

variable "environment" {
  description = "Environment in all names, and in every event."
  type        = string
}

variable "target" {
  description = "Where events go: queue or topic (FIFO, made here), or bus (bus_arn)."
  type        = string

  validation {
    condition     = contains(["queue", "topic", "bus"], var.target)
    error_message = "target must be queue, topic or bus."
  }
}

variable "bus_arn" {
  description = "ARN of the EventBridge bus where target is bus; else null."
  type        = string
  default     = null

  validation {
    condition     = (var.bus_arn != null) == (var.target == "bus")
    error_message = "bus_arn must be given where target is bus, and only there."
  }
}

variable "package" {
  description = "The workflow's package, checked: its path and source_code_hash."
  type        = object({ path = string, source_code_hash = string })
}

variable "architecture" {
  description = "arm64 or x86_64."
  type        = string
}

variable "runtime" {
  description = "Python runtime of the function."
  type        = string
}

variable "memory_size" {
  description = "Memory of the function, 128 to 10240 MB."
  type        = number
}

variable "table_arn" {
  description = "Table of transactions."
  type        = string
}

variable "stream_arn" {
  description = "The table's stream, with new and old images."
  type        = string
}

variable "table_kms_key_arn" {
  description = "Customer key of the table; null: DynamoDB's own."
  type        = string
  default     = null
}

variable "tracing" {
  description = "Trace with X-Ray."
  type        = bool
  default     = false
}

variable "role_path" {
  description = "Path of the role."
  type        = string
  default     = "/"
}

variable "permissions_boundary_arn" {
  description = "Permissions boundary of the role; null: none."
  type        = string
  default     = null
}

variable "alarm_topic_arn" {
  description = "Topic that alarms are sent to."
  type        = string
}

variable "log_retention_days" {
  description = "Days that logs are kept."
  type        = number
}

variable "tags" {
  description = "Tags of everything that takes them."
  type        = map(string)
  default     = {}
}
