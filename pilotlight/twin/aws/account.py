"""The functions that tell a program where it runs: account, region, partition."""

from __future__ import annotations

from typing import Any

from pilotlight.twin.rows import Invoke, Properties, Row
from pilotlight.twin.twin import Twin

# Names as AWS publishes them (botocore's endpoints.json, read 2026-11).
_DESCRIPTIONS = {
    "us-east-1": "US East (N. Virginia)",
    "us-east-2": "US East (Ohio)",
    "us-west-1": "US West (N. California)",
    "us-west-2": "US West (Oregon)",
    "eu-west-1": "Europe (Ireland)",
    "eu-central-1": "Europe (Frankfurt)",
}


def _caller(twin: Twin, args: Properties) -> dict[str, Any]:
    arn = f"arn:aws:iam::{twin.account}:user/pilotlight"
    return {"accountId": twin.account, "arn": arn, "id": twin.account, "userId": "AIDAPILOTLIGHTLOCAL01"}


def _region(twin: Twin, args: Properties) -> dict[str, Any]:
    region = str(args["region"])
    return {
        "region": region,
        "name": region,
        "id": region,
        "description": _DESCRIPTIONS.get(region, region),
        "endpoint": f"ec2.{region}.amazonaws.com",
    }


def _partition(twin: Twin, args: Properties) -> dict[str, Any]:
    return {"id": "aws", "partition": "aws", "dnsSuffix": "amazonaws.com", "reverseDnsPrefix": "com.amazonaws"}


CALLER = "aws:index/getCallerIdentity:getCallerIdentity"
REGION = "aws:index/getRegion:getRegion"
PARTITION = "aws:index/getPartition:getPartition"
ROWS: tuple[Row, ...] = ()
INVOKES: tuple[Invoke, ...] = (
    Invoke(token=CALLER, answer=_caller),
    Invoke(token=REGION, answer=_region),
    Invoke(token=PARTITION, answer=_partition),
)
