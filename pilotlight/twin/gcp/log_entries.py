"""What Cloud Logging makes of a line that a container wrote.

Source: Cloud Run documentation, "Logging" (JSON on one line becomes `jsonPayload`), and Cloud Logging, "Structured logging", special
fields in a JSON payload. A line has the time at which it came here, by the twin's clock, of which the process that wrote it knows nothing.
The twin has one pipe for both output streams, so that every line is in the log `stdout`.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

# Cloud Logging API v2, LogEntry.severity, from the least on.
SEVERITIES = ("DEFAULT", "DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL", "ALERT", "EMERGENCY")
_SPECIAL = "logging.googleapis.com/"
# Special field of a payload -> field of the entry.
_MOVED = {
    f"{_SPECIAL}trace": "trace",
    f"{_SPECIAL}spanId": "spanId",
    f"{_SPECIAL}trace_sampled": "traceSampled",
    f"{_SPECIAL}labels": "labels",
    f"{_SPECIAL}operation": "operation",
    f"{_SPECIAL}sourceLocation": "sourceLocation",
    "httpRequest": "httpRequest",
}


@dataclass(frozen=True, kw_only=True)
class Source:
    """The container that writes: an instance of a revision of a service."""

    project: str
    location: str
    service: str
    revision: str
    instance: str

    @property
    def kept_in(self) -> str:
        return self.project

    def entry(self, line: str, moment: float) -> dict[str, Any]:
        """The line as a LogEntry that is no other one."""
        return entry(self, line, moment, secrets.token_hex(8))

    def resource(self) -> dict[str, Any]:
        """The monitored resource `cloud_run_revision`."""
        labels = {
            "project_id": self.project,
            "location": self.location,
            "service_name": self.service,
            "revision_name": self.revision,
            "configuration_name": self.service,
        }
        return {"type": "cloud_run_revision", "labels": labels}


def entry(source: Source, line: str, moment: float, insert_id: str) -> dict[str, Any]:
    """A line as a LogEntry; `moment` is in seconds since the epoch."""
    at = timestamp(moment)
    made: dict[str, Any] = {
        "insertId": insert_id,
        "logName": f"projects/{source.project}/logs/run.googleapis.com%2Fstdout",
        "resource": source.resource(),
        "timestamp": at,
        "receiveTimestamp": at,
        "labels": {"instanceId": source.instance},
    }
    payload = _object(line)
    if payload is None:
        return {**made, "textPayload": line}
    severity = str(payload.pop("severity", "")).upper()
    if severity in SEVERITIES:
        made["severity"] = severity
    payload.pop("time", None)
    for name, field in _MOVED.items():
        if name in payload:
            value = payload.pop(name)
            made[field] = {**made["labels"], **value} if field == "labels" and isinstance(value, dict) else value
    if list(payload) == ["message"] and isinstance(payload["message"], str):
        return {**made, "textPayload": payload["message"]}
    return {**made, "jsonPayload": payload}


def timestamp(moment: float) -> str:
    """Seconds since the epoch as the API tells times."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _object(line: str) -> dict[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None
