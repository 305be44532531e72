"""Edges of how long a call may take, the first one most of all."""

from collections.abc import Mapping
from typing import Any

from ..rules import tokens as t
from .harness import UNKNOWN
from .harness_breaks import Spec, documents, linked, made
from .harness_edges import called, edges
from .harness_services import lambda_function, run_service, serverless


def _run_limits(cpu: str, memory: str) -> dict[str, Any]:
    return {"resources": {"limits": {"cpu": cpu, "memory": memory}}}


def _app(container: Mapping[str, Any] | None = None, **more: Any) -> Spec:
    return made(t.APP, template={"containers": [container or {}]}, **more)


def _apps(*sizes: tuple[float, str]) -> Spec:
    return made(t.APP, template={"containers": [{"resources": {"cpu": cpu, "memory": memory}} for cpu, memory in sizes]})


def _asks(value: str | None, location: str) -> Spec:
    """An app that is told an address."""
    return _app({"env": [{"name": "MODEL", "value": value}]}, location=location)


def _config(body: str) -> Spec:
    return made(t.API_CONFIG, openapiDocuments=documents(body))


def _served_at(uri: str, timeout: str | None) -> Spec:
    return made(t.RUN, uri=uri, template={"timeout": timeout})


_INVOKED = "arn:aws:apigateway:r:lambda:path/arn:aws:lambda:r:1:function:f"
_HANDED = {"integration.request.header.X-Amz-Invocation-Type": "'Event'"}
_THIRD = (
    "{{x-google-api-management: {{backends: {{one: {{address: 'https://s.example', deadline: 9}}}}}}, "
    "paths: {{/x: {{get: {{x-google-backend: {}}}}}}}}}"
)


def _model(name: str, mb: int) -> Spec:
    container = {"image": "i@sha256:" + "a" * 64, "environment": {"MODEL_BYTES": str(mb * 1024**2)}}
    return called(name or "model", made(t.MODEL, primaryContainer=container, **({"name": name} if name else {})))


def _variants(*served: tuple[str, int]) -> Spec:
    return made(
        t.ENDPOINT_CONFIG, productionVariants=[{"modelName": name, "serverlessConfig": {"memorySizeInMb": mb}} for name, mb in served]
    )


def _size(mb: int) -> dict[str, str]:
    return {"name": "MODEL_BYTES", "value": str(mb * 1024**2)}


COLD_START = (
    *edges(
        "function-ends-before-gateway",
        ("", made(t.REST_INTEGRATION, uri="https://elsewhere.example", timeoutMilliseconds=50)),
        (
            "",
            [
                made(t.REST_INTEGRATION, uri="arn:aws:apigateway:r:lambda:path/arn:aws:lambda:r:1:function:f", timeoutMilliseconds=3001),
                lambda_function(),
            ],
        ),
        *(
            (says, [_config(body), _served_at("https://s.example", timeout)])
            for body, timeout, says in (
                ("{x-google-backend: {address: 'https://s.example/below', deadline: 301}, paths: {/x: {get: {}}}}", None, ""),
                (
                    "{x-google-backend: {address: 'https://s.example', deadline: 300}, paths: {/x: {get: {}}}}",
                    "",
                    "GET /x waits 300 s for added, whose template.timeout is 300 s",
                ),
                ("{x-google-backend: {address: 'https://s.example'}, paths: {/x: {get: {}}}}", "14s", ""),
                ("{x-google-backend: {address: 'https://s.example'}, paths: {/x: {get: {}}}}", "15s", "GET /x waits 15 s"),
                ("{x-google-backend: {address: 'https://s.example', deadline:}, paths: {/x: {get: {}}}}", "15s", "GET /x waits 15 s"),
                ("{x-google-backend: {address: 'https://t.example'}, paths: {/x: {get: {}}}}", "15s", ""),
                ("{x-google-backend: {}, paths: {/x: {get: {}}}}", "15s", ""),
                ("paths: {/x: {get: {}}}", "15s", ""),
                ("paths: {/x: {get: {x-google-backend: {address: 'https://s.example', deadline: 9}}}}", "15s", "GET /x waits 9 s"),
                # OpenAPI 3 names its backends.
                (_THIRD.format("one"), "15s", "GET /x waits 9 s"),
                (_THIRD.format("other"), "15s", ""),
                ("{x-google-backend: one, paths: {/x: {get: {}}}}", "15s", ""),
            )
        ),
        *(
            (
                says,
                [
                    _config("{x-google-backend: {address: 'https://s.example'}, paths: {/x: {get: {}}}}"),
                    made(t.OTHER_RUNS[0], serviceConfig={"uri": "https://s.example", **timeout}),
                ],
            )
            for timeout, says in (
                ({}, "waits 15 s for added, whose serviceConfig.timeoutSeconds is 60 s"),
                ({"timeoutSeconds": 15}, "waits 15 s"),
                ({"timeoutSeconds": 14}, ""),
            )
        ),
        ("", [made(t.REST_INTEGRATION, uri=_INVOKED, requestParameters=_HANDED), lambda_function(timeout=900)]),
        ("it waits 29000 ms", [made(t.REST_INTEGRATION, uri=_INVOKED, requestParameters={"a": "b"}), lambda_function(timeout=900)]),
    ),
    *edges(
        "gateway-timeout-exists",
        *(
            (says, made(t.APIM_POLICY, value=f"<backend>{comment}<forward-request follow-redirects='true' {wait} /></backend>"))
            for says, comment, wait in (
                ("", "", 'timeout="240"'),
                ("forwards requests with timeout 241: set it to 240", "", 'timeout="241"'),
                ("", "", ""),
                ("", '<!-- <forward-request timeout="300" /> -->', 'timeout="20"'),
            )
        ),
        ("", made(t.REST_INTEGRATION, timeoutMilliseconds=50)),
        ("", made(t.REST_INTEGRATION)),
        ("", made(t.HTTP_INTEGRATION, timeoutMilliseconds=30_000)),
        ("", made(t.REST_INTEGRATION, responseTransferMode="STREAM", timeoutMilliseconds=900_000)),
        ("set it to 50 to 29000", made(t.REST_INTEGRATION, responseTransferMode="BUFFERED", timeoutMilliseconds=29_001)),
    ),
    *edges("gateway-timeout-exists", ("", made(t.REST_INTEGRATION, timeoutMilliseconds=60_000)), restMaximumMs=60_000),
    *edges("gateway-timeout-exists", ("set it to 50 to 9000", made(t.REST_INTEGRATION)), restMaximumMs=9000),
    *edges(
        "memory-holds-model",
        *((says, _app({"resources": {"memory": "4Gi"}, "env": [_size(mb)]})) for mb, says in ((4032, ""), (4033, "set it to 4097 MB"))),
        *((says, run_service({**_run_limits("2", "4Gi"), "envs": [_size(mb)]})) for mb, says in ((4032, ""), (4033, "set it to 4097 MB"))),
        *(
            (says, lambda_function(memorySize=1024, environment={"variables": {"MODEL_BYTES": str(mb * 1024**2)}}))
            for mb, says in ((960, ""), (961, "memorySize is 1024 MB for a model of"))
        ),
        *((says, _app({"env": [_size(mb)]})) for mb, says in ((448, ""), (449, "resources.memory is 512 MB"))),
        *((says, run_service({"envs": [_size(mb)]})) for mb, says in ((448, ""), (449, "resources.limits.memory is 512 MB"))),
        *(
            (says, lambda_function(environment={"variables": {"MODEL_BYTES": size}}))
            for size, says in ((str(64 * 1024**2), ""), (str(65 * 1024**2), "memorySize is 128 MB"), ("900MB", ""))
        ),
        *(
            (says, [linked(serverless(memorySizeInMb=1024), productionVariants=(large := _model("", mb))), large])
            for mb, says in ((960, ""), (961, "set it to 1025 MB"))
        ),
        ("memorySizeInMb is 0 MB", [linked(serverless(maxConcurrency=1), productionVariants=(small := _model("", 1))), small]),
        *(
            (says, [_variants(("one", 2048), ("other", memory)), _model("one", 1000), _model("other", 2000)])
            for memory, says in ((3072, ""), (2048, "productionVariants[1].serverlessConfig.memorySizeInMb is 2048 MB"))
        ),
        ("", [_variants(("one", 2048), ("gone", 2048)), _model("one", 1000)]),
        ("", [made(t.ENDPOINT_CONFIG, productionVariants=[{"instanceType": "ml.m5.large"}]), _model("one", 5000)]),
        ("", serverless(maxConcurrency=1)),
    ),
    *edges(
        "memory-of-platform",
        ("", serverless(memorySizeInMb=1024)),
        ("", serverless(memorySizeInMb=6144)),
        ("", serverless(maxConcurrency=1)),
        ("is 7168: set it to 1024 to 6144 in steps of 1024", serverless(memorySizeInMb=7168)),
        ("is 0: set it to 1024 to 6144", serverless(memorySizeInMb=0)),
        ("", lambda_function(memorySize=128)),
        ("", lambda_function(memorySize=10240)),
        ("", lambda_function()),
        ("", run_service()),
        ("", run_service(_run_limits("1", "4294M"))),
        ("", run_service(_run_limits("1", "128Mi"))),
        ("", run_service(_run_limits("1", "4096Mi"))),
        # 3 vCPUs there are none, and below one only hundredths.
        *((f'cpu is "{each}": set it to 1, 2, 4, 6, 8, or', run_service(_run_limits(each, "4Gi"))) for each in ("3", "10", "1.5", "0.07")),
        *(
            ("", run_service(_run_limits(cpu, memory)))
            for cpu, memory in (("0.08", "128Mi"), ("80m", "512Mi"), ("0.49", "512Mi"), ("500m", "1Gi"), ("0.99", "1Gi"))
        ),
        *(
            (f'"{memory}" for {cpu} vCPU: set it to 128Mi to {most}Mi', run_service(_run_limits(cpu, memory)))
            for cpu, memory, most in (("0.08", "127Mi", 512), ("0.49", "513Mi", 512), ("0.5", "1025Mi", 1024))
        ),
        # A GPU that is none of those of which the sizes are known.
        ("", run_service(_run_limits("20", "80Gi"), nodeSelector={"accelerator": "nvidia-rtx-pro-6000"})),
        ('cpu is "20"', run_service(_run_limits("20", "80Gi"), nodeSelector={"accelerator": "nvidia-l4"})),
        ('is "1Gi" for 4 vCPU: set it to 2048Mi', run_service(_run_limits("4", "1Gi"))),
        ("", _app()),
        ('1Gi for 1 vCPU together: set resources.memory to "2Gi"', _app({"resources": {"cpu": 1, "memory": "1Gi"}})),
        # What a replica has is counted, of all its containers.
        ("", _apps((0.5, "0.5Gi"), (0.5, "1.5Gi"))),
        ('1.5Gi for 1 vCPU together: set resources.memory to "2Gi"', _apps((0.5, "0.5Gi"), (0.5, "1Gi"))),
        ("", _apps((4, "8Gi"))),
        ("has 4.25 vCPU together: set resources.cpu to quarters, at most 4", _apps((4, "8Gi"), (0.25, "0.5Gi"))),
        ("has 0.3 vCPU together", _apps((0.3, "0.6Gi"))),
    ),
    *edges(
        "startup-is-probed",
        ("", _app()),
        ("asks no path", run_service(_run_limits("1", "1024Mi"))),
        ("", run_service({**_run_limits("1", "2Gi"), "startupProbe": {"grpc": {"port": 1}}})),
    ),
    *edges("startup-has-cpu", ("is 1: set it to true", run_service({"resources": {"startupCpuBoost": 1}}))),
    *edges(
        "model-in-region",
        (
            "",
            [
                made(t.RUN, location="us", template={"containers": [{"envs": [{"name": "MODEL", "value": "gs://here/m"}]}]}),
                called("here", made(t.GCS, name="here", location="US")),
                called("there", made(t.GCS, name="there", location="EU")),
            ],
        ),
        *(
            (says, [_asks("https://one.blob.core.windows.net/models/m", here), called("one", made(t.STORAGE, location=place, **name))])
            for here, place, name, says in (
                ("westeurope", "westeurope", {"accountName": "one"}, ""),
                ("West Europe", "westeurope", {"accountName": "one"}, ""),
                ("westeurope", "eastus", {"accountName": "other"}, ""),
                ("westeurope", "eastus", {"accountName": "one"}, "it reads MODEL from one in eastus: keep it in westeurope"),
                ("westeurope", "East US", {"name": "one"}, "it reads MODEL from one in eastus"),
            )
        ),
        # Of what is no address of a store no store is asked.
        ("", [_asks("https://one.queue.core.windows.net/q", "westeurope"), made(t.STORAGE, accountName=UNKNOWN)]),
        ("", [_asks(None, "westeurope"), made(t.STORAGE, accountName=UNKNOWN)]),
    ),
)
