"""The provider of APIs that ask whose quota a call counts against, and refuse a person's login that does not say so."""

import pulumi
import pulumi_gcp as gcp


class Quota:
    """Cloud Billing's budgets and API Keys are such APIs (Google's documentation on quota projects, "client-based APIs"): without a
    project in each request `gcloud auth application-default login` is answered 403. Whoever deploys must be allowed to use the
    project's services (`serviceusage.services.use`)."""

    def __init__(self, project: str, region: str) -> None:
        self._project, self._region = project, region
        self._made: gcp.Provider | None = None

    def provider(self, name: str, parent: pulumi.Resource) -> gcp.Provider:
        """The provider that names the stack's own project, made once, under the first part that needs it; `name` is the part's. It
        is who the stack's file says, as every other part is."""
        if self._made is None:
            self._made = gcp.Provider(
                f"{name}-quota",
                project=self._project,
                region=self._region,
                user_project_override=True,
                billing_project=self._project,
                # The SDK's stub names these two as the YAML does; the module itself does not.
                access_token=_secret(gcp.config.access_token),  # type: ignore[attr-defined]
                credentials=_secret(gcp.config.credentials),
                impersonate_service_account=gcp.config.impersonate_service_account,  # type: ignore[attr-defined]
                opts=pulumi.ResourceOptions(parent=parent),
            )
        return self._made


def _secret(value: str | None) -> pulumi.Output[str] | None:
    return None if value is None else pulumi.Output.secret(value)
