output "function_names" {
  description = "Function name by <engine>-<MB>."
  value       = { for key, function in aws_lambda_function.this : key => function.function_name }
}

output "log_group_names" {
  description = "Log groups of the functions."
  value       = [for group in aws_cloudwatch_log_group.this : group.name]
}

output "table_name" {
  description = "Table of the benchmark functions."
  value       = module.table.table_name
}
