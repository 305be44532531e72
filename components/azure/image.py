"""The images of a service: the functions', built here, and the model server's, built beside them or taken as it is by digest."""

import asyncio
from dataclasses import dataclass

import pulumi
import pulumi_azure_native as azure
import pulumi_docker_build as docker_build

from components.args import ImageArgs
from components.azure import registry_login
from components.azure.context import AzureContext
from components.azure.roles import ACR_PULL, Scope, assign

FUNCTION_TARGET = "function-azure"


@dataclass(frozen=True, kw_only=True)
class Image:
    """Both images by digest, the registry that they lie in, and what must be there before they can be pulled.

    `foreign`  the server of another registry, which the model server's comes from where it lies in none of the stack's
    """

    uri: pulumi.Output[str]
    functions: pulumi.Output[str]
    registry: azure.containerregistry.Registry
    foreign: str | None
    ready: tuple[pulumi.Resource, ...]

    def grant_pull(
        self, name: str, home: AzureContext, who: azure.managedidentity.UserAssignedIdentity, parent: pulumi.Resource
    ) -> pulumi.Resource:
        """Let one identity pull."""
        return assign(f"{name}-pulls", home, ACR_PULL, who, Scope(id=self.registry.id, words="registry"), parent)


class BuiltImages(pulumi.ComponentResource):
    """A registry of the stack, and the images built from `containers/`, pushed under a tag and used by their digests.

    Nobody but an identity with a role pulls: no admin user, no anonymous pull. A registry of somebody else's must let the endpoint's
    identity in there.
    """

    def __init__(self, name: str, home: AzureContext, args: ImageArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("pilotlight:index:BuiltImages", name, None, opts)
        self._args = args
        self._registry = azure.containerregistry.Registry(
            f"{name}-registry",
            registry_name=home.names.registry,
            resource_group_name=home.group(name, self),
            sku=azure.containerregistry.SkuArgs(name=args.registry.capitalize()),
            admin_user_enabled=False,
            anonymous_pull_enabled=False,
            opts=pulumi.ResourceOptions(parent=self, protect=home.keep),
        )
        login = pulumi.Output.all(server=self._registry.login_server, token=home.token)
        self._password: pulumi.Output[str] = pulumi.Output.secret(login.apply(lambda known: _password(home.tenant, **known)))
        functions = self._build(f"{name}-functions", "functions", FUNCTION_TARGET)
        given = None if args.uri is None else pulumi.Output.from_input(args.uri)
        uri = self._build(f"{name}-build", "endpoint", args.target) if given is None else given
        self.image = Image(
            uri=uri,
            functions=functions,
            registry=self._registry,
            foreign=None if args.uri is None else foreign_server(args.uri, home.names.registry),
            ready=(self,),
        )
        self.register_outputs({"uri": uri, "functions": functions})

    def _build(self, name: str, image: str, target: str) -> pulumi.Output[str]:
        """One target of the Dockerfile. Where the registry is, is only known when it is there: a first preview does not build."""
        args, server = self._args, self._registry.login_server
        address = pulumi.Output.format("{0}/{1}", server, image)
        built = docker_build.Image(
            name,
            context=docker_build.BuildContextArgs(location=args.context),
            dockerfile=docker_build.DockerfileArgs(location=args.dockerfile),
            target=target,
            platforms=[docker_build.Platform(args.platform)],
            builder=None if args.builder is None else docker_build.BuilderConfigArgs(name=args.builder),
            tags=[pulumi.Output.format("{0}:{1}", address, args.tag)],
            # push=True would not build in a preview; this form does, so a machine without Docker is told before anything is made.
            push=False,
            exports=[docker_build.ExportArgs(registry=docker_build.ExportRegistryArgs(oci_media_types=False))],
            registries=[docker_build.RegistryArgs(address=server, username=registry_login.USER, password=self._password)],
            # The token in the state is stale by the time of a destroy; the registry takes its images with it.
            opts=pulumi.ResourceOptions(parent=self, retain_on_delete=True),
        )
        return pulumi.Output.format("{0}@{1}", address, built.digest)


def foreign_server(uri: str, registry: str) -> str | None:
    """The server that an image is pulled from, None where it is the stack's own registry, whose name the server begins with."""
    server = uri.partition("/")[0]
    return None if server.partition(".")[0] == registry else server


def _password(tenant: str, server: str, token: str) -> pulumi.Input[str]:
    """A preview pushes nothing: it asks nobody for a password. In a thread, since a new registry may have to be asked for a minute."""
    return "" if pulumi.runtime.is_dry_run() else asyncio.to_thread(registry_login.refresh_token, server, tenant, token)
