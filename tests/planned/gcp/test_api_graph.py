"""What a ready API on Google Cloud registers: identities, order, what is open to whom."""

import pulumi
import pytest

from tests.planned.gcp.conftest import (
    ACCOUNT,
    API,
    CONFIG,
    ENABLED,
    INVOKER,
    RUN,
    container,
    document,
    plan_of,
    variables,
)

# (what waits, for what): what a first deploy fails without. `type*ending-of-name`
EDGES = [
    (f"{RUN}*endpoint-service", "gcp:storage/bucketIAMMember:BucketIAMMember"),
    (f"{RUN}*endpoint-service", "gcp:storage/bucketObject:BucketObject"),
    (f"{RUN}*endpoint-service", "docker-build:index:Image*image-build"),
    (f"{RUN}*function-service", "docker-build:index:Image*image-functions"),
    (f"{RUN}*function-service", f"{RUN}*endpoint-service"),
    (f"{RUN}*function-service", f"{INVOKER}*function-invoke"),
    ("docker-build:index:Image*image-build", "gcp:artifactregistry/repository:Repository"),
    ("gcp:apigateway/gateway:Gateway", f"{INVOKER}*gateway-invoke"),
    ("gcp:apigateway/gateway:Gateway", f"{ENABLED}*gateway-managed"),
    ("gcp:apigateway/gateway:Gateway", CONFIG),
    ("gcp:projects/apiKey:ApiKey", f"{ENABLED}*gateway-managed"),
    (f"{ENABLED}*gateway-managed", "gcp:apigateway/api:Api"),
    (f"{ENABLED}*gateway-managed", CONFIG),
]


@pytest.mark.parametrize(("waits", "for_"), EDGES)
def test_a_first_deploy_makes_things_in_an_order_that_works(waits: str, for_: str) -> None:
    plan = plan_of(API)
    found = [plan.one(*each.split("*")) for each in (waits, for_)]
    assert found[1].urn in plan.before(found[0])


def test_apis_are_enabled_once_and_stay_enabled() -> None:
    services = plan_of(API).all(ENABLED)
    assert {each.inputs["disableOnDestroy"] for each in services} == {False}
    assert len({each.inputs["service"] for each in services}) == len(services)


def test_every_service_has_an_account_of_its_own() -> None:
    plan = plan_of(API)
    accounts = {each.outputs["email"] for each in plan.all(ACCOUNT)}
    runs_as = [each.inputs["template"]["serviceAccount"] for each in plan.all(RUN)]
    assert len(runs_as) == len(set(runs_as)) == 2
    assert set(runs_as) < accounts
    gateway = plan.one(CONFIG).inputs["gatewayConfig"]["backendConfig"]["googleServiceAccount"]
    assert {*runs_as, gateway} == accounts


def test_each_account_may_do_one_thing_to_one_resource() -> None:
    granted = {
        (each.inputs["member"].split("-")[0], each.inputs["role"], each.inputs.get("name") or each.inputs.get("bucket"))
        for each in plan_of(API).resources
        if "member" in each.inputs
    }
    prefix = "pilotlight-gcp-cloud-run-api"
    assert granted == {
        ("serviceAccount:endpoint", "roles/storage.objectViewer", f"{prefix}-models-6b4dccd5"),
        ("serviceAccount:api", "roles/run.invoker", prefix),
        ("serviceAccount:gateway", "roles/run.invoker", f"{prefix}-predict"),
    }


def test_the_bucket_is_private_and_the_model_lies_under_its_hash() -> None:
    plan = plan_of(API)
    bucket = plan.one("gcp:storage/bucket:Bucket")
    assert (bucket.inputs["publicAccessPrevention"], bucket.inputs["uniformBucketLevelAccess"]) == ("enforced", True)
    key = plan.one("gcp:storage/bucketObject:BucketObject").inputs["name"]
    assert len(key.split("/")[1]) == 64
    assert variables(plan.one(RUN, "endpoint-service"))["MODEL_URI"] == f"gs://{bucket.inputs['name']}/{key}"


def test_what_runs_is_named_by_digest_and_built_from_relative_paths() -> None:
    plan = plan_of(API)
    images = {each.name: container(each)["image"] for each in plan.all(RUN)}
    registry = "europe-west1-docker.pkg.dev/my-project/pilotlight-gcp-cloud-run-api"
    digest = "sha256:" + "d" * 64
    assert images == {"api-endpoint-service": f"{registry}/endpoint@{digest}", "api-function-service": f"{registry}/functions@{digest}"}
    builds = plan.all("docker-build:index:Image")
    assert sorted(each.inputs["target"] for each in builds) == ["cpu", "function-gcp"]
    for each in builds:
        assert (each.inputs["context"], each.inputs["dockerfile"]) == ({"location": ".."}, {"location": "../containers/Dockerfile"})
        assert (each.inputs["push"], each.inputs["buildOnPreview"]) == (False, True)


def test_an_image_by_digest_is_not_built_but_the_functions_is() -> None:
    uri = "europe-docker.pkg.dev/other/images/served@sha256:" + "e" * 64
    plan = plan_of(API, {"image": {"uri": uri}})
    assert container(plan.one(RUN, "endpoint-service"))["image"] == uri
    assert plan.one("docker-build:index:Image").inputs["target"] == "function-gcp"


def test_the_endpoint_takes_so_many_requests_as_the_setting_says_and_is_bounded() -> None:
    for settings, requests, instances in (
        ({}, 2, 5),
        ({"endpoint.maxConcurrency": 11}, 2, 6),
        ({"endpoint.requestsPerInstance": 4}, 4, 3),
    ):
        template = plan_of(API, settings).one(RUN, "endpoint-service").inputs["template"]
        assert template["maxInstanceRequestConcurrency"] == requests
        assert template["scaling"] == {"maxInstanceCount": instances}
    assert all(each.inputs["template"]["scaling"]["maxInstanceCount"] >= 1 for each in plan_of(API).all(RUN))


def test_the_model_server_is_told_how_it_computes_what_comes_at_the_same_time() -> None:
    def told(settings: dict[str, int]) -> dict[str, str]:
        found = variables(plan_of(API, settings).one(RUN, "endpoint-service"))
        return {name: value for name, value in found.items() if name in ("BATCH_SIZE", "BATCH_WAIT_MS", "WORKERS", "MAX_QUEUE")}

    assert told({}) == {}, "the server's own defaults are written once"
    asked = {"endpoint.batchSize": 8, "endpoint.batchWaitMs": 5, "endpoint.workers": 2}
    assert told(asked) == {"BATCH_SIZE": "8", "BATCH_WAIT_MS": "5", "WORKERS": "2"}
    # What the platform sends at a time finds a place.
    assert told({"endpoint.requestsPerInstance": 64, "endpoint.maxConcurrency": 64}) == {}
    assert told({"endpoint.requestsPerInstance": 200, "endpoint.maxConcurrency": 200}) == {"MAX_QUEUE": "200"}


def test_the_endpoint_rests_at_zero_is_billed_by_the_request_and_is_probed() -> None:
    service = plan_of(API).one(RUN, "endpoint-service")
    held = container(service)
    assert service.inputs["scaling"] == {"minInstanceCount": 0}
    assert held["resources"] == {"cpuIdle": True, "startupCpuBoost": True, "limits": {"cpu": "2", "memory": "2048Mi"}}
    assert held["startupProbe"]["httpGet"] == {"path": "/health/startup", "port": 8080}
    assert held["startupProbe"]["periodSeconds"] * held["startupProbe"]["failureThreshold"] == 240
    assert held["livenessProbe"]["httpGet"] == {"path": "/health/live", "port": 8080}
    assert held["readinessProbe"]["httpGet"] == {"path": "/health/ready", "port": 8080}
    assert service.inputs.get("launchStage") is None
    ended, out = (held[probe]["periodSeconds"] * held[probe]["failureThreshold"] for probe in ("livenessProbe", "readinessProbe"))
    assert out < ended, "one that hangs gets no requests before it is ended"
    assert not {"startupProbe", "livenessProbe", "readinessProbe"} & set(container(plan_of(API).one(RUN, "function-service")))


def test_each_hop_is_told_its_deadline() -> None:
    plan = plan_of(API)
    function, endpoint = plan.one(RUN, "function-service"), plan.one(RUN, "endpoint-service")
    assert document(plan)["x-google-backend"]["deadline"] == 60
    assert function.inputs["template"]["timeout"] == "59s"
    assert variables(function)["ENDPOINT_TIMEOUT_S"] == "58"
    assert endpoint.inputs["template"]["timeout"] == "58s"
    assert variables(endpoint) | {"MODEL_URI": ""} == {
        "MAX_BODY_BYTES": "4194304",
        "REQUEST_TIMEOUT_S": "10",
        "MODEL_URI": "",
        "MODEL_BYTES": "8",
        "MODEL_CACHE": "/tmp/model",
    }


def test_the_function_is_told_its_endpoint_and_its_role() -> None:
    plan = plan_of(API)
    function = plan.one(RUN, "function-service")
    assert container(function)["args"] == ["api"]
    assert variables(function) == {
        "ENDPOINT_URL": plan.one(RUN, "endpoint-service").outputs["uri"],
        "ENDPOINT_TIMEOUT_S": "58",
        "MAX_BODY_BYTES": "4194304",
        "MODEL_TASK": "feature-extraction",
        "SERVICE": "gcp-cloud-run-api",
        "GOOGLE_CLOUD_PROJECT": "my-project",
        "CONCURRENCY": "16",
        "REQUEST_TIMEOUT_S": "59",
    }


@pytest.mark.parametrize(("memory", "body", "requests"), [(512, None, 16), (512, 32_000_000, 2), (4096, 1, 80)])
def test_a_function_takes_no_more_requests_than_fit_its_memory(memory: int, body: int | None, requests: int) -> None:
    changes = {"function": {"memoryMb": memory}, **({} if body is None else {"endpoint.maxBodyBytes": body})}
    assert plan_of(API, changes).one(RUN, "function-service").inputs["template"]["maxInstanceRequestConcurrency"] == requests


@pytest.mark.parametrize("keep", [True, False])
def test_data_is_protected_and_never_emptied_or_goes_with_the_stack(keep: bool) -> None:
    plan = plan_of(API, {"dataRetention": "keep" if keep else "delete"})
    bucket, registry = plan.one("gcp:storage/bucket:Bucket"), plan.one("gcp:artifactregistry/repository:Repository")
    assert (bucket.protect, registry.protect, bucket.inputs["forceDestroy"]) == (keep, keep, not keep)
    # What was deleted would else be billed for a week.
    assert bucket.inputs.get("softDeletePolicy") == (None if keep else {"retentionDurationSeconds": 0})
    assert {each.inputs["deletionProtection"] for each in plan.all(RUN)} == {False}


def test_every_type_that_has_labels_carries_the_stacks() -> None:
    plan = plan_of(API, {"tags": {"team": "search"}, "alarms.email": "ops@example.com"})
    labelled = {each.type: each.inputs["labels"] for each in plan.resources if "stack" in each.inputs.get("labels", {})}
    assert {RUN, CONFIG, "gcp:storage/bucket:Bucket", "gcp:artifactregistry/repository:Repository"} <= set(labelled)
    assert all(each["stack"] == API and each["team"] == "search" for each in labelled.values())
    channel = plan.one("gcp:monitoring/notificationChannel:NotificationChannel").inputs
    assert (channel["labels"], channel["userLabels"]["stack"]) == ({"email_address": "ops@example.com"}, API)


def test_alert_policies_watch_metrics_of_the_stacks_own_services() -> None:
    plan = plan_of(API)
    filters = {
        each.name.removeprefix("api-watch-"): each.inputs["conditions"][0].get("conditionThreshold", {}).get("filter", "")
        for each in plan.all("gcp:monitoring/alertPolicy:AlertPolicy")
    }
    assert set(filters) == {"gateway-errors", "function-errors", "function-latency", "endpoint-errors", "endpoint-latency"}
    assert filters["endpoint-errors"] == (
        'resource.type = "cloud_run_revision" AND metric.type = "run.googleapis.com/request_count" '
        'AND metric.labels.response_code_class = "5xx" AND resource.labels.service_name = "pilotlight-gcp-cloud-run-api"'
    )
    assert 'resource.labels.gateway_id = "pilotlight-gcp-cloud-run-api"' in filters["gateway-errors"]


def test_alarms_mail_only_where_an_address_is_given() -> None:
    silent, loud = plan_of(API), plan_of(API, {"alarms.email": "ops@example.com"})
    assert {each.inputs.get("notificationChannels") for each in silent.all("gcp:monitoring/alertPolicy:AlertPolicy")} == {None}
    channel = loud.one("gcp:monitoring/notificationChannel:NotificationChannel").outputs["name"]
    policies = loud.all("gcp:monitoring/alertPolicy:AlertPolicy")
    assert [each.inputs["notificationChannels"] for each in policies] == [[channel]] * len(policies)


def test_a_stack_whose_name_is_too_long_is_refused_by_name() -> None:
    from components.gcp.names import names_of

    assert names_of("pilotlight", "s" * 30)
    with pytest.raises(pulumi.RunError, match="50 characters, 49 are allowed: use a shorter stack name"):
        names_of("pilotlight", "s" * 31)
    one, two = names_of("pilotlight", "one"), names_of("pilotlight", "two")
    assert one.account("endpoint") != two.account("endpoint")
    assert one.bucket("p", "r") != one.bucket("q", "r")
