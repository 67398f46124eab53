# The cold-start lab: every engine at every memory size of its report. Nothing is sent to the queue here.
environment            = "benchmark"
gateway                = "simulated"
benchmark_memory_sizes = [128, 256, 512, 1024, 1769, 3008]
benchmark_engines      = ["compiled", "pure"]
event_source_enabled   = false
log_retention_days     = 14
