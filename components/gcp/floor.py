"""How a service's floor is set from outside of the program: which role that takes, and what may use it until when."""

from dataclasses import dataclass
from datetime import datetime

import pulumi
import pulumi_gcp as gcp

from components.gcp.context import GcpContext
from components.gcp.run_service import granted
from components.gcp.service_accounts import custom_role
from components.warming_plan import utc

# Cloud Run documentation, IAM permissions: to read a service and to change it.
SET = ("run.services.get", "run.services.update")
ACT_AS = "roles/iam.serviceAccountUser"


@dataclass(frozen=True, kw_only=True)
class Setter:
    """What lets accounts set the floor of one endpoint: a role of two permissions, on its service alone."""

    role: gcp.projects.IAMCustomRole
    service: gcp.cloudrunv2.Service
    runs_as: gcp.serviceaccount.Account

    def let(self, name: str, who: pulumi.Input[str], parent: pulumi.Resource, before: datetime | None = None) -> list[pulumi.Resource]:
        """The grants of one account, as policies name it, which are worth nothing from `before` on.

        Whoever changes a service deploys as its identity, and must be allowed to act as that (Cloud Run documentation, service
        identity). That grant alone ends: the provider reads a service's own policy in its first version, which has no conditions.
        """
        return [
            granted(f"{name}-sets-floor", self.service, self.role.name, who, parent),
            gcp.serviceaccount.IAMMember(
                f"{name}-acts-as",
                service_account_id=self.runs_as.name,
                role=ACT_AS,
                member=who,
                condition=None if before is None else _until(before),
                opts=pulumi.ResourceOptions(parent=parent),
            ),
        ]


def setter(
    name: str, home: GcpContext, service: gcp.cloudrunv2.Service, runs_as: gcp.serviceaccount.Account, parent: pulumi.Resource
) -> Setter:
    """The role for an endpoint's service, which runs as that account; it goes with the endpoint, whoever asks for it first."""
    role = custom_role(f"{name}-floor", home, "SetsFloor", "sets the minimum of its endpoint", SET, runs_as, parent)
    return Setter(role=role, service=service, runs_as=runs_as)


def _until(before: datetime) -> "gcp.serviceaccount.IAMMemberConditionArgs":
    return gcp.serviceaccount.IAMMemberConditionArgs(title="lease", expression=f'request.time < timestamp("{utc(before)}")')
