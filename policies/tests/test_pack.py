"""The pack as a whole: what it refuses, what it says when a rule fails, what it mends."""

import ast
import dataclasses
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest
from pulumi_policy import policy as package
from pulumi_policy.deserialize import deserialize_properties

from ..rules import RULES, server
from ..rules import tokens as t
from ..rules.model import Check, Rule
from ..rules.pack import Fault
from ..rules.reading import Resource, type_of
from ..rules.schema import schema
from ..rules.server import parts, resource_of
from .breaks import BREAKS
from .harness import UNKNOWN, Pack
from .harness_breaks import WRITTEN, allowing, documents, good, made

PACK = Path(__file__).resolve().parents[1]
STATE = good("azure-api")


def test_ids_are_told_apart_and_every_parameter_has_a_default() -> None:
    assert len({rule.id for rule in RULES}) == len(RULES)
    assert [
        rule.id for rule in RULES for schema in rule.parameters.values() if "default" not in schema or "description" not in schema
    ] == []


def test_a_configuration_that_misnames_a_rule_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(Fault, match="names the rule 'log-retenton', which this pack does not have; do you mean 'log-retention'"):
        Pack(RULES, {"log-retenton": {"enforcementLevel": "mandatory", "minimumDays": 365}})


def test_the_schema_refuses_a_misnamed_rule() -> None:
    """For an editor, and for CI: where a rule has no level the engine asks no pack."""
    assert schema(RULES)["additionalProperties"] is False
    assert "log-retenton" not in schema(RULES)["properties"]


def test_a_configuration_that_misnames_a_parameter_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(Fault, match="log-retention the parameter 'minimumDay': it takes minimumDays, maximumDays"):
        Pack(RULES, {"log-retention": {"minimumDay": 365}})


def test_a_parameter_changes_what_a_rule_wants() -> None:
    found = Pack(RULES, {**WRITTEN, "log-retention": {"minimumDays": 365}}).judge(STATE)
    assert {(each.rule, each.message) for each in found} == {("log-retention", "retentionInDays is 30: set it to 365 to 731.")}


def test_levels_are_configured() -> None:
    strict = {**WRITTEN, "log-retention": {"minimumDays": 365, "enforcementLevel": "advisory"}}
    assert {each.level for each in Pack(RULES, strict).judge(STATE)} == {"advisory"}
    assert Pack(RULES, {**strict, "log-retention": {"minimumDays": 365, "enforcementLevel": "disabled"}}).judge(STATE) == []


@pytest.mark.parametrize("stack", [False, True])
def test_a_rule_that_throws_ends_the_run_with_its_name_and_the_resource(stack: bool) -> None:
    def judge(resource: object, context: object) -> list[str]:
        raise KeyError("nothing")

    rule = dataclasses.replace(_rule(), checks=(Check(("a:b:C",), judge),), stack=stack)  # type: ignore[arg-type]
    with pytest.raises(Fault, match=r"The rule broken could not judge a:b:C thing \(KeyError: 'nothing'\).*\"broken\": \"disabled\""):
        Pack([rule]).judge([{"type": "a:b:C", "name": "thing", "inputs": {}}])


def test_each_resource_is_read_once_for_all_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """One time by itself and one time with the stack, whatever the number of rules; Pulumi's package reads nothing of it once more."""
    read: list[str] = []
    again: list[dict[str, Any]] = []

    def counted(sent: Any) -> Resource:
        read.append(sent.name)
        return resource_of(sent)

    def counted_again(values: dict[str, Any], *given: Any) -> Any:
        again.append(values)
        return deserialize_properties(values, *given)

    monkeypatch.setattr(server, "resource_of", counted)
    monkeypatch.setattr(package, "deserialize_properties", counted_again)
    assert len(RULES) > 1
    assert not Pack(RULES, WRITTEN).judge(STATE)
    names = [each["name"] for each in STATE]
    assert read == [*names, *names]
    assert [values for values in again if values] == []


def _rule() -> Rule:
    return Rule(id="broken", group="security", severity="low", idea="An idea.", fix="A fix.", checks=())


def test_what_a_state_hides_is_told_and_does_not_pass() -> None:
    """`pulumi policy analyze --file` puts this text in the place of every secret, whatever its type."""
    queue = {
        "type": "aws:sqs/queue:Queue",
        "name": "queue",
        "inputs": {"sqsManagedSseEnabled": "[secret]", "tags": {"project": "p", "stack": "s"}},
    }
    found = [each for each in Pack(RULES, WRITTEN).judge([queue]) if each.rule == "encrypted-at-rest"]
    assert [(each.unread, "sqsManagedSseEnabled is a secret that this state hides" in each.message) for each in found] == [(True, True)]


def test_one_unknown_value_hides_no_other_violation() -> None:
    case = next(case for case in BREAKS if case.rule == "tls-only")
    store = next(each for each in good(case.graph) if each["type"] == case.type)
    store["inputs"] |= {"enableHttpsTrafficOnly": "04da6b54-80e4-46f7-96ec-b56ff0331ba9", "minimumTlsVersion": "TLS1_0"}
    found = [each for each in Pack(RULES, WRITTEN).judge([store]) if each.rule == "tls-only"]
    assert sorted(each.unread for each in found) == [False, True]


_STAR = allowing("sqs:*")
_NOT = allowing("sqs:SendMessage").replace('"Action"', '"NotAction"')
_TOKEN = {"env": [{"name": "TOKEN", "value": "x"}]}
_SMALL = {"resources": {"cpu": 1, "memory": "1Gi"}}
# A type, inputs in which one part is not known and another is wrong, and what is said of that.
_HALF_KNOWN: tuple[tuple[str, str, dict[str, Any], str], ...] = (
    (
        "no-secret-in-variables",
        t.LAMBDA,
        {"environment": {"variables": {"A": UNKNOWN, "KEY": "AKIAIOSFODNN7EXAMPLE", "Z": UNKNOWN}}},
        "environment.variables.KEY holds a secret",
    ),
    (
        "no-secret-in-variables",
        t.RUN,
        {"template": {"containers": [UNKNOWN, {"envs": [UNKNOWN, {"name": "A", "value": UNKNOWN}, {"name": "API_KEY", "value": "x"}]}]}},
        "containers[1].envs[2] holds a secret",
    ),
    (
        "no-secret-in-variables",
        t.APP,
        {"template": {"containers": UNKNOWN, "initContainers": [_TOKEN]}},
        "env[0]",
    ),
    ("image-by-digest", t.RUN, {"template": {"containers": [{"image": UNKNOWN}, {"image": "a:latest"}, UNKNOWN]}}, "containers[1].image"),
    ("encrypted-at-rest", t.BUCKET_ENCRYPTION, {"rules": [UNKNOWN, {"bucketKeyEnabled": True}]}, "rules[1].apply"),
    ("no-wildcard-action", t.ROLE, {"inlinePolicies": [{"policy": UNKNOWN}, {"policy": _STAR}]}, "allows 'sqs:*'"),
    (
        "no-negated-policy",
        t.ROLE,
        {"assumeRolePolicy": UNKNOWN, "inlinePolicies": [{"policy": _NOT}]},
        "NotAction",
    ),
    ("no-administrator", t.ROLE, {"managedPolicyArns": [UNKNOWN, "arn:aws:iam::aws:policy/AdministratorAccess"]}, "managedPolicyArns[1]"),
    ("no-policy-for-anyone", t.MORE_GRANTS[0], {"members": [UNKNOWN, "allUsers"]}, "members[1]"),
    (
        "instances-are-bounded",
        t.ENDPOINT_CONFIG,
        {"productionVariants": [UNKNOWN, {"serverlessConfig": {"maxConcurrency": 201}}]},
        "productionVariants[1].serverlessConfig.maxConcurrency",
    ),
    (
        "memory-of-platform",
        t.RUN,
        {"template": {"containers": [UNKNOWN, {"resources": {"limits": {"cpu": "4", "memory": "1Gi"}}}]}},
        "containers[1].resources",
    ),
    ("nothing-by-the-hour", t.ENDPOINT_CONFIG, {"productionVariants": [UNKNOWN, {"instanceType": "ml.m5.large"}]}, "productionVariants[1]"),
    (
        "floor-has-an-end",
        t.RUN,
        {"name": "s", "scaling": {"minInstanceCount": UNKNOWN}, "template": {"scaling": {"minInstanceCount": 1}}},
        "is 1",
    ),
)


@pytest.mark.parametrize(("rule", "type_", "inputs", "says"), _HALF_KNOWN, ids=lambda value: value if isinstance(value, str) else "")
def test_what_is_not_known_is_told_beside_what_is_wrong(rule: str, type_: str, inputs: dict[str, Any], says: str) -> None:
    one = next(each for each in RULES if each.id == rule)
    found = Pack([one]).judge([{"type": type_, "name": "thing", "inputs": inputs}])
    assert {each.unread for each in found} == {True, False}, found
    assert [each.message for each in found if not each.unread and says not in each.message] == []


_BACKEND = documents("{x-google-backend: {address: 'https://s.example'}, paths: {/x: {get: {}}}}")
_WATCHES = {"filter": 'resource.type="cloud_run_revision" AND resource.labels.service_name="mine"'}
# Resources of which one holds what is not known yet, and whether the rule then can't tell.
_UNMADE: tuple[tuple[str, list[dict[str, Any]], bool], ...] = (
    (
        "function-ends-before-gateway",
        [made(t.API_CONFIG, openapiDocuments=_BACKEND), {**made(t.OTHER_RUNS[0], serviceConfig=UNKNOWN), "name": "f"}],
        False,
    ),
    (
        "function-ends-before-gateway",
        [made(t.API_CONFIG, openapiDocuments=_BACKEND), {**made(t.OTHER_RUNS[0], serviceConfig="[secret]"), "name": "f"}],
        False,
    ),
    (
        "callers-are-throttled",
        [
            made(t.REST_STAGE, restApi="a", stageName="v1"),
            {**made(t.USAGE_PLAN, apiStages=[UNKNOWN], throttleSettings={"rateLimit": 1}, quotaSettings={"limit": 1}), "name": "plan"},
        ],
        True,
    ),
    *(
        (
            "alarm-dimensions-exist",
            [
                made(t.ALERT_POLICY, conditions=[{"conditionThreshold": _WATCHES}]),
                {**made(t.RUN, name=name), "name": "service"},
                {**made(t.OTHER_RUNS[0], serviceConfig={"service": UNKNOWN}), "name": "f"},
            ],
            unread,
        )
        for name, unread in (("mine", False), ("other", True))
    ),
)


@pytest.mark.parametrize(("rule", "resources", "unread"), _UNMADE, ids=lambda value: value if isinstance(value, str) else "")
def test_what_is_not_made_yet_ends_no_run(rule: str, resources: list[dict[str, Any]], unread: bool) -> None:
    one = next(each for each in RULES if each.id == rule)
    assert [each.unread for each in Pack([one]).judge(resources)] == ([True] if unread else [])


@pytest.mark.parametrize(
    "token",
    [
        "azure-native:storage/v20240101:StorageAccount",
        "azure-native_storage_v20240101:storage:StorageAccount",
        "azure-native:storage:StorageAccount",
    ],
)
def test_a_version_of_azures_is_judged_as_its_type(token: str) -> None:
    found = Pack(RULES, WRITTEN).judge([{"type": token, "name": "store", "inputs": {"allowBlobPublicAccess": True}}])
    assert "storage-not-public" in {each.rule for each in found}


@pytest.mark.parametrize(
    ("token", "type_"),
    [
        ("azure-native:insights:Component", t.INSIGHTS),
        ("azure-native:insights/v20200202:Component", t.INSIGHTS),
        ("azure-native_insights_v20180301:insights:MetricAlert", t.METRIC_ALERT),
        ("azure-native:insights:ScheduledQueryRule", t.LOG_ALERT),
        ("azure-native:documentdb:DatabaseAccount", t.COSMOS),
        ("aws:s3/bucketV2:BucketV2", t.S3),
        ("aws:s3/bucketVersioningV2:BucketVersioningV2", t.BUCKET_VERSIONING),
        ("aws:s3/bucketLifecycleConfigurationV2:BucketLifecycleConfigurationV2", t.BUCKET_LIFECYCLE),
        ("aws:s3/bucketServerSideEncryptionConfigurationV2:BucketServerSideEncryptionConfigurationV2", t.BUCKET_ENCRYPTION),
        (t.S3, t.S3),
        ("pulumi:providers:azure-native_storage_v20240101", "pulumi:providers:azure-native_storage_v20240101"),
    ],
)
def test_another_token_of_a_type_is_that_type(token: str, type_: str) -> None:
    assert type_of(token) == type_


def test_a_window_is_that_of_one_service_and_told_where_it_is_not_known() -> None:
    """A floor, and a schedule that names a service with a longer name; and one of which it is not known what it names."""
    rule = next(rule for rule in RULES if rule.id == "floor-has-an-end")
    service = {
        "type": "gcp:cloudrunv2/service:Service",
        "name": "service",
        "inputs": {"name": "served", "scaling": {"minInstanceCount": 1}},
    }

    def said(uri: str) -> list[bool]:
        job = {"type": "gcp:cloudscheduler/job:Job", "name": "job", "inputs": {"httpTarget": {"httpMethod": "PATCH", "uri": uri}}}
        return [each.unread for each in Pack([rule]).judge([service, job])]

    assert said("https://run.googleapis.com/v2/services/served?updateMask=scaling") == []
    assert said("https://run.googleapis.com/v2/services/served-other?updateMask=scaling") == [False]
    assert said(UNKNOWN) == [True]


def test_without_a_word_about_data_a_state_cannot_be_judged() -> None:
    found = {each.rule: each for each in Pack(RULES).judge(good("aws-events")) if each.unread}
    assert set(found) == set(WRITTEN)
    assert "set the parameter dataRetention" in found["data-is-protected"].message


def test_a_policy_whose_product_nobody_tells_yet_neither_passes_nor_breaks() -> None:
    """As in a preview before the first `up`, where Azure's resources have no addresses."""
    one = next(each for each in RULES if each.id == "callers-are-throttled")
    product = {"type": t.APIM_PRODUCT, "name": "product", "inputs": {"subscriptionRequired": True}}
    found = Pack([one]).judge([product, {"type": t.APIM_LIMITS, "name": "limits", "inputs": {"value": "", "format": "rawxml-link"}}])
    assert [each for each in found if each.unread and "limits: productId is not known before it is made" in each.message]
    assert not [each for each in found if "has no ProductPolicy" in each.message]


def test_the_stacks_own_word_about_data_is_heard() -> None:
    """The engine hands the stack's config over in a message that Pulumi's package does not read."""
    for config, findings in (
        ({"pilotlight:service": '{"dataRetention": "delete"}'}, set()),
        ({"pilotlight:service": '{"dataRetention": "keep"}'}, set(WRITTEN)),
        # Who takes the pack alone writes nothing of the kind.
        ({}, set(WRITTEN)),
        ({"pilotlight:service": "{}"}, set(WRITTEN)),
        ({"pilotlight:service": "[1]"}, set(WRITTEN)),
        ({"pilotlight:service": "someone's"}, set(WRITTEN)),
    ):
        found = Pack(RULES, stack_config=config).judge(good("aws-events"))
        assert {each.rule for each in found} == findings
        assert not any(each.unread for each in found)


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.mend], ids=lambda rule: rule.id)
def test_what_a_rule_mends_it_has_nothing_against_and_mends_no_more(rule: Rule) -> None:
    pack = Pack([rule], {rule.id: {"enforcementLevel": "remediate"}})
    for case in [
        case for case in BREAKS if case.rule == rule.id and case.type in rule.mend and set(case.change) <= set(rule.mend[case.type])
    ]:
        broken = next(each for each in case.broken() if each not in good(case.graph))
        inputs, changed = pack.mended(broken)
        assert changed == [rule.id]
        assert pack.judge([{**broken, "inputs": inputs}]) == []
        assert pack.mended({**broken, "inputs": inputs})[1] == []


_STORE = {"enableHttpsTrafficOnly": True, "minimumTlsVersion": "TLS1_3"}


@pytest.mark.parametrize(
    ("rule", "type_", "inputs", "written"),
    [
        ("tls-only", t.STORAGE, _STORE, {}),
        ("tls-only", t.STORAGE, _STORE | {"enableHttpsTrafficOnly": False}, {"enableHttpsTrafficOnly": True}),
        ("tls-only", t.STORAGE, _STORE | {"minimumTlsVersion": "TLS1_1"}, {"minimumTlsVersion": "TLS1_2"}),
        ("tls-only", t.STORAGE, {"enableHttpsTrafficOnly": UNKNOWN, "minimumTlsVersion": "TLS1_1"}, {"minimumTlsVersion": "TLS1_2"}),
        ("encrypted-at-rest", t.QUEUE, {"kmsMasterKeyId": "alias/own"}, {}),
        ("encrypted-at-rest", t.QUEUE, {"kmsMasterKeyId": "alias/own", "sqsManagedSseEnabled": False}, {}),
        ("encrypted-at-rest", t.QUEUE, {"kmsMasterKeyId": UNKNOWN}, {}),
        ("encrypted-at-rest", t.QUEUE, {"kmsMasterKeyId": ""}, {"sqsManagedSseEnabled": True}),
        ("no-shared-keys", t.ACR, {"adminUserEnabled": False, "anonymousPullEnabled": True}, {}),
        ("storage-not-public", t.GCS, {"publicAccessPrevention": "enforced"}, {}),
    ],
)
def test_what_a_rule_takes_as_well_is_not_written_over(rule: str, type_: str, inputs: dict[str, Any], written: dict[str, Any]) -> None:
    pack = Pack([next(each for each in RULES if each.id == rule)], {rule: {"enforcementLevel": "remediate"}})
    assert pack.mended({"type": type_, "name": "thing", "inputs": inputs}) == (inputs | written, [rule] if written else [])


def test_each_policy_carries_severity_group_and_fix() -> None:
    for rule, policy in zip(RULES, parts(RULES)[1], strict=True):
        assert (policy.severity.value, policy.tags[0], policy.remediation_steps) == (rule.severity, rule.group, rule.fix)


def test_without_its_package_the_pack_says_what_to_install(tmp_path: Path) -> None:
    """A Python without packages of its own stands for one where nobody installed the requirements."""
    result = subprocess.run([sys.executable, "-I", "-S", str(PACK)], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert result.returncode != 0
    assert "The policy pack needs pulumi-policy" in result.stderr
    assert "pip install --require-hashes -r requirements.txt" in result.stderr


def test_the_pack_imports_nothing_of_the_repository() -> None:
    """Not within a function either; and relatively no further than itself."""
    others = {"components", "stacks", "pilotlight", "handlers", "docs", "tests", "policies"}
    files = [path for path in PACK.rglob("*.py") if not {".venv", "__pycache__"} & set(path.parts[len(PACK.parts) :])]
    assert len(files) > 30
    assert [(path.name, each) for path in files for each in _imported(path.read_text(), len(path.parts) - len(PACK.parts)) & others] == []


def test_an_import_is_seen_wherever_and_however_it_is_written() -> None:
    source = "import a, pilotlight.cli as b\nfrom docs import c\ndef f():\n    from stacks.d import e\nfrom . import g\nfrom .. import h"
    assert _imported(source, 1) == {"a", "pilotlight", "docs", "stacks", "policies"}
    assert _imported(source, 2) == {"a", "pilotlight", "docs", "stacks"}


def _imported(source: str, depth: int) -> set[str]:
    """The first name of each module that a file of the pack imports absolutely; what is above the pack is "policies", too."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {each.name.split(".")[0] for each in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(str(node.module).split(".")[0])
        elif isinstance(node, ast.ImportFrom) and node.level > depth:
            found.add("policies")
    return found


def test_a_copy_of_the_folder_alone_loads_and_has_its_rules(tmp_path: Path) -> None:
    """Of this Python its packages alone: no path that a `.pth` adds leads back to the repository."""
    copy = tmp_path / "elsewhere"
    shutil.copytree(PACK, copy, ignore=shutil.ignore_patterns(".venv", "__pycache__"))
    program = (
        f"import sys; sys.path[:0] = [{str(copy)!r}]; sys.path += [{sysconfig.get_path('purelib')!r}]; "
        "from rules import RULES; from rules.server import parts; print(*(each.name for each in parts(RULES)[1]))"
    )
    result = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert result.stdout.split() == [rule.id for rule in RULES], result.stderr
