variable "function_name" {
  description = "Name of the function, for example cloudcafe-payment-processor-dev."
  type        = string
}

variable "package" {
  description = "Checked ZIP, its hash, and the versions of the canonical text that it reads, from module deployment_package."
  type = object({
    path                    = string
    source_code_hash        = string
    canonical_versions_read = optional(list(number), [1])
  })
}

variable "architecture" {
  description = "Instruction set: arm64 or x86_64."
  type        = string
}

variable "runtime" {
  description = "Lambda runtime, python3.11 to python3.13."
  type        = string
}

variable "memory_size" {
  description = "Memory in MB (128 to 10240); 1769 MB is one vCPU."
  type        = number
}

variable "timeout_seconds" {
  description = "Function time-out (1 to 900 s)."
  type        = number
}

variable "environment_variables" {
  description = "Environment variables of the handler."
  type        = map(string)
}

variable "log_level" {
  description = "Lowest application log level kept: DEBUG, INFO, WARN or ERROR."
  type        = string
}

variable "log_retention_days" {
  description = "How long logs are kept (a period that CloudWatch Logs offers)."
  type        = number
}

variable "tracing" {
  description = "Whether X-Ray traces are recorded."
  type        = bool
}

variable "snap_start" {
  description = "Whether published versions start from a snapshot."
  type        = bool
}

variable "reserved_concurrency" {
  description = "Execution environments set aside for the function, its upper limit too; null: none."
  type        = number
}

variable "provisioned_concurrency" {
  description = "Execution environments kept initialised; 0: none."
  type        = number
}

variable "live_version" {
  description = "Version behind alias live; null: the newest."
  type        = string
}

variable "canary_percent" {
  description = "Share of invocations that the newest version takes while live_version has the rest (0 to 50)."
  type        = number
}

variable "event_source" {
  description = "The payment queue's mapping: batch size (1 to 10), concurrency (2 to 1000, null: no limit of its own), provisioned pollers (min 2 to 200, max to 2000, null: none), whether it polls."
  type = object({
    queue_arn           = string
    batch_size          = number
    maximum_concurrency = number
    provisioned_pollers = object({ min = number, max = number })
    enabled             = bool
  })
}

variable "raw_messages_key_arn" {
  description = "Key of the payment queue and the failed-starts queue."
  type        = string
}

variable "rejected_queue_arn" {
  description = "Queue that takes masked copies of messages without a usable payment id."
  type        = string
}

variable "failed_starts_queue_arn" {
  description = "Standard queue that takes asynchronous invocations that failed."
  type        = string
}

variable "table_arn" {
  description = "Table of payment transactions."
  type        = string
}

variable "table_kms_key_arn" {
  description = "Customer key of the table; null: DynamoDB's own key."
  type        = string
}

variable "secrets_kms_key_arns" {
  description = "Customer keys that the secrets are encrypted with."
  type        = set(string)
}

variable "secret_arns" {
  description = "Secrets that the handler may read."
  type        = list(string)
}

variable "approval_function_arn" {
  description = "Alias of the approval workflow that the handler may start; null: none."
  type        = string
}

variable "vpc" {
  description = "Subnets and security groups of the function; null: Lambda's own network."
  type = object({
    subnet_ids         = set(string)
    security_group_ids = set(string)
  })
}

variable "role_path" {
  description = "IAM path of the roles."
  type        = string
  default     = "/"
}

variable "permissions_boundary_arn" {
  description = "Policy that bounds the roles; null: none."
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags of every resource of the module."
  type        = map(string)
}
