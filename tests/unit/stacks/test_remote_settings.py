"""Inputs of the components, as the engine hands them over: what is taken, and what a mistake is told."""

from collections.abc import Iterator
from typing import Any

import pulumi
import pytest
from pulumi.output import Unknown

from stacks.remote_settings import as_written, settings_of
from stacks.settings import parse
from stacks.settings_service import Settings
from tests.unit.stacks.test_settings import ready

MEMORY = (
    "3000 for 'aws-sagemaker': use 1024, 2048, 3072, 4096, 5120 or 6144 MB (SageMaker API reference, ProductionVariantServerlessConfig)"
)


@pytest.fixture(autouse=True)
def config() -> Iterator[None]:
    """A stack's config, as a program of another project has it."""
    pulumi.runtime.set_all_config({"aws:region": "us-east-1"})
    yield
    pulumi.runtime.set_all_config({})


def inputs(changes: dict[str, Any] | None = None) -> dict[str, Any]:
    found = ready("aws-sagemaker-api", changes)
    del found["pattern"]
    return found


def refused(changes: dict[str, Any], **more: Any) -> tuple[str, dict[str, str]]:
    """The message, and the reasons by the path of each input."""
    with pytest.raises(pulumi.InputPropertiesError) as caught:
        settings_of("api", {**inputs(changes), **more})
    return caught.value.message, {each["property_path"]: each["reason"] for each in caught.value.errors or []}


def as_floats(value: Any) -> Any:
    """Numbers as they come over the engine's wire."""
    if isinstance(value, dict):
        return {key: as_floats(each) for key, each in value.items()}
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def test_inputs_are_the_settings_of_a_stack_although_every_number_comes_as_a_float() -> None:
    assert settings_of("api", as_floats(inputs())) == parse(ready("aws-sagemaker-api"), "s")


def test_a_fraction_stays_one() -> None:
    assert settings_of("api", inputs({"auth.requestsPerSecond": 2.5})).auth.requests_per_second == 2.5  # type: ignore[union-attr]


def test_every_mistake_comes_at_once_with_its_path() -> None:
    rules = [{"kind": "ping", "everyMinutes": 5}, {"kind": "provisioned", "instances": 99}]
    message, reasons = refused({"endpoint.memoryMb": 3000, "model.task": None, "warming": rules}, colour="blue")
    assert message == "the settings have 4 problems:"
    assert reasons["endpoint.memoryMb"] == MEMORY
    assert reasons["model.task"].startswith("missing: use feature-extraction or ")
    assert reasons["warming[1].instances"].startswith("99: use 1 to 10")
    assert reasons["colour"].startswith("'blue': unknown key, ")


def test_what_the_stacks_config_lacks_is_told_beside_the_inputs() -> None:
    platform = {"cloud": "gcp", "endpoint": {"platform": "gcp-cloud-run"}, "auth": {"mode": "api-key", "requestsPerSecond": 5}}
    message, reasons = refused({**platform, "accessLogs": None, "endpoint.memoryMb": 1})
    assert "gcp:project: missing in the stack's config: use `gcp:project: my-project`, say" in message
    assert "gcp:region: missing in the stack's config" in message
    assert list(reasons) == ["endpoint.memoryMb"]


@pytest.mark.parametrize("value", [pulumi.Output.from_input("https://issuer"), Unknown()], ids=["output", "unknown"])
def test_a_value_that_is_not_known_before_is_refused_wherever_it_stands(value: Any) -> None:
    message, reasons = refused({"cors": {"allowOrigins": ["https://a", value]}, "endpoint.memoryMb": 3000}, image=value)
    # By input the engine would add the value, and can't.
    assert reasons == {}
    late = "it steers what is made, so that it must be known before: use a plain value"
    assert message.split("\n\t\t- ") == [
        "the settings have 3 problems:",
        f"image: {late}",
        f"cors.allowOrigins.1: {late}",
        f"endpoint.memoryMb: {MEMORY}",
    ]


def test_names_of_python_become_those_of_yaml_and_keys_of_tags_stay() -> None:
    written = as_written(
        Settings,
        {
            "endpoint": {"memory_mb": 1024},
            "answers": {"async_": True, "keep_hours": 24},
            "warming": [{"kind": "ping", "every_minutes": 5}, {"kind": "scheduled", "lease_until": "2027-01-31"}],
            "tags": {"cost_center": "a"},
            "data_retention": "keep",
        },
    )
    assert written == {
        "endpoint": {"memoryMb": 1024},
        "answers": {"async": True, "keepHours": 24},
        "warming": [{"kind": "ping", "everyMinutes": 5}, {"kind": "scheduled", "leaseUntil": "2027-01-31"}],
        "tags": {"cost_center": "a"},
        "dataRetention": "keep",
    }
