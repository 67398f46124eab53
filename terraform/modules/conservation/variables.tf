variable "name_prefix" {
  description = "What every name begins with, such as shop-; empty: nothing."
  type        = string
  default     = ""
}

variable "environment" {
  description = "Environment in all names, and that of the payments that are compared."
  type        = string
}

variable "environment_variables" {
  description = "What the functions that talk to the gateway are given."
  type        = map(string)
}

variable "table_arn" {
  description = "Table of transactions, with point-in-time recovery."
  type        = string
}

variable "table_kms_key_arn" {
  description = "Customer key of the table and its exports; null: the services' own."
  type        = string
  default     = null
}

variable "export_bucket" {
  description = "Bucket of the table's exports, in which results lie too: its name and arn."
  type        = object({ name = string, arn = string })
}

variable "gateway_secret_arn" {
  description = "Secrets Manager secret with the gateway's key."
  type        = string
}

variable "secrets_kms_key_arns" {
  description = "Customer keys that the secrets are encrypted with."
  type        = set(string)
  default     = []
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
  description = "Memory of the function, 128 to 10240 MB: a million payments a day take some 1000."
  type        = number
}

variable "vpc" {
  description = "Subnets and security groups of the function, which talks to the gateway; null: Lambda's own network."
  type        = object({ subnet_ids = set(string), security_group_ids = set(string) })
  default     = null
}

variable "tracing" {
  description = "Trace with X-Ray."
  type        = bool
  default     = false
}

variable "role_path" {
  description = "Path of the roles."
  type        = string
  default     = "/"
}

variable "permissions_boundary_arn" {
  description = "Permissions boundary of the roles; null: none."
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
