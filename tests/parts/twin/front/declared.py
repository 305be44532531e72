"""A small account to test with: rows created as the engine creates them, without the engine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pilotlight.twin.aws import apigateway_rows, apigatewayv2_rows
from pilotlight.twin.clock import Clock
from pilotlight.twin.iam import ATTACHMENT, ROLE, ROLE_POLICY, Iam
from pilotlight.twin.rows import Row
from pilotlight.twin.world import Resource, World

ACCOUNT = "123456789012"
SECRET = "the-deployers-secret"
FUNCTION = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:api"
INVOKE_ARN = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{FUNCTION}:live/invocations"
PUSH_TO_LOGS = "arn:aws:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"
ROWS: Mapping[str, Row] = {row.token: row for row in (*apigateway_rows.ROWS, *apigatewayv2_rows.ROWS)}


@dataclass
class Declared:
    """`create`, `update` and `delete` do what the engine side does with a row."""

    home: Path
    front_url: str = "http://127.0.0.1:1"
    world: World = field(init=False)
    iam: Iam = field(init=False)
    twin: Any = field(init=False)

    def __post_init__(self) -> None:
        self.world = World(self.home / "world.sqlite3")
        self.iam = Iam(self.world, SECRET, account=ACCOUNT)
        self.twin = SimpleNamespace(world=self.world, iam=self.iam, clock=Clock(), front_url=self.front_url, account=ACCOUNT)

    def create(self, token: str, **inputs: Any) -> Resource:
        row = ROWS[token]
        given = {"region": "us-east-1", **inputs}
        if row.name and row.name.field not in given:
            given[row.name.field] = f"auto{len(self.world.all())}"
        problems = row.limits(given)
        assert not problems, problems
        row.check(self.twin, given)
        outputs = {**given, **row.computed(self.twin, given)}
        made = Resource(token=token, id=row.id(outputs), urn=f"urn:{token}:{len(self.world.all())}", inputs=given, outputs=outputs)
        extra = row.create(self.twin, made) or {}
        made = Resource(token=token, id=made.id, urn=made.urn, inputs=given, outputs={**outputs, **extra})
        self.world.put(made)
        return made

    def update(self, old: Resource, **inputs: Any) -> Resource:
        row = ROWS[old.token]
        given = {**old.inputs, **inputs}
        row.check(self.twin, given)
        outputs = {**old.outputs, **given, **row.computed(self.twin, given)}
        new = Resource(token=old.token, id=old.id, urn=old.urn, inputs=given, outputs=outputs)
        new = Resource(
            token=old.token, id=old.id, urn=old.urn, inputs=given, outputs={**outputs, **(row.update(self.twin, old, new) or {})}
        )
        self.world.put(new)
        return new

    def delete(self, resource: Resource) -> None:
        ROWS[resource.token].delete(self.twin, resource)
        self.world.delete(resource.token, resource.id)

    def role(self, name: str, *, service: str = "lambda.amazonaws.com", policy: Any = None, trust: Any = None) -> str:
        """A role with one inline policy (a list of statements); returns its ARN."""
        arn = f"arn:aws:iam::{ACCOUNT}:role/{name}"
        statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": trust or {"Service": service}}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        outputs = {"arn": arn, "name": name, "assumeRolePolicy": document, "uniqueId": f"AROA{name}"}
        self.world.put(Resource(token=ROLE, id=name, urn=f"urn:{name}", outputs=outputs))
        if policy is not None:
            text = json.dumps({"Version": "2012-10-17", "Statement": policy})
            self.world.put(
                Resource(token=ROLE_POLICY, id=f"{name}:inline", urn=f"urn:{name}-policy", outputs={"role": name, "policy": text})
            )
        return arn

    def log_account(self) -> str:
        """The account's log role, as REST access logs need it."""
        arn = self.role("gateway-logs", service="apigateway.amazonaws.com")
        self.world.put(
            Resource(
                token=ATTACHMENT, id="gateway-logs-push", urn="urn:attachment", outputs={"role": "gateway-logs", "policyArn": PUSH_TO_LOGS}
            )
        )
        self.create("aws:apigateway/account:Account", cloudwatchRoleArn=arn)
        return arn

    def rest_api(
        self, *, schema: Any = None, key: bool = True, authorization: str = "NONE", api: dict[str, Any] | None = None
    ) -> SimpleNamespace:
        """POST /predict to the function, deployed as stage `live`."""
        made = SimpleNamespace()
        made.api = self.create("aws:apigateway/restApi:RestApi", **(api or {}))
        made.resource = self.create(
            "aws:apigateway/resource:Resource", restApi=made.api.id, parentId=made.api["rootResourceId"], pathPart="predict"
        )
        extra: dict[str, Any] = {}
        if schema is not None:
            self.create(
                "aws:apigateway/model:Model", restApi=made.api.id, name="Body", contentType="application/json", schema=json.dumps(schema)
            )
            validator = self.create("aws:apigateway/requestValidator:RequestValidator", restApi=made.api.id, validateRequestBody=True)
            extra = {"requestModels": {"application/json": "Body"}, "requestValidatorId": validator.id}
        place = {"restApi": made.api.id, "resourceId": made.resource.id, "httpMethod": "POST"}
        made.method = self.create("aws:apigateway/method:Method", **place, authorization=authorization, apiKeyRequired=key, **extra)
        made.integration = self.create(
            "aws:apigateway/integration:Integration", **place, type="AWS_PROXY", integrationHttpMethod="POST", uri=INVOKE_ARN
        )
        return made

    def stage(self, made: SimpleNamespace, **inputs: Any) -> SimpleNamespace:
        """Deploy what `rest_api` made."""
        made.deployment = self.create("aws:apigateway/deployment:Deployment", restApi=made.api.id, triggers={"hash": "1"})
        made.stage = self.create(
            "aws:apigateway/stage:Stage", restApi=made.api.id, deployment=made.deployment.id, stageName="live", **inputs
        )
        return made

    def plan(self, made: SimpleNamespace, **inputs: Any) -> str:
        """A usage plan of the stage with one key; returns the key's value."""
        made.plan = self.create("aws:apigateway/usagePlan:UsagePlan", apiStages=[{"apiId": made.api.id, "stage": "live"}], **inputs)
        made.key = self.create("aws:apigateway/apiKey:ApiKey")
        self.create("aws:apigateway/usagePlanKey:UsagePlanKey", keyId=made.key.id, keyType="API_KEY", usagePlanId=made.plan.id)
        return str(made.key["value"])

    def http_api(
        self, *, version: str = "2.0", route: dict[str, Any] | None = None, stage: dict[str, Any] | None = None
    ) -> SimpleNamespace:
        """POST /predict to the function on an HTTP API that deploys by itself."""
        made = SimpleNamespace()
        made.api = self.create("aws:apigatewayv2/api:Api", protocolType="HTTP")
        made.integration = self.create(
            "aws:apigatewayv2/integration:Integration",
            apiId=made.api.id,
            integrationType="AWS_PROXY",
            integrationUri=f"{FUNCTION}:live",
            payloadFormatVersion=version,
        )
        target = f"integrations/{made.integration.id}"
        made.route = self.create(
            "aws:apigatewayv2/route:Route", apiId=made.api.id, routeKey="POST /predict", target=target, **(route or {})
        )
        made.stage = self.create(
            "aws:apigatewayv2/stage:Stage", apiId=made.api.id, **{"name": "$default", "autoDeploy": True, **(stage or {})}
        )
        return made
