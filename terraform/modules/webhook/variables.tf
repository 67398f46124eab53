variable "name_prefix" {
  description = "What every name begins with, such as shop-; empty: nothing."
  type        = string
  default     = ""
}

variable "environment" {
  description = "Environment in all names, and that of the payments whose events are taken."
  type        = string
}

variable "mode" {
  description = "Mode of the gateway whose events are taken: test or live."
  type        = string

  validation {
    condition     = contains(["test", "live"], var.mode)
    error_message = "mode must be test or live."
  }
}

variable "secret_arn" {
  description = "Secrets Manager secret with the endpoint's signing secret."
  type        = string
}

variable "secrets_kms_key_arns" {
  description = "Customer keys that the secrets are encrypted with."
  type        = set(string)
  default     = []
}

variable "api" {
  description = "HTTP API that gets the route POST /webhook: its id, endpoint and execution_arn."
  type        = object({ id = string, endpoint = string, execution_arn = string })
}

variable "reconcile" {
  description = "Alias of the reconcile function, which is woken, and its time-out in seconds."
  type        = object({ alias_arn = string, timeout_seconds = number })
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
