"""What `make setup` compiles: all that commands import, so that none of them does it again."""

from importlib.util import cache_from_source
from pathlib import Path

import pulumi_aws
import pytest

from pilotlight import compiled


def test_the_parts_of_the_sdk_that_components_name_are_compiled_too() -> None:
    named = {"pulumi_aws.s3", "pulumi_aws.lambda_", "pulumi_aws.scheduler", "pulumi_gcp.cloudrunv2", "pulumi_gcp.apigateway"}
    named |= {"pulumi_azure_native.app", "pulumi_azure_native.apimanagement"}
    assert named <= set(compiled._parts())


def test_modules_are_imported_and_programs_are_not_run() -> None:
    names = set(compiled._own())
    assert {
        "components.aws.home",
        "components.gcp.home",
        "components.azure.home",
        "pilotlight.cli.main",
        "pilotlight.twin.aws.sqs",
    } <= names
    assert not [name for name in names if name.endswith("__main__")]


@pytest.mark.parametrize(
    "part",
    [
        "pulumi_aws/s3/bucket.py",
        "pulumi_aws/sagemaker/endpoint.py",
        # Named inside functions only: nothing but their name loads these.
        "pulumi_aws/sqs/queue.py",
        "pulumi_gcp/compute/network.py",
        "pulumi_azure_native/storage/blob.py",
    ],
)
def test_no_command_compiles_the_sdk_after_set_up(part: str) -> None:
    assert Path(cache_from_source(str(Path(pulumi_aws.__path__[0]).parent / part))).is_file()
