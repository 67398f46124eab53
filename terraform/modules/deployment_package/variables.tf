variable "path" {
  description = "ZIP made by `make package`; its manifest lies beside it, with .manifest.json in place of .zip."
  type        = string
}

variable "architecture" {
  description = "Instruction set that the function will run on: arm64 or x86_64."
  type        = string
}

variable "engine" {
  description = "Scoring engine that the package must hold: compiled, pure, or auto for either."
  type        = string
}

variable "runtime" {
  description = "Lambda runtime that the package must be made for, python3.11 to python3.13."
  type        = string
}

variable "other_runtime" {
  description = "Another one that it may be made for, and then runs without bytecode of its own; null: none."
  type        = string
  default     = null
}

variable "canonical_version_written" {
  description = "Version of the canonical text that new items will be written in (from 1)."
  type        = number
  default     = 1
}
