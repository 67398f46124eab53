# Preconditions, not validations: a destroy, which needs no ZIP, turns them into warnings.
output "path" {
  description = "Path of the checked ZIP."
  value       = var.path

  precondition {
    condition     = fileexists(var.path)
    error_message = "The deployment package ${var.path} does not exist: run `make package`, or set package_path to a package that does."
  }

  precondition {
    condition     = !fileexists(var.path) || can(local.manifest.sha256)
    error_message = "The deployment package ${var.path} has no manifest beside it, ${local.manifest_path}: run `make package` again."
  }

  precondition {
    condition     = !fileexists(var.path) || try(local.manifest.sha256 == filesha256(var.path), true)
    error_message = "The deployment package ${var.path} is not the file that its manifest describes, its SHA-256 differs: run `make package` again."
  }

  # A ZIP of the other architecture applies without a word, and then fails at every import.
  precondition {
    condition     = try(local.manifest.architecture, var.architecture) == var.architecture
    error_message = "The deployment package ${var.path} is built for ${try(local.manifest.architecture, "")}, not for ${var.architecture}: run `make package` for ${var.architecture}, or set architecture."
  }

  # Its bytecode serves one Python only, and without bytecode an init takes 2.6 times as long.
  precondition {
    condition     = contains([var.runtime, coalesce(var.other_runtime, var.runtime)], try(local.manifest.runtime, var.runtime))
    error_message = "The deployment package ${var.path} is made for ${try(local.manifest.runtime, "")}, not for ${var.runtime}: run `make package RUNTIME=${var.runtime}`, or set runtime."
  }

  precondition {
    condition     = var.engine == "auto" || try(local.manifest.engine, var.engine) == var.engine
    error_message = "The deployment package ${var.path} holds the ${try(local.manifest.engine, "")} engine, not ${var.engine}: set scoring_engine, or package_path to a package with it."
  }

  # Reading comes a deployment before writing: what such code meets in the table it calls a conflict, or returns for ever.
  precondition {
    condition     = contains(local.canonical_versions_read, var.canonical_version_written)
    error_message = "The deployment package ${var.path} does not read version ${var.canonical_version_written} of the canonical text, only ${join(", ", local.canonical_versions_read)}: package code that does, or, if no item was ever written in it, lower canonical_version_written."
  }
}

output "source_code_hash" {
  description = "SHA-256 of the ZIP in base64, as Lambda reports it; null without the file."
  value       = fileexists(var.path) ? filebase64sha256(var.path) : null
}

output "canonical_versions_read" {
  description = "Versions of the canonical text that the package's code reads."
  value       = local.canonical_versions_read
}
