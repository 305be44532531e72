"""Service Usage's API, as far as a look before a deployment asks: which APIs are on, and how many GPUs are granted where."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, unquote

from pilotlight.twin.account_faults import RUN_QUOTAS
from pilotlight.twin.asgi import Send, respond
from pilotlight.twin.gcp import services
from pilotlight.twin.gcp.assigned import project_number
from pilotlight.twin.gcp.http_api import Asked, HttpApi, answered
from pilotlight.twin.gcp.projects_api import project_named, unserved
from pilotlight.twin.rows import Refusal

# Service Usage API v1, services.batchGet: names in one request.
MOST_NAMES = 30
_RUN = "run.googleapis.com"
_UNIT = "1/{project}/{region}"
_BATCH = re.compile(r"/v1/projects/([^/]+)/services:batchGet")
_METRIC = re.compile(rf"/v1beta1/projects/([^/]+)/services/{re.escape(_RUN)}/consumerQuotaMetrics/([^/]+)")


class ServiceUsageApi(HttpApi):
    name = "serviceusage"
    host = "serviceusage.googleapis.com"

    async def answer(self, asked: Asked, send: Send) -> None:
        if asked.request.method == "GET" and (batch := _BATCH.fullmatch(asked.path.replace("%3A", ":"))):
            await respond(send, answered(self._services(asked, unquote(batch[1]))))
        elif asked.request.method == "GET" and (metric := _METRIC.fullmatch(asked.path)):
            await respond(send, answered(self._quota(asked, unquote(metric[1]), unquote(metric[2]))))
        else:
            raise unserved(asked, f"it reads services (GET …/services:batchGet) and quotas of GPUs (GET …/{_RUN}/consumerQuotaMetrics/…)")

    def _services(self, asked: Asked, given: str) -> dict[str, Any]:
        """Service Usage API v1, services.batchGet."""
        project = project_named(self.twin.world, given)
        self.permit(asked, "serviceusage.services.get", f"projects/{project}")
        names = [value for name, value in asked.request.query if name == "names"]
        if not 0 < len(names) <= MOST_NAMES:
            raise Refusal("INVALID_ARGUMENT", f"names: there are {len(names)}: use 1 to {MOST_NAMES}.")
        found = [self._service(name, given, project) for name in names]
        return {"services": found}

    def _service(self, name: str, given: str, project: str) -> dict[str, Any]:
        start, service = f"projects/{given}/services/", name.rpartition("/")[2]
        if name != start + service:
            raise Refusal("INVALID_ARGUMENT", f"names: {name!r} is not of the parent: use {start}SERVICE.")
        if problem := services.known_problem(self.twin.world, service):
            raise Refusal("PERMISSION_DENIED", f"Not found or permission denied for service(s): {problem}", 403)
        parent = f"projects/{project_number(project)}"
        state = "ENABLED" if services.enabled(self.twin.world, project, service) else "DISABLED"
        return {"name": f"{parent}/services/{service}", "parent": parent, "config": {"name": service}, "state": state}

    def _quota(self, asked: Asked, given: str, metric: str) -> dict[str, Any]:
        """Service Usage API v1beta1, consumerQuotaMetrics.get: of each region that differs, after what holds everywhere else.

        Told whether Cloud Run is on or not: what Google does then is not documented.
        """
        project = project_named(self.twin.world, given)
        self.permit(asked, "serviceusage.quotas.get", f"projects/{project}")
        quota = metric.removeprefix(f"{_RUN}/")
        if metric != f"{_RUN}/{quota}" or quota not in RUN_QUOTAS:
            known = ", ".join(f"{_RUN}/{name}" for name in RUN_QUOTAS)
            raise Refusal("NOT_FOUND", f"Quota metric {metric} was not found: the local twin knows {known}.", 404)
        name = f"projects/{project_number(project)}/services/{_RUN}/consumerQuotaMetrics/{quote(metric, safe='')}"
        usual = str(RUN_QUOTAS[quota])
        buckets = [
            {"effectiveLimit": str(limit), "defaultLimit": usual, **({"dimensions": {"region": region}} if region else {})}
            for region, limit in self.twin.faults.regional_quotas(quota).items()
        ]
        limit = {"name": f"{name}/limits/%2Fproject%2Fregion", "metric": metric, "unit": _UNIT, "quotaBuckets": buckets}
        return {"name": name, "metric": metric, "displayName": quota.replace("_", " "), "unit": "1", "consumerQuotaLimits": [limit]}
