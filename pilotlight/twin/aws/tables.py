"""The tables behind DynamoDB: made, changed and deleted in the emulator, for the rows."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from pilotlight.twin.aws import emulated
from pilotlight.twin.rows import Refusal


class Tables:
    """Tables of the emulator at `endpoint`. Thread-safe. Every method raises Refusal for what DynamoDB refuses."""

    def __init__(self, endpoint: str, region: str = "us-east-1") -> None:
        self._endpoint = endpoint
        self._region = region

    @cached_property
    def _client(self) -> Any:
        return emulated.client("dynamodb", self._endpoint, self._region)

    def create(self, **parameters: Any) -> None:
        """`parameters` are CreateTable's."""
        self._call("create_table", **parameters)

    def update(self, name: str, **parameters: Any) -> None:
        """`parameters` are UpdateTable's."""
        self._call("update_table", TableName=name, **parameters)

    def set_ttl(self, name: str, attribute: str, *, enabled: bool) -> None:
        self._call("update_time_to_live", TableName=name, TimeToLiveSpecification={"AttributeName": attribute, "Enabled": enabled})

    def set_recovery(self, name: str, *, enabled: bool) -> None:
        """Turn point-in-time recovery on or off."""
        wanted = {"PointInTimeRecoveryEnabled": enabled}
        self._call("update_continuous_backups", TableName=name, PointInTimeRecoverySpecification=wanted)

    def describe(self, name: str) -> dict[str, Any] | None:
        """DescribeTable's answer with `TimeToLive` and `Recovery` (a bool) added; None for a table that is not there."""
        try:
            found: dict[str, Any] = self._call("describe_table", TableName=name)["Table"]
            ttl = self._call("describe_time_to_live", TableName=name)["TimeToLiveDescription"]
            backups = self._call("describe_continuous_backups", TableName=name)["ContinuousBackupsDescription"]
        except Refusal as error:
            if error.code == "ResourceNotFoundException":
                return None
            raise
        recovery = backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"
        return {**found, "TimeToLive": ttl, "Recovery": recovery}

    def delete(self, name: str) -> None:
        """With its items; a table that is not there is no error."""
        try:
            self._call("delete_table", TableName=name)
        except Refusal as error:
            if error.code != "ResourceNotFoundException":
                raise

    def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = getattr(self._client, operation)(**parameters)
        except (ClientError, BotoCoreError) as error:
            raise emulated.refusal(error, "DynamoDB") from None
        return answer
