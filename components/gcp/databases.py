"""A Firestore database of a stack's own: under a name, because a project has one default, and with a time to live where rows end."""

import pulumi
import pulumi_gcp as gcp

from components.gcp.apis import FIRESTORE
from components.gcp.context import GcpContext
from components.gcp.service_accounts import project_member

USER = "roles/datastore.user"
EXPIRES = "expires"


def database(name: str, home: GcpContext, role: str, parent: pulumi.Resource, *, keep: bool) -> gcp.firestore.Database:
    """A database that bills by what is stored and done. With `keep` it can be restored to any minute of the last week, and nobody
    deletes it by accident."""
    return gcp.firestore.Database(
        f"{name}-database",
        name=home.names.database(role),
        location_id=home.region,
        type="FIRESTORE_NATIVE",
        delete_protection_state=f"DELETE_PROTECTION_{_switch(keep)}",
        point_in_time_recovery_enablement=f"POINT_IN_TIME_RECOVERY_{_switch(keep)}",
        # The provider would else forget it and leave it there.
        deletion_policy="DELETE",
        opts=pulumi.ResourceOptions(parent=parent, protect=keep, depends_on=home.apis.enabled(name, parent, FIRESTORE)),
    )


def _switch(on: bool) -> str:
    return "ENABLED" if on else "DISABLED"


def _with(of: gcp.firestore.Database, parent: pulumi.Resource) -> pulumi.ResourceOptions:
    """Goes with its database: taken out by itself a field gets its indexes back, which are made of every document before it ends
    (terraform-provider-google-beta, resourceFirestoreFieldDelete)."""
    return pulumi.ResourceOptions(parent=parent, deleted_with=of)


def expiring(name: str, of: gcp.firestore.Database, collection: str, parent: pulumi.Resource) -> gcp.firestore.Field:
    """Documents of a collection go within a day after the time in their field `expires`, which nobody searches by."""
    return gcp.firestore.Field(
        name,
        database=of.name,
        collection=collection,
        field=EXPIRES,
        ttl_config=gcp.firestore.FieldTtlConfigArgs(),
        index_config=gcp.firestore.FieldIndexConfigArgs(),
        opts=_with(of, parent),
    )


def unindexed(name: str, of: gcp.firestore.Database, collection: str, field: str, parent: pulumi.Resource) -> gcp.firestore.Field:
    """A large field that nobody searches by, which an index would only make slower to write and dearer to keep."""
    return gcp.firestore.Field(
        name,
        database=of.name,
        collection=collection,
        field=field,
        index_config=gcp.firestore.FieldIndexConfigArgs(),
        opts=_with(of, parent),
    )


def may_use(
    name: str, home: GcpContext, of: gcp.firestore.Database, who: pulumi.Input[str], parent: pulumi.Resource
) -> gcp.projects.IAMMember:
    """Let one account read and write one database: a role on the project, under the condition that it is about this one."""
    return project_member(name, home, USER, who, parent, condition=("this-database", pulumi.Output.format('resource.name == "{0}"', of.id)))
