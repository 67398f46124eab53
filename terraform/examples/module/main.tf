# The whole system as a module of a larger configuration, which brings its own provider and keeps its own state.

terraform {
  required_version = ">= 1.11.0, < 2.0.0"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100.0, < 7.0.0"
    }
  }
}

provider "aws" {
  region = "eu-central-1"
}

module "payments" {
  source = "../.."

  environment               = "staging"
  workspace_is_environment  = false
  gateway                   = "stripe"
  gateway_mode              = "test"
  gateway_secret_arn        = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:payments-staging-stripe-AbCdEf"
  canonical_version_written = 2 # version 1 knows no payment_token
  group_concurrency         = 3 # in two batches at once: 0.3 x the 25 calls a second that mode test takes
  memory_size               = 1024
  approval_workflow         = { approvers = ["payments-on-call@example.com"] }
  alarm_emails              = ["payments-on-call@example.com"]
  tags                      = { CostCenter = "shop" }
}

output "queue_url" {
  description = "Where the order service sends payments."
  value       = module.payments.queue_url
}
