"""Edges of what a stack may cost."""

import base64
import json
from collections.abc import Mapping
from typing import Any

from ..rules import tokens as t
from .harness_breaks import Spec, linked, made
from .harness_edges import edges
from .harness_services import GOOD_LIFE, run_service, serverless


def _calls(call: str, text: str, **more: Any) -> Spec:
    return made(t.SCHEDULE, target={"arn": f"arn:aws:scheduler:::aws-sdk:{call}", "input": text}, **more)


def _scaled(resource: str, most: int) -> Spec:
    return made(t.SCALED_ACTION, resourceId=resource, scalableTargetAction={"minCapacity": 0, "maxCapacity": most})


def _target(resource: str, least: int) -> Spec:
    return made(t.SCALED_TARGET, resourceId=resource, minCapacity=least, maxCapacity=9)


def _job(method: str, uri: str, body: Any = None, **more: Any) -> Spec:
    sent = {} if body is None else {"body": base64.b64encode(json.dumps(body).encode()).decode()}
    return made(t.CRON_JOB, httpTarget={"httpMethod": method, "uri": uri, **sent}, **more)


def _profiles(*profiles: Mapping[str, Any]) -> Spec:
    return made(t.APP_ENVIRONMENT, workloadProfiles=profiles)


_FLOOR = made(t.LAMBDA_PROVISIONED, functionName="f", provisionedConcurrentExecutions=1)
_LIVE = made(t.LAMBDA_PROVISIONED, functionName="f", qualifier="live", provisionedConcurrentExecutions=1)
_PUT = "lambda:putProvisionedConcurrencyConfig"
_RUN_API = "https://run.googleapis.com/v2/projects/p/locations/l/services/"
_SERVED = made(t.RUN, name="s", scaling={"minInstanceCount": 1})

COST = (
    *edges(
        "log-retention",
        ("", made(t.LOG_GROUP, retentionInDays=1)),
        ("", made(t.LOG_GROUP, retentionInDays=731)),
        ("is 732: set it to 1 to 731", made(t.LOG_GROUP, retentionInDays=732)),
    ),
    *edges(
        "instances-are-bounded",
        ("", run_service(scaling={"maxInstanceCount": 200})),
        ("is 201: set it to 1 to 200", run_service(scaling={"maxInstanceCount": 201})),
        ("", made(t.RUN, scaling={"maxInstanceCount": 200})),
        ("is 201: set it to 1 to 200", made(t.RUN, scaling={"maxInstanceCount": 201})),
    ),
    *edges(
        "floor-has-an-end",
        (
            "",
            [
                config := serverless(provisionedConcurrency=1),
                linked(made(t.ENDPOINT, name="ep"), endpointConfigName=config),
                _calls("sagemaker:updateEndpoint", "ep"),
            ],
        ),
        ("no schedule ends it", [config, made(t.ENDPOINT, name="ep", endpointConfigName="other")]),
        *(
            ("", [_FLOOR, _calls(each, "f")])
            for each in (
                "lambda:deleteProvisionedConcurrencyConfig",
                "lambda:putProvisionedConcurrencyConfig",
                "applicationautoscaling:registerScalableTarget",
            )
        ),
        *(
            ("", [{**config, "inputs": {**config["inputs"], "name": "c"}}, each])
            for each in (
                _calls("sagemaker:deleteEndpoint", "c"),
                _calls("sagemaker:updateEndpointWeightsAndCapacities", "c"),
                _calls("applicationautoscaling:registerScalableTarget", "c"),
                _scaled("endpoint/c/variant/v", 1),
            )
        ),
        ("no schedule ends it", [{**config, "inputs": {**config["inputs"], "name": "c"}}, _scaled("endpoint/c/variant/v", 2)]),
        ("", [_FLOOR, _scaled("function:f:live", 0)]),
        ("", [_LIVE, _scaled("function:f:live", 2), _scaled("function:f:live", 0)]),
        ("no schedule ends it", [_LIVE, _scaled("function:f:live", 2)]),
        ("no schedule ends it", [_LIVE, _scaled("function:f:other", 0)]),
        ("", [{**_FLOOR, "inputs": {**_FLOOR["inputs"], "functionName": "arn:aws:lambda:r:1:function:f"}}, _calls(_PUT, "f")]),
        # What says a number turns it down or leaves it, where that is not more.
        *(
            (says, [_FLOOR, _calls(call, json.dumps({"FunctionName": "f", key: number}))])
            for call, key in ((_PUT, "ProvisionedConcurrentExecutions"), ("applicationautoscaling:registerScalableTarget", "MaxCapacity"))
            for says, number in (("", 0), ("", 1), ("no schedule ends it", 2), ("no schedule ends it", 10))
        ),
        *(
            (says, [_SERVED, _job("PATCH", f"{_RUN_API}s", {"scaling": {"minInstanceCount": number}})])
            for says, number in (("", 0), ("", 1), ("no schedule ends it", 2))
        ),
        # Application auto scaling keeps its least up, whatever the model's own resource says.
        ("minCapacity is 5 and no schedule ends it: set it to 0", _target("function:f:live", 5)),
        ("minCapacity is 1 and no schedule ends it: set it to 0", _target("function:f:live", 1)),
        ("minCapacity is 2 and no schedule ends it: set it to 1", _target("endpoint/e/variant/v", 2)),
        *(
            ("", each)
            for each in (
                _target("function:f:live", 0),
                _target("endpoint/e/variant/v", 1),
                _target("table/t", 5),
                _target("service/c/s", 2),
            )
        ),
        ("", [_target("function:f:live", 5), _scaled("function:f:live", 5), _scaled("function:f:live", 0)]),
        ("", [_target("endpoint/e/variant/v", 5), _scaled("endpoint/e/variant/v", 1)]),
        *(
            ("no schedule ends it", [_target("function:f:live", 5), each])
            for each in (_scaled("function:f:live", 1), _scaled("function:g:live", 0), _scaled("endpoint/f/variant/v", 0))
        ),
        *(
            ("", [_target("function:f:live", 5), _calls(f"applicationautoscaling:{each}", '{"ResourceId": "function:f:live"}')])
            for each in ("deregisterScalableTarget", "registerScalableTarget")
        ),
        # Of two floors the higher one is the floor.
        (
            "",
            [
                made(t.RUN, name="s", scaling={"minInstanceCount": 1}, template={"scaling": {"minInstanceCount": 3}}),
                _job("PATCH", f"{_RUN_API}s", {"scaling": {"minInstanceCount": 2}}),
            ],
        ),
        # What only calls it keeps it warm; what is off, or is about another thing of that name, ends nothing.
        *(
            ("no schedule ends it", [_FLOOR, each])
            for each in (
                made(t.SCHEDULE, target={"arn": "arn:aws:lambda:r:1:function:f", "input": "f"}),
                _calls("lambda:invoke", "f"),
                _calls("sagemaker:updateEndpoint", "f"),
                _calls(_PUT, "f", state="DISABLED"),
                _scaled("endpoint/f/variant/v", 0),
                _job("PATCH", f"{_RUN_API}f"),
            )
        ),
        *(
            ("", [_SERVED, _job(method, f"{host}s?updateMask=scaling")])
            for method in ("PATCH", "PUT", "DELETE")
            for host in (_RUN_API, _RUN_API.replace("run.", "europe-west1-run."))
        ),
        *(
            ("no schedule ends it", [_SERVED, each])
            for each in (
                _job("POST", f"{_RUN_API}s"),
                _job("PATCH", "https://s-123.europe-west1.run.app/s"),
                _job("PATCH", f"{_RUN_API}s", paused=True),
                made(t.SCALED_ACTION, resourceId="s"),
                made(t.SCHEDULE, target={"arn": "s", "input": "s"}),
            )
        ),
    ),
    *edges(
        "nothing-by-the-hour",
        ("", _profiles({"workloadProfileType": "D4", "minimumCount": 0}, {"workloadProfileType": "Consumption", "minimumCount": 1})),
        (
            "workloadProfiles[1].minimumCount is 2: set it to 0, or name added",
            _profiles({"workloadProfileType": "Consumption"}, {"workloadProfileType": "D4", "minimumCount": 2}),
        ),
    ),
    *edges("nothing-by-the-hour", ("", _profiles({"workloadProfileType": "D4", "minimumCount": 1})), allowed=["added"]),
    *edges(
        "bucket-has-lifecycle", ("", made(t.S3, name="b", lifecycleRules=[GOOD_LIFE])), ("has no Bucket", made(t.S3, lifecycleRules=[]))
    ),
    *edges(
        "table-on-demand",
        ("", made(t.COSMOS, capacityMode="Serverless")),
        ('no "EnableServerless"', made(t.COSMOS, capacityMode="Provisioned")),
    ),
    *edges("uploads-are-tidied", ("", made(t.BUCKET_LIFECYCLE, rules=[GOOD_LIFE, {"status": "Disabled"}]))),
)
