"""What the programs of Azure stacks share: where they deploy, identities, roles, images, accounts, the model. The plain SDK throughout."""

import hashlib
import json
import urllib.parse
import urllib.request
import uuid

import pulumi
import pulumi_azure_native as az
import pulumi_docker_build as docker_build

from stacks.artifacts import build_tag, cache_folder, find_model
from stacks.settings import load_settings
from stacks.settings_service import Settings

stack = pulumi.get_stack()
settings: Settings = load_settings(stack)
client = az.authorization.get_client_config()
kind = "api" if settings.events is None else "events"
prefix = f"{pulumi.get_project()}-{stack}"
tags = {"project": pulumi.get_project(), "stack": stack, "deployment": prefix, "managed-by": "pulumi"}
artifact = find_model(settings, stack, cache_folder())
if settings.image.build is None:
    raise pulumi.RunError("image.build: missing.")
# Built-in roles by their ids.
PULL, READ_BLOBS, WRITE_BLOBS, WRITE_ROWS = (
    "7f951dda-4ed3-4680-a7ca-43fe172d538d",
    "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1",
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
    "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
)
LOOK, SEND, TAKE = (
    "19e7f393-937e-4f77-808e-94535e297925",
    "c6a89b2d-59bc-44d0-9896-0f6e12d7b80a",
    "974c5e8b-45b9-4653-ba55-5f855dd0fb88",
)
Identity = az.managedidentity.UserAssignedIdentity


def digits(text: str, count: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:count]


def after(*resources: pulumi.Resource) -> pulumi.ResourceOptions:
    return pulumi.ResourceOptions(depends_on=resources)


# What runs beside another GPU is another environment, and other apps.
placed = "" if settings.endpoint.gpu is None else f"-{digits(settings.endpoint.gpu, 6)}"
# Names of the whole world, and those of apps.
world, own = digits(f"{client.subscription_id}/{prefix}", 16), digits(f"{prefix}{placed}", 10)
group = az.resources.ResourceGroup(f"{kind}-image-group", resource_group_name=prefix, location=az.config.location, tags=tags).name


def identity(name: str, role: str) -> Identity:
    return Identity(f"{name}-identity", resource_name_=f"{prefix}-{role}", resource_group_name=group, tags=tags)


def may(name: str, role: str, who: Identity, scope: pulumi.Input[str], words: str) -> az.authorization.RoleAssignment:
    """A role for an identity on what has the id `scope`; its name must be the same in each preview."""
    subscription = client.subscription_id
    return az.authorization.RoleAssignment(
        name,
        role_assignment_name=str(uuid.uuid5(uuid.NAMESPACE_URL, f"{subscription}/{prefix}/{words}/{role}/{name}")),
        scope=scope,
        role_definition_id=f"/subscriptions/{subscription}/providers/Microsoft.Authorization/roleDefinitions/{role}",
        principal_id=who.principal_id,
        principal_type="ServicePrincipal",
    )


# Images.
registry = az.containerregistry.Registry(
    f"{kind}-image-registry",
    registry_name=f"images{world}",
    resource_group_name=group,
    sku=az.containerregistry.SkuArgs(name=settings.image.registry.capitalize()),
    admin_user_enabled=False,
    anonymous_pull_enabled=False,
    tags=tags,
)
token = pulumi.Output.secret(az.authorization.get_client_token().token)


def exchanged(server: str, access_token: str) -> str:
    """A token of the registry's for one of Resource Manager's, which it does not take."""
    if pulumi.runtime.is_dry_run():
        return ""
    form = {"grant_type": "access_token", "service": server, "tenant": client.tenant_id, "access_token": access_token}
    request = urllib.request.Request(f"https://{server}/oauth2/exchange", data=urllib.parse.urlencode(form).encode())
    with urllib.request.urlopen(request, timeout=30) as answer:
        return str(json.loads(answer.read())["refresh_token"])


password = pulumi.Output.secret(pulumi.Output.all(registry.login_server, token).apply(lambda known: exchanged(*known)))


def image(name: str, role: str, target: str) -> pulumi.Output[str]:
    """Built from `containers/`, pushed, and named by its digest."""
    address = pulumi.Output.format("{0}/{1}", registry.login_server, role)
    built = docker_build.Image(
        name,
        context=docker_build.BuildContextArgs(location=".."),
        dockerfile=docker_build.DockerfileArgs(location="../containers/Dockerfile"),
        target=target,
        platforms=[docker_build.Platform("linux/amd64")],
        tags=[pulumi.Output.format("{0}:{1}", address, build_tag())],
        push=False,
        exports=[docker_build.ExportArgs(registry=docker_build.ExportRegistryArgs(oci_media_types=False))],
        registries=[
            docker_build.RegistryArgs(address=registry.login_server, username="00000000-0000-0000-0000-000000000000", password=password)
        ],
        opts=pulumi.ResourceOptions(retain_on_delete=True),
    )
    return pulumi.Output.format("{0}@{1}", address, built.digest)


functions = image(f"{kind}-image-functions", "functions", "function-azure")
served = image(f"{kind}-image-build", "endpoint", settings.image.build.target)


# Storage.
def account(name: str, role: str, shared_keys: bool = False) -> az.storage.StorageAccount:
    return az.storage.StorageAccount(
        f"{name}-account",
        account_name=f"{role}{world}",
        resource_group_name=group,
        kind="StorageV2",
        sku=az.storage.SkuArgs(name="Standard_LRS"),
        minimum_tls_version="TLS1_2",
        enable_https_traffic_only=True,
        allow_blob_public_access=False,
        allow_cross_tenant_replication=False,
        allow_shared_key_access=shared_keys,
        is_local_user_enabled=False,
        default_to_o_auth_authentication=True,
        tags=tags,
    )


def container(name: str, of: az.storage.StorageAccount, role: str) -> az.storage.BlobContainer:
    return az.storage.BlobContainer(
        name, container_name=role, account_name=of.name, resource_group_name=group, public_access=az.storage.PublicAccess.NONE
    )


def queue(name: str, of: az.storage.StorageAccount, role: str) -> az.storage.Queue:
    return az.storage.Queue(name, queue_name=role, account_name=of.name, resource_group_name=group)


def table(name: str, of: az.storage.StorageAccount, role: str) -> az.storage.Table:
    return az.storage.Table(name, table_name=role, account_name=of.name, resource_group_name=group)


def blobs_of(of: az.storage.StorageAccount, part: pulumi.Input[str]) -> pulumi.Output[str]:
    return pulumi.Output.format("{0}{1}", of.primary_endpoints.blob, part)


def queue_url(of: az.storage.StorageAccount, part: az.storage.Queue) -> pulumi.Output[str]:
    return pulumi.Output.format("{0}{1}", of.primary_endpoints.queue, part.name)


def table_url(of: az.storage.StorageAccount, part: az.storage.Table) -> pulumi.Output[str]:
    return pulumi.Output.format("{0}{1}", of.primary_endpoints.table, part.name)


# The model, which the provider uploads with a key of the account's.
key = f"{artifact.sha256}/model.tar.gz"
models = account(f"{kind}-models", "models", shared_keys=True)
packaged = container(f"{kind}-models-container", models, "models")
stored = az.storage.Blob(
    f"{kind}-models-model",
    blob_name=key,
    account_name=models.name,
    container_name=packaged.name,
    resource_group_name=group,
    source=pulumi.FileAsset(str(artifact.path)),
    content_type="application/gzip",
    opts=pulumi.ResourceOptions(delete_before_replace=False),
)
