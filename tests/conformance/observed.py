"""What a deployed stack itself tells of its use: calls that its parts counted, processes that run for it, lines that it logged."""

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from pilotlight.twin import client as twin_client
from pilotlight.twin.azure.account import PRINCIPAL, SUBSCRIPTION
from pilotlight.twin.azure.tokens import Tokens
from tests.support.clients import client
from tests.support.deployment import Deployment

# Log lines are gathered for a moment, on a machine that is busy with other tests; the part that writes one may first start from zero,
# on Azure once its queue is polled, every 30 s.
LINES_S = 60


@dataclass(frozen=True, kw_only=True)
class Reached:
    """How often the function and the endpoint were called, and what was started for them; equal on `aws-lambda`, where they are one."""

    function: int
    endpoint: int
    started: frozenset[int]


class Observed(ABC):
    """A stack that is up, seen through its account's own services."""

    def __init__(self, deployment: Deployment, outputs: Mapping[str, Any]) -> None:
        self._deployment = deployment
        self._outputs = outputs

    @abstractmethod
    def lines(self, group: str = "") -> list[dict[str, Any]]:
        """JSON lines of the log groups whose name contains `group`, each group's oldest first."""

    @abstractmethod
    def alarms(self) -> set[str]:
        """The alarms of the stack that are going off, by their roles: `function-errors`, say."""

    @abstractmethod
    def _called(self) -> tuple[int, int]:
        """How often the function and the endpoint were called."""

    def reached(self) -> Reached:
        function, endpoint = self._called()
        return Reached(function=function, endpoint=endpoint, started=frozenset(self.processes()))

    def processes(self, role: str = "") -> dict[int, str]:
        """Process id -> name of each that serves this stack; with `role` only those whose name ends so (before its version)."""
        own = self._outputs["functionName"].rpartition("-")[0]
        return {pid: name for pid, name in self._running().items() if own in name and name.partition(":")[0].endswith(role)}

    def _running(self) -> dict[int, str]:
        return {each["pid"]: str(each["name"]) for each in self._deployment.twin("processes")["processes"]}

    def line(self, group: str = "", **fields: Any) -> dict[str, Any]:
        """The first line with these fields, waited for. Fails the test when none comes."""
        found = self.wait(lambda: [line for line in self.lines(group) if fields.items() <= line.items()], f"{group}: {fields}")
        return dict(found[0])

    def wait(self, look: Callable[[], Any], what: str) -> Any:
        """What `look` finds as soon as it finds something."""
        deadline = time.monotonic() + LINES_S
        while not (found := look()):
            assert time.monotonic() < deadline, f"not seen within {LINES_S} s: {what}"
            time.sleep(0.1)
        return found


class AwsObserved(Observed):
    """Through CloudWatch."""

    def __init__(self, deployment: Deployment, outputs: Mapping[str, Any]) -> None:
        super().__init__(deployment, outputs)
        variables = deployment.variables()
        self._watch, self._logs = client(variables, "cloudwatch"), client(variables, "logs")

    def lines(self, group: str = "") -> list[dict[str, Any]]:
        return [line for name in self._outputs["logGroups"] if group in name for line in self._read(name)]

    def _called(self) -> tuple[int, int]:
        function = self._sum("AWS/Lambda", FunctionName=self._outputs["functionName"])
        endpoint = self._outputs.get("endpointName")
        called = function if endpoint is None else self._sum("AWS/SageMaker", EndpointName=endpoint, VariantName="AllTraffic")
        return function, called

    def alarms(self) -> set[str]:
        before = f"{self._outputs['pattern']}-watch-"
        found = self._watch.describe_alarms(AlarmNamePrefix=before, StateValue="ALARM")["MetricAlarms"]
        # The engine's digits are the end of a name.
        return {alarm["AlarmName"].removeprefix(before).rpartition("-")[0] for alarm in found}

    def _read(self, group: str) -> Iterator[dict[str, Any]]:
        for page in self._logs.get_paginator("filter_log_events").paginate(logGroupName=group):
            for event in page["events"]:
                if event["message"].startswith("{"):
                    yield json.loads(event["message"])

    def _sum(self, namespace: str, **dimensions: str) -> int:
        now = datetime.fromtimestamp(self._deployment.twin("clock")["now"], UTC)
        found = self._watch.get_metric_statistics(
            Namespace=namespace,
            MetricName="Invocations",
            Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
            StartTime=now - timedelta(days=3),
            EndTime=now + timedelta(minutes=1),
            Period=3600,
            Statistics=["Sum"],
        )
        return int(sum(point["Sum"] for point in found["Datapoints"]))


class GoogleObserved(Observed):
    """Through Cloud Logging: each part writes a line for every request that reaches it."""

    def __init__(self, deployment: Deployment, outputs: Mapping[str, Any]) -> None:
        super().__init__(deployment, outputs)
        address = deployment.twin("google")["CLOUDSDK_API_ENDPOINT_OVERRIDES_LOGGING"]
        self._logging = httpx.Client(base_url=address, timeout=60)
        self._monitoring = httpx.Client(base_url=deployment.twin("google")["CLOUDSDK_API_ENDPOINT_OVERRIDES_MONITORING"], timeout=60)

    def lines(self, group: str = "") -> list[dict[str, Any]]:
        """Of the services that outputs of these names tell, or of the one of a role, `-warmer` say."""
        if group.startswith("-"):
            return list(self._read(self._outputs["endpointName"] + group))
        return [line for name in ("functionName", "endpointName") if group in name for line in self._read(self._outputs[name])]

    def _called(self) -> tuple[int, int]:
        function, endpoint = (self._requests(self._outputs[name]) for name in ("functionName", "endpointName"))
        return function, endpoint

    def alarms(self) -> set[str]:
        before = f"{self._outputs['endpointName'].removesuffix('-private')} "
        asked = self._monitoring.get(f"/v3/projects/{self._outputs['project']}/alerts", params={"filter": 'state = "OPEN"'})
        names = [alert["policy"]["displayName"] for alert in asked.raise_for_status().json().get("alerts", [])]
        return {name.removeprefix(before) for name in names if name.startswith(before)}

    def _requests(self, service: str) -> int:
        return sum(line.get("event") == "request" for line in self._read(service))

    def _read(self, service: str) -> Iterator[dict[str, Any]]:
        asked: dict[str, Any] = {
            "resourceNames": [f"projects/{self._outputs['project']}"],
            "filter": f'resource.type="cloud_run_revision" AND resource.labels.service_name="{service}"',
            "orderBy": "timestamp asc",
            "pageSize": 1000,
        }
        while True:
            page = self._logging.post("/v2/entries:list", json=asked).raise_for_status().json()
            yield from (entry["jsonPayload"] for entry in page.get("entries", []) if "jsonPayload" in entry)
            if not page.get("nextPageToken"):
                return
            asked["pageToken"] = page["nextPageToken"]


class AzureObserved(Observed):
    """Through Log Analytics: each part writes a line for every request that reaches it."""

    def __init__(self, deployment: Deployment, outputs: Mapping[str, Any]) -> None:
        super().__init__(deployment, outputs)
        # Resource Manager is there for whom asks for Azure's variables.
        deployment.twin("azure")
        self._logs = self._api("loganalytics", "https://api.loganalytics.io")
        self._manager = self._api("arm", "https://management.azure.com")

    def lines(self, group: str = "") -> list[dict[str, Any]]:
        """Of the apps that outputs of these names tell, or of the apps and jobs of a role, `-warmer` say."""
        if group.startswith("-"):
            return list(self._read(f"{group.removeprefix('-')}-"))
        return [line for name in ("functionName", "endpointName") if group in name for line in self._read(self._outputs[name])]

    def processes(self, role: str = "") -> dict[int, str]:
        """A name here begins with its role, and ends in what is the stack's own."""
        own, begins = self._outputs["functionName"].rpartition("-")[2], f"replica {role.removeprefix('-')}"
        return {pid: name for pid, name in self._running().items() if own in name and name.startswith(begins)}

    def _called(self) -> tuple[int, int]:
        function, endpoint = (self._requests(self._outputs[name]) for name in ("functionName", "endpointName"))
        return function, endpoint

    def rows(self, query: str) -> list[list[Any]]:
        """What a query of the stack's own lines and spans answers."""
        group = f"/v1/subscriptions/{SUBSCRIPTION}/resourceGroups/{self._outputs['project']}"
        [table] = self._logs.post(f"{group}/query", json={"query": query}).raise_for_status().json()["tables"]
        rows: list[list[Any]] = table["rows"]
        return rows

    def alarms(self) -> set[str]:
        asked = {
            "api-version": "2019-05-05-preview",
            "targetResourceGroup": self._outputs["project"],
            "monitorCondition": "Fired",
            "timeRange": "30d",
        }
        found = self._manager.get(f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.AlertsManagement/alerts", params=asked)
        essentials = [alert["properties"]["essentials"] for alert in found.raise_for_status().json()["value"]]
        return {str(one["alertRule"]).rpartition("/")[2] for one in essentials}

    def _api(self, name: str, resource: str) -> httpx.Client:
        """What answers for the developer under that name at the twin's plain front."""
        headers = {"authorization": f"Bearer {Tokens(self._deployment.home).access(PRINCIPAL, PRINCIPAL, resource)}"}
        front = twin_client.ensure_running(self._deployment.home).front_url
        return httpx.Client(base_url=f"{front}/_azure/{name}", headers=headers, timeout=60)

    def _requests(self, app: str) -> int:
        return sum(line.get("event") == "request" for line in self._read(app))

    def _read(self, begins: str) -> Iterator[dict[str, Any]]:
        """The lines of every app and job whose name begins so."""
        query = "ContainerAppConsoleLogs | order by TimeGenerated asc | project ContainerAppName, JobName, Log"
        for app, job, log in self.rows(query):
            if (app or job).startswith(begins) and log.startswith("{"):
                yield json.loads(log)


def observed_of(deployment: Deployment, outputs: Mapping[str, Any]) -> Observed:
    """The half of the cloud that the stack is in."""
    return _OF_CLOUD[str(outputs["platform"]).partition("-")[0]](deployment, outputs)


_OF_CLOUD: Mapping[str, Callable[[Deployment, Mapping[str, Any]], Observed]] = {
    "aws": AwsObserved,
    "gcp": GoogleObserved,
    "azure": AzureObserved,
}
