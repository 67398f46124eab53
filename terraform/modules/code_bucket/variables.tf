variable "name" {
  description = "Name of the bucket, unique over all accounts."
  type        = string
}

variable "force_destroy" {
  description = "Whether destroying the bucket deletes the code in it."
  type        = bool
}

variable "tags" {
  description = "Tags of every resource of the module."
  type        = map(string)
}
