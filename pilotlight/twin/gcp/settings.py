"""Project, region and labels, as Google Cloud's provider finds them: its configuration, then the environment."""

from __future__ import annotations

from collections.abc import Mapping

from pilotlight.twin.gcp.variables import VARIABLES
from pilotlight.twin.rows import Properties
from pilotlight.twin.settings import Configuration, Settings, decoded

# The provider puts it on everything that has labels, unless `addPulumiAttributionLabel` is false.
ATTRIBUTION: Mapping[str, str] = {"goog-pulumi-provisioned": "true"}


def _completed(config: Properties, environment: Mapping[str, str]) -> Properties:
    found = {key: next((environment[name] for name in names if environment.get(name)), None) for key, names in VARIABLES.items()}
    return {**{key: value for key, value in found.items() if value}, **{key: value for key, value in config.items() if value != ""}}


def _settings(config: Properties) -> Settings:
    labels = decoded(config.get("defaultLabels"))
    attributed = decoded(config.get("addPulumiAttributionLabel", True))
    project, region, zone = (config.get(name) for name in ("project", "region", "zone"))
    places = {"project": project, "location": region, "zone": zone}
    return Settings(
        region=region,
        default_tags={**(ATTRIBUTION if attributed is not False else {}), **(labels if isinstance(labels, Mapping) else {})},
        defaults={name: value for name, value in places.items() if value},
    )


CONFIGURATION = Configuration(settings=_settings, completed=_completed)
