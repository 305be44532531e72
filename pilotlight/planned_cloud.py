"""What a cloud would fill in, so that a plan knows every value: ids, ARNs and addresses of the right shape."""

import json
from typing import Any

import pulumi
from pulumi.runtime import mocks

from pilotlight import planned_azure, planned_gcp

ACCOUNT = "111122223333"
FUNCTION_ASKED = "aws:lambda/getFunction:getFunction"
# What Pulumi appends to a name where it makes the physical one.
SUFFIX = "-0a1b2c3"
# The shapes of ARNs, where they are not `arn:aws:<service>:<region>:<account>:<name>` (Service authorization reference).
_ARNS = {
    "aws:apigateway/stage:Stage": "arn:aws:apigateway:{region}::/restapis/abc/stages/{name}",
    "aws:appautoscaling/target:Target": "arn:aws:application-autoscaling:{region}:{account}:scalable-target/0a1b2c3",
    "aws:cloudwatch/logGroup:LogGroup": "arn:aws:logs:{region}:{account}:log-group:{name}",
    "aws:cloudwatch/metricAlarm:MetricAlarm": "arn:aws:cloudwatch:{region}:{account}:alarm:{name}",
    "aws:dynamodb/table:Table": "arn:aws:dynamodb:{region}:{account}:table/{name}",
    "aws:ecr/repository:Repository": "arn:aws:ecr:{region}:{account}:repository/{name}",
    "aws:iam/role:Role": "arn:aws:iam::{account}:role/{name}",
    "aws:lambda/alias:Alias": "arn:aws:lambda:{region}:{account}:function:{functionName}:{name}",
    "aws:lambda/function:Function": "arn:aws:lambda:{region}:{account}:function:{name}",
    "aws:s3/bucket:Bucket": "arn:aws:s3:::{name}",
    "aws:sagemaker/endpoint:Endpoint": "arn:aws:sagemaker:{region}:{account}:endpoint/{name}",
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration": "arn:aws:sagemaker:{region}:{account}:endpoint-config/{name}",
    "aws:sagemaker/model:Model": "arn:aws:sagemaker:{region}:{account}:model/{name}",
    "aws:scheduler/schedule:Schedule": "arn:aws:scheduler:{region}:{account}:schedule/{groupName}/{name}",
    "aws:scheduler/scheduleGroup:ScheduleGroup": "arn:aws:scheduler:{region}:{account}:schedule-group/{name}",
}


class PlannedCloud(mocks.Mocks):
    """What the cloud would fill in; `project` is Google Cloud's, or Azure's subscription."""

    def __init__(self, region: str, project: str = planned_gcp.PROJECT) -> None:
        self.region, self.project = region, project
        self._functions: dict[str, dict[str, Any]] = {}

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        if args.typ.startswith("gcp:"):
            return planned_gcp.made(args.typ, args.name, args.inputs, self.project, self.region)
        if args.typ.startswith("azure-native:"):
            return planned_azure.made(args.typ, args.name, args.inputs, self.project, self.region)
        given = args.inputs.get("name", args.inputs.get("bucket", args.inputs.get("stageName")))
        name = given if isinstance(given, str) else f"{args.name}{SUFFIX}"
        if args.typ == "aws:lambda/function:Function":
            self._functions[name] = args.inputs
        service = args.typ.split(":")[1].split("/")[0]
        known = {"groupName": "default", **args.inputs, "region": self.region, "account": ACCOUNT, "name": name}
        arn = _ARNS.get(args.typ, f"arn:aws:{service}:{{region}}:{{account}}:{{name}}").format_map(known)
        made = {"name": name, "arn": arn, "version": "1", "digest": "sha256:" + "d" * 64, "value": "key-of-the-plan"}
        made |= {"invokeArn": f"arn:aws:apigateway:{self.region}:lambda:path/2015-03-31/functions/{arn}/invocations"}
        made |= {"executionArn": f"arn:aws:execute-api:{self.region}:{ACCOUNT}:abc", "rootResourceId": "root"}
        made |= {"invokeUrl": "https://abc.example/v1", "apiEndpoint": "https://abc.example", "streamArn": f"{arn}/stream/1"}
        made |= {"result": json.dumps({"ping": {"cold": True, "instance": "a", "stages": {}}})}
        made |= {"url": f"https://sqs.{self.region}.amazonaws.com/{ACCOUNT}/{name}", "dashboardArn": arn}
        return f"{args.name}-id", made | args.inputs

    def call(self, args: mocks.MockCallArgs) -> dict[str, Any]:  # type: ignore[override]
        answers: dict[str, Any] = {
            "aws:index/getCallerIdentity:getCallerIdentity": {"accountId": ACCOUNT, "arn": f"arn:aws:iam::{ACCOUNT}:user/u", "userId": "u"},
            "aws:index/getRegion:getRegion": {"region": self.region, "name": self.region},
            "aws:ecr/getAuthorizationToken:getAuthorizationToken": {"userName": "AWS", "password": "registry-password"},
        }
        if args.token == FUNCTION_ASKED:
            function = self._functions[args.args["functionName"]]
            answers[args.token] = {**args.args, "environment": function["environment"], "imageUri": function.get("imageUri")}
        if args.token.startswith("gcp:"):
            answers[args.token] = planned_gcp.answer(args.token, self.project, self.region) or {}
        if args.token.startswith("azure-native:"):
            answers[args.token] = planned_azure.answer(args.token, self.project) or {}
        if not answers.get(args.token):
            raise pulumi.RunError(f"The program asks {args.token}, which a plan without a cloud can't answer: add it to {__name__}.")
        answer: dict[str, Any] = answers[args.token]
        return answer
