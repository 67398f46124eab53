variable "name" {
  description = "Name of the bucket, unique over all accounts."
  type        = string
}

variable "retention_days" {
  description = "How many days after it was made an export is deleted (1 or more)."
  type        = number
}

variable "kms_key_arn" {
  description = "Customer key that exports are encrypted with; null: S3's own key."
  type        = string
  default     = null
}

variable "force_destroy" {
  description = "Whether destroying the bucket deletes the exports in it."
  type        = bool
}

variable "tags" {
  description = "Tags of every resource of the module."
  type        = map(string)
}
