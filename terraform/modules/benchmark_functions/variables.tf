variable "name_prefix" {
  description = "What every name begins with, such as shop-; empty: nothing."
  type        = string
  default     = ""
}

variable "environment" {
  description = "Environment in the names, for example dev."
  type        = string
}

variable "packages" {
  description = "Checked ZIP and hash per engine, from module deployment_package."
  type = map(object({
    path             = string
    source_code_hash = string
  }))
}

variable "memory_sizes" {
  description = "Memory sizes in MB (128 to 10240), one function each per engine."
  type        = set(number)
}

variable "architecture" {
  description = "Instruction set: arm64 or x86_64."
  type        = string
}

variable "runtime" {
  description = "Lambda runtime, python3.11 to python3.13."
  type        = string
}

variable "timeout_seconds" {
  description = "Function time-out (1 to 900 s)."
  type        = number
}

variable "environment_variables" {
  description = "Environment variables of the handler, without table, queues, engine and gateway, which this module decides."
  type        = map(string)
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
