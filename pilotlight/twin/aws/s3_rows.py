"""S3: buckets and what is set on them. Buckets, versions and objects are real, in the emulator."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from pilotlight.twin.policy import PolicyError, parse
from pilotlight.twin.rows import Invoke, Name, Properties, Refusal, Row
from pilotlight.twin.twin import Twin
from pilotlight.twin.world import Resource

BUCKET = "aws:s3/bucket:Bucket"
BLOCK = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
POLICY = "aws:s3/bucketPolicy:BucketPolicy"
VERSIONING = "aws:s3/bucketVersioning:BucketVersioning"
# The hosted zone of S3 websites in us-east-1 (AWS general reference, "Amazon S3 website endpoints"); other regions are not looked up.
_HOSTED_ZONE = "Z3AQBSTGFYJSTF"
# S3 user guide, "Bucket naming rules" (read 2026-11).
_NAME = re.compile(r"(?!\d{1,3}(\.\d{1,3}){3}$)(?!xn--)(?!sthree-)[a-z0-9](?:[a-z0-9-]|\.(?!\.)){1,61}[a-z0-9]")


def _bucket(twin: Twin, inputs: Properties) -> dict[str, Any]:
    name, region = inputs["bucket"], inputs["region"]
    return {
        "arn": f"arn:aws:s3:::{name}",
        "bucketDomainName": f"{name}.s3.amazonaws.com",
        "bucketRegionalDomainName": f"{name}.s3.{region}.amazonaws.com",
        "bucketRegion": region,
        "hostedZoneId": _HOSTED_ZONE,
        "websiteDomain": "",
        "websiteEndpoint": "",
        "forceDestroy": inputs.get("forceDestroy", False),
        "objectLockEnabled": inputs.get("objectLockEnabled", False),
        "requestPayer": inputs.get("requestPayer", "BucketOwner"),
    }


def _bucket_limits(inputs: Properties) -> list[str]:
    name = inputs.get("bucket")
    if isinstance(name, str) and not _NAME.fullmatch(name):
        return [f"bucket: {name!r} is not a bucket name: use 3 to 63 lower-case letters, digits, '-' and single '.', no IP address."]
    return []


def _delete_bucket(twin: Twin, resource: Resource) -> None:
    twin.s3.delete_bucket(resource["bucket"], force=bool(resource.get("forceDestroy")))


def _read_bucket(twin: Twin, resource: Resource) -> dict[str, Any] | None:
    return dict(resource.outputs) if twin.s3.has_bucket(resource["bucket"]) else None


def existing_bucket(twin: Twin, inputs: Properties) -> None:
    if twin.world.one(BUCKET, bucket=inputs["bucket"]) is None:
        raise Refusal("NoSuchBucket", f"The specified bucket does not exist: {inputs['bucket']}", 404)


def _policy_limits(inputs: Properties) -> list[str]:
    text = inputs.get("policy")
    if not isinstance(text, str):
        return []
    try:
        statements = parse(text)
    except PolicyError as error:
        return [f"policy: MalformedPolicy: {error}."]
    return [
        f"policy: MalformedPolicy: statement {number} has no {part}, which a bucket policy needs."
        for number, one in enumerate(statements)
        for part in ("Principal", "Resource")
        if not {part, f"Not{part}"} & set(one)
    ]


def _check_bucket_policy(twin: Twin, inputs: Properties) -> None:
    existing_bucket(twin, inputs)
    own = f"arn:aws:s3:::{inputs['bucket']}"
    for statement in parse(inputs["policy"]):
        resources = statement.get("Resource", [])
        for resource in [resources] if isinstance(resources, str) else resources:
            if resource != own and not str(resource).startswith(f"{own}/"):
                raise Refusal("MalformedPolicy", f"Policy has invalid resource: {resource}: use {own} and {own}/*.")
        block = twin.world.one(BLOCK, bucket=inputs["bucket"])
        if block is not None and block.get("blockPublicPolicy") and _public(statement):
            raise Refusal(
                "AccessDenied",
                f"Public policies are prevented by the BlockPublicPolicy setting of the bucket {inputs['bucket']}: name the principals.",
                403,
            )


def _public(statement: Any) -> bool:
    principal = statement.get("Principal")
    anyone = principal == "*" or (isinstance(principal, dict) and principal.get("AWS") in ("*", ["*"]))
    return bool(anyone and statement["Effect"] == "Allow" and not statement.get("Condition"))


def _versioning(twin: Twin, resource: Resource) -> None:
    status = resource["versioningConfiguration"]["status"]
    if status != "Disabled":
        twin.s3.set_versioning(resource["bucket"], status)


def _stop_versioning(twin: Twin, resource: Resource) -> None:
    if resource["versioningConfiguration"]["status"] == "Enabled" and twin.s3.has_bucket(resource["bucket"]):
        twin.s3.set_versioning(resource["bucket"], "Suspended")


def _lifecycle_limits(inputs: Properties) -> list[str]:
    names = [rule.get("id") for rule in inputs.get("rules", []) if isinstance(rule, dict)]
    return [
        f"rules: the id {name!r} is used twice: rule ids are unique in a bucket." for name in {n for n in names if names.count(n) > 1 and n}
    ]


def _setting(kind: str, *also: str, limits: Callable[[Properties], list[str]] = lambda inputs: []) -> Row:
    """A row of what is set on a bucket: one per bucket, named by it, overwritten by a second one as S3's Put calls do."""
    return Row(
        token=f"aws:s3/{kind[0].lower()}{kind[1:]}:{kind}",
        id=lambda p: str(p["bucket"]),
        replaces=frozenset({"bucket", "region", *also}),
        limits=limits,
        check=existing_bucket,
        upsert=True,
    )


ROWS: tuple[Row, ...] = (
    Row(
        token=BUCKET,
        id=lambda p: str(p["bucket"]),
        name=Name(field="bucket", max_length=63, lower=True),
        replaces=frozenset({"bucket", "bucketPrefix", "bucketNamespace", "region", "objectLockEnabled"}),
        computed=_bucket,
        limits=_bucket_limits,
        create=lambda twin, resource: twin.s3.create_bucket(resource["bucket"], resource["region"]),
        delete=_delete_bucket,
        read=_read_bucket,
    ),
    Row(
        token=VERSIONING,
        id=lambda p: str(p["bucket"]),
        replaces=frozenset({"bucket", "expectedBucketOwner", "region"}),
        check=existing_bucket,
        create=_versioning,
        update=lambda twin, old, new: _versioning(twin, new),
        delete=_stop_versioning,
        upsert=True,
    ),
    Row(
        token=POLICY,
        id=lambda p: str(p["bucket"]),
        replaces=frozenset({"bucket", "region"}),
        limits=_policy_limits,
        check=_check_bucket_policy,
        upsert=True,
    ),
    _setting("BucketOwnershipControls"),
    _setting("BucketPublicAccessBlock"),
    _setting("BucketServerSideEncryptionConfiguration", "expectedBucketOwner"),
    _setting("BucketLifecycleConfiguration", "expectedBucketOwner", limits=_lifecycle_limits),
)
INVOKES: tuple[Invoke, ...] = ()
