# What the account can run at once, and what follows from it for mapping, reservation and alarms.

# A new account has 10, whatever AWS names as its default; the provider gives the default only where AWS keeps no applied
# value. Without the right to read it (servicequotas:GetServiceQuota and GetAWSDefaultServiceQuota) the variable says it.
data "aws_servicequotas_service_quota" "concurrency" {
  count = var.account_concurrency == null ? 1 : 0

  service_code = "lambda"
  quota_code   = "L-B99A9384"
}

locals {
  production = contains(["prod", "production"], var.environment)

  account_concurrency = coalesce(var.account_concurrency, one(data.aws_servicequotas_service_quota.concurrency[*].value))

  # Lambda keeps 100 for functions without a reservation; an account with no more can reserve nothing.
  reservable_concurrency = max(0, local.account_concurrency - 100)

  # Workflow, page and reconcile run beside the mapping's batches.
  beside_the_mapping = 5

  # As many as there may be message groups, but what the others need, what can be reserved, and what the gateway takes.
  # A provisioned poller runs ten batches.
  maximum_concurrency = var.provisioned_pollers != null ? 10 * var.provisioned_pollers.max : coalesce(var.maximum_concurrency, max(2, min([for limit in [
    100,
    floor(local.account_concurrency / 2),
    local.production ? local.reservable_concurrency : null,
    var.reserved_concurrency,
    try(floor(0.3 * coalesce(var.gateway_calls_per_second, local.published_calls_per_second) / var.group_concurrency), null),
  ] : limit if limit != null]...)))

  # Production does not share: another function's burst would throttle it, and throttled receives count.
  reserved_concurrency = var.reserved_concurrency == null && local.production ? local.maximum_concurrency : var.reserved_concurrency

  # What AWS is to be asked for where something does not fit; 1000 is what AWS calls the default.
  account_concurrency_wanted = max(1000, coalesce(local.reserved_concurrency, 0) + 100, local.maximum_concurrency + 100, 2 * var.provisioned_concurrency + 100)
  how_to_ask                 = "ask AWS for more, which takes hours to days: aws service-quotas request-service-quota-increase --service-code lambda --quota-code L-B99A9384 --desired-value ${local.account_concurrency_wanted}"
}

output "concurrency" {
  description = "Executions at once: the account's, those of the queue's mapping, and those reserved for the payment function (null: none)."
  value = {
    account  = local.account_concurrency
    mapping  = local.maximum_concurrency
    reserved = local.reserved_concurrency
  }

  precondition {
    condition     = coalesce(local.reserved_concurrency, 0) <= local.reservable_concurrency
    error_message = "The account runs ${local.account_concurrency} executions at once and Lambda keeps 100 of them for functions without a reservation, so ${coalesce(local.reserved_concurrency, 0)} cannot be reserved for the payment function${local.production ? ", and production reserves what its mapping uses" : ""}: ${local.how_to_ask}."
  }

  precondition {
    condition     = local.reserved_concurrency != null || local.maximum_concurrency <= local.account_concurrency - local.beside_the_mapping
    error_message = "${var.provisioned_pollers == null ? "maximum_concurrency is" : "provisioned_pollers run"} ${local.maximum_concurrency}, but the account runs ${local.account_concurrency} executions at once, of which workflow, page and reconcile need ${local.beside_the_mapping}: leave it out, or ${local.how_to_ask}."
  }

  precondition {
    condition     = 2 * var.provisioned_concurrency <= coalesce(local.reserved_concurrency, local.reservable_concurrency)
    error_message = "provisioned_concurrency is ${var.provisioned_concurrency}, twice while a new version comes, and more than the account's ${local.account_concurrency} executions leave for it: lower it, or ${local.how_to_ask}."
  }
}
