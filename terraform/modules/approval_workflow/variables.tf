variable "name_prefix" {
  description = "What every name begins with, such as shop-; empty: nothing."
  type        = string
  default     = ""
}

variable "environment" {
  description = "Environment, the suffix of all names."
  type        = string
}

variable "package" {
  description = "Checked ZIP of the workflow, its hash, and the versions of the canonical text that it reads, from module deployment_package."
  type = object({
    path                    = string
    source_code_hash        = string
    canonical_versions_read = optional(list(number), [1])
  })
}

variable "held_versions" {
  description = "Versions behind alias live of workflow, page or reconcile; without, the newest."
  type        = map(number)
  default     = {}
}

variable "code_bucket" {
  description = "Private versioned bucket that CloudFormation takes the ZIP from."
  type        = string
}

variable "architecture" {
  description = "Instruction set: arm64 or x86_64."
  type        = string
}

variable "runtime" {
  description = "Lambda runtime; durable functions need python3.13 or later."
  type        = string
}

variable "memory_sizes" {
  description = "Memory of each function in MB (128 to 10240)."
  type        = object({ workflow = number, page = number, reconcile = number })
}

variable "timeout_seconds" {
  description = "Time-out of one invocation of the workflow (1 to 900 s); an execution is many invocations."
  type        = number
}

variable "tracing" {
  description = "Whether X-Ray traces are recorded, with the calls of AWS."
  type        = bool
}

variable "environment_variables" {
  description = "Environment variables that the workflow shares with the queue function."
  type        = map(string)
}

variable "approvers" {
  description = "The people who decide, by their e-mail addresses or the ARNs of their AWS identities: the protocol of SNS and the endpoint that take the links of each; null: none."
  type        = map(object({ protocol = string, endpoint = string }))
}

variable "approval_timeout_seconds" {
  description = "How long a person may take (1 to 86400 s)."
  type        = number
}

variable "retention_days" {
  description = "How long a closed execution is kept (1 to 90 days); its name may be used again afterwards."
  type        = number
}

variable "shows" {
  description = "What of the customer approvers see and items keep: of name, email and address."
  type        = set(string)
}

variable "fraud_service_failure_rate" {
  description = "Share of fraud checks that fail on purpose (0 to 1), for demonstrations; the published one has 0.2."
  type        = number
}

variable "reconcile_patience_seconds" {
  description = "How long a workflow may be late before reconcile acts in its place; for a worker, half as long again (1 to 86400 s)."
  type        = number
}

variable "personal_data_days" {
  description = "Days after which a settled payment's personal data, and a conflict's text, is forgotten (0 to 3650; 0: never)."
  type        = number
}

variable "table_arn" {
  description = "Table of payment transactions."
  type        = string
}

variable "table_kms_key_arn" {
  description = "Own key of the table; null: DynamoDB's."
  type        = string
}

variable "rejected_queue_arn" {
  description = "Queue of masked copies."
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

variable "wake_ups_queue_arn" {
  description = "Queue of wake-ups that reconcile takes messages from; null: none."
  type        = string
  default     = null
}

variable "alarm_topic_arn" {
  description = "Topic that alarms go to."
  type        = string
}

variable "log_retention_days" {
  description = "How long logs are kept (a period that CloudWatch Logs offers)."
  type        = number
}

variable "vpc" {
  description = "Subnets and security groups of workflow and reconcile, which talk to the gateway; null: Lambda's own network."
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
  description = "Tags of every resource."
  type        = map(string)
}

variable "deletion_protection" {
  description = "Whether the function and its versions stay when the stack is deleted, so that executions that wait can end."
  type        = bool
}
