"""What the programs of Google stacks share: where they deploy, APIs, accounts, images, buckets, the model. The plain SDK throughout."""

import hashlib

import pulumi
import pulumi_docker_build as docker_build
import pulumi_gcp as gcp

from stacks.artifacts import build_tag, cache_folder, find_model
from stacks.settings import load_settings
from stacks.settings_service import Settings

stack = pulumi.get_stack()
settings: Settings = load_settings(stack)
client = gcp.organizations.get_client_config()
project, region = client.project, client.region
kind = "api" if settings.events is None else "events"
prefix = f"{pulumi.get_project()}-{stack}"
labels = {"project": pulumi.get_project(), "stack": stack, "deployment": prefix, "managed-by": "pulumi"}
artifact = find_model(settings, stack, cache_folder())
if settings.image.build is None:
    raise pulumi.RunError("image.build: missing.")
# Of a part of the stack each API is the first one to need it.
PARTS = {
    "image": ("artifactregistry",),
    "models": ("storage",),
    "endpoint": ("iam", "run"),
    "function": ("logging",),
    "watch": ("monitoring",),
    **({} if settings.answers is None else {"answers": ("firestore", "pubsub")}),
    **(
        {"gateway": ("apigateway", "servicemanagement", "servicecontrol", "apikeys")}
        if kind == "api"
        else {"results": ("firestore",), "objects": ("pubsub",), "delivery": ("eventarc",)}
    ),
}


def after(*resources: pulumi.Resource) -> pulumi.ResourceOptions:
    return pulumi.ResourceOptions(depends_on=resources)


def digits(text: str, count: int = 8) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:count]


def enabled(name: str, service: pulumi.Input[str], *first: pulumi.Resource) -> gcp.projects.Service:
    return gcp.projects.Service(name, service=service, disable_on_destroy=False, opts=after(*first))


manager = enabled(f"{kind}-image-api-cloudresourcemanager", "cloudresourcemanager.googleapis.com")
apis = {api: enabled(f"{kind}-{part}-api-{api}", f"{api}.googleapis.com", manager) for part, names in PARTS.items() for api in names}


def account(name: str, role: str, purpose: str) -> gcp.serviceaccount.Account:
    return gcp.serviceaccount.Account(
        f"{name}-account",
        account_id=f"{role}-{digits(prefix, 10)}",
        display_name=f"{prefix} {role}",
        description=purpose,
        opts=after(apis["iam"]),
    )


def member(of: gcp.serviceaccount.Account) -> pulumi.Output[str]:
    return pulumi.Output.format("serviceAccount:{0}", of.email)


def invoke(name: str, service: gcp.cloudrunv2.Service, who: gcp.serviceaccount.Account) -> gcp.cloudrunv2.ServiceIamMember:
    return gcp.cloudrunv2.ServiceIamMember(
        f"{name}-invoke", name=service.name, location=service.location, role="roles/run.invoker", member=member(who)
    )


# Images.
registry = f"{region}-docker.pkg.dev"
repository = gcp.artifactregistry.Repository(
    f"{kind}-image-repository",
    repository_id=prefix,
    location=region,
    format="DOCKER",
    description="Images of the service",
    cleanup_policies=[
        gcp.artifactregistry.RepositoryCleanupPolicyArgs(
            id="keep-newest",
            action="KEEP",
            most_recent_versions=gcp.artifactregistry.RepositoryCleanupPolicyMostRecentVersionsArgs(keep_count=10),
        ),
        gcp.artifactregistry.RepositoryCleanupPolicyArgs(
            id="delete-others",
            action="DELETE",
            condition=gcp.artifactregistry.RepositoryCleanupPolicyConditionArgs(tag_state="ANY", older_than="86400s"),
        ),
    ],
    labels=labels,
    opts=after(apis["artifactregistry"]),
)


def image(name: str, role: str, target: str) -> pulumi.Output[str]:
    """Built from `containers/`, pushed, and named by its digest."""
    address = f"{registry}/{project}/{prefix}/{role}"
    built = docker_build.Image(
        name,
        context=docker_build.BuildContextArgs(location=".."),
        dockerfile=docker_build.DockerfileArgs(location="../containers/Dockerfile"),
        target=target,
        platforms=[docker_build.Platform("linux/amd64")],
        tags=[f"{address}:{build_tag()}"],
        push=False,
        exports=[docker_build.ExportArgs(registry=docker_build.ExportRegistryArgs(oci_media_types=False))],
        registries=[
            docker_build.RegistryArgs(
                address=registry,
                username="oauth2accesstoken",
                password=pulumi.Output.secret(client.access_token),
            )
        ],
        opts=pulumi.ResourceOptions(depends_on=[repository], retain_on_delete=True),
    )
    return pulumi.Output.format("{0}@{1}", address, built.digest)


functions = image(f"{kind}-image-functions", "functions", "function-gcp")
served = image(f"{kind}-image-build", "endpoint", settings.image.build.target)


def bucket_of(name: str, role: str, forgets_days: int | None = None) -> gcp.storage.Bucket:
    """A private one with versions, or one that forgets."""
    if forgets_days is None:
        ends = gcp.storage.BucketLifecycleRuleConditionArgs(days_since_noncurrent_time=30, with_state="ARCHIVED")
    else:
        ends = gcp.storage.BucketLifecycleRuleConditionArgs(age=forgets_days)
    return gcp.storage.Bucket(
        f"{name}-bucket",
        name=f"{prefix}-{role}-{digits(f'{project}/{region}')}",
        location=region,
        uniform_bucket_level_access=True,
        public_access_prevention="enforced",
        force_destroy=True,
        versioning=gcp.storage.BucketVersioningArgs(enabled=forgets_days is None),
        lifecycle_rules=[
            gcp.storage.BucketLifecycleRuleArgs(
                action=gcp.storage.BucketLifecycleRuleActionArgs(type="AbortIncompleteMultipartUpload"),
                condition=gcp.storage.BucketLifecycleRuleConditionArgs(age=7),
            ),
            gcp.storage.BucketLifecycleRuleArgs(action=gcp.storage.BucketLifecycleRuleActionArgs(type="Delete"), condition=ends),
        ],
        soft_delete_policy=gcp.storage.BucketSoftDeletePolicyArgs(retention_duration_seconds=0),
        labels=labels,
        opts=after(apis["storage"]),
    )


# The model.
key = f"models/{artifact.sha256}/model.tar.gz"
bucket = bucket_of(f"{kind}-models", "models")
stored = gcp.storage.BucketObject(
    f"{kind}-models-model",
    bucket=bucket.name,
    name=key,
    source=pulumi.FileAsset(str(artifact.path)),
    content_type="application/gzip",
)


def may(
    name: str, held: gcp.storage.Bucket, role: str, who: gcp.serviceaccount.Account, folder: str | None = None
) -> gcp.storage.BucketIAMMember:
    """What an account may do with a bucket, or with what lies below a folder of it."""
    inside = None
    if folder is not None:
        below = pulumi.Output.format("projects/_/buckets/{0}/objects/{1}/", held.name, folder)
        text = pulumi.Output.format('resource.type != "storage.googleapis.com/Object" || resource.name.startsWith("{0}")', below)
        inside = gcp.storage.BucketIAMMemberConditionArgs(title=folder, expression=text)
    return gcp.storage.BucketIAMMember(name, bucket=held.name, role=f"roles/storage.{role}", member=member(who), condition=inside)
