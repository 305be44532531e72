"""Whose credentials deploy: those that Azure's provider finds, in its order, and what Entra says where they are none."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pilotlight.cli.api_errors import ApiError, short

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

LOGIN = "az login"
# `az` takes a second or two, and a cold one more than ten (Azure/azure-cli issue 29329).
CLI_S = 30
_CODE = re.compile(r"AADSTS\d+")
_AGAIN = f"{LOGIN}, once more"
# Microsoft Entra documentation, "authentication and authorization error codes" -> what mends it. `{}` is the application's id.
_MENDS: Mapping[str, str] = {
    "AADSTS700082": _AGAIN,
    "AADSTS70043": _AGAIN,
    "AADSTS70008": _AGAIN,
    "AADSTS50173": _AGAIN,
    "AADSTS50078": _AGAIN,
    "AADSTS50076": f"{LOGIN} --tenant TENANT: this tenant asks for a second factor",
    "AADSTS50079": f"{LOGIN} --tenant TENANT: this tenant asks for a second factor",
    "AADSTS7000222": "az ad app credential reset --id {}, and ARM_CLIENT_SECRET anew: the secret has expired",
    "AADSTS7000215": "export ARM_CLIENT_SECRET=VALUE, the secret's value and not its id",
    "AADSTS700016": "export ARM_CLIENT_ID=ID ARM_TENANT_ID=TENANT, an application and the tenant that it is in",
    "AADSTS700024": "ask for a new token of the pipeline: this one is over, or not yet valid",
    "AADSTS90002": "export ARM_TENANT_ID=TENANT, one that there is: az account list --query [].tenantId",
}


class LoginError(ApiError):
    """There are no good credentials; `mend` is the command that makes some."""

    def __init__(self, message: str, mend: str) -> None:
        super().__init__(message)
        self.mend = mend


class Given:
    """What the provider is told of an account: its configuration, then the variables of the shell (pulumi-azure-native, readAuthConfig)."""

    def __init__(self, config: Mapping[str, Any], variables: Mapping[str, str]) -> None:
        self._config, self._variables = config, variables

    def of(self, key: str, *names: str) -> str:
        """Empty where it is not said. Raises LoginError where it is encrypted in the stack's file, which only the engine reads."""
        found = self._config.get(f"azure-native:{key}")
        if isinstance(found, Mapping):
            raise LoginError(f"azure-native:{key} is encrypted in the stack's file", f"export {names[0]}=…, and take it out of the file")
        return str(found if found not in (None, "") else next((self._variables[name] for name in names if self._variables.get(name)), ""))

    def says(self, key: str, name: str) -> bool:
        return self.of(key, name).lower() == "true"

    @property
    def subscription(self) -> str:
        return self.of("subscriptionId", "ARM_SUBSCRIPTION_ID")

    @property
    def tenant(self) -> str:
        return self.of("tenantId", "ARM_TENANT_ID")

    @property
    def client(self) -> str:
        return self.of("clientId", "ARM_CLIENT_ID")


def credential_of(given: Given) -> "TokenCredential":
    """The credential that the provider would take: the first way that is told, `az login` without any (its newSingleMethodAuthCredential).

    Raises LoginError for a way that is told in part.
    """
    from azure import identity

    if given.says("useDefaultAzureCredential", "ARM_USE_DEFAULT_AZURE_CREDENTIAL"):
        return identity.DefaultAzureCredential()
    if certificate := given.of("clientCertificatePath", "ARM_CLIENT_CERTIFICATE_PATH"):
        password = given.of("clientCertificatePassword", "ARM_CLIENT_CERTIFICATE_PASSWORD") or None
        try:
            return identity.CertificateCredential(*_application(given), certificate_path=certificate, password=password)
        except (OSError, ValueError) as error:
            raise LoginError(
                f"{certificate}: {short(error)}", "export ARM_CLIENT_CERTIFICATE_PATH=FILE, a certificate with its key"
            ) from error
    if secret := given.of("clientSecret", "ARM_CLIENT_SECRET"):
        return identity.ClientSecretCredential(*_application(given), secret)
    if given.says("useOidc", "ARM_USE_OIDC"):
        tenant, client = _application(given)
        return identity.ClientAssertionCredential(tenant, client, lambda: _assertion(given))
    if given.says("useMsi", "ARM_USE_MSI"):
        return identity.ManagedIdentityCredential(client_id=given.client or None)
    return identity.AzureCliCredential(subscription=given.subscription or None, process_timeout=CLI_S)


def _application(given: Given) -> tuple[str, str]:
    """Tenant and client."""
    missing = [name for name, value in (("ARM_TENANT_ID", given.tenant), ("ARM_CLIENT_ID", given.client)) if not value]
    if missing:
        raise LoginError(f"an application signs in, and {' and '.join(missing)} is missing", f"export {'=… '.join(missing)}=…")
    return given.tenant, given.client


def _assertion(given: Given) -> str:
    """The pipeline's token: told, in a file, or GitHub's at its address."""
    import httpx

    if token := given.of("oidcToken", "ARM_OIDC_TOKEN"):
        return token
    if file := given.of("oidcTokenFilePath", "ARM_OIDC_TOKEN_FILE_PATH"):
        return Path(file).read_text().strip()
    address = given.of("oidcRequestUrl", "ACTIONS_ID_TOKEN_REQUEST_URL")
    bearer = given.of("oidcRequestToken", "ACTIONS_ID_TOKEN_REQUEST_TOKEN")
    if not (address and bearer):
        raise LoginError("ARM_USE_OIDC is set, and there is no token of the pipeline", "export ARM_OIDC_TOKEN_FILE_PATH=FILE")
    audience = given.of("oidcAudience", "ARM_OIDC_AUDIENCE") or "api://AzureADTokenExchange"
    asked = httpx.URL(address).copy_set_param("audience", audience)
    answer = httpx.get(asked, headers={"authorization": f"Bearer {bearer}"}, timeout=CLI_S).raise_for_status()
    return str(answer.json()["value"])


def refused(error: Exception, client: str) -> LoginError:
    """What Entra, or `az`, says of credentials, in one line, with the way out. Ids of the request are left out."""
    text = re.split(r"(?:\\r\\n|\s)*Trace ID:", short(error))[0].rstrip(" .\\")
    code = _CODE.search(text)
    return LoginError(text, _MENDS.get(code[0] if code else "", LOGIN).format(client or "CLIENT"))
