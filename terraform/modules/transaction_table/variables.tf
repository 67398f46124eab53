variable "name" {
  description = "Name of the table, for example cloudcafe-payment-transactions-dev."
  type        = string
}

variable "provisioned_capacity" {
  description = "Capacity units between which auto-scaling moves, and the utilisation in percent that it aims at; null: on demand."
  type = object({
    read_min           = number
    read_max           = number
    write_min          = number
    write_max          = number
    utilization_target = number
  })
  default = null
}

variable "point_in_time_recovery" {
  description = "Whether the table can be restored to any second of the last 35 days."
  type        = bool
}

variable "kms_key_arn" {
  description = "Customer key of the table; null: DynamoDB's own key."
  type        = string
  default     = null
}

variable "deletion_protection" {
  description = "Whether the table refuses deletion until an apply switches this off."
  type        = bool
}

variable "tags" {
  description = "Tags of every resource of the module."
  type        = map(string)
}
