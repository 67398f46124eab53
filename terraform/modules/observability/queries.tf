# The payment function logs JSON, where Lambda's REPORT line is a platform.report record; benchmark functions log text.

locals {
  queries = merge(
    {
      "cold starts by memory size" = {
        log_group_names = [var.log_group_name]
        query           = <<-EOT
          filter type = "platform.report"
          | stats count(*) as invocations,
                  sum(ispresent(record.metrics.initDurationMs)) as cold_starts,
                  avg(record.metrics.initDurationMs) as init_ms_mean,
                  pct(record.metrics.initDurationMs, 50) as init_ms_p50,
                  pct(record.metrics.initDurationMs, 95) as init_ms_p95,
                  pct(record.metrics.durationMs, 99) as duration_ms_p99,
                  max(record.metrics.maxMemoryUsedMB) as memory_used_mb_max
            by record.metrics.memorySizeMB as memory_size_mb
          | sort memory_size_mb asc
        EOT
      }
      "payments returned or rejected by reason" = {
        log_group_names = [var.log_group_name]
        query           = <<-EOT
          filter ispresent(reason_code)
          | stats count(*) as messages, count_distinct(correlation_id) as payments by reason_code
          | sort messages desc
        EOT
      }
      "one payment" = {
        log_group_names = [var.log_group_name]
        query           = <<-EOT
          filter correlation_id = "pay-abc123"
          | fields @timestamp, level, message, reason_code, receives, function_request_id
          | sort @timestamp asc
        EOT
      }
    },
    length(var.benchmark_log_group_names) == 0 ? {} : {
      "benchmark cold starts by memory size" = {
        log_group_names = var.benchmark_log_group_names
        query           = <<-EOT
          filter @type = "REPORT"
          | parse @log "*-bench-*-*" as account_and_function, engine, size
          | stats count(*) as invocations,
                  sum(ispresent(@initDuration)) as cold_starts,
                  avg(@initDuration) as init_ms_mean,
                  pct(@initDuration, 50) as init_ms_p50,
                  pct(@initDuration, 95) as init_ms_p95,
                  pct(@duration, 99) as duration_ms_p99,
                  max(@maxMemoryUsed / 1000 / 1000) as memory_used_mb_max
            by engine, @memorySize / 1000 / 1000 as memory_size_mb
          | sort engine asc, memory_size_mb asc
        EOT
      }
    },
  )
}
