"""The physical names of a service that others must know: services, accounts, gateway, buckets, registry. Pure."""

from dataclasses import dataclass

from pulumi import RunError

from components.limits import (
    DATABASE_NAME,
    GATEWAY_ID,
    GCS_BUCKET_NAME,
    JOB_NAME,
    REGISTRY_NAME,
    RUN_SERVICE_NAME,
    SERVICE_ACCOUNT_ID,
    TRIGGER_NAME,
)
from components.naming import fixed, short_hash, slug

MODEL_PREFIX = "models/"
# Ten digits: an account's id is short, so that the stack stands in it as a hash, and in words in its display name.
ACCOUNT_DIGITS = 10


@dataclass(frozen=True, kw_only=True)
class Names:
    """Derived from project and stack, so that a second stack in the Google Cloud project collides with nothing.

    A private endpoint has a name of its own: one that becomes private, or public again, is another service, which its callers move to
    before the old one goes (`components/gcp/cloud_run.py`).
    """

    prefix: str
    endpoint: str
    private_endpoint: str
    gateway: str
    registry: str

    def service(self, role: str) -> str:
        """A Cloud Run service that is no endpoint."""
        return fixed(f"{self.prefix}-{role}", RUN_SERVICE_NAME)

    def account(self, role: str) -> str:
        """The id of a service account, `endpoint-0a1b2c3d4e`."""
        return fixed(f"{role}-{short_hash(self.prefix, ACCOUNT_DIGITS)}", SERVICE_ACCOUNT_ID)

    def named(self, role: str) -> str:
        """The name of a topic, a subscription or a trigger."""
        return fixed(f"{self.prefix}-{role}", TRIGGER_NAME)

    def job(self, role: str) -> str:
        """The name of a job of Cloud Scheduler."""
        return fixed(f"{self.prefix}-{role}", JOB_NAME)

    def database(self, role: str) -> str:
        """The name of a Firestore database."""
        return fixed(f"{self.prefix}-{role}", DATABASE_NAME)

    def bucket(self, project: str, region: str, role: str = "models") -> str:
        """Bucket names are global, so project and region go in, as a hash that keeps the length known."""
        return f"{self.prefix}-{role}-{short_hash(f'{project}/{region}')}"


def names_of(project: str, stack: str) -> Names:
    """All names of a stack. Raises RunError when one is longer than its service allows, or begins as none of them may."""
    prefix = f"{slug(project)}-{slug(stack)}"
    # Cloud Run API v2, services.create: serviceId; Eventarc API, triggers.create; Firestore API, databases.create (2026-11).
    if not prefix[0].isalpha():
        raise RunError(
            f"The name {prefix!r} begins with a digit, and services of Google Cloud with a letter: change `name:` in Pulumi.yaml."
        )
    # The longest name of each limit, with which all others fit as well.
    fixed(f"{prefix}-predict", RUN_SERVICE_NAME)
    fixed(f"{prefix}-objects-{short_hash('')}", GCS_BUCKET_NAME)
    return Names(
        prefix=prefix,
        endpoint=fixed(prefix, RUN_SERVICE_NAME),
        private_endpoint=fixed(f"{prefix}-private", RUN_SERVICE_NAME),
        gateway=fixed(prefix, GATEWAY_ID),
        registry=fixed(prefix, REGISTRY_NAME),
    )
