# The function's role, which reads items, exports the table and writes results beside the exports; and the schedule's.

locals {
  exports = "${var.export_bucket.arn}/AWSDynamoDB/*"
  results = "${var.export_bucket.arn}/conservation/*"

  permissions = {
    function = concat(
      [
        { actions = ["logs:CreateLogStream", "logs:PutLogEvents"], resources = ["${aws_cloudwatch_log_group.this.arn}:*"] },
        { actions = ["dynamodb:DescribeTable", "dynamodb:ExportTableToPointInTime", "dynamodb:GetItem"], resources = [var.table_arn] },
        { actions = ["dynamodb:DescribeExport"], resources = ["${var.table_arn}/export/*"] },
        # So that an object that is missing is told from one that is forbidden.
        { actions = ["s3:ListBucket"], resources = [var.export_bucket.arn] },
        # "Requesting a table export in DynamoDB": DynamoDB writes in the name of whoever asked.
        { actions = ["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject", "s3:PutObjectAcl"], resources = [local.exports] },
        { actions = ["s3:GetObject", "s3:PutObject"], resources = [local.results] },
        { actions = ["secretsmanager:GetSecretValue"], resources = [var.gateway_secret_arn] },
      ],
      length(var.secrets_kms_key_arns) == 0 ? [] : [{ actions = ["kms:Decrypt"], resources = var.secrets_kms_key_arns, via = "secretsmanager" }],
      var.table_kms_key_arn == null ? [] : [
        { actions = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo"], resources = [var.table_kms_key_arn], via = "dynamodb" },
        { actions = ["kms:Decrypt", "kms:GenerateDataKey"], resources = [var.table_kms_key_arn], via = "s3" },
      ],
      # As AWSLambdaVPCAccessExecutionRole has them.
      var.vpc == null ? [] : [{ actions = ["ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:DeleteNetworkInterface", "ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses"], resources = ["*"] }],
      var.tracing ? [{ actions = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"], resources = ["*"] }] : [],
    )
    # Composed, not asked of the function: then new code does not have this policy written again.
    scheduler = [{ actions = ["lambda:InvokeFunction"], resources = ["arn:${split(":", var.table_arn)[1]}:lambda:${local.region}:${local.account}:function:${local.name}"] }]
  }
  # Roles belong to no region; the name carries one, so that an environment can exist in two.
  roles = {
    function  = { name = "${local.name}-${local.region}", service = "lambda", what = "Role of the day's sums of ${var.environment}." }
    scheduler = { name = "${trimsuffix(local.name, "-conservation")}-sums-${local.region}", service = "scheduler", what = "Starts the day's sums of ${var.environment}." }
  }
}

data "aws_iam_policy_document" "assume" {
  for_each = local.roles

  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["${each.value.service}.amazonaws.com"]
    }
    # "Confused deputy prevention in EventBridge Scheduler".
    dynamic "condition" {
      for_each = each.key == "scheduler" ? [local.account] : []
      content {
        test     = "StringEquals"
        variable = "aws:SourceAccount"
        values   = [condition.value]
      }
    }
  }
}

resource "aws_iam_role" "this" {
  for_each = local.roles

  name                 = each.value.name
  description          = each.value.what
  path                 = var.role_path
  permissions_boundary = var.permissions_boundary_arn
  assume_role_policy   = data.aws_iam_policy_document.assume[each.key].json
  tags                 = var.tags
}

resource "aws_iam_role_policy" "this" {
  for_each = local.permissions

  name   = "handler"
  role   = aws_iam_role.this[each.key].id
  policy = data.aws_iam_policy_document.this[each.key].json
}

data "aws_iam_policy_document" "this" {
  #checkov:skip=CKV_AWS_111:Lambda's network interfaces and X-Ray take no resource other than "*" ("Actions, resources, and condition keys for Amazon EC2")
  #checkov:skip=CKV_AWS_356:as above
  for_each = local.permissions

  dynamic "statement" {
    for_each = each.value
    content {
      actions   = statement.value.actions
      resources = statement.value.resources
      dynamic "condition" {
        for_each = compact([try(statement.value.via, null)])
        content {
          test     = "StringEquals"
          variable = "kms:ViaService"
          values   = ["${condition.value}.${local.region}.amazonaws.com"]
        }
      }
    }
  }
}
