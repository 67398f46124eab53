# No resources: a ZIP on disk, checked against its manifest before anything is planned from it.

locals {
  manifest_path = replace(var.path, "/\\.zip$/", ".manifest.json")
  manifest      = try(jsondecode(file(local.manifest_path)), null)

  # Code of 0.1 says nothing, and reads the first.
  canonical_versions_read = try(tolist(local.manifest.canonical_versions_read), [1])
}
