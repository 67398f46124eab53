# One item per payment. The indexes hold keys only: whoever finds an item through one reads it again, consistently, before
# acting on it. A payment then costs the index of open ones a write when it enters and one when it leaves, none in between,
# and that of fingerprints one in all.

locals {
  provisioned = var.provisioned_capacity != null
}

resource "aws_dynamodb_table" "this" {
  #checkov:skip=CKV_AWS_119:a customer key is a choice (table_kms_key_arn); cards are masked before an item is written
  #checkov:skip=CKV2_AWS_16:on demand scales by itself; the provisioned choice has auto-scaling
  #checkov:skip=CKV_AWS_28:point-in-time recovery is on by default (point_in_time_recovery), off only for benchmark tables

  name                        = var.name
  billing_mode                = local.provisioned ? "PROVISIONED" : "PAY_PER_REQUEST"
  read_capacity               = local.provisioned ? var.provisioned_capacity.read_min : null
  write_capacity              = local.provisioned ? var.provisioned_capacity.write_min : null
  hash_key                    = "transaction_id"
  deletion_protection_enabled = var.deletion_protection
  stream_enabled              = true
  stream_view_type            = "NEW_AND_OLD_IMAGES"

  attribute {
    name = "transaction_id"
    type = "S"
  }

  attribute {
    name = "open_shard"
    type = "S"
  }

  attribute {
    name = "fingerprint"
    type = "S"
  }

  attribute {
    name = "created_at"
    type = "N"
  }

  # Sparse: only open payments and conflicts carry open_shard. An index that throttles throttles its table, and capacities
  # of indexes that auto-scaling moves cannot be told from changes of their definition (ignore_changes takes the whole
  # block). So it has the maximum, unscaled.
  global_secondary_index {
    name            = "open-shard-index"
    hash_key        = "open_shard"
    range_key       = "created_at"
    projection_type = "KEYS_ONLY"
    read_capacity   = local.provisioned ? var.provisioned_capacity.read_max : null
    write_capacity  = local.provisioned ? var.provisioned_capacity.write_max : null
  }

  # What an approver is shown of the same customer's earlier payments is found here. Written once, by the claim: no key of it
  # ever changes. One customer's payments are few, so that no key is hot.
  global_secondary_index {
    name            = "fingerprint-index"
    hash_key        = "fingerprint"
    range_key       = "created_at"
    projection_type = "KEYS_ONLY"
    read_capacity   = local.provisioned ? var.provisioned_capacity.read_max : null
    write_capacity  = local.provisioned ? var.provisioned_capacity.write_max : null
  }

  point_in_time_recovery {
    enabled = var.point_in_time_recovery
  }

  server_side_encryption {
    enabled     = var.kms_key_arn != null
    kms_key_arn = var.kms_key_arn
  }

  tags = var.tags

  lifecycle {
    # Auto-scaling owns the table's capacity. One resource for both billing modes: two would replace the table on a switch.
    ignore_changes = [read_capacity, write_capacity]
  }
}

resource "aws_appautoscaling_target" "table" {
  for_each = local.provisioned ? {
    Read  = { min = var.provisioned_capacity.read_min, max = var.provisioned_capacity.read_max }
    Write = { min = var.provisioned_capacity.write_min, max = var.provisioned_capacity.write_max }
  } : {}

  service_namespace  = "dynamodb"
  resource_id        = "table/${aws_dynamodb_table.this.name}"
  scalable_dimension = "dynamodb:table:${each.key}CapacityUnits"
  min_capacity       = each.value.min
  max_capacity       = each.value.max
  tags               = var.tags
}

resource "aws_appautoscaling_policy" "table" {
  for_each = aws_appautoscaling_target.table

  name               = "${var.name}-${lower(each.key)}"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = each.value.service_namespace
  resource_id        = each.value.resource_id
  scalable_dimension = each.value.scalable_dimension

  target_tracking_scaling_policy_configuration {
    target_value = var.provisioned_capacity.utilization_target
    predefined_metric_specification {
      predefined_metric_type = "DynamoDB${each.key}CapacityUtilization"
    }
  }
}
