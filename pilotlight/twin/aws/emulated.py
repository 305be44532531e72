"""Clients of the emulator for the twin's own use: people and functions go through the front."""

from __future__ import annotations

from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from pilotlight.twin.rows import Refusal


def client(service: str, endpoint: str, region: str, **config: Any) -> Any:
    """A boto3 client of the emulator at `endpoint`."""
    # Loading boto3 takes a third of a second, which a preview does not have to pay.
    import boto3

    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id="pilotlight",
        aws_secret_access_key="pilotlight",  # noqa: S106 (the emulator checks no signature)
        config=Config(retries={"max_attempts": 3, "mode": "standard"}, connect_timeout=5, read_timeout=120, **config),
    )


def refusal(error: ClientError | BotoCoreError, service: str) -> Refusal:
    """What the emulator answered, as the twin hands it on."""
    if isinstance(error, ClientError):
        detail, answer = error.response.get("Error", {}), error.response.get("ResponseMetadata", {})
        return Refusal(str(detail.get("Code", "Unknown")), str(detail.get("Message", error)), int(answer.get("HTTPStatusCode", 400)))
    return Refusal("ServiceUnavailable", f"The emulator of {service} does not answer ({type(error).__name__}).", 503)
