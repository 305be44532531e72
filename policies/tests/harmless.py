"""What looks like a break and is none: changes of a good graph that every rule passes. The rule of each is the one that it is about."""

import json

from ..rules import tokens as t
from .harness_breaks import GONE, Break, Spec, allowing, documents, google, granting, linked, made, services, statement

_LABELS = {"project": "p", "stack": "s"}
_STREAM = {
    "eventSourceArn": "arn:aws:dynamodb:r:1:table/t/stream/1",
    "destinationConfig": {"onFailure": {"destinationArn": "arn:aws:sqs:r:1:dead"}},
}
_GITHUB = "token.actions.githubusercontent.com"
_QUEUE = "arn:aws:sqs:us-east-1:111122223333:added"


def _passed(rule: str, graph: str, type_: str, change: dict[str, object], name: str = "", added: Spec | tuple[Spec, ...] = ()) -> Break:
    return Break(rule, graph, type_, change, "", name=name, added=added)


def _function(**more: object) -> Spec:
    logs = {"loggingConfig": {"logGroup": "g"}}
    return made(t.LAMBDA, **{"name": "f", "arn": "arn:aws:lambda:r:1:function:f", "memorySize": 128, "tags": _LABELS, **logs, **more})


_PERMISSION = made(
    t.LAMBDA_PERMISSION,
    action="lambda:InvokeFunction",
    principal="sns.amazonaws.com",
    sourceArn="arn:aws:sns:us-east-1:111122223333:t",
    function="f",
)
_SOCKET = made(t.HTTP_API, name="socket", protocolType="WEBSOCKET")
_PRIVATE = {
    "Statement": [
        {"Effect": "Allow", "Principal": "*", "Action": "execute-api:Invoke", "Resource": "execute-api:/*"},
        {
            "Effect": "Deny",
            "Principal": {"AWS": "*"},
            "Action": "execute-api:*",
            "Resource": ["execute-api:/*"],
            "Condition": {"StringNotEquals": {"aws:SourceVpce": "vpce-1"}},
        },
    ]
}
_SCHEMES = {
    "key": {"type": "apiKey", "name": "x-api-key", "in": "header"},
    "own": {"type": "oauth2", "x-amazon-apigateway-authorizer": {"type": "jwt"}},
}

_ALL_TAGS = {"project": "pilotlight", "stack": "aws-sagemaker-api", "deployment": "pilotlight-aws-sagemaker-api"}
_ALL_LABELS = {"project": "pilotlight", "stack": "gcp-cloud-run-gpu-api", "deployment": "pilotlight-gcp-cloud-run-gpu-api"}
_KEYED = json.dumps({"securityDefinitions": {"k": {"type": "apiKey"}}, "security": [{"k": []}], "paths": {"/x": {"get": {}}}})

HARMLESS = (
    *(
        _passed("alarm-dimensions-exist", "aws-rest", t.ALARM, {path: value}, name="function-errors")
        for path, value in (
            ("dimensions.VariantName", "blue"),
            ("metricQueries", [{"metric": {"namespace": "Mine", "dimensions": {"function_name": "f"}}}, {"expression": "m1 * 2"}]),
            ("metricQueries", [{"metric": {"dimensions": {"functionName": "f"}}}]),
        )
    ),
    _passed(
        "dead-letters-are-watched",
        "aws-rest",
        t.ALARM,
        {
            "dimensions": GONE,
            "metricQueries": [
                {"metric": {"namespace": "AWS/SQS", "dimensions": {"QueueName": "pilotlight-aws-sagemaker-api-answers-dead"}}},
                {"expression": "m1 * 2"},
            ],
        },
        name="answers-dead-letters",
    ),
    _passed("tagged", "aws-rest", t.QUEUE, {"tags": {"project": "pilotlight"}, "tagsAll": _ALL_TAGS}),
    _passed("tagged", "gcp-api", t.RUN, {"labels": GONE, "effectiveLabels": _ALL_LABELS}),
    *(
        _passed("callers-are-known", "gcp-api", t.API_CONFIG, {"openapiDocuments": documents(body)})
        for body in (
            "{components: {securitySchemes: {t: {type: oauth2, x-google-auth: {issuer: i}}}}, security: [t: []], paths: {/x: {get: {}}}}",
            "{securityDefinitions: {k:, t: {x-google-issuer: i}}, security: [t: []], paths: {x-note: hello, /y:, /x: {get: {}, 5: {}}}}",
            '{\n\t"securityDefinitions": {"t": {"x-google-issuer": "i"}},\n\t"security": [{"t": []}],\n\t"paths": {"/x": {"get": {}}}\n}',
        )
    ),
    *(
        _passed("callers-are-known", "gcp-api", t.API_CONFIG, {"openapiDocuments": GONE, "managedServiceConfigs": services(body)})
        for body in (
            "{usage: {rules: [{selector: '*'}]}}",
            *(
                f"{{usage: {{rules: [{{selector: a.B, allow_unregistered_calls: true}}]}}, authentication: {{rules: {each}}}}}"
                for each in (
                    "[{selector: '*', requirements: [{provider_id: p}]}]",
                    "[{selector: a.B, requirements: [{provider_id: p}]}]",
                    "{selector: a.*, requirements: [{provider_id: p}]}",
                )
            ),
            "{usage:, authentication:}",
            "{name: a}",
        )
    ),
    _passed(
        "callers-are-known",
        "aws-rest",
        "",
        {},
        added=made("aws:apigateway/restApiPut:RestApiPut", body=_KEYED),
    ),
    *(
        _passed("no-policy-for-anyone", "aws-events", t.QUEUE_POLICY, {"policy": statement(Principal="*", Condition=each)})
        for each in (
            {"StringEquals": {"AWS:SourceAccount": ["111122223333"]}},
            {"ArnLike": {"aws:SourceArn": "arn:aws:s3:::bucket-*"}},
            {"ArnLike": {"aws:SourceArn": "arn:aws:events:*:111122223333:*"}},
            {"ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": "o-a1b2c3/*"}},
            {"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "192.0.2.7/32"]}},
        )
    ),
    _passed("no-policy-for-anyone", "aws-rest", t.REST_API, {"policy": json.dumps(_PRIVATE)}),
    _passed("no-policy-for-anyone", "aws-rest", t.QUEUE, {"policy": ""}),
    *(
        _passed("callers-are-known", graph, type_, {"body": json.dumps({"paths": {"/x": operations}, **more})})
        for graph, type_ in (("aws-rest", t.REST_API), ("aws-http", t.HTTP_API))
        for operations, more in (
            ({"get": {"security": [{"own": []}]}, "options": {}, "parameters": {}}, {"securityDefinitions": _SCHEMES}),
            ({"get": {}}, {"security": [{"own": ["read"], "key": []}], "components": {"securitySchemes": _SCHEMES}}),
            ({"get": {"x-amazon-apigateway-auth": {"type": "AWS_IAM"}}}, {}),
            ({"get": {}}, {"x-amazon-apigateway-auth": {"type": "AWS_IAM"}}),
        )
    ),
    _passed(
        "callers-are-known",
        "aws-rest",
        t.REST_API,
        {"body": json.dumps({"securityDefinitions": _SCHEMES, "security": [{"key": []}], "paths": {"/x": {"get": {}}}})},
    ),
    *(
        _passed("callers-are-known", "gcp-api", t.API_CONFIG, {"openapiDocuments": google(body)})
        for body in (
            "{security: [key: []], paths: {/x: {get: {}, options: {security: []}}}}",
            "{security: [token: []], x-google-allow: configured, paths: {/x: {get: {}}}}",
            "paths: {/x: {get: {security: [{own: [], key: []}]}}}",
        )
    ),
    *(
        _passed("callers-are-known", "aws-http", t.HTTP_ROUTE, {"routeKey": each, "authorizationType": "NONE"})
        for each in ("OPTIONS /{proxy+}", "$disconnect", "sendMessage")
    ),
    _passed(
        "default-route-knows-callers", "aws-http", "", {}, added=(_SOCKET, linked(made(t.HTTP_ROUTE, routeKey="$default"), apiId=_SOCKET))
    ),
    *(
        _passed("permission-names-its-caller", "aws-rest", t.LAMBDA_PERMISSION, {"sourceArn": GONE, **each})
        for each in (
            {"principal": "111122223333"},
            {"principal": "arn:aws:iam::111122223333:role/caller"},
            {"principal": "*", "principalOrgId": "o-a1b2c3"},
            {"sourceAccount": "111122223333"},
        )
    ),
    *(
        _passed("bucket-refuses-plain-http", "aws-rest", t.BUCKET_POLICY, {"policy": statement(**each)})
        for each in (
            {"Principal": {"AWS": "*"}, "Action": ["s3:*"], "Resource": "*"},
            {"Action": "*", "Condition": {"Bool": {"AWS:securetransport": [False]}}},
        )
    ),
    _passed(
        "trust-names-who",
        "aws-rest",
        t.ROLE,
        {
            "assumeRolePolicy": statement(
                Principal={"Federated": f"arn:aws:iam::111122223333:oidc-provider/{_GITHUB}"},
                Condition={
                    "StringEquals": {f"{_GITHUB}:aud": "sts.amazonaws.com"},
                    "StringLike": {f"{_GITHUB}:sub": "repo:acme/models:ref:refs/heads/*"},
                },
            )
        },
    ),
    *(
        _passed(
            "trust-names-who",
            "aws-rest",
            t.ROLE,
            {"assumeRolePolicy": statement(Principal={"AWS": "arn:aws:iam::444455556666:root"}, Condition={"StringEquals": {key: "x"}})},
        )
        for key in ("sts:ExternalId", "aws:PrincipalArn")
    ),
    *(
        _passed("no-wildcard-resource", "aws-rest", t.ROLE_POLICY, {"policy": statement(Action="x:Do", Resource=each)})
        for each in (
            *("arn:aws:s3:::bucket/*", "arn:aws:logs:r:111122223333:log-group:/aws/lambda/*", "arn:aws:iam::*:role/service-*"),
            *("arn:aws:dynamodb:r:111122223333:table/rows/index/*", "arn:aws:execute-api:r:111122223333:abc/*/GET/*"),
        )
    ),
    _passed("no-wildcard-action", "aws-rest", t.ROLE, {"inlinePolicies": [{"name": "x", "policy": allowing("sqs:SendMessage")}]}),
    *(
        _passed("no-administrator", "gcp-api", t.GRANTS[4], {"role": f"roles/iam.{each}"})
        for each in ("serviceAccountUser", "serviceAccountTokenCreator", "workloadIdentityUser")
    ),
    _passed("no-administrator", "gcp-api", t.GRANTS[1], {"role": "roles/secretmanager.secretAccessor"}),
    *(_passed("no-administrator", "gcp-api", t.GRANTS[5], {"role": f"roles/storage.{each}Admin"}) for each in ("object", "folder")),
    *(
        _passed("no-administrator", "gcp-api", "", {}, added=made(each, policyData=policy))
        for each in t.GRANTED_WHOLE
        if each not in t.WHOLE_ON_EVERYTHING
        for policy in (granting("roles/iam.serviceAccountUser"), granting("roles/x.y"), None)
    ),
    *(
        _passed(
            "no-administrator", "gcp-api", "", {}, added=made(each, permissions=["run.services.get", "iam.serviceAccounts.getOpenIdToken"])
        )
        for each in t.OWN_ROLES
    ),
    _passed(
        "no-administrator",
        "azure-api",
        "",
        {},
        added=made(t.OWN_ROLE, permissions=[{"actions": ["Microsoft.Authorization/roleAssignments/read"]}]),
    ),
    _passed("permission-names-its-caller", "aws-rest", t.LAMBDA_PERMISSION, {"sourceArn": "arn:aws:s3:::bucket"}),
    *(_passed("managed-identity", "azure-api", each, {"identity.type": "SystemAssigned, UserAssigned"}) for each in (t.APIM, t.APP)),
    *(
        _passed("no-secret-in-variables", "aws-rest", t.LAMBDA, {f"environment.variables.{name}": value})
        for name, value in (
            ("DATABASE_URL", "postgres://host:5432/db"),
            ("LINK", "https://host/a:b@c"),
            ("SECRET", "arn:aws:secretsmanager:us-east-1:111122223333:secret:x"),
            ("API_KEY", "projects/p/secrets/key/versions/1"),
            ("TOKEN", "https://issuer.example/token"),
            ("MAX_TOKENS", "256"),
            ("PARTITION_KEY", "id"),
            ("PAD_TOKEN", "<pad>"),
            ("MASK_TOKEN", "[MASK]"),
        )
    ),
    _passed(
        "no-secret-in-variables", "azure-api", t.APP, {"template.initContainers": [{"env": [{"name": "API_KEY", "secretRef": "key"}]}]}
    ),
    _passed("readers-are-bounded", "aws-rest", t.MAPPING, {"scalingConfig": GONE, **_STREAM}),
    _passed(
        "queue-has-dead-letters",
        "aws-rest",
        "",
        {},
        added=(
            queue := made(t.QUEUE, name="added", arn=_QUEUE, sqsManagedSseEnabled=True, visibilityTimeoutSeconds=18, tags=_LABELS),
            dead := {
                **made(
                    t.QUEUE,
                    name="dead",
                    arn="arn:aws:sqs:r:1:dead",
                    sqsManagedSseEnabled=True,
                    messageRetentionSeconds=1_209_600,
                    tags=_LABELS,
                ),
                "name": "dead",
            },
            linked(
                made(t.REDRIVE, queueUrl="https://q", redrivePolicy={"deadLetterTargetArn": "arn:aws:sqs:r:1:dead", "maxReceiveCount": 5}),
                queueUrl=queue,
                redrivePolicy=dead,
            ),
            made(
                t.MAPPING,
                eventSourceArn=_QUEUE,
                functionName="arn:aws:lambda:r:1:function:f",
                functionResponseTypes=["ReportBatchItemFailures"],
                scalingConfig={"maximumConcurrency": 2},
            ),
            made(t.ALARM, dimensions={"QueueName": "dead"}, treatMissingData="notBreaching", tags=_LABELS),
            _function(),
        ),
    ),
    _passed(
        "calls-nobody-waits-for-are-kept",
        "aws-rest",
        "",
        {},
        added=(
            _function(deadLetterConfig={"targetArn": _QUEUE}),
            _PERMISSION,
            made(t.EVENT_INVOKE, functionName="f", maximumRetryAttempts=1),
        ),
    ),
    *(
        _passed(
            "memory-of-platform",
            "gcp-api",
            t.RUN,
            {"template.containers.0.resources.limits": {"cpu": cpu, "memory": memory}},
            name="function-service",
        )
        for cpu, memory in (("1", "256Mi"), ("1000m", "262144Ki"), ("2", "128Mi"), ("0.5", "256Mi"))
    ),
    _passed(
        "floor-has-an-end",
        "aws-rest",
        t.ENDPOINT_CONFIG,
        {"productionVariants.0.serverlessConfig.provisionedConcurrency": 1},
        name="endpoint-floor-0-27e9",
    ),
    _passed("floor-has-an-end", "gcp-events", t.RUN, {"scaling.scalingMode": "AUTOMATIC", "scaling.manualInstanceCount": 2}),
    *(
        _passed("nothing-by-the-hour", "aws-rest", "", {}, added=made("aws:ec2/vpcEndpoint:VpcEndpoint", **each))
        for each in ({"vpcEndpointType": "Gateway"}, {"serviceName": "com.amazonaws.r.s3"})
    ),
    _passed("function-logs-where-it-is-kept", "aws-rest", t.LAMBDA, {"loggingConfig": GONE}),
    _passed("objects-have-versions", "aws-rest", t.BUCKET_LIFECYCLE, {"rules.0.filter": GONE}, name="answers-lifecycle"),
)
