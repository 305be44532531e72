"""The model server's image: built and pushed into a registry of the stack, or taken as it is by digest."""

import json
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_docker_build as docker_build

from components.args import ImageArgs
from components.aws.context import AwsContext

# Each `up` with other sources pushes one, also one whose version does not start: what serves must outlive many such tries, since Lambda
# and SageMaker fetch it again.
KEPT_IMAGES = 30
# Only the tags of builds may move (an `up` that was killed pushes its tag again); what runs is named by digest anyway.
MOVABLE_TAGS = "build-*"


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image by digest, the ARN of its repository, and what must be there before it can be pulled."""

    uri: pulumi.Input[str]
    repository_arn: str
    ready: tuple[pulumi.Resource, ...] = ()


def image_for(name: str, home: AwsContext, args: ImageArgs, opts: pulumi.ResourceOptions) -> Image:
    """The image by its digest: the one that `args.uri` names, with no registry and no build, or one built here."""
    if args.uri is None:
        built = BuiltImage(name, home, args, opts)
        return Image(uri=built.uri, repository_arn=built.repository_arn, ready=(built,))
    return Image(uri=args.uri, repository_arn=home.place.repository_of(args.uri))


def expire_old_images(kept: int) -> dict[str, Any]:
    """Lifecycle policy of the registry: the newest images stay."""
    selection = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": kept}
    return {"rules": [{"rulePriority": 1, "description": f"Keep {kept} images", "selection": selection, "action": {"type": "expire"}}]}


class BuiltImage(pulumi.ComponentResource):
    """An ECR repository and the image built from `containers/`, pushed under a tag and used by its digest."""

    uri: pulumi.Output[str]
    repository_arn: str

    def __init__(self, name: str, home: AwsContext, args: ImageArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("pilotlight:index:BuiltImage", name, None, opts)
        repository = self._repository(name, home)
        # Without a registry id, so that a preview knows the answer and can build.
        token = aws.ecr.get_authorization_token_output()
        registry = home.place.registry()
        address = f"{registry}/{home.names.repository}"
        image = docker_build.Image(
            f"{name}-build",
            context=docker_build.BuildContextArgs(location=args.context),
            dockerfile=docker_build.DockerfileArgs(location=args.dockerfile),
            target=args.target,
            platforms=[docker_build.Platform(args.platform)],
            builder=None if args.builder is None else docker_build.BuilderConfigArgs(name=args.builder),
            tags=[f"{address}:{args.tag}"],
            # push=True would not build in a preview; this form does, so a machine without Docker is told before anything is made.
            push=False,
            # SageMaker takes Docker's manifest only, and BuildKit writes OCI's since 0.31 unless told otherwise; Lambda takes both.
            exports=[docker_build.ExportArgs(registry=docker_build.ExportRegistryArgs(oci_media_types=False))],
            registries=[
                docker_build.RegistryArgs(address=registry, username=token.user_name, password=pulumi.Output.secret(token.password))
            ],
            # The password in the state is stale by the time of a destroy; the repository takes its images with it.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[repository], retain_on_delete=True),
        )
        self.uri = pulumi.Output.format("{0}@{1}", address, image.digest)
        self.repository_arn = home.place.arn("ecr", f"repository/{home.names.repository}")
        self.register_outputs({"uri": self.uri, "repositoryArn": self.repository_arn})

    def _repository(self, name: str, home: AwsContext) -> aws.ecr.Repository:
        repository = aws.ecr.Repository(
            f"{name}-repository",
            name=home.names.repository,
            image_tag_mutability="IMMUTABLE_WITH_EXCLUSION",
            image_tag_mutability_exclusion_filters=[
                aws.ecr.RepositoryImageTagMutabilityExclusionFilterArgs(filter=MOVABLE_TAGS, filter_type="WILDCARD")
            ],
            image_scanning_configuration=aws.ecr.RepositoryImageScanningConfigurationArgs(scan_on_push=True),
            encryption_configurations=[aws.ecr.RepositoryEncryptionConfigurationArgs(encryption_type="AES256")],
            force_delete=not home.keep,
            opts=pulumi.ResourceOptions(parent=self, protect=home.keep),
        )
        aws.ecr.LifecyclePolicy(
            f"{name}-lifecycle",
            repository=repository.name,
            policy=json.dumps(expire_old_images(KEPT_IMAGES)),
            opts=pulumi.ResourceOptions(parent=self),
        )
        return repository
