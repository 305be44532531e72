"""The images of a service: the functions', built here, and the model server's, built beside them or taken as it is by digest."""

from dataclasses import dataclass

import pulumi
import pulumi_docker_build as docker_build
import pulumi_gcp as gcp

from components.args import ImageArgs
from components.gcp.apis import REGISTRY
from components.gcp.context import GcpContext

FUNCTION_TARGET = "function-gcp"
KEPT_IMAGES = 10
# Artifact Registry takes an access token under this name (its documentation, authentication for Docker).
TOKEN_USER = "oauth2accesstoken"  # noqa: S105 - a name, not the token
DAY = "86400s"


@dataclass(frozen=True, kw_only=True)
class Image:
    """Both images by digest, and what must be there before they can be pulled."""

    uri: pulumi.Output[str]
    functions: pulumi.Output[str]
    ready: tuple[pulumi.Resource, ...]


class BuiltImages(pulumi.ComponentResource):
    """A registry of the stack, and the images built from `containers/`, pushed under a tag and used by their digests.

    Cloud Run pulls as its own service agent, which may read every registry of the project; an image of another project's must be
    opened to it there.
    """

    def __init__(self, name: str, home: GcpContext, args: ImageArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("pilotlight:index:BuiltImages", name, None, opts)
        self._home, self._args = home, args
        self._registry = f"{home.region}-docker.pkg.dev"
        repository = self._repository(name)
        functions = self._build(f"{name}-functions", "functions", FUNCTION_TARGET, repository)
        given = None if args.uri is None else pulumi.Output.from_input(args.uri)
        uri = self._build(f"{name}-build", "endpoint", args.target, repository) if given is None else given
        self.image = Image(uri=uri, functions=functions, ready=(self,))
        self.register_outputs({"uri": uri, "functions": functions})

    def _build(self, name: str, image: str, target: str, repository: gcp.artifactregistry.Repository) -> pulumi.Output[str]:
        """One target of the Dockerfile; its address is composed of names, so that a preview knows it and can build."""
        args, home = self._args, self._home
        # Of a project that belongs to a domain, `example.com:mine`, no image name takes the colon (Artifact Registry, "Repository and image
        # names").
        address = f"{self._registry}/{home.project.replace(':', '/')}/{home.names.registry}/{image}"
        built = docker_build.Image(
            name,
            context=docker_build.BuildContextArgs(location=args.context),
            dockerfile=docker_build.DockerfileArgs(location=args.dockerfile),
            target=target,
            platforms=[docker_build.Platform(args.platform)],
            builder=None if args.builder is None else docker_build.BuilderConfigArgs(name=args.builder),
            tags=[f"{address}:{args.tag}"],
            # push=True would not build in a preview; this form does, so a machine without Docker is told before anything is made.
            push=False,
            exports=[docker_build.ExportArgs(registry=docker_build.ExportRegistryArgs(oci_media_types=False))],
            registries=[docker_build.RegistryArgs(address=self._registry, username=TOKEN_USER, password=home.token)],
            # The token in the state is stale by the time of a destroy; the repository takes its images with it.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[repository], retain_on_delete=True),
        )
        return pulumi.Output.format("{0}@{1}", address, built.digest)

    def _repository(self, name: str) -> gcp.artifactregistry.Repository:
        home = self._home
        return gcp.artifactregistry.Repository(
            f"{name}-repository",
            repository_id=home.names.registry,
            location=home.region,
            format="DOCKER",
            description="Images of the service",
            cleanup_policies=[
                gcp.artifactregistry.RepositoryCleanupPolicyArgs(
                    id="keep-newest",
                    action="KEEP",
                    most_recent_versions=gcp.artifactregistry.RepositoryCleanupPolicyMostRecentVersionsArgs(keep_count=KEPT_IMAGES),
                ),
                gcp.artifactregistry.RepositoryCleanupPolicyArgs(
                    id="delete-others",
                    action="DELETE",
                    condition=gcp.artifactregistry.RepositoryCleanupPolicyConditionArgs(tag_state="ANY", older_than=DAY),
                ),
            ],
            opts=pulumi.ResourceOptions(parent=self, protect=home.keep, depends_on=home.apis.enabled(name, self, REGISTRY)),
        )
