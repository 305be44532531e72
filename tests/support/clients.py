"""AWS clients as users have them: boto3, told by the variables that `pilotlight env --local` prints where the twin is."""

from collections.abc import Mapping
from typing import Any

import boto3
from botocore.config import Config


def client(variables: Mapping[str, str], service: str, *, attempts: int = 1, connections: int = 10) -> Any:
    """A client of the deployer. One attempt by default, so that nothing is smoothed over."""
    return boto3.client(
        service,
        endpoint_url=variables["AWS_ENDPOINT_URL"],
        region_name=variables["AWS_REGION"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        config=Config(retries={"total_max_attempts": attempts, "mode": "standard"}, max_pool_connections=connections),
    )
