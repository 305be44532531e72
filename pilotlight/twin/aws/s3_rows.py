"""S3: buckets, what is set on them, and uploaded objects. The objects are real, in the emulator."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

from pilotlight.twin.aws.s3 import ObjectStore
from pilotlight.twin.policy import PolicyError, parse
from pilotlight.twin.rows import Invoke, Name, Properties, Refusal, Row
from pilotlight.twin.twin import Twin
from pilotlight.twin.world import Resource

BUCKET = "aws:s3/bucket:Bucket"
OBJECT = "aws:s3/bucketObjectv2:BucketObjectv2"
BLOCK = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
POLICY = "aws:s3/bucketPolicy:BucketPolicy"
VERSIONING = "aws:s3/bucketVersioning:BucketVersioning"
# The hosted zone of S3 websites in us-east-1 (AWS general reference, "Amazon S3 website endpoints"); other regions are not looked up.
_HOSTED_ZONE = "Z3AQBSTGFYJSTF"
# S3 user guide, "Bucket naming rules" (read 2026-11).
_NAME = re.compile(r"(?!\d{1,3}(\.\d{1,3}){3}$)(?!xn--)(?!sthree-)[a-z0-9](?:[a-z0-9-]|\.(?!\.)){1,61}[a-z0-9]")
_SOURCES = ("source", "content", "contentBase64")


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


def _existing_bucket(twin: Twin, inputs: Properties) -> None:
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
    _existing_bucket(twin, inputs)
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


def _object_limits(inputs: Properties) -> list[str]:
    given = [name for name in _SOURCES if name in inputs]
    problems = [f"{' and '.join(given)}: only one of {', '.join(_SOURCES)} can be set."] if len(given) > 1 else []
    key = inputs.get("key")
    if isinstance(key, str) and not 1 <= len(key.encode()) <= 1024:
        # S3 user guide, "Object key naming".
        problems.append(f"key: has {len(key.encode())} bytes: use 1 to 1024.")
    return problems


def _object(twin: Twin, inputs: Properties) -> dict[str, Any]:
    return {
        "arn": f"arn:aws:s3:::{inputs['bucket']}/{inputs['key']}",
        "contentType": inputs.get("contentType", "application/octet-stream"),
        "storageClass": inputs.get("storageClass", "STANDARD"),
        "serverSideEncryption": inputs.get("serverSideEncryption", "AES256"),
        "bucketKeyEnabled": inputs.get("bucketKeyEnabled", False),
        "forceDestroy": inputs.get("forceDestroy", False),
        **{f"checksum{name}": "" for name in ("Crc32", "Crc32c", "Crc64nvme", "Sha1", "Sha256")},
    }


def _upload(store: ObjectStore, resource: Resource) -> dict[str, Any]:
    headers = {
        "ContentType": resource["contentType"],
        **{name: resource[key] for key, name in _HEADERS.items() if resource.get(key)},
    }
    answer = store.put(resource["bucket"], resource["key"], _body(resource.inputs), **headers)
    return {"etag": str(answer["ETag"]).strip('"'), "versionId": answer.get("VersionId") or ""}


_HEADERS = {
    "cacheControl": "CacheControl",
    "contentDisposition": "ContentDisposition",
    "contentEncoding": "ContentEncoding",
    "contentLanguage": "ContentLanguage",
    "metadata": "Metadata",
}


def _body(inputs: Properties) -> Path | bytes:
    if "source" in inputs:
        return Path(inputs["source"]["path"])
    if "contentBase64" in inputs:
        return base64.b64decode(inputs["contentBase64"])
    return str(inputs.get("content", "")).encode()


def _read_object(twin: Twin, resource: Resource) -> dict[str, Any] | None:
    live = twin.s3.head(resource["bucket"], resource["key"])
    if live is None:
        return None
    outputs = {**resource.outputs, "etag": str(live["ETag"]).strip('"'), "contentType": live.get("ContentType", resource["contentType"])}
    if outputs["etag"] != resource["etag"] and "source" in resource.outputs:
        # Somebody wrote other bytes: the recorded hash no longer tells what is there, so the next update uploads again.
        outputs["source"] = {**resource["source"], "hash": ""}
    return outputs


def _setting(kind: str, cfn_limits: Any = lambda inputs: []) -> Row:
    """A row of what is set on a bucket: one per bucket, named by it, overwritten by a second one as S3's Put calls do."""
    return Row(
        token=f"aws:s3/{kind[0].lower()}{kind[1:]}:{kind}",
        id=lambda p: str(p["bucket"]),
        replaces=frozenset({"bucket", "expectedBucketOwner", "region"}),
        limits=cfn_limits,
        check=_existing_bucket,
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
        token=OBJECT,
        id=lambda p: f"{p['bucket']}/{p['key']}",
        name=Name(field="key", max_length=1024),
        replaces=frozenset({"bucket", "key", "region"}),
        computed=_object,
        volatile=frozenset({"etag", "versionId"}),
        limits=_object_limits,
        check=_existing_bucket,
        create=lambda twin, resource: _upload(twin.s3, resource),
        update=lambda twin, old, new: _upload(twin.s3, new),
        delete=lambda twin, resource: twin.s3.delete(resource["bucket"], resource["key"]),
        read=_read_object,
        upsert=True,
    ),
    Row(
        token=VERSIONING,
        id=lambda p: str(p["bucket"]),
        replaces=frozenset({"bucket", "expectedBucketOwner", "region"}),
        check=_existing_bucket,
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
    _setting("BucketServerSideEncryptionConfiguration"),
    _setting("BucketLifecycleConfiguration", _lifecycle_limits),
)
INVOKES: tuple[Invoke, ...] = ()
