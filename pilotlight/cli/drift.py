"""What a preview would change although nobody has changed it by other ways: schedules, or another stack, set it too. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pilotlight.cli.events import Step

# How a diagnostic of a change that is none begins.
NO_DRIFT = "no drift: "
# What reads, or was read, changes nothing.
_READS = ("read", "refresh")
_TARGET, _CONFIGURATION = "aws:appautoscaling/target:Target", "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
Resources = Sequence[Mapping[str, Any]]


def changed(steps: Iterable[Step]) -> list[Step]:
    """The steps that would change something."""
    return [step for step in steps if step.operation not in _READS]


def foreseen(step: Step, resources: Resources) -> str:
    """Why a change is no drift, in words; empty where it is drift. `resources` are those of the stack's state."""
    key = (step.type, step.operation, step.properties)
    if key == ("aws:sagemaker:Endpoint", "update", ("endpointConfigName",)):
        return _swapped(step.old.get("endpointConfigName"), step.new.get("endpointConfigName"), resources)
    if key == ("aws:lambda:ProvisionedConcurrencyConfig", "create", ()):
        # One that the state has is really gone: somebody took it away.
        known = step.urn in [resource.get("urn") for resource in resources]
        return "" if known else _scaled(f"function:{step.new.get('functionName')}:{step.new.get('qualifier')}", resources)
    # The service takes only a role that may write logs (components/aws/gateway_log_role.py).
    if key == ("aws:apigateway:Account", "update", ("cloudwatchRoleArn",)) and (other := step.old.get("cloudwatchRoleArn")):
        return f"the setting is the whole account's, and another stack has set {other}"
    return ""


def _swapped(live: Any, due: Any, resources: Resources) -> str:
    """Of a configuration with another floor an edge of the plan should have moved the endpoint away, and has not."""
    floors = {resource.get("id"): _floor(resource) for resource in resources if resource.get("type") == _CONFIGURATION}
    if live in floors and due in floors and floors[live] == floors[due]:
        return f"a schedule of this stack has set {live}, which has the floor that is due"
    return ""


def _floor(configuration: Mapping[str, Any]) -> Any:
    """The provisioned concurrency of an endpoint's configuration, 0 where it has none."""
    variants = (configuration.get("outputs") or {}).get("productionVariants") or [{}]
    return (variants[0].get("serverlessConfig") or {}).get("provisionedConcurrency") or 0


def _scaled(alias: str, resources: Resources) -> str:
    """The state knows of a floor only where an `up` came while it was there (components/aws/alias_floor.py)."""
    targets = [(resource.get("outputs") or {}).get("resourceId") for resource in resources if resource.get("type") == _TARGET]
    return f"schedules set the floor of {alias}: whether it is there is told by `pilotlight doctor`" if alias in targets else ""
