"""Gives a SageMaker endpoint the configuration that the plan asks for at this time, where it has another floor.

handlers.functions.aws.reconciler.handler     # the Lambda handler, called by a schedule

A schedule calls UpdateEndpoint itself at each edge of a window. What it sets can be undone by an `up` that began before the edge,
and the edge itself can be refused while an `up` moves the endpoint; so schedules between the edges ask again, through this
function, since every UpdateEndpoint deploys a new fleet, whether something changes or not.
"""

import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from handlers.functions import logs
from handlers.functions.environment import Environment


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """The configuration to have, those with the same floor, and all that belong to this deployment."""

    config: str
    same: frozenset[str]
    known: frozenset[str]

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> "Wanted":
        """Raises ValueError for an event that is none of a schedule's."""
        config, same, known = event.get("config"), event.get("same"), event.get("known")
        if not isinstance(config, str) or not isinstance(same, list) or not isinstance(known, list):
            raise ValueError("The event has no 'config' with lists 'same' and 'known': it is none of the schedules'.")
        return cls(config=config, same=frozenset({config, *same}), known=frozenset({config, *same, *known}))


class Reconciler:
    """One endpoint; `client` is boto3's `sagemaker`."""

    def __init__(self, endpoint: str, client: Any) -> None:
        self._endpoint = endpoint
        self._client = client

    def reconcile(self, wanted: Wanted) -> str:
        """What was done: `kept`, `foreign` for a configuration of another deployment, `busy` or `updated`."""
        found = self._client.describe_endpoint(EndpointName=self._endpoint)
        current, status = found["EndpointConfigName"], found["EndpointStatus"]
        if status != "InService":
            # Moved by somebody at this moment: the next check, some minutes from now, sees what became of it.
            done = "busy"
        elif current in wanted.same:
            done = "kept"
        elif current not in wanted.known:
            done = "foreign"
        else:
            self._client.update_endpoint(EndpointName=self._endpoint, EndpointConfigName=wanted.config)
            done = "updated"
        level = "INFO" if done == "kept" else "WARNING"
        logs.write("floor_checked", level=level, endpoint=self._endpoint, found=current, status=status, wanted=wanted.config, done=done)
        return done


@functools.cache
def _reconciler() -> Reconciler:
    """Settings and client, once per process. Raises SettingsError."""
    import boto3  # here, so that tests of everything else need no region

    environment = Environment(os.environ)
    endpoint = environment.required("ENDPOINT_NAME", "the SageMaker endpoint whose floor is checked")
    environment.check()
    return Reconciler(endpoint, boto3.client("sagemaker"))


def handler(event: Mapping[str, Any], context: object) -> str:
    """One firing of a schedule."""
    return _reconciler().reconcile(Wanted.of(event))
