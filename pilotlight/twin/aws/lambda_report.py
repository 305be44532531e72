"""The lines that the Lambda service itself writes to a function's log, in the text and in the JSON form."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pilotlight.twin.aws.lambda_version import FunctionVersion


@dataclass(frozen=True, kw_only=True)
class Report:
    """One invocation in figures; times in milliseconds, memory in MiB. `status` is success, error or timeout."""

    request_id: str
    duration_ms: float
    init_ms: float | None
    peak_mb: int
    status: str
    error: str | None = None


def start_lines(version: FunctionVersion, request_id: str) -> list[str]:
    if version.log_json:
        return [_event("platform.start", {"requestId": request_id, "version": version.version})]
    return [f"START RequestId: {request_id} Version: {version.version}"]


def report_lines(version: FunctionVersion, report: Report) -> list[str]:
    """END and REPORT. Billed: the duration rounded up; since 2025 the initialisation of an on-demand start counts too."""
    billed = math.ceil(report.duration_ms + (report.init_ms or 0))
    if version.log_json:
        metrics: dict[str, Any] = {
            "durationMs": round(report.duration_ms, 3),
            "billedDurationMs": billed,
            "memorySizeMB": version.memory_mb,
            "maxMemoryUsedMB": report.peak_mb,
        }
        if report.init_ms is not None:
            metrics["initDurationMs"] = round(report.init_ms, 3)
        record = {"requestId": report.request_id, "metrics": metrics, "status": report.status}
        return [_event("platform.report", {**record, "errorType": report.error} if report.error else record)]
    line = (
        f"REPORT RequestId: {report.request_id}\tDuration: {report.duration_ms:.2f} ms\tBilled Duration: {billed} ms\t"
        f"Memory Size: {version.memory_mb} MB\tMax Memory Used: {report.peak_mb} MB\t"
    )
    if report.init_ms is not None:
        line += f"Init Duration: {report.init_ms:.2f} ms\t"
    if report.status != "success":
        line += f"Status: {report.status}\t" + (f"Error Type: {report.error}\t" if report.error and report.status == "error" else "")
    return [f"END RequestId: {report.request_id}", line]


def init_line(version: FunctionVersion, init_ms: float, status: str) -> str:
    """The report of an initialisation that did not succeed."""
    if version.log_json:
        record = {"phase": "init", "status": status, "metrics": {"durationMs": round(init_ms, 3)}}
        return _event("platform.initReport", record)
    return f"INIT_REPORT Init Duration: {init_ms:.2f} ms\tPhase: init\tStatus: {status}"


def _event(kind: str, record: dict[str, Any]) -> str:
    return json.dumps({"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "type": kind, "record": record})
