"""Which IAM actions a request to an emulated service needs: S3, SQS and DynamoDB. Unknown operations need one that nobody grants."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, unquote

from pilotlight.twin.rows import Refusal

Needs = list[tuple[str, str]]
# Subresource in the query -> the noun of its actions: (on a bucket, on an object).
_S3_NOUNS: dict[str, tuple[str, str]] = {
    "acl": ("BucketAcl", "ObjectAcl"),
    "tagging": ("BucketTagging", "ObjectTagging"),
    "policy": ("BucketPolicy", ""),
    "policyStatus": ("BucketPolicyStatus", ""),
    "versioning": ("BucketVersioning", ""),
    "location": ("BucketLocation", ""),
    "lifecycle": ("LifecycleConfiguration", ""),
    "encryption": ("EncryptionConfiguration", ""),
    "notification": ("BucketNotification", ""),
    "cors": ("BucketCORS", ""),
    "logging": ("BucketLogging", ""),
    "website": ("BucketWebsite", ""),
    "replication": ("ReplicationConfiguration", ""),
    "accelerate": ("AccelerateConfiguration", ""),
    "requestPayment": ("BucketRequestPayment", ""),
    "publicAccessBlock": ("BucketPublicAccessBlock", ""),
    "ownershipControls": ("BucketOwnershipControls", ""),
    "object-lock": ("BucketObjectLockConfiguration", ""),
    "retention": ("", "ObjectRetention"),
    "legal-hold": ("", "ObjectLegalHold"),
    "attributes": ("", "ObjectAttributes"),
}
_S3_BUCKET: dict[tuple[str, str], str] = {
    ("GET", ""): "ListBucket",
    ("HEAD", ""): "ListBucket",
    ("PUT", ""): "CreateBucket",
    ("DELETE", ""): "DeleteBucket",
    ("GET", "versions"): "ListBucketVersions",
    ("GET", "uploads"): "ListBucketMultipartUploads",
}
_S3_OBJECT: dict[tuple[str, str], str] = {
    ("GET", ""): "GetObject",
    ("HEAD", ""): "GetObject",
    ("PUT", ""): "PutObject",
    ("DELETE", ""): "DeleteObject",
    ("GET", "versionId"): "GetObjectVersion",
    ("HEAD", "versionId"): "GetObjectVersion",
    ("DELETE", "versionId"): "DeleteObjectVersion",
    ("POST", "uploads"): "PutObject",
    ("POST", "uploadId"): "PutObject",
    ("PUT", "uploadId"): "PutObject",
    ("GET", "uploadId"): "ListMultipartUploadParts",
    ("DELETE", "uploadId"): "AbortMultipartUpload",
}


def s3_place(raw_path: str) -> tuple[str, str]:
    """(bucket, key) of a path-style S3 request; either may be empty."""
    bucket, _, key = raw_path.lstrip("/").partition("/")
    return unquote(bucket), unquote(key)


def is_bulk_delete(method: str, raw_path: str, query: list[tuple[str, str]]) -> bool:
    """DeleteObjects names its keys in the body: the only S3 request whose body decides what is allowed."""
    return method == "POST" and not s3_place(raw_path)[1] and any(name == "delete" for name, _ in query)


def s3_needs(method: str, raw_path: str, query: list[tuple[str, str]], headers: Mapping[str, str], body: bytes | None = None) -> Needs:
    """The actions and resources of an S3 request. `body` is needed for DeleteObjects only."""
    bucket, key = s3_place(raw_path)
    if not bucket:
        return [("s3:ListAllMyBuckets", "*")]
    arn = f"arn:aws:s3:::{bucket}"
    names = {name for name, _ in query}
    if body is not None and is_bulk_delete(method, raw_path, query):
        keys = re.findall(r"<Key>(.*?)</Key>", body.decode("utf-8", "replace"), re.DOTALL)
        return [("s3:DeleteObject", f"{arn}/{_unescape(name)}") for name in keys] or [("s3:DeleteObject", f"{arn}/")]
    action = _s3_action(method, names, on_object=bool(key))
    needs = [(f"s3:{action}", f"{arn}/{key}" if key else arn)]
    if source := headers.get("x-amz-copy-source"):
        needs.append(("s3:GetObject", f"arn:aws:s3:::{unquote(source).lstrip('/').partition('?')[0]}"))
    if headers.get("x-amz-tagging") and action == "PutObject":
        needs.append(("s3:PutObjectTagging", f"{arn}/{key}"))
    return needs


def _s3_action(method: str, names: set[str], *, on_object: bool) -> str:
    for name, nouns in _S3_NOUNS.items():
        if name in names and (noun := nouns[1 if on_object else 0]):
            verb = {"GET": "Get", "HEAD": "Get", "PUT": "Put", "DELETE": "Delete"}.get(method)
            if verb == "Delete" and noun not in ("BucketPolicy", "BucketWebsite", "ObjectTagging"):
                verb = "Put"
            if verb:
                return verb + noun
    table = _S3_OBJECT if on_object else _S3_BUCKET
    special = next((name for name in ("uploadId", "uploads", "versions", "versionId") if name in names and (method, name) in table), "")
    action = table.get((method, special))
    if action is None:
        raise Refusal("MethodNotAllowed", f"The twin does not know the S3 request {method} with {sorted(names)}.", 405)
    return action


def _unescape(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"').replace("&apos;", "'").replace("&amp;", "&")


def s3_context(query: list[tuple[str, str]], headers: Mapping[str, str]) -> dict[str, str]:
    """The S3 condition keys that a request carries."""
    context = {f"s3:{name}": value for name, value in query if name in ("prefix", "delimiter", "max-keys")}
    context |= {f"s3:{name}": headers[name] for name in ("x-amz-server-side-encryption", "x-amz-acl") if name in headers}
    return context


_SQS_SINGULAR = {
    "SendMessageBatch": "SendMessage",
    "DeleteMessageBatch": "DeleteMessage",
    "ChangeMessageVisibilityBatch": "ChangeMessageVisibility",
}


def operation(headers: Mapping[str, str], body: bytes) -> tuple[str, dict[str, Any]]:
    """(operation, parameters) of a request in one of the JSON protocols or the query protocol; Refusal where it is neither."""
    target = headers.get("x-amz-target", "")
    if target:
        try:
            parameters = json.loads(body or b"{}")
        except ValueError:
            parameters = None
        if not isinstance(parameters, dict):
            raise Refusal("SerializationException", "The request's body must be a JSON object.")
        return target.rpartition(".")[2], parameters
    form = {name: values[0] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}
    if "Action" not in form:
        raise Refusal("MissingAction", "The request names no operation: neither X-Amz-Target nor Action.")
    return form["Action"], dict(form)


def sqs_needs(name: str, parameters: Mapping[str, Any], raw_path: str, region: str, account: str) -> Needs:
    """The action of an SQS request on the queue that it names by URL, by name or by its path."""
    if name == "ListQueues":
        return [("sqs:ListQueues", "*")]
    url = str(parameters.get("QueueUrl") or parameters.get("QueueName") or raw_path)
    queue = url.rstrip("/").rpartition("/")[2]
    return [(f"sqs:{_SQS_SINGULAR.get(name, name)}", f"arn:aws:sqs:{region}:{account}:{queue}")]


_TRANSACT = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem", "Get": "GetItem"}


def dynamodb_needs(name: str, parameters: Mapping[str, Any], region: str, account: str) -> Needs:
    """The actions of a DynamoDB request on each table (or index) that it names."""
    prefix = f"arn:aws:dynamodb:{region}:{account}:table/"
    if name in ("ListTables", "DescribeLimits", "DescribeEndpoints"):
        return [(f"dynamodb:{name}", "*")]
    if name in ("BatchGetItem", "BatchWriteItem"):
        return [(f"dynamodb:{name}", prefix + _table(table)) for table in parameters.get("RequestItems", {})]
    if name.startswith("Transact"):
        items = [part for item in parameters.get("TransactItems", []) for part in item.items()]
        return [(f"dynamodb:{_TRANSACT.get(kind, kind)}", prefix + _table(item.get("TableName", ""))) for kind, item in items]
    resource = prefix + _table(str(parameters.get("TableName", "")))
    if index := parameters.get("IndexName"):
        resource += f"/index/{index}"
    return [(f"dynamodb:{name}", resource)]


def _table(name: str) -> str:
    return name.rpartition("table/")[2] if name.startswith("arn:") else name
