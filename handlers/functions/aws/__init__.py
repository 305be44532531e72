"""AWS's side of the functions: what SQS and S3 send, and what S3, DynamoDB and SQS keep."""
