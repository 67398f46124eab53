# No resources: a ZIP on disk, checked against its manifest before anything is planned from it.

locals {
  manifest_path = replace(var.path, "/\\.zip$/", ".manifest.json")
  manifest      = try(jsondecode(file(local.manifest_path)), null)
}
