"""What both programs share: where they deploy, and the parts of which they have several. The plain SDK throughout."""

import hashlib
import json
from typing import Any

import pulumi
import pulumi_aws as aws

from stacks.settings import load_settings
from stacks.settings_service import Settings

stack = pulumi.get_stack()
settings: Settings = load_settings(stack)
region = pulumi.Config("aws").require("region")
account = aws.get_caller_identity().account_id
prefix = f"{pulumi.get_project()}-{stack}"
registry = f"{account}.dkr.ecr.{region}.amazonaws.com"
tags = {"project": pulumi.get_project(), "stack": stack, "deployment": prefix, "managed-by": "pulumi"}


def after(*resources: pulumi.Resource) -> pulumi.ResourceOptions:
    return pulumi.ResourceOptions(depends_on=resources)


def arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{region}:{account}:{resource}"


def bucket_name(role: str) -> str:
    return f"{prefix}-{role}-{hashlib.sha256(f'{account}/{region}'.encode()).hexdigest()[:8]}"


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def allow(actions: str | list[str], resource: str | list[str], **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": actions, "Resource": resource, **more}


def bucket(name: str, physical: str, keep_days: int | None = None) -> tuple[aws.s3.Bucket, list[pulumi.Resource]]:
    """A private bucket; with `keep_days` its objects go after so many, else it has versions. Also what must hold before it is used."""
    made = aws.s3.Bucket(f"{name}-bucket", bucket=physical, force_destroy=True, tags=tags)
    ownership = aws.s3.BucketOwnershipControls(
        f"{name}-ownership",
        bucket=made.bucket,
        rule=aws.s3.BucketOwnershipControlsRuleArgs(object_ownership="BucketOwnerEnforced"),
    )
    private = aws.s3.BucketPublicAccessBlock(
        f"{name}-private",
        bucket=made.bucket,
        block_public_acls=True,
        block_public_policy=True,
        ignore_public_acls=True,
        restrict_public_buckets=True,
    )
    encryption = aws.s3.BucketServerSideEncryptionConfiguration(
        f"{name}-encryption",
        bucket=made.bucket,
        rules=[
            aws.s3.BucketServerSideEncryptionConfigurationRuleArgs(
                apply_server_side_encryption_by_default=aws.s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
                    sse_algorithm="AES256"
                )
            )
        ],
    )
    tls: dict[str, Any] = {"Sid": "TlsOnly", "Effect": "Deny", "Principal": "*", "Action": "s3:*"}
    tls |= {"Resource": [f"arn:aws:s3:::{physical}", f"arn:aws:s3:::{physical}/*"], "Condition": {"Bool": {"aws:SecureTransport": "false"}}}
    secured: list[pulumi.Resource] = [ownership, private, encryption]
    secured.append(aws.s3.BucketPolicy(f"{name}-tls", bucket=made.bucket, policy=policy(tls), opts=after(private)))
    abort = aws.s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(days_after_initiation=7)
    every = aws.s3.BucketLifecycleConfigurationRuleFilterArgs(prefix="")
    if keep_days is not None:
        rule = aws.s3.BucketLifecycleConfigurationRuleArgs(
            id="expire",
            status="Enabled",
            filter=every,
            abort_incomplete_multipart_upload=abort,
            expiration=aws.s3.BucketLifecycleConfigurationRuleExpirationArgs(days=keep_days),
        )
        aws.s3.BucketLifecycleConfiguration(f"{name}-lifecycle", bucket=made.bucket, rules=[rule])
        return made, secured
    versioning = aws.s3.BucketVersioning(
        f"{name}-versioning",
        bucket=made.bucket,
        versioning_configuration=aws.s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"),
    )
    rule = aws.s3.BucketLifecycleConfigurationRuleArgs(
        id="tidy",
        status="Enabled",
        filter=every,
        abort_incomplete_multipart_upload=abort,
        noncurrent_version_expiration=aws.s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs(noncurrent_days=30),
    )
    tidy = aws.s3.BucketLifecycleConfiguration(f"{name}-lifecycle", bucket=made.bucket, rules=[rule], opts=after(versioning))
    return made, [*secured, versioning, tidy]


def queues(name: str, physical: str, visibility_s: int) -> tuple[aws.sqs.Queue, aws.sqs.Queue]:
    """A queue, and the one of its dead letters."""
    dead = aws.sqs.Queue(
        f"{name}-dead",
        name=f"{physical}-dead",
        message_retention_seconds=14 * 24 * 3600,
        sqs_managed_sse_enabled=True,
        redrive_allow_policy=json.dumps({"redrivePermission": "byQueue", "sourceQueueArns": [arn("sqs", physical)]}),
        tags=tags,
    )
    queue = aws.sqs.Queue(
        f"{name}-queue",
        name=physical,
        message_retention_seconds=4 * 24 * 3600,
        visibility_timeout_seconds=visibility_s,
        sqs_managed_sse_enabled=True,
        redrive_policy=json.dumps({"deadLetterTargetArn": arn("sqs", f"{physical}-dead"), "maxReceiveCount": 5}),
        tags=tags,
        opts=after(dead),
    )
    return queue, dead


def role(name: str, service: str, description: str, *statements: dict[str, Any]) -> tuple[aws.iam.Role, aws.iam.RolePolicy]:
    """A role for a service of AWS, and its policy."""
    trust: dict[str, Any] = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    trust["Condition"] = {"StringEquals": {"aws:SourceAccount": account}}
    made = aws.iam.Role(f"{name}-role", assume_role_policy=policy(trust), description=description, tags=tags)
    return made, aws.iam.RolePolicy(f"{name}-policy", role=made.name, policy=policy(*statements))


def alarm(
    name: str,
    text: str,
    metric: str,
    dimensions: dict[str, pulumi.Input[str]],
    statistic: str,
    threshold: float,
    missing: str = "notBreaching",
    minutes: tuple[int, int] = (2, 30),
) -> None:
    """An alarm on `NAMESPACE/METRIC` above a threshold in so many minutes of so many."""
    namespace, _, metric_name = metric.rpartition("/")
    percentile = statistic.startswith("p")
    aws.cloudwatch.MetricAlarm(
        name,
        alarm_description=text,
        namespace=namespace,
        metric_name=metric_name,
        dimensions=dimensions,
        statistic=None if percentile else statistic,
        extended_statistic=statistic if percentile else None,
        period=60,
        evaluation_periods=minutes[1],
        datapoints_to_alarm=minutes[0],
        threshold=threshold,
        comparison_operator="GreaterThanThreshold",
        treat_missing_data=missing,
        tags=tags,
    )


def queue_alarms(name: str, queue: aws.sqs.Queue, dead: aws.sqs.Queue, oldest_s: int) -> None:
    told = "Messages could not be processed: see why, then replay them."
    waiting, age = "AWS/SQS/ApproximateNumberOfMessagesVisible", "AWS/SQS/ApproximateAgeOfOldestMessage"
    alarm(f"{name}-dead-letters", told, waiting, {"QueueName": dead.name}, "Maximum", 0, "ignore", (3, 5))
    alarm(f"{name}-age", "Messages wait for long.", age, {"QueueName": queue.name}, "Maximum", oldest_s, "ignore", (3, 5))


def table_alarms(name: str, table: aws.dynamodb.Table, operation: str) -> None:
    of_operation: dict[str, pulumi.Input[str]] = {"TableName": table.name, "Operation": operation}
    throttled: dict[str, pulumi.Input[str]] = {"TableName": table.name}
    alarm(f"{name}-errors", "The table fails.", "AWS/DynamoDB/SystemErrors", of_operation, "Sum", 0)
    alarm(f"{name}-throttles", "The table refuses writes.", "AWS/DynamoDB/WriteThrottleEvents", throttled, "Sum", 0)
