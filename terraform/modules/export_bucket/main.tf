# Exports of the table: each has the whole of it, or of a day, personal data included, and is deleted after some days. The
# sums of each day beside them have none, and stay.

resource "aws_s3_bucket" "this" {
  #checkov:skip=CKV_AWS_18:read by people with a policy of their own; CloudTrail has who made an export
  #checkov:skip=CKV_AWS_21:an export is made anew, and an older version would outlive the days that it may be kept
  #checkov:skip=CKV_AWS_144:an export is made anew; a second region would have the table's personal data as well
  #checkov:skip=CKV_AWS_145:a customer key is a choice, the table's own (table_kms_key_arn)
  #checkov:skip=CKV2_AWS_62:nothing reacts to an export; whoever makes one waits for it
  bucket        = var.name
  force_destroy = var.force_destroy
  tags          = var.tags
}

resource "aws_s3_bucket_public_access_block" "this" {
  bucket                  = aws_s3_bucket.this.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "this" {
  bucket = aws_s3_bucket.this.id
  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

# As the table is encrypted: with its customer key where it has one.
resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  bucket = aws_s3_bucket.this.id
  rule {
    bucket_key_enabled = var.kms_key_arn != null
    apply_server_side_encryption_by_default {
      sse_algorithm     = var.kms_key_arn == null ? "AES256" : "aws:kms"
      kms_master_key_id = var.kms_key_arn
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  bucket = aws_s3_bucket.this.id
  rule {
    id     = "abort-uploads"
    status = "Enabled"
    filter {}
    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }
  rule {
    id     = "forget-exports"
    status = "Enabled"
    filter {
      prefix = "AWSDynamoDB/"
    }
    expiration {
      days = var.retention_days
    }
  }
  # What the runs of a day's sums leave to each other.
  rule {
    id     = "forget-work"
    status = "Enabled"
    filter {
      prefix = "conservation/parts/"
    }
    expiration {
      days = var.retention_days
    }
  }
}

resource "aws_s3_bucket_policy" "this" {
  bucket     = aws_s3_bucket.this.id
  policy     = data.aws_iam_policy_document.this.json
  depends_on = [aws_s3_bucket_public_access_block.this]
}

data "aws_iam_policy_document" "this" {
  statement {
    sid    = "RefuseWithoutTls"
    effect = "Deny"
    principals {
      type        = "*"
      identifiers = ["*"]
    }
    actions   = ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:ListBucket", "s3:PutObject", "s3:PutObjectAcl"]
    resources = [aws_s3_bucket.this.arn, "${aws_s3_bucket.this.arn}/*"]
    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}
