import json
from typing import Any

import pytest

from pilotlight.twin.aws.apigateway_snapshot import SNAPSHOT
from pilotlight.twin.rows import Refusal
from tests.parts.twin.front.declared import INVOKE_ARN, PUSH_TO_LOGS, ROWS, Declared

LOGS = {"destinationArn": "arn:aws:logs:us-east-1:123456789012:log-group:access", "format": "$context.requestId"}


def test_a_rest_api_has_the_outputs_of_the_provider(account: Declared) -> None:
    made = account.stage(account.rest_api())
    api, stage = made.api, made.stage
    assert len(api.id) == 10
    assert api["executionArn"] == f"arn:aws:execute-api:us-east-1:123456789012:{api.id}"
    assert made.resource["path"] == "/predict"
    assert made.method.id == f"agm-{api.id}-{made.resource.id}-POST"
    assert stage["invokeUrl"] == f"http://127.0.0.1:1/execute-api/{api.id}/live"
    assert stage["executionArn"] == f"{api['executionArn']}/live"


def test_an_update_keeps_what_creation_made(account: Declared) -> None:
    made = account.stage(account.rest_api())
    value = account.plan(made)
    for resource, names in (
        (made.api, ["arn", "executionArn", "rootResourceId", "createdDate"]),
        (made.plan, ["arn"]),
        (made.key, ["arn"]),
    ):
        changed = account.update(resource, description="new")
        assert {name: changed[name] for name in names} == {name: resource[name] for name in names}
    assert account.update(made.key, description="again")["value"] == value


def test_a_deployment_serves_what_was_there_when_it_was_made(account: Declared) -> None:
    made = account.stage(account.rest_api())
    account.create("aws:apigateway/method:Method", restApi=made.api.id, resourceId=made.resource.id, httpMethod="GET", authorization="NONE")
    held = account.world.get(SNAPSHOT, f"{made.api.id}/{made.deployment.id}")
    assert held is not None
    assert [route["method"] for route in held["routes"]] == ["POST"]


def test_a_deployment_in_use_cannot_be_deleted(account: Declared) -> None:
    made = account.stage(account.rest_api())
    with pytest.raises(Refusal, match="Active stages pointing to this deployment"):
        account.delete(made.deployment)
    account.delete(made.stage)
    account.delete(made.deployment)
    assert account.world.find(SNAPSHOT) == []


def test_deployments_need_methods_and_methods_integrations(account: Declared) -> None:
    api = account.create("aws:apigateway/restApi:RestApi")
    with pytest.raises(Refusal, match="doesn't contain any methods"):
        account.create("aws:apigateway/deployment:Deployment", restApi=api.id)
    place = {"restApi": api.id, "resourceId": api["rootResourceId"], "httpMethod": "GET"}
    with pytest.raises(Refusal, match="Invalid Method identifier"):
        account.create("aws:apigateway/integration:Integration", **place, type="AWS_PROXY", integrationHttpMethod="POST", uri=INVOKE_ARN)
    account.create("aws:apigateway/method:Method", **place, authorization="NONE")
    with pytest.raises(Refusal, match="No integration defined for method"):
        account.create("aws:apigateway/deployment:Deployment", restApi=api.id)


def test_access_logs_need_the_accounts_log_role(account: Declared) -> None:
    made = account.rest_api()
    with pytest.raises(Refusal, match="CloudWatch Logs role ARN must be set in account settings to enable logging"):
        account.stage(made, accessLogSettings=LOGS)
    account.log_account()
    account.stage(made, accessLogSettings=LOGS)


def test_the_account_refuses_a_role_that_cannot_log(account: Declared) -> None:
    wrong_trust = account.role("a", service="lambda.amazonaws.com")
    with pytest.raises(Refusal, match="must trust apigateway"):
        account.create("aws:apigateway/account:Account", cloudwatchRoleArn=wrong_trust)
    no_rights = account.role("b", service="apigateway.amazonaws.com")
    with pytest.raises(Refusal, match="write to CloudWatch Logs"):
        account.create("aws:apigateway/account:Account", cloudwatchRoleArn=no_rights)
    assert PUSH_TO_LOGS.endswith("AmazonAPIGatewayPushToCloudWatchLogs")


def rest(account: Declared, token: str, **inputs: Any) -> Any:
    made = account.rest_api()
    place = {"restApi": made.api.id, "resourceId": made.resource.id, "httpMethod": "GET"}
    known = {"$api": made.api.id, "$root": made.api["rootResourceId"], "$place": place}
    given = {key: known.get(str(value), value) for key, value in inputs.items()}
    return account.create(f"aws:apigateway/{token}", **given.pop("place", {}), **given)


@pytest.mark.parametrize(
    ("token", "inputs", "message"),
    [
        ("restApi:RestApi", {"body": "{}"}, "does not read OpenAPI bodies"),
        ("restApi:RestApi", {"apiKeySource": "AUTHORIZER"}, "from the header only"),
        ("resource:Resource", {"restApi": "none", "parentId": "x", "pathPart": "a"}, "Invalid API identifier"),
        ("resource:Resource", {"restApi": "$api", "parentId": "x", "pathPart": "a"}, "Invalid Resource identifier"),
        ("resource:Resource", {"restApi": "$api", "parentId": "$root", "pathPart": "predict"}, "same parent already has this name"),
        ("method:Method", {"place": "$place", "authorization": "COGNITO_USER_POOLS"}, "serves NONE and AWS_IAM"),
        ("method:Method", {"place": "$place", "authorization": "NONE", "requestModels": {"application/json": "None"}}, "Invalid model"),
        ("method:Method", {"place": "$place", "authorization": "NONE", "requestValidatorId": "none"}, "Invalid Request Validator"),
        ("model:Model", {"restApi": "$api", "name": "M", "contentType": "application/json", "schema": "{"}, "Invalid model specified"),
        ("model:Model", {"restApi": "$api", "name": "M", "contentType": "a/b", "schema": '{"type": "thing"}'}, "Invalid model specified"),
        ("response:Response", {"restApiId": "$api", "responseType": "TEAPOT"}, "Invalid gateway response type 'TEAPOT'"),
        (
            "response:Response",
            {"restApiId": "$api", "responseType": "THROTTLED", "responseParameters": {"gatewayresponse.header.A": "b"}},
            "mapping",
        ),
        ("response:Response", {"restApiId": "$api", "responseType": "THROTTLED", "responseTemplates": {"a/b": "#set($x = 1)"}}, "no #set"),
        ("stage:Stage", {"restApi": "$api", "deployment": "none", "stageName": "a"}, "Invalid Deployment identifier"),
        (
            "methodSettings:MethodSettings",
            {"restApi": "$api", "stageName": "none", "methodPath": "*/*", "settings": {}},
            "Invalid stage identifier",
        ),
        ("usagePlan:UsagePlan", {"apiStages": [{"apiId": "x", "stage": "y"}]}, "API Stage not found: x:y"),
        ("usagePlanKey:UsagePlanKey", {"keyId": "x", "keyType": "API_KEY", "usagePlanId": "y"}, "Invalid Usage Plan ID"),
    ],
)
def test_rest_apis_refuse_what_aws_refuses(account: Declared, token: str, inputs: dict[str, Any], message: str) -> None:
    with pytest.raises(Refusal, match=message):
        rest(account, token, **inputs)


def test_a_key_that_is_not_there_cannot_be_put_on_a_plan(account: Declared) -> None:
    plan = account.create("aws:apigateway/usagePlan:UsagePlan")
    with pytest.raises(Refusal, match="Invalid API Key identifier"):
        account.create("aws:apigateway/usagePlanKey:UsagePlanKey", keyId="x", keyType="API_KEY", usagePlanId=plan.id)


@pytest.mark.parametrize(
    ("token", "inputs", "field"),
    [
        ("aws:apigateway/integration:Integration", {"timeoutMilliseconds": 29_001}, "timeoutMilliseconds: 29001"),
        ("aws:apigateway/method:Method", {"httpMethod": "FETCH"}, "httpMethod: 'FETCH'"),
        ("aws:apigateway/apiKey:ApiKey", {"value": "short"}, "value: has 5 characters: use 20 to 128"),
        ("aws:apigateway/usagePlan:UsagePlan", {"quotaSettings": {"limit": 0, "period": "YEAR"}}, "quotaSettings.period: 'YEAR'"),
        ("aws:apigateway/usagePlan:UsagePlan", {"throttleSettings": {"burstLimit": 9000}}, "throttleSettings.burstLimit: 9000"),
        (
            "aws:apigateway/methodSettings:MethodSettings",
            {"settings": {"throttlingRateLimit": 20_000}},
            "settings.throttlingRateLimit: 20000",
        ),
        ("aws:apigatewayv2/integration:Integration", {"timeoutMilliseconds": 30_001}, "timeoutMilliseconds: 30001"),
        ("aws:apigatewayv2/route:Route", {"routeKey": "POST predict"}, "routeKey: 'POST predict'"),
        ("aws:apigatewayv2/stage:Stage", {"defaultRouteSettings": {"throttlingBurstLimit": 6000}}, "throttlingBurstLimit: 6000"),
    ],
)
def test_limits_name_field_value_and_what_is_allowed(token: str, inputs: dict[str, Any], field: str) -> None:
    problems = ROWS[token].limits(inputs)
    assert any(field in problem and "use" in problem for problem in problems)


@pytest.mark.parametrize("token", sorted(ROWS))
def test_limits_pass_over_what_is_not_known_yet(token: str) -> None:
    unknown = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
    names = ("timeoutMilliseconds", "settings", "quotaSettings", "throttleSettings", "defaultRouteSettings")
    assert ROWS[token].limits(dict.fromkeys(names, unknown)) == []


def test_an_http_api_has_the_outputs_of_the_provider(account: Declared) -> None:
    made = account.http_api()
    assert made.api["apiEndpoint"] == f"http://127.0.0.1:1/execute-api/{made.api.id}"
    assert made.stage["invokeUrl"] == f"{made.api['apiEndpoint']}/"
    assert account.update(made.api, description="x")["apiEndpoint"] == made.api["apiEndpoint"]
    named = account.create("aws:apigatewayv2/stage:Stage", apiId=made.api.id, name="v1", autoDeploy=True)
    assert named["invokeUrl"] == f"{made.api['apiEndpoint']}/v1"


@pytest.mark.parametrize(
    ("token", "inputs", "message"),
    [
        ("api:Api", {"protocolType": "WEBSOCKET"}, "serves HTTP"),
        ("api:Api", {"protocolType": "HTTP", "target": INVOKE_ARN}, "quick-create"),
        ("integration:Integration", {"apiId": "none"}, "Invalid API identifier"),
        ("integration:Integration", {"integrationType": "HTTP_PROXY"}, "serves AWS_PROXY"),
        ("integration:Integration", {"integrationType": "AWS_PROXY", "integrationUri": "x"}, "invalid integration URI"),
        ("authorizer:Authorizer", {"authorizerType": "REQUEST"}, "serves JWT"),
        ("authorizer:Authorizer", {"authorizerType": "JWT", "jwtConfiguration": {"issuer": "https://a"}}, "Audience are required"),
        (
            "authorizer:Authorizer",
            {"authorizerType": "JWT", "jwtConfiguration": {"issuer": "http://a.example", "audiences": ["a"]}},
            "Issuer must be an https URL",
        ),
        (
            "authorizer:Authorizer",
            {"authorizerType": "JWT", "jwtConfiguration": {"issuer": "https://i", "audiences": ["a"]}, "identitySources": ["h"]},
            "identity source",
        ),
        ("route:Route", {"routeKey": "GET /a", "target": "integrations/none"}, "Invalid integration identifier"),
        ("route:Route", {"routeKey": "GET /a", "authorizationType": "CUSTOM"}, "serves NONE, JWT and AWS_IAM"),
        ("route:Route", {"routeKey": "GET /a", "authorizationType": "JWT", "authorizerId": "none"}, "Invalid authorizer"),
        ("route:Route", {"routeKey": "GET /a", "authorizationScopes": ["a"]}, "only for JWT"),
        ("route:Route", {"routeKey": "POST /predict"}, "already exists"),
        ("stage:Stage", {"name": "a", "deploymentId": "none"}, "Invalid deployment identifier"),
        (
            "stage:Stage",
            {"name": "a", "accessLogSettings": {"destinationArn": "arn:aws:s3:::x", "format": "x"}},
            "must be a CloudWatch Logs log group",
        ),
    ],
)
def test_http_apis_refuse_what_aws_refuses(account: Declared, token: str, inputs: dict[str, Any], message: str) -> None:
    made = account.http_api()
    given = inputs if token.startswith("api:") else {"apiId": made.api.id, **inputs}
    with pytest.raises(Refusal, match=message):
        account.create(f"aws:apigatewayv2/{token}", **given)


def test_parts_in_use_cannot_be_deleted(account: Declared) -> None:
    made = account.http_api()
    with pytest.raises(Refusal, match="in use by a route"):
        account.delete(made.integration)
    account.delete(made.route)
    account.delete(made.integration)
    with pytest.raises(Refusal, match="At least one route is required"):
        account.create("aws:apigatewayv2/deployment:Deployment", apiId=made.api.id)


def test_the_world_can_write_down_every_snapshot(account: Declared) -> None:
    made = account.stage(account.rest_api(schema={"type": "object"}))
    held = account.world.get(SNAPSHOT, f"{made.api.id}/{made.deployment.id}")
    assert held is not None
    assert json.loads(json.dumps(held.outputs))["routes"][0]["models"] == {"application/json": {"type": "object"}}
