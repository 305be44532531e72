"""A stack's config: what is taken, and what a mistake is told."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import hypothesis
import pulumi
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.planned import ready_stacks
from stacks.settings import load_settings, parse
from stacks.settings_service import Settings

STACKS = Path(__file__).resolve().parents[3] / "stacks"
READY = [STACKS / f"Pulumi.{name}.yaml" for name in ready_stacks()]


def ready(name: str = "aws-sagemaker-api", changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A ready stack's settings with dotted keys replaced; None takes a key away."""
    settings: dict[str, Any] = yaml.safe_load((STACKS / f"Pulumi.{name}.yaml").read_text())["config"]["pilotlight:service"]
    for key, value in (changes or {}).items():
        *path, last = key.split(".")
        place = settings
        for step in path:
            place = place.setdefault(step, {})
        if value is None:
            place.pop(last, None)
        else:
            place[last] = value
    return settings


def complaint(changes: Mapping[str, Any], name: str = "aws-sagemaker-api", region: str | None = None) -> str:
    """The one message that the changed stack is refused with."""
    with pytest.raises(pulumi.RunError) as refused:
        parse(ready(name, changes), name, None if region is None else {"aws:region": region})
    return str(refused.value)


def lines(message: str) -> list[str]:
    return message.split("\n  ")[1:]


@pytest.mark.parametrize("path", READY, ids=lambda path: path.name)
def test_every_ready_stack_is_taken(path: Path) -> None:
    config = yaml.safe_load(path.read_text())["config"]
    settings = parse(config.pop("pilotlight:service"), path.name, config)
    assert settings.endpoint.platform in path.name
    assert settings.data_retention == "delete"


@pytest.mark.parametrize("path", READY, ids=lambda path: path.name)
@pytest.mark.parametrize("key", ["pattern: ", "cloud: ", "memoryMb: ", "maxConcurrency: ", "platform: "])
def test_ready_stacks_write_what_people_edit_on_lines_of_their_own(path: Path, key: str) -> None:
    # Endpoint and pipeline have one each.
    twice = key == "maxConcurrency: " and "-events" in path.name
    assert [line.strip().startswith(key) for line in path.read_text().splitlines()].count(True) == 1 + twice


def test_a_default_keeps_data_and_logs_for_a_month() -> None:
    settings = parse(ready(changes={"dataRetention": None}), "s")
    assert (settings.data_retention, settings.logs.retention_days, settings.function.memory_mb) == ("keep", 30, 512)


def test_settings_do_not_change_after_the_check() -> None:
    settings = parse(ready(), "s")
    with pytest.raises(ValueError, match="frozen"):
        settings.endpoint.memory_mb = 1  # type: ignore[misc]


def test_three_mistakes_come_in_one_message() -> None:
    endpoint = {"platform": "aws-sagemaker", "memoryMb": 3000, "maxConcurency": 10}
    found = lines(complaint({"endpoint": endpoint, "auth.mode": "api-keys"}))
    assert len(found) == 3
    assert found[0].startswith("endpoint.maxConcurency: 10: unknown key, did you mean maxConcurrency? allowed here: platform, memoryMb")
    assert found[1] == "auth.mode: 'api-keys': did you mean api-key? use api-key or jwt or iam"
    assert found[2] == (
        "endpoint.memoryMb: 3000 for 'aws-sagemaker': use 1024, 2048, 3072, 4096, 5120 or 6144 MB "
        "(SageMaker API reference, ProductionVariantServerlessConfig)"
    )


def test_the_message_names_stack_and_file() -> None:
    assert complaint({"pattern": "apis"}).startswith(
        "The config of stack 'aws-sagemaker-api' (stacks/Pulumi.aws-sagemaker-api.yaml, under pilotlight:service) has one problem:"
    )


CASES: list[tuple[dict[str, Any], str]] = [
    ({"pattern": "event"}, "pattern: 'event': did you mean events? use api or events"),
    ({"cloud": "awss"}, "cloud: 'awss': did you mean aws? use aws or gcp or azure"),
    ({"cloud": "ibm"}, "cloud: 'ibm': use aws or gcp or azure"),
    (
        {"endpoint.platform": "aws-sagmaker"},
        "endpoint.platform: 'aws-sagmaker': did you mean aws-sagemaker? use aws-lambda or aws-sagemaker or gcp-cloud-run or "
        "azure-container-apps",
    ),
    ({"endpoint.cpu": 2}, "endpoint.cpu: 2: not on 'aws-sagemaker': CPU comes with memory: use endpoint.memoryMb"),
    (
        {"endpoint.gpu": "l4"},
        "endpoint.gpu: 'l4': not on 'aws-sagemaker': there is none: leave it out, or use endpoint.platform gcp-cloud-run or "
        "azure-container-apps",
    ),
    ({"endpoint.private": True}, "endpoint.private: true: not on 'aws-sagemaker': "),
    ({"endpoint.memoryMb": 3000}, "endpoint.memoryMb: 3000 for 'aws-sagemaker': use 1024, 2048, 3072, 4096, 5120 or 6144 MB"),
    ({"endpoint.memoryMb": "2048"}, "endpoint.memoryMb: '2048': use a whole number"),
    ({"endpoint.memoryMb": True}, "endpoint.memoryMb: true: use a whole number"),
    ({"endpoint.maxConcurrency": 0}, "endpoint.maxConcurrency: 0 for 'aws-sagemaker': use 1 to 200"),
    ({"endpoint.maxConcurrency": 201}, "endpoint.maxConcurrency: 201 for 'aws-sagemaker': use 1 to 200"),
    (
        {"endpoint": {"platform": "aws-sagemaker", "maxConcurrency": None}},
        "endpoint.maxConcurrency: null for 'aws-sagemaker': use 1 to 200",
    ),
    ({"endpoint.predictSeconds": 61}, "endpoint.predictSeconds: 61 for 'aws-sagemaker': use 1 to 60 s"),
    (
        {"endpoint.coldStartSeconds": 18, "answers": None},
        "endpoint: a cold start of 18 s and a prediction of 10 s take 28 s, but 27 s are left",
    ),
    ({"warming": [{"kind": "ping"}]}, "warming.0.everyMinutes: missing: it has no default"),
    ({"budget": {"monthlyUsd": 9}}, "budget.email: missing: use one address, name@example.com, here or in alarms.email"),
    ({"model": None}, "model: missing: use a mapping with source, task, engine, quantize, prune, maxDrift"),
    ({"model": "minilm"}, "model: 'minilm': use a mapping with source, task, engine, quantize, prune, maxDrift"),
    ({"model.task": "features"}, "model.task: 'features': "),
    ({"model.source": "hf://org/name@main"}, "model.source: 'hf://org/name@main': use pypi:NAME, hf://ORG/NAME@COMMIT"),
    ({"model.source": "hf://org/name"}, "model.source: 'hf://org/name': use pypi:NAME"),
    (
        {"model.engine": "torch", "model.task": "image-classification"},
        "token-classification, zero-shot-classification, text-generation: use onnx for image-classification",
    ),
    ({"model.task": "text-generation"}, "model.engine: 'onnx': it does not serve text-generation: use torch, and image.build.target"),
    ({"model.task": "custom"}, "not with model.task 'custom': use handlers/models/NAME, a folder there with its code"),
    ({"model.source": "handlers/models/house_price"}, "not with model.task 'feature-extraction': use task custom for a model of one's own"),
    ({"model.quantize": "int4"}, "model.quantize: 'int4': did you mean int8? use int8 or fp16"),
    ({"model.prune": 1.5}, "model.prune: 1.5: use "),
    ({"model.maxDrift": 0}, "model.maxDrift: 0: use "),
    (
        {"model.source": "handlers/models/house_price", "model.task": "custom", "model.quantize": "int8"},
        "model.quantize: 'int8': task custom serves files as they are: leave it out",
    ),
    ({"model.engine": "torch"}, "model.engine: 'torch': the image 'cpu' holds onnxruntime only: use onnx, image.uri of an image"),
    ({"image": {}}, "image: neither is set: use either image.build or image.uri"),
    ({"image.uri": f"111122223333.dkr.ecr.us-east-1.amazonaws.com/a@sha256:{'a' * 64}"}, "image: both are set: use either"),
    (
        {"image": {"uri": "111122223333.dkr.ecr.us-east-1.amazonaws.com/a:1"}},
        "use <repository>@sha256:<64 hex digits>, because a tag can move",
    ),
    ({"image": {"uri": f"ghcr.io/a/b@sha256:{'a' * 64}"}}, "use <account>.dkr.ecr.<region>.amazonaws.com/<repository>@sha256:"),
    ({"image.build.target": "gpu"}, "image.build.target: 'gpu': not on 'aws-sagemaker': there is no GPU: use cpu"),
    (
        {"image.registry": "premium"},
        "image.registry: 'premium': not in cloud 'aws': its registry has no tiers: leave it out (Amazon ECR pricing; Artifact Registry "
        "pricing)",
    ),
    ({"image.build.target": "tpu"}, "image.build.target: 'tpu': did you mean gpu? use cpu or gpu"),
    ({"image.build.platform": "linux/arm64"}, "image.build.platform: 'linux/arm64': "),
    ({"auth": None}, "auth: missing: use a mapping with mode, requestsPerSecond, burst"),
    ({"auth.mode": "none"}, "auth.mode: 'none': use api-key or jwt or iam"),
    ({"auth.mode": None}, "auth.mode: missing: use api-key or jwt or iam"),
    ({"auth.requestsPerSecond": 0}, "auth.requestsPerSecond: 0.0: use 1 to 10000 requests a second"),
    ({"auth.requestsPerSecond": float("nan")}, "auth.requestsPerSecond: nan: "),
    ({"auth.burst": 5001}, "auth.burst: 5001: use 1 to 5000 requests"),
    ({"auth.dailyQuota": 0}, "auth.dailyQuota: 0: use 1 to 2147483647 requests a day"),
    ({"auth.issuer": "https://issuer.example"}, "auth.issuer: 'https://issuer.example': not with auth.mode 'api-key'"),
    (
        {"cors": {"allowOrigins": ["https://a.example"]}},
        "cors.allowOrigins: ['https://a.example']: not with auth.mode 'api-key': a key in a browser",
    ),
    ({"accessLogs": None}, "accessLogs.accountRole: missing with auth.mode 'api-key': access logs of a REST API go through one role"),
    ({"accessLogs.accountRole": "mine"}, "accessLogs.accountRole: 'mine': use create or existing"),
    ({"logs": {"retentionDays": 31}}, "logs.retentionDays: 31: use 1, 3, 5, 7, 14, 30, 60"),
    ({"alarms": {"email": "nobody"}}, "alarms.email: 'nobody': use one address, name@example.com"),
    ({"function": {"memoryMb": 64}}, "function.memoryMb: 64: use 128 to 10240 MB"),
    ({"dataRetention": "forever"}, "dataRetention: 'forever': use keep or delete"),
    (
        {"tags": {"deployment": "mine"}},
        "tags.deployment: 'mine': every stack has this tag already, with a value of its own: use another key",
    ),
    ({"tags": {"Deployment": "mine"}}, "tags.Deployment: 'mine': every stack has this tag already"),
    ({"tags": {"Team": "a", "team": "b"}}, "tags.team: 'b': there is 'Team', and in another case it is the same tag: use another key"),
    ({"tags": {"team": "research & more"}}, "tags.team: 'research & more': use letters, digits, spaces and _ . : / = + - @"),
    ({"tags": {"team#": "a"}}, "tags.team#: 'a': use letters, digits, spaces"),
    ({"tags": {"aws:team": "a"}}, "tags.aws:team: the prefix aws: belongs to AWS"),
    ({"tags": {str(number): "a" for number in range(7)}}, "tags: "),
]


@pytest.mark.parametrize(("changes", "told"), CASES, ids=[told[:40] for _, told in CASES])
def test_one_mistake_is_one_sentence(changes: dict[str, Any], told: str) -> None:
    found = lines(complaint(changes))
    assert len(found) == 1, found
    assert told in found[0]


def test_what_torch_serves_is_not_shrunk() -> None:
    found = lines(complaint({"model.engine": "torch", "model.quantize": "fp16", "model.prune": 0.1}))
    for told in ("model.quantize: 'fp16'", "model.prune: 0.1"):
        assert f"{told}: engine torch serves files as they are: leave it out" in found
    assert len(found) == 3, found  # and the image, which holds onnxruntime only


@pytest.mark.parametrize(("issuer", "taken"), [("https://i.example/", True), ("http://127.0.0.1:90/a", True), ("http://i.example", False)])
def test_a_token_issuer_is_reached_by_https_except_on_this_machine(issuer: str, taken: bool) -> None:
    changes = {"auth": {"mode": "jwt", "audience": ["a"], "issuer": issuer}, "accessLogs": None}
    if taken:
        assert parse(ready(changes=changes), "s").model_dump()["auth"]["issuer"] == issuer
    else:
        assert lines(complaint(changes)) == [f"auth.issuer: {issuer!r}: use the issuer's URL, https://…, as it stands in the tokens' `iss`"]


def test_a_lambda_hosted_model_may_reserve_nothing_which_new_accounts_need() -> None:
    endpoint = {"platform": "aws-lambda", "maxConcurrency": None}
    assert parse(ready("aws-lambda-api", {"endpoint": endpoint}), "s").endpoint.max_concurrency is None
    assert parse(ready("aws-lambda-api", {"endpoint": {"platform": "aws-lambda"}}), "s").endpoint.max_concurrency == 10


def test_tokens_need_issuer_and_audience_and_have_no_quota() -> None:
    found = lines(complaint({"auth.mode": "jwt"}))
    assert [each.split(":")[0] for each in found] == ["auth.dailyQuota", "auth.issuer", "auth.audience", "accessLogs.accountRole"]


def test_a_lambda_hosted_model_has_no_function_of_its_own() -> None:
    assert "function: on 'aws-lambda' the model is the function" in complaint({"function": {"memoryMb": 512}}, "aws-lambda-api")


def test_a_model_in_a_lambda_may_have_memory_that_sagemaker_refuses() -> None:
    assert parse(ready("aws-lambda-api", {"endpoint.memoryMb": 3000}), "s").endpoint.memory_mb == 3000


def test_an_image_of_another_region_is_refused_where_the_region_is_known() -> None:
    image = {"uri": f"111122223333.dkr.ecr.us-east-1.amazonaws.com/a@sha256:{'a' * 64}"}
    assert "copy it to 'eu-west-1'" in complaint({"image": image}, region="eu-west-1")
    assert parse(ready(changes={"image": image}), "s").image.uri == image["uri"]


@pytest.mark.parametrize("raw", [[], "text", 3, {}])
def test_what_is_no_config_at_all_is_refused_cleanly(raw: object) -> None:
    with pytest.raises(pulumi.RunError, match=r"pilotlight:service\) has"):
        parse(raw, "s")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
KEYS = sorted(field.alias or name for name, field in Settings.model_fields.items())


@hypothesis.settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.sampled_from(KEYS) | st.text(), JSON))
def test_no_config_ends_in_anything_but_settings_or_one_message(changes: dict[str, Any]) -> None:
    try:
        told = str(parse({**ready(), **changes}, "s").endpoint)
    except pulumi.RunError as refused:
        told = "".join(lines(str(refused)))
    assert told


def test_a_stack_without_config_is_told_what_to_copy() -> None:
    pulumi.runtime.set_all_config({})
    with pytest.raises(pulumi.RunError, match=r"`pilotlight init mine`, or copy a ready stack's, .* stacks/Pulumi\.mine\.yaml`"):
        load_settings("mine")


@pytest.mark.parametrize("text", ["just text", '"a"', "[1]"])
def test_config_that_is_no_mapping_is_told_so(text: str) -> None:
    pulumi.runtime.set_all_config({"pilotlight:service": text})
    with pytest.raises(pulumi.RunError, match=r"pilotlight:service"):
        load_settings("mine")
    pulumi.runtime.set_all_config({})


def test_a_mistake_in_a_part_does_not_hide_the_other_ones_in_it() -> None:
    found = lines(complaint({"auth.mode": "none", "auth.burst": -1, "auth.dailyQuota": 0, "endpoint.predictSeconds": 0}))
    assert [line.split(":")[0].strip() for line in found] == ["endpoint.predictSeconds", "auth.mode", "auth.burst", "auth.dailyQuota"]


@pytest.mark.parametrize("raw", [[1], 5])
def test_a_service_that_is_no_mapping_is_told_what_goes_in(raw: Any) -> None:
    with pytest.raises(pulumi.RunError, match=r"pilotlight:service: .*: use a mapping with pattern, cloud, model"):
        parse(raw, "demo")
