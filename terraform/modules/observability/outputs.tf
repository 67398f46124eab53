output "alarm_topic_arn" {
  description = "SNS topic that alarms are sent to."
  value       = aws_sns_topic.alarms.arn
}

output "dashboard_url" {
  description = "Dashboard in the CloudWatch console."
  value       = "https://${local.region}.console.aws.amazon.com/cloudwatch/home?region=${local.region}#dashboards/dashboard/${aws_cloudwatch_dashboard.this.dashboard_name}"
}

output "alarm_names" {
  description = "Names of the alarms by what they tell."
  value       = { for key, alarm in merge(aws_cloudwatch_metric_alarm.this, aws_cloudwatch_metric_alarm.sums) : key => alarm.alarm_name }
}
