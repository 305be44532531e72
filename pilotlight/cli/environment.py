"""The variables under which the engine, AWS clients and plain `pulumi` commands meet the twin instead of a cloud."""

import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from pilotlight.cli.exits import CommandError, Exit
from pilotlight.cli.home import Home
from pilotlight.cli.project import Project

SHIM_FOLDER = "plain-pulumi"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
# Variables of the user that would lead the engine or a cloud's client elsewhere than to the twin.
MISLEADING = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_CLIENT_SECRET",
    "AZURE_FEDERATED_TOKEN_FILE",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_CREDENTIALS",
    "GOOGLE_IMPERSONATE_SERVICE_ACCOUNT",
    "GOOGLE_OAUTH_ACCESS_TOKEN",
    "PULUMI_ACCESS_TOKEN",
    "PULUMI_CONFIG_PASSPHRASE",
    "PULUMI_STACK",
)


def local_variables(home: Home, project: Project, tools: tuple[Path, ...], stack: str | None = None) -> dict[str, str]:
    """All that must be set, PATH included; starts the twin when it is not running. `tools` are folders that must be on PATH.

    What the providers of `stack` need is made ready meanwhile.
    """
    home.prepare()
    twin = twin_variables(home, project.program, project.providers(stack) if stack else ())
    google = google_variables(home) if uses_google(project, stack) else {}
    azure = azure_variables(home) if uses_azure(project, stack) else {}
    return engine_variables(home) | twin | google | azure | {"PATH": search_path(tools)}


def twin_variables(home: Home, program: Path, uses: tuple[str, ...] = ()) -> dict[str, str]:
    """Where the running twin is: provider ports for the engine, address and credentials for AWS clients. `uses` are providers.

    Raises CommandError with the daemon's own words when it does not come up.
    """
    from pilotlight.twin import client

    try:
        running = client.ensure_running(home.path)
        ports = client.providers(program, home.path, uses=uses)
    except client.TwinError as error:
        raise CommandError(str(error), Exit.FAILED) from error
    providers = ",".join(f"{package}:{port}" for package, port in sorted(ports.items()))
    return {"PILOTLIGHT_HOME": str(home.path), "PULUMI_DEBUG_PROVIDERS": providers, **client.environment(running)}


def uses_google(project: Project, stack: str | None) -> bool:
    """Whether a stack is on Google Cloud; without one, whether any of the checkout is."""
    return _uses("gcp", project, stack)


def uses_azure(project: Project, stack: str | None) -> bool:
    """The same of Azure."""
    return _uses("azure-native", project, stack)


def _uses(package: str, project: Project, stack: str | None) -> bool:
    return any(package in project.providers(one) for one in ([stack] if stack else project.stacks))


def azure_variables(home: Home) -> dict[str, str]:
    """By what programs trust the running twin where it stands in for Azure. Raises CommandError."""
    from pilotlight.twin import client

    try:
        return client.azure(client.ensure_running(home.path))
    except client.TwinError as error:
        raise CommandError(str(error), Exit.FAILED) from error


def google_variables(home: Home) -> dict[str, str]:
    """Where the running twin serves Google Cloud's clients; those that it does not serve find no credentials. Raises CommandError."""
    from pilotlight.twin import client

    try:
        found = client.google(client.ensure_running(home.path))
    except client.TwinError as error:
        raise CommandError(str(error), Exit.FAILED) from error
    # Where a real login would be, and the metadata server of a machine in the cloud.
    return {**found, "CLOUDSDK_CONFIG": str(home.path / "no-google-login"), "NO_GCE_CHECK": "true"}


def engine_variables(home: Home) -> dict[str, str]:
    """The engine's own: state, plugins and credentials below the home, no download, no question, the state's own secrets provider."""
    return {
        "PULUMI_BACKEND_URL": home.backend_url,
        "PULUMI_HOME": str(home.pulumi_home),
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(home.passphrase()),
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        # The stack files of a checkout stay as committed: the salt of a stack comes from its state.
        "PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER": "true",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DIY_BACKEND_DISABLE_CHECKPOINT_BACKUPS": "true",
    }


def search_path(tools: tuple[Path, ...]) -> str:
    """PATH with the given folders in front, without repetitions and without shims of this command."""
    folders = [str(folder) for folder in tools]
    for folder in without_shims(os.environ.get("PATH", os.defpath)).split(os.pathsep):
        if folder and folder not in folders:
            folders.append(folder)
    return os.pathsep.join(folders)


def without_shims(path: str) -> str:
    """A PATH without the folders that `pilotlight env` puts in front: this command must find the real engine."""
    return os.pathsep.join(folder for folder in path.split(os.pathsep) if Path(folder).name != SHIM_FOLDER)


def merged(variables: Mapping[str, str]) -> dict[str, str]:
    """This process's environment as the engine gets it on the twin: nothing misleading, then the given variables."""
    return {name: value for name, value in os.environ.items() if name not in MISLEADING} | dict(variables)


def exports(variables: Mapping[str, str], unset: tuple[str, ...] = ()) -> str:
    """POSIX shell text that sets the variables: one `export NAME='value'` a line; raises ValueError for a name that no shell takes."""
    for name in (*variables, *unset):
        if not _NAME.match(name):
            raise ValueError(f"{name!r} is no variable name: letters, digits and _ only, not beginning with a digit.")
    lines = [f"unset {' '.join(unset)}"] if unset else []
    return "\n".join([*lines, *(f"export {name}={shlex.quote(value)}" for name, value in variables.items())]) + "\n"


def set_but_misleading() -> tuple[str, ...]:
    """The misleading variables that this process has."""
    return tuple(name for name in MISLEADING if name in os.environ)
