# Real payments. The gateway with its settings, approval_workflow and alarm_emails belong to whoever runs this: give them
# with TF_ARGS or in a file of your own.
environment = "prod"
memory_size = 1769
tracing     = true
