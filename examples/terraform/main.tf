# Pulley's stage prod with Terraform. First, in the clone of Pulley and after `pulley setup --stage prod`:
#   python examples/terraform/package.py prod
# The module has what Chalice makes: functions, roles, rules, API. Here is the most of what the
# CloudFormation template adds: not its alarms for answers of 5xx and for silent rounds.
# `pulley setup --stage prod` keeps the document, its pin and the secret.

terraform {
  required_version = ">= 1.4"
  required_providers {
    aws = { source = "hashicorp/aws", version = ">= 5, < 6" }
  }
}

locals {
  stage  = "prod"
  events = toset(["report_status_change", "reconcile_targets", "receive_launch"])
}

module "pulley" {
  source     = "../../build/terraform/prod"
  depends_on = [aws_cloudwatch_log_group.webhook, aws_cloudwatch_log_group.events]
}

resource "aws_cloudwatch_log_group" "webhook" {
  name              = "/aws/lambda/pulley-${local.stage}"
  retention_in_days = 90
}

resource "aws_cloudwatch_log_group" "events" {
  for_each          = local.events
  name              = "/aws/lambda/pulley-${local.stage}-${each.key}"
  retention_in_days = 90
}

resource "aws_api_gateway_method_settings" "throttling" {
  rest_api_id = module.pulley.RestAPIId
  stage_name  = local.stage
  method_path = "*/*"
  settings {
    throttling_rate_limit  = 100
    throttling_burst_limit = 200
  }
}

# Each event on which a function failed three times, for 14 days.
resource "aws_sqs_queue" "failed_events" {
  name                      = "pulley-${local.stage}-failed-events"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
}

resource "aws_iam_role_policy" "failed_events" {
  for_each = local.events
  name     = "failed-events"
  role     = "pulley-${local.stage}-${each.key}"
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "sqs:SendMessage", Resource = aws_sqs_queue.failed_events.arn }]
  })
  depends_on = [module.pulley]
}

resource "aws_lambda_function_event_invoke_config" "failed_events" {
  for_each               = local.events
  function_name          = "pulley-${local.stage}-${each.key}"
  qualifier              = "$LATEST"
  maximum_retry_attempts = 2
  destination_config {
    on_failure {
      destination = aws_sqs_queue.failed_events.arn
    }
  }
  depends_on = [module.pulley, aws_iam_role_policy.failed_events]
}

resource "aws_cloudwatch_metric_alarm" "failed_events" {
  alarm_name          = "pulley-${local.stage}-failed-events"
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = aws_sqs_queue.failed_events.name }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 1
  threshold           = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  treat_missing_data  = "notBreaching"
}

# The webhook's URL, for `pulley connect --url`.
output "webhook_url" {
  value = "${module.pulley.EndpointURL}/github"
}
