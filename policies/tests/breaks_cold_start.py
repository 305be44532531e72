"""Breaks of the rules about the first call."""

import re

from ..rules import tokens as t
from .harness_breaks import GONE, Break, waiting

_LARGE = str(100 * 1024**3)


def _sized(variables: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{**each, "value": _LARGE} if each["name"] == "MODEL_BYTES" else each for each in variables]


BREAKS = (
    *(
        Break("memory-holds-model", graph, type_, {path: value}, "MB for a model of 107374182400 bytes: set it to 102464 MB", name=name)
        for graph, type_, path, value, name in (
            ("aws-rest", t.MODEL, "primaryContainer.environment.MODEL_BYTES", _LARGE, ""),
            ("aws-http", t.LAMBDA, "environment.variables.MODEL_BYTES", _LARGE, "endpoint-function"),
            ("gcp-api", t.RUN, "template.containers.0.envs", _sized, "endpoint-service"),
            ("azure-api", t.APP, "template.containers.0.env", _sized, "endpoint-app-a2f1a6"),
        )
    ),
    *(
        Break("image-by-digest", graph, type_, {path: "registry.example/served:latest"}, "<repository>@sha256:<digest>")
        for graph, type_, path in (
            ("aws-events", t.LAMBDA, "imageUri"),
            ("aws-rest", t.MODEL, "primaryContainer.image"),
            ("gcp-api", t.RUN, "template.containers.0.image"),
            ("azure-api", t.APP, "template.containers.0.image"),
            ("azure-api", t.JOB, "template.containers.0.image"),
        )
    ),
    *(
        Break("image-by-digest", "azure-api", each, {"template.initContainers": [{"image": "init:1"}]}, "initContainers[0].image is")
        for each in (t.APP, t.JOB)
    ),
    Break("image-by-digest", "aws-rest", t.MODEL, {"containers": [{"image": "served:1"}]}, "containers[0].image is"),
    Break(
        "function-ends-before-gateway",
        "aws-rest",
        t.LAMBDA,
        {"timeout": 29},
        "whose timeout is 29 s: set that below 29",
        name="function-function",
    ),
    Break("function-ends-before-gateway", "aws-http", t.HTTP_INTEGRATION, {"timeoutMilliseconds": 1000}, "it waits 1000 ms"),
    Break(
        "function-ends-before-gateway",
        "gcp-api",
        t.RUN,
        {"template.timeout": "60s"},
        " waits 60 s for api-function-service, whose template.timeout is 60 s: set that to less",
        name="function-service",
    ),
    *(
        Break("function-ends-before-gateway", "gcp-api", t.API_CONFIG, {"openapiDocuments.0.document.contents": waiting(given)}, says)
        for given, says in (
            (None, "POST /predict waits 15 s for api-function-service"),
            (59, "POST /predict waits 59 s for api-function-service, whose template.timeout is 59 s"),
            ("30s", "POST /predict has a deadline that is no number"),
        )
    ),
    Break("gateway-timeout-exists", "aws-rest", t.REST_INTEGRATION, {"timeoutMilliseconds": 29_001}, "set it to 50 to 29000"),
    Break(
        "gateway-timeout-exists",
        "aws-rest",
        t.REST_INTEGRATION,
        {"responseTransferMode": "STREAM", "timeoutMilliseconds": 900_001},
        "set it to 50 to 900000",
    ),
    Break("gateway-timeout-exists", "aws-http", t.HTTP_INTEGRATION, {"timeoutMilliseconds": 30_001}, "set it to 50 to 30000"),
    Break(
        "memory-of-platform",
        "aws-rest",
        t.ENDPOINT_CONFIG,
        {"productionVariants.0.serverlessConfig.memorySizeInMb": 2000},
        "1024 to 6144 in steps of 1024",
    ),
    Break("memory-of-platform", "aws-rest", t.LAMBDA, {"memorySize": 64}, "memorySize is 64: set it to 128 to 10240 MB"),
    Break(
        "memory-of-platform",
        "gcp-api",
        t.RUN,
        {"template.containers.0.resources.limits.memory": "40Gi"},
        "for 8 vCPU: set it to 4096Mi to 32768Mi",
        name="endpoint-service",
    ),
    *(
        Break(
            "memory-of-platform",
            "gcp-api",
            t.RUN,
            {"template.containers.0.resources.limits": {"cpu": cpu, "memory": memory}, "template.executionEnvironment": generation},
            f'"{memory}" for {cpu} vCPU: set it to {low}Mi to {high}Mi',
            # That holds no model.
            name="function-service" if memory == "64Mi" else "endpoint-service",
        )
        for cpu, memory, generation, low, high in (
            ("1", "256Mi", "EXECUTION_ENVIRONMENT_GEN2", 512, 4096),
            ("1", "64Mi", GONE, 128, 4096),
            ("1000m", "1Ti", GONE, 128, 4096),
            ("2", "9437184Ki", GONE, 128, 8192),
            ("4", "1G", GONE, 2048, 16384),
        )
    ),
    Break(
        "memory-of-platform",
        "azure-events",
        t.APP,
        {"template.containers.0.resources.memory": "1Gi"},
        'set resources.memory to "2Gi"',
        name="endpoint-app",
    ),
    Break("startup-is-probed", "gcp-api", t.RUN, {"template.containers.0.startupProbe": GONE}, "set httpGet.path", name="endpoint-service"),
    Break(
        "startup-is-probed",
        "azure-api",
        t.APP,
        {"template.containers.0.probes": []},
        "no probe of type Startup",
        name="endpoint-app-a2f1a6",
    ),
    Break("startup-has-cpu", "gcp-api", t.RUN, {"template.containers.0.resources.startupCpuBoost": False}, "set it to true"),
    Break(
        "gateway-timeout-exists",
        "azure-api",
        t.APIM_POLICY,
        {"value": lambda text: re.sub('(<forward-request[^>]* timeout)="', r'\1="24', text)},
        "set it to 240 or less",
    ),
    Break("model-in-region", "gcp-api", t.GCS, {"location": "us-central1"}, "keep it in europe-west1", name="models-bucket"),
)
