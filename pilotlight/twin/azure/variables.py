"""Variables of a shell that Azure's provider reads. Imports nothing: the command line needs them before anything else."""

from collections.abc import Mapping

# pulumi-azure-native 3.29, "Installation & Configuration".
VARIABLES: Mapping[str, tuple[str, ...]] = {
    "location": (),
    "subscriptionId": ("ARM_SUBSCRIPTION_ID",),
    "tenantId": ("ARM_TENANT_ID",),
    "environment": ("ARM_ENVIRONMENT",),
}
