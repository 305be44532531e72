"""The provider of the components: the engine asks it for their schema, and to make one where a program has one."""

import tomllib
from pathlib import Path

import pulumi
from pulumi.provider import ConstructResult, main
from pulumi.provider.experimental.component import ComponentProvider
from pulumi.provider.server import ComponentInitError

from stacks.remote import EventPipeline, InferenceApi
from stacks.remote_settings import settings_of

ROOT = Path(__file__).resolve().parents[1]
NAME = "pilotlight"
COMPONENTS: list[type[pulumi.ComponentResource]] = [InferenceApi, EventPipeline]
PATTERNS = {"InferenceApi": "api", "EventPipeline": "events"}


class Components(ComponentProvider):
    """Pulumi's own provider of components, which tells what is wrong with inputs all at once and without a traceback."""

    def __init__(self) -> None:
        super().__init__(COMPONENTS, NAME, version=version())

    def construct(
        self, name: str, resource_type: str, inputs: pulumi.Inputs, options: pulumi.ResourceOptions | None = None
    ) -> ConstructResult:
        """Make a component. Raises InputPropertiesError for what somebody can mend: its inputs, an artifact that is missing."""
        # Before Pulumi looks at them: it passes over unknown inputs, and tells of the first missing one alone.
        if pattern := PATTERNS.get(resource_type.rpartition(":")[2]):
            settings_of(pattern, inputs)
        try:
            return super().construct(name, resource_type, inputs, options)
        except ComponentInitError as error:
            if isinstance(error.inner, pulumi.RunError):
                # As itself it would be told behind `Unexpected <class …>`.
                raise pulumi.InputPropertiesError(str(error.inner), []) from None
            raise


def version() -> str:
    """The checkout's own: where the components run as a plugin of their own, it is not installed."""
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])


def serve(arguments: list[str]) -> None:
    """Serve until the engine ends."""
    main(Components(), arguments)
