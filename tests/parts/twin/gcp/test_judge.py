"""Inputs of every type judged in a preview: what is misspelt, missing or not to be chosen fails with what is allowed."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from pilotlight.twin import gcp, judge, schema
from pilotlight.twin.gcp import discovery, judge_discovery
from pilotlight.twin.values import UNKNOWN, is_asset
from pilotlight.twin.world import Resource
from tests.parts.twin.gcp.account import Account
from tests.parts.twin.gcp.declared import DECLARED, Made, fill

NAMES = [name for _, name, _ in DECLARED]
# Maps with names of the user's own: any key is right.
MAPS = {"labels", "headers", "annotations", "labelExtractors", "limits", "dashboardJson"}


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    account = Account(tmp_path_factory.mktemp("judged"))
    yield fill(account)
    account.world.close()


def problems(resource: Resource, inputs: dict[str, Any]) -> list[str]:
    declared = schema.sdk_type(resource.token)
    assert declared is not None
    return judge.problems(gcp.rows()[resource.token], declared, inputs)


def objects(value: Any, inputs: type, path: str = "") -> Iterator[tuple[str, dict[str, Any], type]]:
    """Every object in some inputs whose class the SDK knows: its path, itself, its class."""
    if is_asset(value):
        return
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from objects(item, inputs, f"{path}[{index}]")
    elif isinstance(value, dict):
        yield path, value, inputs
        for key, item in value.items():
            classes = _classes(schema.fields(inputs).get(key))
            if classes and key not in MAPS:
                yield from objects(item, classes[0], f"{path}.{key}" if path else key)


def _classes(declared: Any) -> list[type]:
    import typing

    found = schema.input_classes(declared)
    for option in schema.alternatives(declared):
        found += [held for held in typing.get_args(option) for held in schema.input_classes(held)]
    return found


def mutated(resource: Resource) -> Iterator[tuple[dict[str, Any], str, dict[str, Any], type]]:
    """For every object in the inputs a copy of them, with the path, the object in the copy and its class."""
    declared = schema.sdk_type(resource.token)
    assert declared is not None
    for index in range(len(list(objects(dict(resource.inputs), declared.inputs)))):
        fresh = copy.deepcopy(dict(resource.inputs))
        path, one, inputs = list(objects(fresh, declared.inputs))[index]
        yield fresh, path, one, inputs


@pytest.mark.parametrize("name", NAMES)
def test_what_programs_write_has_no_problem(everything: Made, name: str) -> None:
    assert problems(everything[name], dict(everything[name].inputs)) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_misspelt_key_is_named_at_every_depth(everything: Made, name: str) -> None:
    for fresh, path, one, _ in mutated(everything[name]):
        for key in list(one):
            held = one.pop(key)
            one[f"{key}x"] = held
            wrong = f"{path}.{key}x" if path else f"{key}x"
            found = problems(everything[name], fresh)
            assert any(text.startswith(f"{wrong}: is not known: did you mean {key!r}?") for text in found), (wrong, found)
            del one[f"{key}x"]
            one[key] = held


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_required_key_is_named_at_every_depth(everything: Made, name: str) -> None:
    tried = 0
    for fresh, path, one, inputs in mutated(everything[name]):
        for key in schema.required(inputs) & set(one):
            held = one.pop(key)
            wrong = f"{path}.{key}" if path else key
            assert f"{wrong}: is missing and required." in problems(everything[name], fresh)
            one[key] = held
            tried += 1
    optional = {"account", "channel", "key", "network", "topic", "job", "service"}
    assert tried or name in optional


@pytest.mark.parametrize("name", NAMES)
def test_snake_case_is_refused_at_every_depth(everything: Made, name: str) -> None:
    for fresh, path, one, _ in mutated(everything[name]):
        for key in [key for key in one if key != key.lower()]:
            snake = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in key)
            one[snake] = one.pop(key)
            wrong = f"{path}.{snake}" if path else snake
            assert any(text.startswith(f"{wrong}: is not known") for text in problems(everything[name], fresh))
            one[key] = one.pop(snake)


CHOICES: list[tuple[str, str, Any, str]] = [
    ("service", "ingress", "PUBLIC", "INGRESS_TRAFFIC_INTERNAL_ONLY"),
    ("service", "template.executionEnvironment", "GEN2", "EXECUTION_ENVIRONMENT_GEN2"),
    ("service", "template.vpcAccess.egress", "NONE", "PRIVATE_RANGES_ONLY"),
    ("service", "traffics", [{"type": "LATEST"}], "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST"),
    ("service", "launchStage", "PREVIEW", "BETA"),
    ("repository", "mode", "LOCAL", "STANDARD_REPOSITORY"),
    ("repository", "format", "OCI", "DOCKER"),
    ("repository", "cleanupPolicies[0].action", "REMOVE", "DELETE"),
    ("repository", "cleanupPolicies[0].condition.tagState", "NONE", "UNTAGGED"),
    ("database", "type", "NATIVE", "FIRESTORE_NATIVE"),
    ("database", "concurrencyMode", "NONE", "OPTIMISTIC"),
    ("database", "deleteProtectionState", "ON", "DELETE_PROTECTION_ENABLED"),
    ("index", "fields[0].order", "UP", "ASCENDING"),
    ("index", "queryScope", "ALL", "COLLECTION_GROUP"),
    ("field", "indexConfig.indexes[0].order", "UP", "ASCENDING"),
    ("policy", "combiner", "XOR", "AND_WITH_MATCHING_RESOURCE"),
    ("policy", "conditions[0].conditionThreshold.comparison", "GREATER", "COMPARISON_GT"),
    ("policy", "conditions[0].conditionThreshold.aggregations[0].perSeriesAligner", "P99", "ALIGN_PERCENTILE_99"),
    ("policy", "severity", "HIGH", "CRITICAL"),
    ("policy", "alertStrategy.notificationPrompts", ["OPEN"], "OPENED"),
    ("metric", "metricDescriptor.metricKind", "COUNT", "DELTA"),
    ("metric", "metricDescriptor.valueType", "FLOAT", "DISTRIBUTION"),
    ("metric", "metricDescriptor.labels[0].valueType", "TEXT", "STRING"),
    ("job", "httpTarget.httpMethod", "FETCH", "PATCH"),
    ("bucket", "publicAccessPrevention", "on", "enforced"),
    ("bucket", "storageClass", "COLD", "COLDLINE"),
    ("bucket", "lifecycleRules[0].action.type", "Remove", "Delete"),
    ("bucket", "lifecycleRules[0].condition.withState", "OLD", "ARCHIVED"),
    ("notification", "payloadFormat", "JSON", "JSON_API_V1"),
    ("notification", "eventTypes", ["CREATED"], "OBJECT_FINALIZE"),
    ("budget", "thresholdRules[0].spendBasis", "ACTUAL", "FORECASTED_SPEND"),
    ("budget", "budgetFilter.calendarPeriod", "WEEK", "MONTH"),
    ("topic", "schemaSettings", {"schema": "s", "encoding": "XML"}, "BINARY"),
    ("subscription", "cloudStorageConfig", {"bucket": "b", "state": "ON"}, "ACTIVE"),
    ("role", "stage", "NEW", "GA"),
    ("key", "checkExistingUsage", "YES", "SKIP"),
    ("network", "routingMode", "LOCAL", "GLOBAL"),
    ("subnetwork", "stackType", "IPV6", "IPV4_IPV6"),
    ("subnetwork", "role", "MAIN", "BACKUP"),
]


@pytest.mark.parametrize(("name", "path", "value", "allowed"), CHOICES)
def test_a_wrong_choice_lists_what_may_be_chosen(everything: Made, name: str, path: str, value: Any, allowed: str) -> None:
    fresh = copy.deepcopy(dict(everything[name].inputs))
    *parents, last = path.replace("[0]", ".0").split(".")
    place: Any = fresh
    for part in parents:
        place = place[int(part)] if part.isdigit() else place[part]
    place[last] = value
    found = [text for text in problems(everything[name], fresh) if text.startswith(path)]
    assert any(allowed in text and ("use one of" in text or "use 'inherited'" in text) for text in found), problems(everything[name], fresh)


@pytest.mark.parametrize(("duration", "refused"), [("0s", True), ("60s", False), (UNKNOWN, False)])
def test_what_missing_data_means_is_of_a_duration_alone(everything: Made, duration: Any, refused: bool) -> None:
    fresh = copy.deepcopy(dict(everything["policy"].inputs))
    fresh["conditions"][0]["conditionThreshold"] |= {"duration": duration, "evaluationMissingData": "EVALUATION_MISSING_DATA_INACTIVE"}
    place = "conditions[0].conditionThreshold.evaluationMissingData"
    assert problems(everything["policy"], fresh) == (
        [f"{place}: needs a duration of 60s or more: set one, or leave it out."] if refused else []
    )


@pytest.mark.parametrize("name", NAMES)
def test_unknown_values_pass_everywhere(everything: Made, name: str) -> None:
    for fresh, path, one, _ in mutated(everything[name]):
        for key in list(one):
            held, one[key] = one[key], UNKNOWN
            assert problems(everything[name], fresh) == [], (path, key)
            one[key] = held


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_kind_is_named_and_never_breaks_the_judge(everything: Made, name: str) -> None:
    for fresh, path, one, _ in mutated(everything[name]):
        for key in [key for key in one if not is_asset(one[key])]:
            for wrong in ("text", 7, True, ["a"], {"b": "c"}, []):
                if type(wrong) is type(one[key]) or {type(wrong), type(one[key])} <= {int, float}:
                    continue
                held, one[key] = one[key], wrong
                assert problems(everything[name], fresh), (path, key, wrong)
                one[key] = held


def test_a_dashboard_is_judged_inside_its_text(everything: Made) -> None:
    def found(content: Any) -> list[str]:
        return problems(everything["dashboard"], {**everything["dashboard"].inputs, "dashboardJson": content})

    assert found(json.dumps({"gridLayout": {"widgets": [{"titel": "x"}]}})) == [
        "dashboardJson.gridLayout.widgets[0].titel: is not known: did you mean 'title'?"
    ]
    scaled = {"xyChart": {"chartOptions": {"mode": "COLOUR"}, "dataSets": []}}
    (problem,) = found(json.dumps({"gridLayout": {"widgets": [scaled]}}))
    assert problem.startswith("dashboardJson.gridLayout.widgets[0].xyChart.chartOptions.mode: 'COLOUR' is not allowed: use one of")
    assert found("{") == ["dashboardJson: is no JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)."]
    assert found("[]") == ["dashboardJson: must be an object, as Monitoring's Dashboard is."]


def test_a_document_that_is_not_installed_is_named() -> None:
    with pytest.raises(discovery.DocumentMissing, match=r"nothing\.v1 is not among"):
        discovery.schemas("nothing.v1:At")
    with pytest.raises(discovery.DocumentMissing, match=r"run\.v2 has no schema Nothing"):
        discovery.schemas("run.v2:Nothing")


def test_documents_are_pruned_to_what_a_type_reaches() -> None:
    kept = discovery.schemas("compute.v1:Subnetwork")
    assert "Subnetwork" in kept
    assert "Instance" not in kept
    assert "description" not in kept["Subnetwork"]["properties"]["purpose"]
    assert judge_discovery.resolve_path("artifactregistry.v1:Repository", "cleanupPolicies.action") is not None


def test_a_user_of_another_cloud_loads_none_of_it() -> None:
    code = (
        "import sys; from pilotlight.twin import engine; packages = {one.name: one for one in engine.packages()}; packages['aws'].rows(); "
        "print([name for name in sys.modules if 'pulumi_gcp' in name or 'googleapiclient' in name or 'gcp.rows' in name])"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
