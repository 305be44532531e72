"""The two tables of what exists, and the one place where a cloud is imported."""

from importlib import import_module
from typing import Any

from pulumi import RunError

from components.contract import EndpointFactory, HomeFactory

CLOUDS = {"aws": "components.aws.home:AwsHome", "gcp": "components.gcp.home:GcpHome", "azure": "components.azure.home:AzureHome"}
ENDPOINTS = {
    "aws-lambda": "components.aws.lambda_model:LambdaModel",
    "aws-sagemaker": "components.aws.sagemaker:SageMakerEndpoint",
    "gcp-cloud-run": "components.gcp.cloud_run:CloudRunEndpoint",
    "azure-container-apps": "components.azure.endpoint:ContainerAppsEndpoint",
}
# Names of stacks that begin so are those of ready ones; whoever forks the repository gives theirs other names, and never meets a new one.
RESERVED = tuple(f"{cloud}-" for cloud in CLOUDS)
SDKS = {
    "aws": ("pulumi_aws", "pulumi_docker_build"),
    "gcp": ("pulumi_gcp", "pulumi_docker_build"),
    "azure": ("pulumi_azure_native", "pulumi_docker_build"),
}


def cloud_of(platform: str) -> str:
    """The cloud of an endpoint platform, which its name begins with."""
    return platform.partition("-")[0]


def load_home(cloud: str) -> HomeFactory:
    """The home of that name. Raises RunError for an unknown one, and for a missing SDK with the way to get it."""
    factory: HomeFactory = _load(CLOUDS, "cloud", cloud)
    return factory


def load_endpoint(platform: str) -> EndpointFactory:
    """The endpoint platform of that name. Raises RunError as `load_home` does."""
    factory: EndpointFactory = _load(ENDPOINTS, "endpoint.platform", platform)
    return factory


def _load(table: dict[str, str], setting: str, name: str) -> Any:
    if name not in table:
        raise RunError(f"{setting}: {name!r} is not known: use {' or '.join(sorted(table))}.")
    module, _, attribute = table[name].partition(":")
    cloud = cloud_of(name)
    try:
        return getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        # Only the SDK's own absence may read as such: a typo in a module of ours must not.
        if error.name is None or error.name.split(".")[0] not in SDKS[cloud]:
            raise
        raise RunError(f"{setting}: {name!r} needs the {cloud} SDK ({error.name}): run `make setup CLOUD={cloud}`.") from error
