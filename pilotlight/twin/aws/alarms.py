"""CloudWatch alarms: judged every minute of the twin's clock, told to their topics when their state changes."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pilotlight.twin.aws import cloudwatch_api
from pilotlight.twin.aws.metric_sources import sample_queues
from pilotlight.twin.metrics import MINUTE_S, is_known, series
from pilotlight.twin.rows import AwsRequest, AwsResponse
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin

LOG = logging.getLogger(__name__)
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
# The state of an alarm; no program declares it, so the engine never sees it.
STATE = "pilotlight:cloudwatch/alarmState:AlarmState"
PRINCIPAL = "cloudwatch.amazonaws.com"
_ACTIONS = {"ALARM": "alarmActions", "OK": "okActions", "INSUFFICIENT_DATA": "insufficientDataActions"}
_COMPARE = {
    "GreaterThanThreshold": lambda value, threshold: value > threshold,
    "GreaterThanOrEqualToThreshold": lambda value, threshold: value >= threshold,
    "LessThanThreshold": lambda value, threshold: value < threshold,
    "LessThanOrEqualToThreshold": lambda value, threshold: value <= threshold,
}


@dataclass(frozen=True, kw_only=True)
class State:
    """`value` is OK, ALARM or INSUFFICIENT_DATA; `since` in seconds since the epoch."""

    value: str = "INSUFFICIENT_DATA"
    reason: str = "Unchecked: Initial alarm creation"
    since: float = 0.0


class Alarms:
    """The `monitoring` service. `attach` it to its twin before use."""

    name = "monitoring"

    def attach(self, twin: Twin) -> None:
        self.twin = twin

    async def start(self) -> None:
        """Judge at the beginning of every minute what the minutes before it brought."""
        self.twin.timers.every(lambda after: (after // MINUTE_S + 1) * MINUTE_S, self._minute, "alarms")

    async def close(self) -> None:
        """Nothing of its own runs."""

    def actions(self, request: AwsRequest) -> list[tuple[str, str]]:
        return cloudwatch_api.actions(self, request)

    async def handle(self, request: AwsRequest) -> AwsResponse:
        return await cloudwatch_api.handle(self, request)

    def state(self, alarm: Resource) -> State:
        found = self.twin.world.get(STATE, alarm.id)
        return State(**found.outputs) if found else State()

    def forget(self, alarm_id: str) -> None:
        self.twin.world.delete(STATE, alarm_id)

    async def become(self, alarm: Resource, value: str, reason: str) -> str:
        """Take on a state; the actions of a new one are carried out. What was done."""
        before = self.state(alarm)
        if before.value == value:
            return ""
        after = State(value=value, reason=reason, since=self.twin.clock.now())
        self.twin.world.put(Resource(token=STATE, id=alarm.id, urn="", outputs=asdict(after)))
        told = []
        if alarm.get("actionsEnabled", True):
            subject = f'{value}: "{alarm["name"]}"'[:100]
            for topic in alarm.get(_ACTIONS[value]) or []:
                message = json.dumps(_message(self.twin.account, alarm, before, after))
                told.append(await self.twin.sns.publish_for(PRINCIPAL, alarm["arn"], topic, subject, message))
        return f"{alarm['name']} went from {before.value} to {value}" + (f" ({', '.join(told)})" if told else "")

    async def _minute(self, due: float) -> str | None:
        # What nothing looks at is written too.
        self.twin.metrics.flush()
        alarms = self.twin.world.find(ALARM)
        if not alarms:
            return None
        sample_queues(self.twin, alarms, due)
        said = []
        for alarm in alarms:
            value, reason = self.judge(alarm, due)
            if value is not None and (done := await self.become(alarm, value, reason)):
                said.append(done)
        return "; ".join(said) or None

    def judge(self, alarm: Resource, now: float) -> tuple[str | None, str]:
        """(state, reason) by the last complete periods; None for the state it has."""
        statistic = alarm.get("statistic") or alarm.get("extendedStatistic")
        compare = _COMPARE.get(alarm.get("comparisonOperator", ""))
        if not alarm.get("metricName") or compare is None or not is_known(str(statistic)):
            return (
                None,
                "The local twin judges alarms of one metric, one of CloudWatch's plain statistics or a percentile, and a threshold.",
            )
        period, count = int(alarm.get("period", MINUTE_S)), int(alarm["evaluationPeriods"])
        wanted = series(alarm["namespace"], alarm["metricName"], alarm.get("dimensions", {}))
        end = now // period * period
        spans = [(end - (back + 1) * period, end - back * period) for back in range(count)]
        values = [self.twin.metrics.statistic(wanted, start, stop, str(statistic)) for start, stop in spans]
        threshold = float(alarm.get("threshold", 0.0))
        breaching = [value is not None and compare(value, threshold) for value in values]
        return _state(values, breaching, int(alarm.get("datapointsToAlarm", count)), alarm.get("treatMissingData", "missing"), threshold)


def _state(
    values: Sequence[float | None], breaching: Sequence[bool], needed: int, missing: str, threshold: float
) -> tuple[str | None, str]:
    """CloudWatch user guide, "Configuring how CloudWatch alarms treat missing data"; only the periods that count are looked at."""
    absent = sum(value is None for value in values)
    wrong = sum(breaching) + (absent if missing == "breaching" else 0)
    shown = ", ".join("no data" if value is None else f"{value:g}" for value in values)
    reason = f"{wrong} of the last {len(values)} periods ({shown}) breach the threshold {threshold:g}; {needed} make an alarm."
    if wrong >= needed:
        return "ALARM", reason
    if missing == "ignore" and absent and (absent == len(values) or wrong + absent >= needed):
        return None, reason
    if missing == "missing" and absent == len(values):
        return "INSUFFICIENT_DATA", reason
    return "OK", reason


def _message(account: str, alarm: Resource, before: State, after: State) -> Mapping[str, Any]:
    """The JSON that CloudWatch publishes (CloudWatch user guide, alarm notifications by SNS)."""
    dimensions = [{"name": name, "value": value} for name, value in (alarm.get("dimensions") or {}).items()]
    trigger = {
        "MetricName": alarm.get("metricName"),
        "Namespace": alarm.get("namespace"),
        "StatisticType": "ExtendedStatistic" if alarm.get("extendedStatistic") else "Statistic",
        "Statistic": (alarm.get("statistic") or "").upper() or alarm.get("extendedStatistic"),
        "Dimensions": dimensions,
        "Period": alarm.get("period"),
        "EvaluationPeriods": alarm.get("evaluationPeriods"),
        "DatapointsToAlarm": alarm.get("datapointsToAlarm"),
        "ComparisonOperator": alarm.get("comparisonOperator"),
        "Threshold": alarm.get("threshold"),
        "TreatMissingData": alarm.get("treatMissingData", "missing"),
    }
    return {
        "AlarmName": alarm["name"],
        "AlarmDescription": alarm.get("alarmDescription"),
        "AWSAccountId": account,
        "NewStateValue": after.value,
        "NewStateReason": after.reason,
        "StateChangeTime": datetime.fromtimestamp(after.since, UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000"),
        "Region": alarm["region"],
        "AlarmArn": alarm["arn"],
        "OldStateValue": before.value,
        "OKActions": alarm.get("okActions") or [],
        "AlarmActions": alarm.get("alarmActions") or [],
        "InsufficientDataActions": alarm.get("insufficientDataActions") or [],
        "Trigger": trigger,
    }
