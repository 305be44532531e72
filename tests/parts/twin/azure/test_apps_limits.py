"""What Azure refuses of container apps, jobs and authentication, told by path."""

from __future__ import annotations

from typing import Any

import pytest

from pilotlight.twin.azure.apps_limits import app_problems, job_problems
from pilotlight.twin.azure.auth_limits import auth_problems
from pilotlight.twin.azure.container_limits import consumption_problems, gpu_problems
from pilotlight.twin.rows import Properties

CONTAINER: dict[str, Any] = {"name": "server", "image": "registry/server", "resources": {"cpu": 0.5, "memory": "1Gi"}}
INGRESS = {"targetPort": 8080}


def app(
    container: dict[str, Any] | None = None, template: Properties | None = None, ingress: Properties | None = None, **configuration: Any
) -> list[str]:
    whole = {"containers": [{**CONTAINER, **(container or {})}], **(template or {})}
    return app_problems(
        {"environmentId": "/env", "configuration": {"ingress": {**INGRESS, **(ingress or {})}, **configuration}, "template": whole}
    )


def probe(**given: Any) -> dict[str, Any]:
    return {"probes": [{"type": "Liveness", "tcpSocket": {"port": 8080}, **given}]}


def job(container: dict[str, Any] | None = None, **configuration: Any) -> list[str]:
    given = {"triggerType": "Schedule", "replicaTimeout": 60, "scheduleTriggerConfig": {"cronExpression": "0 8 * * 1-5"}, **configuration}
    return job_problems({"environmentId": "/env", "configuration": given, "template": {"containers": [{**CONTAINER, **(container or {})}]}})


def entra(**given: Any) -> list[str]:
    registration = {"clientId": "c", "openIdIssuer": "https://sts.windows.net/t/"}
    return auth_problems({"identityProviders": {"azureActiveDirectory": {"registration": registration, **given}}})


def test_what_is_right_is_not_refused() -> None:
    assert app(probe(periodSeconds=240, failureThreshold=10), {"scale": {"minReplicas": 0, "maxReplicas": 1_000}}) == []
    assert job() == []
    assert job(triggerType="Manual", scheduleTriggerConfig=None) == []
    assert entra() == []


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (app_problems({"template": {"containers": [CONTAINER]}}), "environmentId or managedEnvironmentId: is missing"),
        (app_problems({"environmentId": "/env"}), "template: is missing"),
        (app(template={"containers": []}), "template.containers: is missing"),
        (app(template={"containers": [CONTAINER, CONTAINER]}), "template.containers: 2: the local twin runs one"),
        (app(template={"volumes": [{}]}), "template.volumes: the local twin runs none"),
        (app({"image": ""}), "template.containers[0].image: is missing"),
        (app({"name": "Server"}), "template.containers[0].name: 'Server' is not allowed"),
        (app({"resources": {"cpu": 0.5, "memory": "1024Mi"}}), "resources.memory: '1024Mi': use GiB with at most two decimals"),
        (app({"resources": {"cpu": 1, "memory": "1Gi"}}), "containers[0].resources.memory: 1 vCPU with 1Gi is no size that there is"),
        (app({"env": [{"name": "KEY", "secretRef": "key"}]}), "env[0].secretRef: 'key' is no secret of configuration.secrets"),
        (app({"env": [{"value": "x"}]}), "env[0].name: is missing"),
        (app(probe(failureThreshold=11)), "probes[0].failureThreshold: 11: use 1 to 10"),
        (app(probe(periodSeconds=0)), "probes[0].periodSeconds: 0: use 1 to 240"),
        (app(probe(initialDelaySeconds=61)), "probes[0].initialDelaySeconds: 61: use 1 to 60"),
        (app(probe(timeoutSeconds=241)), "probes[0].timeoutSeconds: 241: use 1 to 240"),
        (app(probe(successThreshold=2)), "probes[0].successThreshold: 2: use 1 for Liveness"),
        (app(probe(type="Alive")), "probes[0].type: 'Alive' is not allowed"),
        (app(probe(tcpSocket=None)), "probes[0].httpGet or template.containers[0].probes[0].tcpSocket: none is given"),
        (app(probe(tcpSocket={"port": 0})), "probes[0].tcpSocket.port: 0: use 1 to 65535"),
        (app({"probes": [probe()["probes"][0]] * 2}), "probes: Liveness is there 2 times"),
        (app(template={"scale": {"minReplicas": 3, "maxReplicas": 2}}), "template.scale.minReplicas: 3 is more than maxReplicas, 2"),
        (app(template={"scale": {"maxReplicas": 0}}), "template.scale.maxReplicas: 0: use 1 to 1000"),
        (app(template={"scale": {"maxReplicas": 1_001}}), "template.scale.maxReplicas: 1001: use 1 to 1000"),
        (app(template={"scale": {"pollingInterval": 0}}), "template.scale.pollingInterval: 0: use 1 or more"),
        (app(template={"scale": {"rules": [{"name": "a"}]}}), "template.scale.rules[0].http or"),
        (app(template={"terminationGracePeriodSeconds": -1}), "template.terminationGracePeriodSeconds: -1"),
        (app(template={"revisionSuffix": "a--b"}), "template.revisionSuffix: 'a--b' is not allowed"),
        (app(ingress={"targetPort": None}), "configuration.ingress.targetPort: is missing"),
        (app(ingress={"targetPort": 70_000}), "configuration.ingress.targetPort: 70000: use 1 to 65535"),
        (app(ingress={"transport": "tcp"}), "configuration.ingress.transport: 'tcp'"),
        (app(ingress={"corsPolicy": {"allowedOrigins": ["*"]}}), "configuration.ingress.corsPolicy: the local twin's ingress does not do"),
        (app(ingress={"traffic": [{"revisionName": "a", "weight": 100}]}), "configuration.ingress.traffic[0]: the local twin runs one"),
        (app(activeRevisionsMode="Multiple"), "configuration.activeRevisionsMode: 'Multiple'"),
        (app(secrets=[{"name": "Key", "value": "x"}]), "configuration.secrets[0].name: 'Key' is not allowed"),
        (app(secrets=[{"name": "key"}]), "configuration.secrets[0].value: is missing"),
        (app(registries=[{"identity": "system"}]), "configuration.registries[0].server: is missing"),
        (app(registries=[{"server": "a"}]), "configuration.registries[0].identity: is missing"),
        (app(registries=[{"server": "a", "username": "b"}]), "configuration.registries[0].username: the local twin's registries take no"),
        (job(triggerType="Event"), "configuration.triggerType: 'Event': the local twin starts jobs by"),
        (job(scheduleTriggerConfig=None), "configuration.scheduleTriggerConfig: is missing"),
        (job(scheduleTriggerConfig={"cronExpression": "@daily"}), "scheduleTriggerConfig.cronExpression: '@daily' has 1 fields"),
        (job(scheduleTriggerConfig={"cronExpression": "0 0 * * *", "parallelism": 0}), "parallelism: 0: use 1 or more"),
        (job(replicaTimeout=0), "configuration.replicaTimeout: 0: use 1 or more"),
        (job(replicaRetryLimit=-1), "configuration.replicaRetryLimit: -1: use 0 or more"),
        (job({"image": ""}), "template.containers[0].image: is missing"),
        (auth_problems({"authConfigName": "guard"}), "authConfigName: 'guard': use 'current'"),
        (auth_problems({"identityProviders": {"google": {}}}), "identityProviders.google: the local twin knows tokens of Entra alone"),
        (entra(registration={"openIdIssuer": "x"}), "registration.clientId: is missing"),
        (entra(registration={"clientId": "x"}), "registration.openIdIssuer: is missing: use https://sts.windows.net/TENANT/"),
        (entra(validation={"defaultAuthorizationPolicy": {"allowedPrincipals": {"groups": ["g"]}}}), "allowedPrincipals.groups: the local"),
    ],
)
def test_what_is_wrong_is_told_by_its_path(found: list[str], text: str) -> None:
    assert len(found) == 1, found
    assert text in found[0]


@pytest.mark.parametrize(
    ("cpu", "memory", "allowed"), [(0.25, "0.5Gi", True), (4, "8.0Gi", True), (0.3, "0.6Gi", False), (4.25, "8.5Gi", False)]
)
def test_every_quarter_of_a_vcpu_comes_with_half_a_gib(cpu: float, memory: str, allowed: bool) -> None:
    assert (list(consumption_problems({"resources": {"cpu": cpu, "memory": memory}})) == []) is allowed


def test_a_serverless_gpu_has_up_to_the_whole_of_its_profile() -> None:
    whole = {"resources": {"cpu": 8, "memory": "56Gi"}}
    assert list(gpu_problems(whole, "Consumption-GPU-NC8as-T4")) == []
    more = {"resources": {"cpu": 9, "memory": "56Gi"}}
    assert list(gpu_problems(more, "Consumption-GPU-NC8as-T4")) == [
        "9 vCPU with 56Gi on Consumption-GPU-NC8as-T4: use up to 8 vCPU and 56Gi."
    ]
    assert list(gpu_problems(more, "Consumption-GPU-NC24-A100")) == []


def test_a_size_is_not_that_of_consumption_on_another_profile() -> None:
    gpu = {
        "environmentId": "/env",
        "workloadProfileName": "gpu",
        "template": {"containers": [{**CONTAINER, "resources": {"cpu": 8, "memory": "56Gi"}}]},
    }
    assert app_problems(gpu) == []
    assert len(app_problems({**gpu, "workloadProfileName": "Consumption"})) == 1
