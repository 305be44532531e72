"""ARNs and policy documents, built from known names so that a preview can already judge them. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Statement = dict[str, Any]
IMAGE_URI = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?P<china>\.cn)?/(?P<name>[a-z0-9._/-]+)@sha256:[0-9a-f]{64}"
)


def image_region(uri: str) -> str | None:
    """Region of the ECR image that `uri` names by digest, None for anything else."""
    match = IMAGE_URI.fullmatch(uri)
    return None if match is None else match["region"]


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where ARNs lie: partition (`aws`, `aws-cn`, `aws-us-gov`), region, account id."""

    partition: str
    region: str
    account: str

    def arn(self, service: str, resource: str) -> str:
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"

    def bucket(self, name: str, path: str = "") -> str:
        return f"arn:{self.partition}:s3:::{name}{path}"

    def registry(self) -> str:
        """Host of the account's image registry."""
        suffix = "amazonaws.com.cn" if self.partition == "aws-cn" else "amazonaws.com"
        return f"{self.account}.dkr.ecr.{self.region}.{suffix}"

    def repository_of(self, image_uri: str) -> str:
        """ARN of the repository that an ECR image URI names. Raises ValueError for another registry's."""
        match = IMAGE_URI.fullmatch(image_uri)
        if match is None:
            raise ValueError(f"{image_uri!r} is no ECR image by digest.")
        return f"arn:{self.partition}:ecr:{match['region']}:{match['account']}:repository/{match['name']}"


def document(*statements: Statement) -> Mapping[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(actions: str | list[str], resource: str, **more: Any) -> Statement:
    return {"Effect": "Allow", "Action": actions, "Resource": resource, **more}


def trust(service: str, account: str | None) -> Mapping[str, Any]:
    """Who may take the role: `service`, and with `account` only on behalf of that account (confused deputy)."""
    statement: Statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    if account is not None:
        statement["Condition"] = {"StringEquals": {"aws:SourceAccount": account}}
    return document(statement)


def write_logs(place: Place, group: str, *more: str) -> Statement:
    """Write into one log group, which must exist: no right to create groups. `more` are further actions on it."""
    return allow(["logs:CreateLogStream", "logs:PutLogEvents", *more], place.arn("logs", f"log-group:{group}:*"))


def read_models(place: Place, bucket: str, prefix: str) -> list[Statement]:
    """Read the objects under one prefix, and see which there are: else a missing one is answered as a forbidden one is (S3 API reference,
    GetObject). A condition on `s3:prefix` would be true of no such request, which names none."""
    return [allow("s3:GetObject", place.bucket(bucket, f"/{prefix}*")), allow("s3:ListBucket", place.bucket(bucket))]


def read_versions(place: Place, bucket: str, prefix: str) -> list[Statement]:
    """Read objects under a prefix, each by its version; one that was written before versioning had spread has none (Amazon S3 user guide,
    "Using versioning in S3 buckets": up to 15 minutes), and is read without.

    Who may list is told of a deleted object that it is gone, else that it is forbidden (S3 API reference, GetObject).
    """
    return [
        allow(["s3:GetObject", "s3:GetObjectVersion"], place.bucket(bucket, f"/{prefix}*")),
        allow("s3:ListBucket", place.bucket(bucket)),
    ]


def pull_image(repository_arn: str) -> list[Statement]:
    """Pull from one repository. GetAuthorizationToken has no resource level: `*` is all that AWS offers."""
    return [
        allow("ecr:GetAuthorizationToken", "*"),
        allow(["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"], repository_arn),
    ]


def invoke_endpoint(place: Place, endpoint: str) -> Statement:
    """Call one SageMaker endpoint, whose name is lower case in its ARN."""
    return allow("sagemaker:InvokeEndpoint", place.arn("sagemaker", f"endpoint/{endpoint.lower()}"))
