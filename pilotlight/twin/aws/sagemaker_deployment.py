"""What an endpoint serves: its configuration, its model and its image as they were when it was deployed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pilotlight.twin.aws import ecr
from pilotlight.twin.aws.image_checks import image_problem, manifest_problem, pushed_digest, repository_arn
from pilotlight.twin.rows import Properties, Refusal
from pilotlight.twin.world import Resource, World

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin

MODEL = "aws:sagemaker/model:Model"
CONFIG = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
ENDPOINT = "aws:sagemaker/endpoint:Endpoint"
# What is served, kept apart from the endpoint: a configuration may be deleted while the endpoint that was made of it still runs.
DEPLOYMENT = "pilotlight:sagemaker/deployment:Deployment"
SERVICE = "sagemaker.amazonaws.com"
PULL = ("ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage")
_S3 = re.compile(r"s3://(?P<bucket>[a-z0-9.-]{3,63})/(?P<key>.+)")


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """`model` is the unpacked artifact's key in the cache, None where the container brings its own;
    `deployed_at` in seconds since the epoch."""

    endpoint: str
    region: str
    config: str
    variant: str
    role: str
    image: str
    environment: Mapping[str, str]
    memory_mb: int
    max_concurrency: int
    provisioned: int
    model: str | None
    deployed_at: float

    @property
    def log_group(self) -> str:
        return f"/aws/sagemaker/Endpoints/{self.endpoint}"

    def save(self, world: World) -> None:
        world.put(Resource(token=DEPLOYMENT, id=self.endpoint, urn="", outputs=asdict(self)))


def saved(world: World, endpoint: str) -> Deployment | None:
    """What the endpoint served last, also before a restart."""
    found = world.get(DEPLOYMENT, endpoint)
    return Deployment(**found.outputs) if found else None


def container_of(model: Properties) -> Mapping[str, Any]:
    """The one container of a model."""
    listed = model.get("containers") or []
    container: Mapping[str, Any] = model.get("primaryContainer") or (listed[0] if listed else {})
    return container


def artifact_of(container: Mapping[str, Any]) -> tuple[str, str] | None:
    """(bucket, key) of the model data, or None. Refusal for an address of another form."""
    url = container.get("modelDataUrl")
    if not url:
        return None
    match = _S3.fullmatch(url)
    if match is None:
        raise Refusal("ValidationException", f"modelDataUrl {url!r} is not of the form s3://bucket/key.")
    return match["bucket"], match["key"]


def judge_model(twin: Twin, model: Properties) -> None:
    """Refusal for what CreateModel and CreateEndpoint refuse: the role, the image, the artifact, and the role's rights on both."""
    role, container = model["executionRoleArn"], container_of(model)
    if not twin.iam.assumable(role, SERVICE):
        text = f"Could not assume role {role}. Please ensure that the role exists and allows principal '{SERVICE}' to assume the role."
        raise Refusal("ValidationException", text)
    _judge_image(twin, role, container["image"])
    artifact = artifact_of(container)
    if artifact is not None:
        bucket, key = artifact
        allowed = twin.iam.allowed(role, "s3:GetObject", f"arn:aws:s3:::{bucket}/{key}")
        if not allowed or twin.s3.head(bucket, key) is None:
            reason = "the role may not s3:GetObject it" if not allowed else "there is no such object"
            raise Refusal(
                "ValidationException",
                f'Could not access model data at {container["modelDataUrl"]}. Please ensure that the role "{role}" exists and that its '
                f'trust relationship policy allows the action "sts:AssumeRole" for the service principal "{SERVICE}". Also ensure that the '
                f'role has "s3:GetObject" permissions and that the object is located in {model["region"]}. (Here {reason}.)',
            )


def _judge_image(twin: Twin, role: str, uri: str) -> None:
    if problem := image_problem(twin, uri):
        raise Refusal("ValidationException", f"Requested image {uri} not found. {problem}")
    if problem := manifest_problem(twin, uri, (ecr.DOCKER_MANIFEST,)):
        raise Refusal("ValidationException", problem)
    repository = repository_arn(twin, uri)
    needed = [("ecr:GetAuthorizationToken", "*"), *((action, repository) for action in PULL)]
    for action, resource in needed:
        if not twin.iam.allowed(role, action, resource):
            text = f"The execution role {role} may not pull {uri}. Please ensure that it has the permission {action} on {resource}."
            raise Refusal("ValidationException", text)


def planned(twin: Twin, endpoint: str, region: str, config_name: str) -> tuple[Deployment, Mapping[str, Any]]:
    """What the configuration would serve, without its artifact, and its model. Refusal when either is missing."""
    config = twin.world.one(CONFIG, name=config_name)
    if config is None:
        arn = f"arn:aws:sagemaker:{region}:{twin.account}:endpoint-config/{config_name.lower()}"
        raise Refusal("ValidationException", f'Could not find endpoint configuration "{arn}".')
    variant = config["productionVariants"][0]
    model = twin.world.one(MODEL, name=variant["modelName"])
    if model is None:
        arn = f"arn:aws:sagemaker:{region}:{twin.account}:model/{variant['modelName'].lower()}"
        raise Refusal("ValidationException", f'Could not find model "{arn}".')
    container, serverless = container_of(model.outputs), variant["serverlessConfig"]
    deployment = Deployment(
        endpoint=endpoint,
        region=region,
        config=config_name,
        variant=variant.get("variantName") or "AllTraffic",
        role=model["executionRoleArn"],
        image=pushed_digest(twin, container["image"]) or "",
        environment=container.get("environment") or {},
        memory_mb=int(serverless["memorySizeInMb"]),
        max_concurrency=int(serverless["maxConcurrency"]),
        provisioned=int(serverless.get("provisionedConcurrency") or 0),
        model=None,
        deployed_at=twin.clock.now(),
    )
    return deployment, model.outputs
