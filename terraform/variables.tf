# ---- which system -------------------------------------------------------------------------------------------------

variable "environment" {
  description = "Environment, in every name: 1 to 15 of a-z, 0-9 and -, beginning with a letter."
  type        = string
  default     = "dev"

  # The longest name, of a benchmark function, has room for 15 within Lambda's 64.
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,14}$", var.environment))
    error_message = "environment must be 1 to 15 of a-z, 0-9 and -, beginning with a letter."
  }

  # The queue function of dev-bench would have the name of dev's benchmark functions, and so on.
  validation {
    condition     = !can(regex("-(bench|dlq|rejected|page|reconcile)$", var.environment))
    error_message = "environment must not end with -bench, -dlq, -rejected, -page or -reconcile: parts of another environment have such names."
  }

  # With one state for two environments, planning the second destroys the first.
  validation {
    condition     = !var.workspace_is_environment || terraform.workspace == var.environment
    error_message = "environment is ${var.environment}, but the selected workspace, and so the state, is ${terraform.workspace}: run `terraform workspace select -or-create ${var.environment}` (or set TF_WORKSPACE, as `make plan ENVIRONMENT=${var.environment}` does), or set environment to ${terraform.workspace}."
  }

  # No expression tells the backend. Where `make` works for an environment with a bucket, this file names it (build/state.py).
  validation {
    condition     = !contains(["prod", "production"], var.environment) || !var.workspace_is_environment || path.module != path.root || fileexists("${path.root}/backend.tf")
    error_message = "environment is ${var.environment}, and a production environment keeps its state remote and locked: run `make bootstrap ENVIRONMENT=${var.environment}` once, then `make plan ENVIRONMENT=${var.environment}`, or name a backend of your own in a file backend.tf beside main.tf."
  }
}

variable "name_prefix" {
  description = "What every name begins with, where an account asks for that: of a-z, 0-9 and -, beginning with a letter and ending with -, such as shop-. Another one replaces everything, so give it before the first apply. Two environments of one name in a region would share their metrics, whatever their prefixes."
  type        = string
  default     = ""

  # S3 refuses buckets that begin with xn--.
  validation {
    condition     = can(regex("^([a-z][a-z0-9]*(-[a-z0-9]+)*-)?$", var.name_prefix))
    error_message = "name_prefix must be of a-z, 0-9 and single -, beginning with a letter and ending with -, such as shop-, or empty."
  }

  validation {
    condition     = !startswith(var.name_prefix, "sthree-") && !startswith(var.name_prefix, "amzn-s3-demo-")
    error_message = "name_prefix must not begin with sthree- or amzn-s3-demo-: S3 keeps these for itself, and the bucket of code begins with it."
  }

  # Its workflow would have the name of the queue function without the prefix.
  validation {
    condition     = !endswith("-${var.name_prefix}", "-cloudcafe-")
    error_message = "name_prefix must not end with cloudcafe-: some names begin with that by themselves, and another environment's parts would have the same ones."
  }

  validation {
    condition     = length(var.name_prefix) + length(var.environment) <= 15
    error_message = "name_prefix and environment must have at most 15 characters together: the longest names, a benchmark function's and its role's, have room for no more within Lambda's and IAM's 64."
  }
}

variable "role_path" {
  description = "IAM path of every role, such as /payments/, where an account asks for one. Another one replaces the roles, so give it before the first apply."
  type        = string
  default     = "/"

  validation {
    condition     = can(regex("^/([A-Za-z0-9+=,.@_-]+/)*$", var.role_path)) && length(var.role_path) <= 512
    error_message = "role_path must begin and end with /, have A-Z, a-z, 0-9 and + = , . @ _ - between, and at most 512 characters."
  }

  validation {
    condition     = !startswith(var.role_path, "/aws-")
    error_message = "role_path must not begin with /aws-, where AWS alone makes roles."
  }
}

variable "permissions_boundary_arn" {
  description = "Policy that bounds what every role may do, where an account asks for one; null: none. What it must allow is in docs/terraform.md."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary_arn == null || can(regex("^arn:[a-z-]+:iam::([0-9]{12}|aws):policy/.+$", var.permissions_boundary_arn))
    error_message = "permissions_boundary_arn must be the ARN of an IAM policy, such as arn:aws:iam::123456789012:policy/payments-boundary, or null."
  }
}

variable "workspace_is_environment" {
  description = "Whether the workspace must be named like the environment. False where the caller of this module keeps states apart."
  type        = bool
  default     = true
}

variable "tags" {
  description = "Further tags of every resource."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for key in keys(var.tags) : !startswith(lower(key), "aws:") && length(key) >= 1 && length(key) <= 128])
    error_message = "tags must have keys of 1 to 128 characters that do not begin with aws:, which AWS keeps for itself."
  }

  # AWS takes 50 of most things, and two are set here.
  validation {
    condition     = length(var.tags) <= 48 && alltrue([for value in values(var.tags) : length(value) <= 256])
    error_message = "tags must be at most 48, with values of at most 256 characters."
  }
}

# ---- function -----------------------------------------------------------------------------------------------------

variable "memory_size" {
  description = "Memory of the payment function (128 to 10240 MB); CPU grows with it, 1769 MB is one vCPU."
  type        = number
  default     = 512

  validation {
    condition     = var.memory_size >= 128 && var.memory_size <= 10240 && floor(var.memory_size) == var.memory_size
    error_message = "memory_size must be a whole number of MB from 128 to 10240."
  }
}

variable "architecture" {
  description = "Instruction set of all functions: arm64 (Graviton) or x86_64."
  type        = string
  default     = "arm64"

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "architecture must be arm64 or x86_64."
  }
}

variable "runtime" {
  description = "Lambda runtime: python3.11 (until 2027-06-30) to python3.13, the newest that provider 5.100.0 knows."
  type        = string
  default     = "python3.13"

  validation {
    condition     = contains(["python3.11", "python3.12", "python3.13"], var.runtime)
    error_message = "runtime must be python3.11, python3.12 or python3.13."
  }
}

variable "package_path" {
  description = "ZIP of the payment function; null: dist/payment-processor-<architecture>-<engine>.zip of `make package`."
  type        = string
  default     = null

  validation {
    condition     = var.package_path == null || try(endswith(var.package_path, ".zip"), false)
    error_message = "package_path must name a .zip file."
  }
}

variable "timeout_seconds" {
  description = "Function time-out (1 to 900 s)."
  type        = number
  default     = 30

  validation {
    condition     = var.timeout_seconds >= 1 && var.timeout_seconds <= 900 && floor(var.timeout_seconds) == var.timeout_seconds
    error_message = "timeout_seconds must be a whole number of seconds from 1 to 900."
  }

  # With less than that left a message goes back unclaimed; a shorter time-out would never claim one.
  validation {
    condition     = var.timeout_seconds > var.gateway_deadline_seconds + var.safety_margin_seconds
    error_message = "timeout_seconds must be longer than gateway_deadline_seconds + safety_margin_seconds."
  }
}

variable "live_version" {
  description = "Version behind alias live; null: the newest. Set it to hold or roll back, and to try the newest on canary_percent."
  type        = number
  default     = null

  validation {
    condition     = var.live_version == null || try(var.live_version >= 1 && floor(var.live_version) == var.live_version, false)
    error_message = "live_version must be a published version number, 1 or higher."
  }
}

variable "held_versions" {
  description = "The same of the workflow, its page and reconcile, such as { page = 3 }."
  type        = map(number)
  default     = {}

  validation {
    condition     = alltrue([for function, version in var.held_versions : contains(["workflow", "page", "reconcile"], function) && version >= 1 && floor(version) == version])
    error_message = "held_versions must be published version numbers, 1 or higher, by workflow, page or reconcile."
  }
}

variable "canary_percent" {
  description = "Share of invocations that the newest version takes while live_version has the rest (0 to 50 %)."
  type        = number
  default     = 0

  validation {
    condition     = var.canary_percent >= 0 && var.canary_percent <= 50
    error_message = "canary_percent must be 0 to 50."
  }

  # Nothing else names the version that has proved itself: the one before the newest may be the last failed canary.
  validation {
    condition     = var.canary_percent == 0 || var.live_version != null
    error_message = "canary_percent needs live_version, the proven version that keeps the rest (terraform output live_version)."
  }
}

variable "reserved_concurrency" {
  description = "Execution environments set aside for the function and its upper limit (from 2); null: in prod and production what the mapping uses, else none. `make stop` is what stops payments: throttled receives count."
  type        = number
  default     = null

  validation {
    condition     = var.reserved_concurrency == null || try(var.reserved_concurrency >= 2 && floor(var.reserved_concurrency) == var.reserved_concurrency, false)
    error_message = "reserved_concurrency must be a whole number from 2, or null; to stop payments, `make stop`."
  }
}

variable "provisioned_concurrency" {
  description = "Execution environments kept initialised behind alias live (0: none)."
  type        = number
  default     = 0

  validation {
    condition     = var.provisioned_concurrency >= 0 && floor(var.provisioned_concurrency) == var.provisioned_concurrency
    error_message = "provisioned_concurrency must be a whole number from 0."
  }

  validation {
    condition     = var.reserved_concurrency == null || try(var.provisioned_concurrency <= var.reserved_concurrency, true)
    error_message = "provisioned_concurrency must not be above reserved_concurrency, which it is taken from."
  }

  # AWS takes it from the reservation, or from what is not reserved: a new version has its own while the old one serves.
  validation {
    condition     = var.provisioned_concurrency == 0 || try(2 * var.provisioned_concurrency <= var.reserved_concurrency, true)
    error_message = "provisioned_concurrency must not be above half of reserved_concurrency: while a new version comes, both have theirs."
  }
}

variable "snap_start" {
  description = "Whether published versions start from a snapshot of their init (python3.12 or later, without provisioned concurrency)."
  type        = bool
  default     = false

  validation {
    condition     = !var.snap_start || var.provisioned_concurrency == 0
    error_message = "snap_start and provisioned_concurrency exclude each other: set snap_start = false or provisioned_concurrency = 0."
  }

  validation {
    condition     = !var.snap_start || var.runtime != "python3.11"
    error_message = "snap_start needs python3.12 or later: set runtime to python3.12 or python3.13."
  }
}

variable "log_level" {
  description = "Lowest application log level kept: DEBUG or INFO. Above INFO, Lambda would drop the metrics, which are log lines."
  type        = string
  default     = "INFO"

  validation {
    condition     = contains(["DEBUG", "INFO"], var.log_level)
    error_message = "log_level must be DEBUG or INFO."
  }
}

variable "log_retention_days" {
  description = "How long logs are kept (a period that CloudWatch Logs offers, in days). PCI DSS asks for a year."
  type        = number
  default     = 365

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days must be a period that CloudWatch Logs offers: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653."
  }
}

variable "tracing" {
  description = "Whether X-Ray traces are recorded: of workflow, page and reconcile with their calls of AWS, which adds a quarter to their init."
  type        = bool
  default     = false
}

# ---- queue --------------------------------------------------------------------------------------------------------

variable "batch_size" {
  description = "Messages of one invocation (1 to 10, SQS's limit for FIFO)."
  type        = number
  default     = 10

  validation {
    condition     = var.batch_size >= 1 && var.batch_size <= 10 && floor(var.batch_size) == var.batch_size
    error_message = "batch_size must be a whole number from 1 to 10: a FIFO queue takes no more."
  }
}

variable "maximum_concurrency" {
  description = "Batches of the queue in flight at once (2 to 1000); null: 100, or what the account's limit, the reservation and the gateway leave."
  type        = number
  default     = null

  validation {
    condition     = var.maximum_concurrency == null || try(var.maximum_concurrency >= 2 && var.maximum_concurrency <= 1000 && floor(var.maximum_concurrency) == var.maximum_concurrency, false)
    error_message = "maximum_concurrency must be a whole number from 2 to 1000, or null."
  }

  # The pollers would take messages that the function cannot start for, and burn their receives.
  validation {
    condition     = var.maximum_concurrency == null || var.reserved_concurrency == null || try(var.maximum_concurrency <= var.reserved_concurrency, true)
    error_message = "maximum_concurrency must not be above reserved_concurrency: lower the first or raise the second."
  }
}

variable "provisioned_pollers" {
  description = "Null: the mapping grows by itself, up to maximum_concurrency, which is left out otherwise. Else how many pollers it keeps (min, 2 to 200) and may have (max, up to 2000): ten batches at once each, and paid by the hour."
  type = object({
    min = number
    max = number
  })
  default = null

  validation {
    condition = var.provisioned_pollers == null || try(
      var.provisioned_pollers.min >= 2 && var.provisioned_pollers.min <= 200 && floor(var.provisioned_pollers.min) == var.provisioned_pollers.min &&
      var.provisioned_pollers.min <= var.provisioned_pollers.max && var.provisioned_pollers.max <= 2000 && floor(var.provisioned_pollers.max) == var.provisioned_pollers.max,
      false,
    )
    error_message = "provisioned_pollers must have whole numbers, 2 <= min <= 200 and min <= max <= 2000."
  }

  validation {
    condition     = var.provisioned_pollers == null || var.maximum_concurrency == null
    error_message = "provisioned_pollers and maximum_concurrency exclude each other: ten batches at once for each of max are the limit."
  }

  validation {
    condition     = var.provisioned_pollers == null || var.reserved_concurrency == null || try(10 * var.provisioned_pollers.max <= var.reserved_concurrency, true)
    error_message = "Ten batches at once for each of provisioned_pollers.max must not be above reserved_concurrency: lower the first or raise the second."
  }
}

variable "event_source_enabled" {
  description = "Whether the mapping, when it is made, takes messages from the queue; later `make stop` and `make start` say it, and no apply undoes them."
  type        = bool
  default     = true
}

variable "visibility_timeout_seconds" {
  description = "How long SQS hides a payment while a worker holds it (6 x timeout_seconds to 43200 s)."
  type        = number
  default     = 180

  # AWS asks for six times the function's time-out, so that Lambda can retry a throttled batch.
  validation {
    condition     = var.visibility_timeout_seconds >= 6 * var.timeout_seconds && var.visibility_timeout_seconds <= 43200 && floor(var.visibility_timeout_seconds) == var.visibility_timeout_seconds
    error_message = "visibility_timeout_seconds must be a whole number from 6 x timeout_seconds (${6 * var.timeout_seconds}) to 43200."
  }
}

variable "message_retention_seconds" {
  description = "How long the payment queue keeps an unprocessed message (max_receive_count x visibility_timeout_seconds to 1209600 s, 14 days)."
  type        = number
  default     = 1209600

  validation {
    condition     = var.message_retention_seconds >= 60 && var.message_retention_seconds <= 1209600 && floor(var.message_retention_seconds) == var.message_retention_seconds
    error_message = "message_retention_seconds must be a whole number from 60 to 1209600."
  }

  # A message too old is deleted without a word, dead letter or not.
  validation {
    condition     = var.message_retention_seconds >= var.max_receive_count * var.visibility_timeout_seconds
    error_message = "message_retention_seconds must be at least max_receive_count x visibility_timeout_seconds (${var.max_receive_count * var.visibility_timeout_seconds}), or SQS deletes a payment that keeps failing before it is a dead letter: lower max_receive_count."
  }
}

variable "max_receive_count" {
  description = "Receives before a message becomes a dead letter (5 to 1000, SQS's largest)."
  type        = number
  default     = 1000

  # Messages behind a failing one of their group burn receives too: with 20, a poison head took its followers with it,
  # untried.
  validation {
    condition     = var.max_receive_count >= 5 && var.max_receive_count <= 1000 && floor(var.max_receive_count) == var.max_receive_count
    error_message = "max_receive_count must be a whole number from 5 to 1000."
  }
}

variable "dead_letter_reader_arns" {
  description = "Principals (patterns with * allowed) that may read dead letters, failed starts and waiting payments, which are raw; empty: nobody but the payment function, and that its own queue alone."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.dead_letter_reader_arns : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:[a-z-]+/.+$", arn))])
    error_message = "dead_letter_reader_arns must be ARNs of IAM users or roles, such as arn:aws:iam::123456789012:role/payments-on-call."
  }
}

# ---- table --------------------------------------------------------------------------------------------------------

variable "provisioned_capacity" {
  description = "Null: on demand. Else capacity units (1 to 40000) between which auto-scaling moves the table, and the utilisation it aims at (20 to 90 %); the index has the maximum."
  type = object({
    read_min           = number
    read_max           = number
    write_min          = number
    write_max          = number
    utilization_target = optional(number, 70)
  })
  default = null

  validation {
    condition = var.provisioned_capacity == null || try(
      var.provisioned_capacity.read_min >= 1 && var.provisioned_capacity.read_min <= var.provisioned_capacity.read_max && var.provisioned_capacity.read_max <= 40000 &&
      var.provisioned_capacity.write_min >= 1 && var.provisioned_capacity.write_min <= var.provisioned_capacity.write_max && var.provisioned_capacity.write_max <= 40000,
      false,
    )
    error_message = "provisioned_capacity must have 1 <= read_min <= read_max <= 40000, and the same for write."
  }

  validation {
    condition     = var.provisioned_capacity == null || try(var.provisioned_capacity.utilization_target >= 20 && var.provisioned_capacity.utilization_target <= 90, false)
    error_message = "provisioned_capacity.utilization_target must be 20 to 90 (per cent)."
  }
}

variable "point_in_time_recovery" {
  description = "Whether the table can be restored to any second of the last 35 days."
  type        = bool
  default     = true
}

variable "export_retention_days" {
  description = "How many days after it was made an export of the table is deleted (1 to 365, whole): it has the whole table, personal data included."
  type        = number
  default     = 7

  validation {
    condition     = var.export_retention_days >= 1 && var.export_retention_days <= 365 && floor(var.export_retention_days) == var.export_retention_days
    error_message = "export_retention_days must be 1 to 365 (whole days)."
  }
}

variable "table_kms_key_arn" {
  description = "Customer key of the table and of its exports; null: DynamoDB's and S3's own keys."
  type        = string
  default     = null

  validation {
    condition     = var.table_kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.table_kms_key_arn))
    error_message = "table_kms_key_arn must be the ARN of a KMS key (not of an alias), such as arn:aws:kms:us-east-1:123456789012:key/..."
  }
}

variable "deletion_protection" {
  description = "Whether a destroy is refused before it has taken anything; table, code and the workflow's function stay by themselves too. Null: everywhere but in dev. An apply must switch it off before a destroy."
  type        = bool
  default     = null
}

# ---- payments -----------------------------------------------------------------------------------------------------

variable "payment_currency" {
  description = "The deployment's own currency: a current code of ISO 4217 with a minor unit. Change it with empty queues only: to a message without a currency it is part of the content."
  type        = string
  default     = "USD"

  validation {
    condition     = contains(keys(local.currency_digits), var.payment_currency)
    error_message = "payment_currency must be a current code of ISO 4217 with a minor unit, such as USD."
  }
}

variable "payment_amount_max" {
  description = "Highest amount accepted in payment_currency, as text with no more decimals than it has (above 0, below 10^14 minor units)."
  type        = string
  default     = "10000"

  validation {
    condition     = can(regex("^[0-9]{1,12}(\\.[0-9]{1,4})?$", var.payment_amount_max)) && can(regex("[1-9]", var.payment_amount_max))
    error_message = "payment_amount_max must be an amount above 0, in quotes, such as \"10000.00\"."
  }

  validation {
    condition = try(
      length(split(".", "${var.payment_amount_max}.")[1]) <= local.currency_digits[var.payment_currency]
      && tonumber(var.payment_amount_max) * pow(10, local.currency_digits[var.payment_currency]) < 100000000000000, true
    )
    error_message = "payment_amount_max must have no more decimals than payment_currency has, and be below 10^14 minor units."
  }
}

variable "payment_currency_rate" {
  description = "How many of the amount curve's reference currency (100 and 500 of which are its bends) one of payment_currency is: a whole number or a fraction of two, such as 27/25."
  type        = string
  default     = "1"

  validation {
    condition     = can(regex("^[1-9][0-9]{0,8}(/[1-9][0-9]{0,8})?$", var.payment_currency_rate))
    error_message = "payment_currency_rate must be a whole number or a fraction of two, each of at most nine digits and above 0, such as 27/25."
  }
}

variable "other_currencies" {
  description = "The currencies accepted beside payment_currency, by code: the highest amount as payment_amount_max, the rate as payment_currency_rate, and approval_amount_minor, null: the risk alone decides. A function's variables have 4 KB in all. Add one only once no code of 0.1 runs any more: it rejects them for good."
  type = map(object({
    amount_max            = string
    rate                  = string
    approval_amount_minor = optional(number)
  }))
  default = {}

  validation {
    condition     = alltrue([for code in keys(var.other_currencies) : contains(keys(local.currency_digits), code) && code != var.payment_currency])
    error_message = "other_currencies must be current codes of ISO 4217 with a minor unit, and not payment_currency."
  }

  validation {
    condition = alltrue([for code, each in var.other_currencies : try(
      length(split(".", "${each.amount_max}.")[1]) <= local.currency_digits[code]
      && tonumber(each.amount_max) * pow(10, local.currency_digits[code]) < 100000000000000, true
    ) && can(regex("^[0-9]{1,12}(\\.[0-9]{1,4})?$", each.amount_max)) && can(regex("[1-9]", each.amount_max))])
    error_message = "other_currencies: each amount_max must be an amount above 0, in quotes, with no more decimals than its currency has, and below 10^14 minor units."
  }

  validation {
    condition     = alltrue([for each in values(var.other_currencies) : can(regex("^[1-9][0-9]{0,8}(/[1-9][0-9]{0,8})?$", each.rate))])
    error_message = "other_currencies: each rate must be a whole number or a fraction of two, each of at most nine digits and above 0, such as 27/25."
  }

  validation {
    condition = alltrue([for each in values(var.other_currencies) : each.approval_amount_minor == null ? true :
    each.approval_amount_minor >= 1 && each.approval_amount_minor <= 999999999999 && floor(each.approval_amount_minor) == each.approval_amount_minor])
    error_message = "other_currencies: each approval_amount_minor must be a whole number of minor units from 1 to 999999999999, or null."
  }
}

variable "body_bytes_max" {
  description = "Largest message body that is read, in bytes of UTF-8 (1024 to 1048576, whole); larger ones are rejected unread. The largest valid payment has less than half of the default."
  type        = number
  default     = 32768

  validation {
    condition     = var.body_bytes_max >= 1024 && var.body_bytes_max <= 1048576 && floor(var.body_bytes_max) == var.body_bytes_max
    error_message = "body_bytes_max must be a whole number from 1024 to 1048576."
  }
}

variable "id_shapes" {
  description = "Shapes of ids that are taken although they may look like card numbers, between commas, such as INV#{13}: # is a digit, @ an ASCII letter, * either, {n} or {n-m} behind one says how many, everything else stands for itself. A card number of such a shape is stored in the clear: declare none that is wider than your ids. Take one away with empty queues only."
  type        = string
  default     = ""

  validation {
    condition     = var.id_shapes == "" || can(regex("^([#@*](\\{[0-9]{1,2}(-[0-9]{1,2})?\\})?|[A-Za-z0-9_.:/ -])+(,([#@*](\\{[0-9]{1,2}(-[0-9]{1,2})?\\})?|[A-Za-z0-9_.:/ -])+)*$", var.id_shapes))
    error_message = "id_shapes must hold shapes between commas, of #, @ and * with {n} or {n-m} behind them and of A-Z a-z 0-9 _ . : / - and spaces, such as INV#{13}."
  }
  validation {
    condition     = alltrue([for count in regexall("([0-9]+)-([0-9]+)[}]", var.id_shapes) : tonumber(count[0]) <= tonumber(count[1])])
    error_message = "id_shapes must count up: #{13-16} and not #{16-13}."
  }
  validation {
    condition     = alltrue([for shape in split(",", var.id_shapes) : !can(regex("^([#@*][{]0{1,2}(-[0-9]{1,2})?[}])+$", shape))])
    error_message = "id_shapes must hold no shape that an empty id has."
  }
}

variable "restored_at" {
  description = "When payments had been stopped before the table was restored (UTC, such as 2026-11-28T15:04:05Z); empty: it was not. While it is set, a payment without a reference is looked for at the gateway before its first charge, from an hour after that time on (docs/restore.md)."
  type        = string
  default     = ""

  validation {
    condition     = var.restored_at == "" || can(regex("^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$", var.restored_at))
    error_message = "restored_at must be a time in UTC, such as 2026-11-28T15:04:05Z, or empty."
  }
  # A time that there is not, or that is still to come: payments without a reference would wait until an hour after it.
  validation {
    condition     = var.restored_at == "" || try(timecmp(var.restored_at, plantimestamp()) <= 0, false)
    error_message = "restored_at must be a time that was."
  }
}

variable "canonical_version_written" {
  description = "Version of the canonical text that new items are written in (from 1). Raise it by one, and only once all code that can still run reads it: a deployment later, and then for good (docs/protocol.md)."
  type        = number
  default     = 1

  # Which versions there are is the package's to say: module deployment_package compares.
  validation {
    condition     = var.canonical_version_written >= 1 && floor(var.canonical_version_written) == var.canonical_version_written
    error_message = "canonical_version_written must be a whole number from 1."
  }
}

variable "approval_amount_minor" {
  description = "Amount of payment_currency in minor units from which on a person is asked whatever the risk (1 to 999999999999); null: the risk alone decides."
  type        = number
  default     = null

  validation {
    condition     = var.approval_amount_minor == null || try(var.approval_amount_minor >= 1 && var.approval_amount_minor <= 999999999999 && floor(var.approval_amount_minor) == var.approval_amount_minor, false)
    error_message = "approval_amount_minor must be a whole number of minor units from 1 to 999999999999, or null."
  }
}

variable "approvals" {
  description = "Whether a person is asked about risky payments. If not, they are declined at once (approval_unavailable); those that wait already are still decided, by the workflow, which is always there."
  type        = bool
  default     = true

  validation {
    condition     = var.approvals || !contains(["prod", "production"], var.environment)
    error_message = "approvals must be true in environments prod and production: without it every risky payment is declined, as nobody is asked."
  }
}

variable "approval_workflow" {
  description = "The approval workflow: its approvers, as e-mail addresses, which get links, or as ARNs of AWS identities, which decide on the command line (none: nobody decides), by address another endpoint that takes an approver's links (a protocol of SNS and its endpoint), how long they may take (1 to 86400 s), how long closed executions are kept (1 to 90 days), what of the customer they see (of name, email and address; none keeps it back), the share of fraud checks that fail on purpose (0 to 1), the memory of workflow, page and reconcile where it is not memory_size (128 to 10240 MB)."
  type = object({
    approvers                  = optional(set(string), [])
    endpoints                  = optional(map(object({ protocol = string, endpoint = string })), {})
    timeout_seconds            = optional(number, 86400)
    retention_days             = optional(number, 14)
    shows                      = optional(set(string), ["name", "email", "address"])
    fraud_service_failure_rate = optional(number, 0)
    memory_sizes               = optional(object({ workflow = optional(number), page = optional(number), reconcile = optional(number) }), {})
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.approval_workflow.timeout_seconds >= 1 && var.approval_workflow.timeout_seconds <= 86400 && floor(var.approval_workflow.timeout_seconds) == var.approval_workflow.timeout_seconds
    error_message = "approval_workflow.timeout_seconds must be a whole number from 1 to 86400."
  }
  validation {
    condition     = var.approval_workflow.retention_days >= 1 && var.approval_workflow.retention_days <= 90 && floor(var.approval_workflow.retention_days) == var.approval_workflow.retention_days
    error_message = "approval_workflow.retention_days must be a whole number from 1 to 90."
  }
  validation {
    condition     = length(setsubtract(var.approval_workflow.shows, ["name", "email", "address"])) == 0
    error_message = "approval_workflow.shows must be of name, email and address."
  }
  validation {
    condition     = can(regex("^(0(\\.[0-9]{1,6})?|1(\\.0{1,6})?)$", tostring(var.approval_workflow.fraud_service_failure_rate)))
    error_message = "approval_workflow.fraud_service_failure_rate must be a share from 0 to 1 with at most six digits after the point."
  }
  validation {
    condition     = alltrue([for size in values(var.approval_workflow.memory_sizes) : size >= 128 && size <= 10240 && floor(size) == size if size != null])
    error_message = "approval_workflow.memory_sizes must be whole numbers of MB from 128 to 10240."
  }
  validation {
    condition = alltrue([for one in var.approval_workflow.approvers :
      can(regex("^[A-Za-z0-9._+-]+@[A-Za-z0-9.-]+$", one)) && length(one) <= 64 ||
    can(regex("^arn:[a-z-]+:(iam::[0-9]{12}:(root|user/[A-Za-z0-9_+=.@/-]{1,576})|sts::[0-9]{12}:(assumed-role|federated-user)/[A-Za-z0-9_+=.@/-]{1,129})$", one))])
    error_message = "approval_workflow.approvers must be e-mail addresses of at most 64 characters, or ARNs as `aws sts get-caller-identity` prints them: of a user, or of a role's session (arn:aws:sts::123456789012:assumed-role/approver/alice), never of a role."
  }
  validation {
    condition     = alltrue([for one, at in var.approval_workflow.endpoints : contains(var.approval_workflow.approvers, one) && !startswith(one, "arn:") && contains(["https", "sms", "sqs", "lambda", "email-json"], at.protocol) && length(at.endpoint) > 0])
    error_message = "approval_workflow.endpoints must be by an approver's address, each with protocol https, sms, sqs, lambda or email-json, and its endpoint."
  }
  validation {
    condition     = anytrue([for one in var.approval_workflow.approvers : !startswith(one, "arn:")]) || !contains(["prod", "production"], var.environment)
    error_message = "approval_workflow.approvers must name somebody's address in environments prod and production: nobody else is told that a risky payment waits, and each would expire after its day. Set approval_workflow = { approvers = [\"you@example.com\"] }."
  }
}

variable "event_target" {
  description = "Where an event of each payment's outcome goes: none, queue or topic (FIFO, made here, in order for each payment), or bus (event_bus_arn, without order); docs/events.md."
  type        = string
  default     = "none"
  nullable    = false

  validation {
    condition     = contains(["none", "queue", "topic", "bus"], var.event_target)
    error_message = "event_target must be none, queue, topic or bus."
  }
}

variable "event_bus_arn" {
  description = "ARN of the EventBridge bus that outcome events go to; only with event_target = \"bus\"."
  type        = string
  default     = null

  validation {
    condition     = var.event_bus_arn == null || can(regex("^arn:[a-z-]+:events:[a-z0-9-]+:[0-9]{12}:event-bus/[A-Za-z0-9_./-]+$", var.event_bus_arn))
    error_message = "event_bus_arn must be the ARN of an event bus, such as arn:aws:events:eu-central-1:123456789012:event-bus/orders."
  }
  validation {
    condition     = (var.event_bus_arn != null) == (var.event_target == "bus")
    error_message = "event_bus_arn must be given with event_target = \"bus\", and with nothing else."
  }
}

variable "webhook_secret_arn" {
  description = "Secrets Manager secret with what Stripe signs events to the webhook with, set by a person; empty: no webhook (docs/webhook.md)."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.webhook_secret_arn == "" || can(regex("^arn:[a-z-]+:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@-]+$", var.webhook_secret_arn))
    error_message = "webhook_secret_arn must be the ARN of a Secrets Manager secret, or empty."
  }
  validation {
    condition     = var.webhook_secret_arn == "" || coalesce(var.gateway, "simulated") == "stripe"
    error_message = "webhook_secret_arn is set, but only gateway = \"stripe\" sends events."
  }
  validation {
    condition     = var.webhook_secret_arn == "" || var.webhook_secret_arn != var.gateway_secret_arn
    error_message = "webhook_secret_arn is the gateway's key: give the secret with the endpoint's signing secret (whsec_...)."
  }
}

variable "conservation" {
  description = "Whether the items of each day are compared with what the gateway lists, with an alarm on any difference (docs/conservation.md); only with gateway = \"stripe\" and point_in_time_recovery, and best with the webhook, which tells items of refunds and disputes that others made."
  type        = bool
  default     = false
  nullable    = false

  validation {
    condition     = !var.conservation || coalesce(var.gateway, "simulated") == "stripe"
    error_message = "conservation is true, but only gateway = \"stripe\" has lists."
  }
  validation {
    condition     = !var.conservation || var.point_in_time_recovery
    error_message = "conservation needs point_in_time_recovery: the items of a day come from an export."
  }
}

variable "gateway" {
  description = "Payment gateway: stripe, or simulated, which approves everything inside the function and moves no money; null: simulated, in environment dev alone."
  type        = string
  default     = null

  validation {
    condition     = var.gateway == null || try(contains(["simulated", "stripe"], var.gateway), false)
    error_message = "gateway must be simulated, stripe or null."
  }

  validation {
    condition     = var.gateway_url == "" || coalesce(var.gateway, "simulated") != "simulated"
    error_message = "gateway_url is set: say whose it is, gateway = \"stripe\", or leave it out."
  }

  # Payments would be recorded as completed while no money moves.
  validation {
    condition     = var.gateway != "simulated" || !contains(["prod", "production"], var.environment)
    error_message = "gateway must not be simulated in environments prod and production: it moves no money."
  }

  validation {
    condition     = var.gateway != null || var.environment == "dev"
    error_message = "gateway must be given outside environment dev: stripe, or simulated, which approves everything and moves no money."
  }

  validation {
    condition     = !contains(["stripe"], coalesce(var.gateway, "simulated")) || (var.gateway_mode != "" && var.gateway_secret_arn != "")
    error_message = "gateway is stripe: give its gateway_mode and gateway_secret_arn."
  }

  validation {
    condition     = contains(["stripe"], coalesce(var.gateway, "simulated")) || (var.gateway_mode == "" && var.gateway_secret_arn == "")
    error_message = "gateway_mode or gateway_secret_arn is set, but this gateway has no modes and no key: set gateway = \"stripe\", or leave them out."
  }

  validation {
    condition     = var.gateway != "stripe" || var.canonical_version_written >= 2
    error_message = "gateway is stripe: canonical_version_written must be 2 or more, as version 1 knows no payment_token."
  }

  validation {
    condition     = alltrue([for code in concat([var.payment_currency], keys(var.other_currencies)) : contains(try(local.gateway_currencies[var.gateway], [code]), code)])
    error_message = "gateway does not list each of payment_currency and other_currencies (terraform/currencies.tf): choose others."
  }
}

variable "gateway_mode" {
  description = "Whether the gateway's key and its answers are of its test mode or of real money (test or live); empty: a gateway without modes."
  type        = string
  default     = ""

  validation {
    condition     = contains(["", "test", "live"], var.gateway_mode)
    error_message = "gateway_mode must be test, live or empty."
  }
}

variable "gateway_off_session" {
  description = "Whether the card networks are told that the customer is not there, of a payment that does not say it itself in off_session (true or false)."
  type        = bool
  default     = true
}

variable "secrets_kms_key_arns" {
  description = "Customer keys that the gateway's secret and the pepper are encrypted with; empty: the account's aws/secretsmanager key."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.secrets_kms_key_arns : can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", arn))])
    error_message = "secrets_kms_key_arns must be ARNs of KMS keys (not of aliases), such as arn:aws:kms:us-east-1:123456789012:key/..."
  }
}

variable "gateway_secret_arn" {
  description = "Secrets Manager secret with the gateway's key, set by a person; empty: a gateway without a key. It is read in init, and anew when the gateway refuses it."
  type        = string
  default     = ""

  validation {
    condition     = var.gateway_secret_arn == "" || can(regex("^arn:[a-z-]+:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@-]+$", var.gateway_secret_arn))
    error_message = "gateway_secret_arn must be the ARN of a Secrets Manager secret, or empty."
  }
}

variable "gateway_url" {
  description = "Base URL of the payment gateway, https://host or https://host:port, such as a stand-in of stripe; empty: the gateway's own."
  type        = string
  default     = ""

  validation {
    condition     = var.gateway_url == "" || can(regex("^(https://[A-Za-z0-9_-]{1,63}(\\.[A-Za-z0-9_-]{1,63})*|http://(127\\.0\\.0\\.1|localhost|\\[::1\\]))(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?/?$", var.gateway_url))
    error_message = "gateway_url must be https://host or https://host:port, without path or user information (http on the loopback alone), or empty."
  }
}

variable "gateway_ca_file" {
  description = "PEM file, in the package or of the runtime, with the roots that the gateway's host is trusted by; empty: Stripe's own list for its own host, else all of the system's."
  type        = string
  default     = ""

  validation {
    condition     = var.gateway_ca_file == "" || can(regex("^[A-Za-z0-9/_.+-]{1,256}\\.(pem|crt)$", var.gateway_ca_file))
    error_message = "gateway_ca_file must name a .pem or .crt file inside the package or by an absolute path, or be empty."
  }

  validation {
    condition     = var.gateway_ca_file == "" || (coalesce(var.gateway, "simulated") != "simulated" && !startswith(var.gateway_url, "http:"))
    error_message = "gateway_ca_file is set, but no gateway is spoken to over TLS: set gateway, with an https gateway_url, or leave it out."
  }
}

locals {
  # What a plan asks for by itself; where it says nothing, concurrency.tf keeps to the gateway's calls.
  concurrency_limit = var.provisioned_pollers == null ? coalesce(var.maximum_concurrency, 2) : 10 * var.provisioned_pollers.max

  # Stripe's ("Rate limits", 2026-11); null: another gateway's.
  published_calls_per_second = var.gateway != "stripe" ? null : var.gateway_mode == "live" ? 100 : 25
}

variable "group_concurrency" {
  description = "How many message groups of a batch the function charges at once (1 to 10)."
  type        = number
  default     = 10

  validation {
    condition     = var.group_concurrency >= 1 && var.group_concurrency <= 10 && floor(var.group_concurrency) == var.group_concurrency
    error_message = "group_concurrency must be a whole number from 1 to 10: a FIFO batch has no more messages."
  }
}

variable "prepare_ahead" {
  description = "Whether payments that wait behind another one of their group are prepared at the gateway meanwhile (true or false); null: with the simulated gateway alone, as each duplicate may make an intent at a real one."
  type        = bool
  default     = null
}

variable "gateway_calls_per_second" {
  description = "Calls a second that the gateway takes from this environment (1 or more); null: with stripe its published 100 in mode live and 25 in mode test, else not looked at. A plan whose groups at once, group_concurrency of each concurrent batch, would ask more often is refused, at one call in 0.3 s each."
  type        = number
  default     = null

  validation {
    condition     = var.gateway_calls_per_second == null || try(var.gateway_calls_per_second >= 1 && floor(var.gateway_calls_per_second) == var.gateway_calls_per_second, false)
    error_message = "gateway_calls_per_second must be a whole number from 1, or null."
  }

  # What is refused with 429 goes back to the queue and counts against nobody, but waits there.
  validation {
    condition     = try(local.concurrency_limit * var.group_concurrency <= 0.3 * coalesce(var.gateway_calls_per_second, local.published_calls_per_second), true)
    error_message = "gateway_calls_per_second: ${local.concurrency_limit} batches with ${var.group_concurrency} groups at once would ask the gateway more often. Let maximum_concurrency, or ten times provisioned_pollers.max, times group_concurrency be at most ${floor(0.3 * try(coalesce(var.gateway_calls_per_second, local.published_calls_per_second), 0))}, 0.3 times its calls a second (AWS takes a maximum_concurrency of 2 or more), or raise gateway_calls_per_second if the gateway grants more."
  }
}

variable "vpc" {
  description = "Subnets and security groups of the functions that talk to the gateway (queue function, workflow, reconcile), where it must see a fixed address; null: Lambda's own network. The subnets need a route to the gateway (a NAT gateway) and to AWS's services (the same, or VPC endpoints)."
  type = object({
    subnet_ids         = set(string)
    security_group_ids = set(string)
  })
  default = null

  validation {
    condition = var.vpc == null ? true : (
      length(var.vpc.subnet_ids) > 0 && length(var.vpc.security_group_ids) > 0
      && alltrue([for id in var.vpc.subnet_ids : can(regex("^subnet-[0-9a-f]{8,17}$", id))])
      && alltrue([for id in var.vpc.security_group_ids : can(regex("^sg-[0-9a-f]{8,17}$", id))])
    )
    error_message = "vpc must have at least one of subnet_ids (subnet-...) and of security_group_ids (sg-...), or be null."
  }
}

variable "gateway_deadline_seconds" {
  description = "Total time of one gateway call, connection and answer (0.001 s or more)."
  type        = number
  default     = 5

  validation {
    condition     = var.gateway_deadline_seconds >= 0.001 && can(regex("^[0-9]{1,6}(\\.[0-9]{1,6})?$", tostring(var.gateway_deadline_seconds)))
    error_message = "gateway_deadline_seconds must be 0.001 or more, with at most six digits on each side of the point."
  }
}

variable "safety_margin_seconds" {
  description = "How much a claim's lease outlives the function's time-out (0.001 s or more)."
  type        = number
  default     = 5

  validation {
    condition     = var.safety_margin_seconds >= 0.001 && can(regex("^[0-9]{1,6}(\\.[0-9]{1,6})?$", tostring(var.safety_margin_seconds)))
    error_message = "safety_margin_seconds must be 0.001 or more, with at most six digits on each side of the point: a lease must not end while its worker may still write."
  }
}

variable "retry_delay_seconds" {
  description = "First delay of a returned message; it doubles with every receive (0.001 to 180 s)."
  type        = number
  default     = 5

  validation {
    condition     = var.retry_delay_seconds >= 0.001 && var.retry_delay_seconds <= 180 && can(regex("^[0-9]{1,6}(\\.[0-9]{1,6})?$", tostring(var.retry_delay_seconds)))
    error_message = "retry_delay_seconds must be 0.001 to 180, with at most six digits on each side of the point."
  }
}

variable "park_after_tries" {
  description = "How many failures of its own a payment may have before it is parked, so that its group goes on (1 to 1000)."
  type        = number
  default     = 5

  validation {
    condition     = var.park_after_tries >= 1 && var.park_after_tries <= 1000 && floor(var.park_after_tries) == var.park_after_tries
    error_message = "park_after_tries must be a whole number from 1 to 1000."
  }
}

variable "park_after_seconds" {
  description = "How long after its first try a payment is parked at its next failure, whatever the cause (1 to 604800 s)."
  type        = number
  default     = 21600

  validation {
    condition     = var.park_after_seconds >= 1 && var.park_after_seconds <= 604800 && can(regex("^[0-9]{1,6}(\\.[0-9]{1,6})?$", tostring(var.park_after_seconds)))
    error_message = "park_after_seconds must be 1 to 604800, with at most six digits on each side of the point."
  }
}

variable "personal_data_days" {
  description = "How many days after its end a payment's name, e-mail and address are removed from the table, and a conflict's text after it came (0 to 3650; 0: never)."
  type        = number
  default     = 0

  validation {
    condition     = var.personal_data_days >= 0 && var.personal_data_days <= 3650 && floor(var.personal_data_days) == var.personal_data_days
    error_message = "personal_data_days must be 0 to 3650, a whole number."
  }
}

variable "reconcile_patience_seconds" {
  description = "How long a workflow may be late before reconcile acts in its place; for a worker, half as long again (1 to 86400 s)."
  type        = number
  default     = 600

  validation {
    condition     = var.reconcile_patience_seconds >= 1 && var.reconcile_patience_seconds <= 86400 && can(regex("^[0-9]{1,6}(\\.[0-9]{1,6})?$", tostring(var.reconcile_patience_seconds)))
    error_message = "reconcile_patience_seconds must be 1 to 86400, with at most six digits on each side of the point."
  }
}

# ---- scoring ------------------------------------------------------------------------------------------------------

variable "scoring_engine" {
  description = "Engine of fraud scoring: compiled, pure, or auto for the fastest in the package."
  type        = string
  default     = "compiled"

  validation {
    condition     = contains(["auto", "compiled", "pure"], var.scoring_engine)
    error_message = "scoring_engine must be auto, compiled or pure."
  }
}

variable "scoring_kernel" {
  description = "Kernel of the compiled engine by name (for example portable-1); empty: the fastest that the processor has."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^[a-z0-9-]{0,32}$", var.scoring_kernel))
    error_message = "scoring_kernel must be a kernel's name of a-z, 0-9 and -, or empty."
  }

  validation {
    condition     = var.scoring_kernel == "" || var.scoring_engine != "pure"
    error_message = "scoring_kernel names a kernel of the compiled engine: leave it empty, or set scoring_engine to compiled or auto."
  }
}

variable "support" {
  description = "What the queue function stands on: lean, our own AWS clients, log and metric lines, or standard, botocore and Powertools; the ZIP has one of them (make package SUPPORT=standard)."
  type        = string
  default     = "lean"

  validation {
    condition     = contains(["lean", "standard"], var.support)
    error_message = "support must be lean or standard."
  }
}

variable "rule_table_path" {
  description = "Compiled rule table inside the package; empty: the built-in rules."
  type        = string
  default     = ""

  validation {
    condition     = var.rule_table_path == "" || endswith(var.rule_table_path, ".table")
    error_message = "rule_table_path must name a compiled .table file inside the package, or be empty."
  }
}

variable "fraud_iterations" {
  description = "Rounds of SHA-256 of a fingerprint (0 to 10000000)."
  type        = number
  default     = 10000

  validation {
    condition     = var.fraud_iterations >= 0 && var.fraud_iterations <= 10000000 && floor(var.fraud_iterations) == var.fraud_iterations
    error_message = "fraud_iterations must be a whole number from 0 to 10000000."
  }
}

variable "fingerprint_pepper_secret_arn" {
  description = "Secrets Manager secret with the pepper of fingerprints, set by a person; null: no pepper. Changing it voids blocklists."
  type        = string
  default     = null

  validation {
    condition     = var.fingerprint_pepper_secret_arn == null || can(regex("^arn:[a-z-]+:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@-]+$", var.fingerprint_pepper_secret_arn))
    error_message = "fingerprint_pepper_secret_arn must be the ARN of a Secrets Manager secret."
  }
}

# ---- stress and benchmarks ----------------------------------------------------------------------------------------

variable "stress_mode" {
  description = "cold_start adds stress_delay_seconds and stress_operations to every init; none does not."
  type        = string
  default     = "none"

  validation {
    condition     = contains(["none", "cold_start"], var.stress_mode)
    error_message = "stress_mode must be none or cold_start."
  }
}

variable "stress_delay_seconds" {
  description = "Delay in init under stress (0 to 60 s)."
  type        = number
  default     = 3

  validation {
    condition     = var.stress_delay_seconds >= 0 && var.stress_delay_seconds <= 60 && can(regex("^[0-9]{1,6}(\\.[0-9]{1,6})?$", tostring(var.stress_delay_seconds)))
    error_message = "stress_delay_seconds must be 0 to 60, with at most six digits on each side of the point."
  }
}

variable "stress_operations" {
  description = "SHA-256 operations in init under stress (0 to 10000000000)."
  type        = number
  default     = 10000000

  validation {
    condition     = var.stress_operations >= 0 && var.stress_operations <= 10000000000 && floor(var.stress_operations) == var.stress_operations
    error_message = "stress_operations must be a whole number from 0 to 10000000000."
  }
}

variable "benchmark_memory_sizes" {
  description = "Memory sizes of benchmark functions (128 to 10240 MB), one function each per engine; empty: none."
  type        = set(number)
  default     = []

  validation {
    condition     = alltrue([for size in var.benchmark_memory_sizes : size >= 128 && size <= 10240 && floor(size) == size])
    error_message = "benchmark_memory_sizes must be whole numbers of MB from 128 to 10240."
  }
}

variable "benchmark_engines" {
  description = "Engines of benchmark functions: compiled, pure; each needs its package."
  type        = set(string)
  default     = ["compiled", "pure"]

  validation {
    condition     = length(var.benchmark_engines) > 0 && alltrue([for engine in var.benchmark_engines : contains(["compiled", "pure"], engine)])
    error_message = "benchmark_engines must be compiled, pure, or both; for no benchmark functions empty benchmark_memory_sizes."
  }
}

variable "package_directory" {
  description = "Directory with the ZIPs of `make package`; null: dist beside terraform."
  type        = string
  default     = null

  validation {
    condition     = var.package_directory == null || try(length(var.package_directory) > 0, false)
    error_message = "package_directory must not be empty."
  }
}

# ---- observability ------------------------------------------------------------------------------------------------

variable "alarm_emails" {
  description = "Addresses that get alarms; each confirms once."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for address in var.alarm_emails : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", address))])
    error_message = "alarm_emails must be e-mail addresses."
  }

  validation {
    condition     = length(var.alarm_emails) + length(var.alarm_endpoints) > 0 || !contains(["prod", "production"], var.environment)
    error_message = "alarm_emails or alarm_endpoints must name somebody in environments prod and production: alarms would be sent to nobody. Set alarm_emails = [\"you@example.com\"]."
  }
}

variable "alarm_endpoints" {
  description = "Other endpoints that get alarms: a protocol of SNS (https, sms, sqs, lambda, email-json) by endpoint, such as { \"https://events.example.com/alarms\" = \"https\" }."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for endpoint, protocol in var.alarm_endpoints : contains(["https", "sms", "sqs", "lambda", "email-json"], protocol) && (protocol == "https" ? startswith(endpoint, "https://") : length(endpoint) > 0)])
    error_message = "alarm_endpoints must have protocol https, sms, sqs, lambda or email-json by endpoint, and https:// in front of one of https."
  }
}

variable "account_concurrency" {
  description = "The account's limit of concurrent executions (1 or more); null: read from Service Quotas."
  type        = number
  default     = null

  validation {
    condition     = var.account_concurrency == null || try(var.account_concurrency >= 1 && floor(var.account_concurrency) == var.account_concurrency, false)
    error_message = "account_concurrency must be a whole number from 1, or null; `aws lambda get-account-settings` tells it."
  }
}

variable "logs_insights_queries" {
  description = "Whether saved Logs Insights queries are made."
  type        = bool
  default     = true
}
