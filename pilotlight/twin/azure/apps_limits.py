"""What Azure refuses of container apps and jobs before it looks at anything else; and what does not run here, by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from zoneinfo import ZoneInfo

from components import limits_azure as limits
from pilotlight.twin.azure.container_limits import port_problems, template_problems
from pilotlight.twin.azure.cron import cron_of
from pilotlight.twin.azure.scale_rules import rule_problems
from pilotlight.twin.forms import Form
from pilotlight.twin.local_times import BadExpression
from pilotlight.twin.rows import Properties

# Container Apps documentation, "Manage secrets"; Kubernetes' names of secrets' keys.
_SECRET = Form(
    r"[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?", "lower-case letters, digits, hyphens and periods that begin and end with a letter or digit"
)
# Container Apps documentation, "Revisions": a revision is called APP--SUFFIX.
_SUFFIX = Form(r"[a-z0-9](?:-?[a-z0-9])*", "lower-case letters, digits and single hyphens that end with a letter or digit")
_TRANSPORTS = ("auto", "http")
# What an ingress may have that this one does not do, and the value with which it asks for nothing.
_NO_INGRESS: Mapping[str, object] = {
    "additionalPortMappings": (),
    "clientCertificateMode": "ignore",
    "corsPolicy": None,
    "customDomains": (),
    "exposedPort": 0,
    "ipSecurityRestrictions": (),
}
_LATEST = {"latestRevision": True, "weight": 100}


def app_problems(inputs: Properties) -> list[str]:
    """Sentences about an app's known inputs."""
    configuration, template = inputs.get("configuration") or {}, inputs.get("template")
    found = [*_environment(inputs), *_shared(configuration), *_configuration(configuration)]
    if isinstance(template, Mapping):
        found += [*_template(template), *template_problems(template, _secrets(configuration), inputs.get("workloadProfileName"))]
    elif template is None:
        found.append("template: is missing: an app has a container.")
    return found


def job_problems(inputs: Properties) -> list[str]:
    """Sentences about a job's known inputs."""
    configuration, template = inputs.get("configuration"), inputs.get("template") or {}
    if not isinstance(configuration, Mapping):
        return [] if configuration is not None else ["configuration: is missing: a job has a trigger."]
    return [
        *_environment(inputs, "environmentId"),
        *_shared(configuration),
        *_trigger(configuration),
        *template_problems(template, _secrets(configuration), inputs.get("workloadProfileName")),
    ]


def _environment(inputs: Properties, *fields: str) -> Iterator[str]:
    fields = fields or ("environmentId", "managedEnvironmentId")
    if all(inputs.get(field) is None for field in fields):
        yield f"{' or '.join(fields)}: is missing: name the environment (its output `id`)."


def _secrets(configuration: Properties) -> frozenset[str]:
    return frozenset(str(one["name"]) for one in configuration.get("secrets") or [] if isinstance(one, Mapping) and one.get("name"))


def _shared(configuration: Properties) -> Iterator[str]:
    """What apps and jobs have alike: secrets, registries."""
    for index, secret in enumerate(configuration.get("secrets") or []):
        at = f"configuration.secrets[{index}]."
        if not isinstance(secret, Mapping):
            continue
        yield from (at + text for text in _SECRET.problems("name", secret))
        if secret.get("keyVaultUrl"):
            yield f"{at}keyVaultUrl: the local twin has no vaults: use value."
        elif secret.get("value") in (None, ""):
            yield f"{at}value: is missing: a secret has one."
    for index, registry in enumerate(configuration.get("registries") or []):
        at = f"configuration.registries[{index}]."
        if not isinstance(registry, Mapping):
            continue
        if not registry.get("server"):
            yield f"{at}server: is missing: use the registry's output loginServer."
        if registry.get("username") or registry.get("passwordSecretRef"):
            yield f"{at}username: the local twin's registries take no passwords: use identity."
        elif not registry.get("identity"):
            yield f"{at}identity: is missing: name the identity that has the role AcrPull."


def _configuration(configuration: Properties) -> Iterator[str]:
    mode = configuration.get("activeRevisionsMode")
    if mode is not None and str(mode).capitalize() != "Single":
        yield f"configuration.activeRevisionsMode: {mode!r}: the local twin runs one revision: use 'Single'."
    if (configuration.get("dapr") or {}).get("enabled"):
        yield "configuration.dapr.enabled: the local twin has no Dapr: leave it out."
    for name in ("runtime", "service"):
        if configuration.get(name):
            yield f"configuration.{name}: the local twin has none: leave it out."
    ingress = configuration.get("ingress")
    if isinstance(ingress, Mapping):
        yield from _ingress(ingress)


def _ingress(ingress: Mapping[str, Any]) -> Iterator[str]:
    at = "configuration.ingress."
    yield from port_problems(f"{at}targetPort", ingress.get("targetPort"))
    transport = ingress.get("transport")
    if isinstance(transport, str) and transport.lower() not in _TRANSPORTS:
        yield f"{at}transport: {transport!r}: the local twin's ingress speaks {' or '.join(map(repr, _TRANSPORTS))} with containers."
    if str(ingress.get("targetPortHttpScheme") or "http").lower() != "http":
        yield f"{at}targetPortHttpScheme: the local twin speaks HTTP with containers: use 'http'."
    for name, nothing in _NO_INGRESS.items():
        value = ingress.get(name)
        if value and str(value).lower() != nothing:
            yield f"{at}{name}: the local twin's ingress does not do that: leave it out."
    if (ingress.get("stickySessions") or {}).get("affinity", "none") != "none":
        yield f"{at}stickySessions.affinity: the local twin's ingress knows no sessions: use 'none'."
    for index, one in enumerate(ingress.get("traffic") or []):
        if isinstance(one, Mapping) and {name: value for name, value in one.items() if value is not None and name != "label"} != _LATEST:
            yield f"{at}traffic[{index}]: the local twin runs one revision: use latestRevision true with weight 100."


def _template(template: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"template.{text}" for text in _SUFFIX.problems("revisionSuffix", template))
    grace = template.get("terminationGracePeriodSeconds")
    if isinstance(grace, int | float) and (grace < 0 or not float(grace).is_integer()):
        yield f"template.terminationGracePeriodSeconds: {grace:g}: use a whole number of 0 or more seconds."
    scale = template.get("scale")
    if not isinstance(scale, Mapping):
        return
    low, high = scale.get("minReplicas"), scale.get("maxReplicas")
    for name, allowed in (("minReplicas", limits.CONTAINER_APPS_MIN_REPLICAS), ("maxReplicas", limits.CONTAINER_APPS_MAX_REPLICAS)):
        if isinstance(scale.get(name), int) and (text := allowed.problem(scale[name])):
            yield f"template.scale.{name}: {scale[name]}: {text}."
    if isinstance(low, int) and isinstance(high, int) and low > high:
        yield f"template.scale.minReplicas: {low} is more than maxReplicas, {high}: use at most that."
    for name, least in (("pollingInterval", 1), ("cooldownPeriod", 0)):
        if isinstance(scale.get(name), int) and scale[name] < least:
            yield f"template.scale.{name}: {scale[name]}: use {least} or more seconds."
    yield from rule_problems(scale, "template.scale.")


def _trigger(configuration: Properties) -> Iterator[str]:
    kind = configuration.get("triggerType")
    timeout, retries = configuration.get("replicaTimeout"), configuration.get("replicaRetryLimit")
    if isinstance(timeout, int) and timeout < 1:
        yield f"configuration.replicaTimeout: {timeout}: use 1 or more seconds."
    if isinstance(retries, int) and retries < 0:
        yield f"configuration.replicaRetryLimit: {retries}: use 0 or more."
    if kind == "Event":
        yield "configuration.triggerType: 'Event': the local twin starts jobs by 'Schedule' or 'Manual'."
        return
    if kind not in ("Schedule", "Manual"):
        yield f"configuration.triggerType: {kind!r}: use 'Schedule' or 'Manual'."
        return
    field = f"{kind.lower()}TriggerConfig"
    config = configuration.get(field)
    if config is None and kind == "Schedule":
        yield f"configuration.{field}: is missing: a job by schedule has a cronExpression."
    if isinstance(config, Mapping):
        yield from _started(config, f"configuration.{field}.", by_schedule=kind == "Schedule")


def _started(config: Mapping[str, Any], at: str, *, by_schedule: bool) -> Iterator[str]:
    counts = [config.get(name, 1) for name in ("parallelism", "replicaCompletionCount")]
    for name, count in zip(("parallelism", "replicaCompletionCount"), counts, strict=True):
        if isinstance(count, int) and count < 1:
            yield f"{at}{name}: {count}: use 1 or more."
    if by_schedule:
        try:
            cron_of(str(config.get("cronExpression") or ""), ZoneInfo("UTC"))
        except BadExpression as error:
            yield f"{at}cronExpression: {error}"
