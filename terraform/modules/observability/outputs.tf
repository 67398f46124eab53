output "alarm_topic_arn" {
  description = "SNS topic that alarms are sent to."
  value       = aws_sns_topic.alarms.arn
}

output "dashboard_url" {
  description = "Dashboard in the CloudWatch console."
  value       = "https://${local.region}.console.aws.amazon.com/cloudwatch/home?region=${local.region}#dashboards/dashboard/${aws_cloudwatch_dashboard.this.dashboard_name}"
}

output "alarm_names" {
  description = "Names of the alarms."
  value       = sort([for alarm in merge(aws_cloudwatch_metric_alarm.this, aws_cloudwatch_metric_alarm.sums) : alarm.alarm_name])
}
