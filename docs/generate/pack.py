"""What of the policy pack is written by `make docs`: its copy of limits, good resources for its tests from planned graphs of ready stacks,
the table of its rules, the coverage of public checks, the schema of its configuration."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components import limits, limits_azure
from pilotlight.planned import Planned, planned
from policies.rules import RULES, tokens
from policies.rules.catalogue import coverage
from policies.rules.model import Rule
from policies.rules.schema import schema

FOLDER = Path(__file__).resolve().parents[2] / "policies"
_PING = {"kind": "ping", "everyMinutes": 5}
_WINDOW = {"cron": "0 8 * * MON-FRI", "until": "0 18 * * MON-FRI", "timezone": "Europe/Berlin"}
_SCHEDULED = {"kind": "scheduled", **_WINDOW, "instances": 2}
_WARM: Mapping[str, Any] = {
    "budget": {"monthlyUsd": 100, "email": "ops@example.com", "onExceeded": "drop-warming"},
    "warming": [_PING, _SCHEDULED],
}
_JWT = {
    "auth.mode": "jwt",
    "auth.issuer": "https://issuer.example",
    "auth.audience": ["models"],
    "auth.dailyQuota": None,
    "accessLogs": None,
}
# Together they hold every type that a rule judges and a stack makes.
GOOD: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "aws-rest": ("aws-sagemaker-api", _WARM),
    "aws-http": ("aws-lambda-api", _JWT),
    "aws-events": ("aws-lambda-events", _WARM),
    "gcp-api": ("gcp-cloud-run-gpu-api", _WARM),
    "gcp-events": ("gcp-cloud-run-events", {}),
    "azure-api": ("azure-container-apps-gpu-api", {"tracing": True}),
    "azure-events": ("azure-container-apps-events", {"events.resultsTable": "cosmos"}),
}
# No rule judges them, but they lie between two that one does.
_BETWEEN = {"aws:lambda/alias:Alias"}
# Two of a kind are enough.
_MANY = {"aws:scheduler/schedule:Schedule", "aws:appautoscaling/scheduledAction:ScheduledAction", "gcp:cloudscheduler/job:Job"}
_CLOUDS = {"aws": "AWS", "gcp": "Google Cloud", "azure-native": "Azure"}
# Inputs that no rule reads and that are long.
_LONG = ("schema", "format")


def limits_copy() -> str:
    """The pack's `limits.py`."""
    cpu = {each: (one.low, one.high) for each, one in limits.CLOUD_RUN_CPU_MEMORY_MB.items()}
    memory = limits.SAGEMAKER_MEMORY_MB
    return "\n".join(
        [
            '"""Numbers of components/limits*.py: `make docs` writes them here, so that the pack needs nothing beside it."""',
            "",
            f"REST_TIMEOUT_MS = ({limits.REST_TIMEOUT_MS.low}, {limits.REST_TIMEOUT_MS.high})",
            f"HTTP_TIMEOUT_MS = ({limits.HTTP_TIMEOUT_MS.low}, {limits.HTTP_TIMEOUT_MS.high})",
            f"SAGEMAKER_MEMORY_MB = ({memory.low}, {memory.high}, {memory.step})",
            f"LAMBDA_MEMORY_MB = ({limits.LAMBDA_MEMORY_MB.low}, {limits.LAMBDA_MEMORY_MB.high})",
            f"SQS_VISIBILITY_MOST_S = {limits.VISIBILITY_S.high}",
            f"MAPPING_CONCURRENCY = ({limits.MAPPING_CONCURRENCY.low}, {limits.MAPPING_CONCURRENCY.high})",
            f"PUBSUB_ACK_MOST_S = {limits.PUBSUB_ACK_S.high}",
            f"SAGEMAKER_CONCURRENCY_MOST = {limits.SAGEMAKER_CONCURRENCY.high}",
            f"CLOUD_RUN_CPU_MEMORY_MB = {cpu}",
            f"CLOUD_RUN_FIRST_GENERATION_MB = {limits.CLOUD_RUN_FIRST_GENERATION_MB.low}",
            f"CONTAINER_APPS_CPU_MOST = {limits_azure.CONTAINER_APPS_CPU.high}",
            f"CONTAINER_APPS_INGRESS_MOST_S = {limits_azure.CONTAINER_APPS_INGRESS_S.high}",
            f"CONTAINER_APPS_MB_PER_CPU = {limits_azure.CONTAINER_APPS_MB_PER_CPU}",
            f"SERVER_MB = {limits.SERVER_MB}",
            "",
        ]
    )


def good_graph(name: str) -> str:
    """The resources of one good graph that rules look at, as JSON, one a line."""
    stack, changes = GOOD[name]
    named = {type_ for key, each in vars(tokens).items() if key.isupper() for type_ in ((each,) if isinstance(each, str) else each)}
    types = named | {type_ for rule in RULES for type_ in rule.types()} | _BETWEEN
    count: Counter[str] = Counter()
    lines = []
    for each in planned(stack, changes):
        count[each.type] += 1
        if each.type in types and (each.type not in _MANY or count[each.type] <= 2):
            lines.append(json.dumps(_spec(each), sort_keys=True))
    return "[\n" + ",\n".join(lines) + "\n]\n"


def _spec(resource: Planned) -> dict[str, Any]:
    inputs = {key: value for key, value in resource.inputs.items() if key not in _LONG and not _temporary(value)}
    outputs = {key: value for key, value in resource.outputs.items() if key not in inputs and key not in _LONG and not _temporary(value)}
    return {
        "type": resource.type,
        "name": resource.name,
        "urn": resource.urn,
        "inputs": inputs,
        "outputs": outputs,
        "links": {key: sorted(urns) for key, urns in sorted(resource.taken_from.items()) if urns},
        "protect": resource.protect,
    }


def _temporary(value: Any) -> bool:
    """Whether it is a file of the run that made the plan."""
    return isinstance(value, str) and "pilotlight-planned-" in value


def rules_table() -> str:
    """The table of all rules, by group."""
    lines = ["| rule | severity | clouds | what must hold | parameters |", "|---|---|---|---|---|"]
    for rule in RULES:
        given = "<br>".join(f"`{name}`: {json.dumps(each['default'])}" for name, each in rule.parameters.items())
        told = rule.idea + (" Off unless configured." if rule.level == "disabled" else "") + (" Can mend." if rule.mend else "")
        about = f"`{rule.id}`<br>{rule.group}{', whole stack' if rule.stack else ''}"
        lines.append(f"| {about} | {rule.severity} | {_clouds(rule)} | {told} | {given} |")
    return "\n".join(lines)


def _clouds(rule: Rule) -> str:
    """Those whose resources it judges; "all" for a rule about a stack as such."""
    packages = {type_.partition(":")[0] for type_ in rule.types()}
    return ", ".join(cloud for package, cloud in _CLOUDS.items() if package in packages) or "all"


def coverage_page() -> str:
    """The page that says what stands for each public check."""
    rows = list(coverage(RULES))
    count = Counter(kind for *_, kind, _ in rows)
    lines = [
        "# Public checks and this pack",
        "",
        f"{len(rows)} checks of public catalogues concern the types in use: {count['rule']} have a rule here, {count['not applicable']} do "
        f"not apply, {count['out of scope']} are out of scope. `make docs` writes this page.",
        "",
        "| about | check | | rule, or why none |",
        "|---|---|---|---|",
    ]
    return "\n".join([*lines, *(f"| {about} | {id_} | {kind} | {why} |" for about, id_, kind, why in rows)]) + "\n"


def readme(page: str) -> str:
    """The pack's page with its table as the rules say now. Raises ValueError where it lost the block."""
    start, end = "<!-- rules: make docs -->\n", "\n<!-- end -->"
    before, found, rest = page.partition(start)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError("policies/README.md has no block `rules`: put it back.")
    return before + start + rules_table() + end + after


def pages() -> Mapping[Path, str]:
    """What is generated from the rules and limits: file and text."""
    return {
        FOLDER / "README.md": readme((FOLDER / "README.md").read_text()),
        FOLDER / "COVERAGE.md": coverage_page(),
        FOLDER / "config.schema.json": json.dumps(schema(RULES), indent=2) + "\n",
        FOLDER / "rules/limits.py": limits_copy(),
    }


def written() -> Mapping[Path, str]:
    """Every generated file of the pack, and what it holds; the good graphs are planned for it."""
    return {**pages(), **{FOLDER / f"tests/good/{name}.json": good_graph(name) for name in GOOD}}
