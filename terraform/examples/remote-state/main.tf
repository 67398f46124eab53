# State in S3, locked there, one object per workspace: env:/<environment>/shop.tfstate. `make bootstrap ENVIRONMENT=staging`
# makes such a bucket, and `make plan ENVIRONMENT=staging` does all of this with the root itself, under a key of its own:
# what it knows stands elsewhere in a state of yours, and each would destroy the other's. Here for a configuration of your own:
#
#   terraform init -backend-config="bucket=<your state bucket>" -backend-config="region=us-east-1"
#   terraform workspace select -or-create staging
#   terraform apply

terraform {
  required_version = ">= 1.11.0, < 2.0.0"

  backend "s3" {
    key          = "shop.tfstate"
    encrypt      = true
    use_lockfile = true
  }

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100.0, < 7.0.0"
    }
  }
}

module "payments" {
  source = "../.."

  environment = terraform.workspace
  # Outside environment dev the gateway must be named; prod asks for people, too.
  gateway            = terraform.workspace == "dev" ? "simulated" : "stripe"
  gateway_mode       = terraform.workspace == "dev" ? "" : "test"
  gateway_secret_arn = terraform.workspace == "dev" ? "" : "arn:aws:secretsmanager:us-east-1:123456789012:secret:payments-stripe-AbCdEf"
  # Version 1 knows no payment_token, and mode test takes 25 calls a second: three groups each in two batches at once.
  canonical_version_written = 2
  group_concurrency         = 3
  approval_workflow         = { approvers = ["payments-on-call@example.com"] }
}

output "commands" {
  description = "AWS CLI lines for this environment."
  value       = module.payments.commands
}
