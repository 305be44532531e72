"""What both patterns do for their parts: warming, budget, alarms, dashboard."""

from collections.abc import Sequence
from typing import Any

from pulumi import ResourceOptions

from components.args import ModelArgs
from components.contract import Endpoint, Home, Watched


def upkeep(name: str, home: Home, endpoint: Endpoint, parts: Sequence[Watched], args: ModelArgs, opts: ResourceOptions) -> dict[str, Any]:
    """Make what the settings ask for; the outputs of both patterns, None where one does not apply."""
    every, group = list(parts), None
    if args.warming is not None:
        warming = home.warm(f"{name}-warming", endpoint, args.warming, args.function, opts)
        every.append(warming)
        group = warming.schedule_group
    if args.budget is not None:
        every.append(home.budget(f"{name}-budget", endpoint, args.budget, args.function, opts))
    if args.alarms:
        home.watch(f"{name}-watch", every, args.alarm_email, opts)
    return {
        "endpointName": endpoint.endpoint_name,
        "floor": None if args.warming is None else endpoint.floor,
        "scheduleGroup": group,
        "dashboardUrl": home.dashboard(f"{name}-dashboard", every, opts) if args.dashboard else None,
        "logGroups": [each for part in every for each in part.log_groups] or None,
        "region": home.region,
        "project": home.project,
    }


def present(outputs: dict[str, Any]) -> dict[str, Any]:
    """The outputs that apply: those that don't are absent."""
    return {name: value for name, value in outputs.items() if value is not None}
