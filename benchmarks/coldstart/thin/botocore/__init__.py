"""A stand-in for botocore with one thin DynamoDB client, to measure what the SDK costs a cold start. Never shipped."""
