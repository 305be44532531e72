"""One edge for each type that a rule judges and no break has: a rule that lost one of its types would judge all others as before."""

from collections.abc import Iterator, Mapping
from typing import Any

from ..rules import tokens as t
from .harness_breaks import Spec, allowing, made
from .harness_edges import Edge, edges

# Where a type has its policy.
_POLICY = {
    "aws:apigateway/restApi:RestApi": "policy",
    "aws:apigateway/restApiPolicy:RestApiPolicy": "policy",
    "aws:dynamodb/resourcePolicy:ResourcePolicy": "policy",
    "aws:ecr/repositoryPolicy:RepositoryPolicy": "policy",
    "aws:s3/bucket:Bucket": "policy",
    "aws:s3/bucketPolicy:BucketPolicy": "policy",
    "aws:secretsmanager/secret:Secret": "policy",
    "aws:secretsmanager/secretPolicy:SecretPolicy": "policy",
    "aws:sns/topic:Topic": "policy",
    "aws:sns/topicPolicy:TopicPolicy": "policy",
    "aws:sqs/queue:Queue": "policy",
    "aws:sqs/queuePolicy:QueuePolicy": "policy",
}
_IDENTITY = ("aws:iam/groupPolicy:GroupPolicy", "aws:iam/policy:Policy", "aws:iam/userPolicy:UserPolicy", "aws:iam/rolePolicy:RolePolicy")
_NOT = '{"Statement": [{"Effect": "Allow", "NotAction": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"}]}'
_DEFAULT = "serviceAccount:1-compute@developer.gserviceaccount.com"


def _of_each(rule: str, says: str, types: Mapping[str, Mapping[str, Any]]) -> Iterator[Edge]:
    specs: list[Spec] = [made(type_, **inputs) for type_, inputs in types.items()]
    return edges(rule, *((says, each) for each in specs))


def _alike(types: tuple[str, ...], **inputs: Any) -> Mapping[str, Mapping[str, Any]]:
    return dict.fromkeys(types, inputs)


TYPES = (
    *_of_each(
        "no-policy-for-anyone",
        'the principal "*"',
        {type_: {path: allowing("sns:Publish", Principal="*")} for type_, path in _POLICY.items()},
    ),
    *_of_each(
        "no-policy-for-anyone",
        'member is "allUsers"',
        _alike(
            (
                "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember",
                "gcp:cloudfunctionsv2/functionIamMember:FunctionIamMember",
                "gcp:cloudrun/iamMember:IamMember",
                "gcp:folder/iAMMember:IAMMember",
                "gcp:organizations/iAMMember:IAMMember",
                "gcp:secretmanager/secretIamMember:SecretIamMember",
            ),
            member="allUsers",
        ),
    ),
    *_of_each("no-wildcard-action", "policy allows 's3:*'", {type_: {path: allowing("s3:*")} for type_, path in _POLICY.items()}),
    *_of_each("no-wildcard-resource", 'on "*": name the resources', _alike(_IDENTITY, policy=allowing("s3:GetObject", "*"))),
    *_of_each("no-negated-policy", "by NotAction", _alike(_IDENTITY, policy=_NOT)),
    *_of_each("no-negated-policy", "by NotAction", {type_: {path: _NOT} for type_, path in _POLICY.items()}),
    *_of_each(
        "no-administrator",
        'role is "roles/owner"',
        _alike(
            (
                "gcp:cloudrunv2/serviceIamMember:ServiceIamMember",
                "gcp:pubsub/subscriptionIAMMember:SubscriptionIAMMember",
                "gcp:pubsub/topicIAMMember:TopicIAMMember",
                "gcp:serviceaccount/iAMMember:IAMMember",
                "gcp:storage/bucketIAMMember:BucketIAMMember",
            ),
            role="roles/owner",
        ),
    ),
    *_of_each(
        "own-service-account",
        "which others of the project run as",
        {
            **_alike(("gcp:folder/iAMMember:IAMMember", "gcp:organizations/iAMMember:IAMMember"), member=_DEFAULT),
            **_alike(("gcp:folder/iAMBinding:IAMBinding", "gcp:organizations/iAMBinding:IAMBinding"), members=[_DEFAULT]),
        },
    ),
    *_of_each("retries-are-bounded", "maxDeliveryAttempts is missing", {"azure-native:eventgrid:EventSubscription": {}}),
    *_of_each("event-grid-has-dead-letters", "set it to a container", {"azure-native:eventgrid:EventSubscription": {}}),
    *_of_each(
        "nothing-by-the-hour",
        "is billed by the hour",
        _alike(
            (
                "aws:ec2/instance:Instance",
                "aws:elasticache/replicationGroup:ReplicationGroup",
                "aws:lb/loadBalancer:LoadBalancer",
                "aws:rds/instance:Instance",
                "aws:wafv2/webAcl:WebAcl",
                "azure-native:network:ApplicationGateway",
                "azure-native:network:NatGateway",
                "azure-native:network:PrivateEndpoint",
                "gcp:compute/instance:Instance",
                "gcp:compute/routerNat:RouterNat",
                "gcp:redis/instance:Instance",
                "gcp:sql/databaseInstance:DatabaseInstance",
                "gcp:vpcaccess/connector:Connector",
            )
        ),
    ),
    *_of_each("alarm-says-what-silence-means", "enabled is false", _alike((t.LOG_ALERT, t.METRIC_ALERT), enabled=False)),
    *_of_each(
        "tagged",
        "tags lacks",
        _alike(
            (
                *(t.REST_API, t.REST_STAGE, t.LOG_GROUP, t.ALARM, t.ECR, t.ROLE, t.LAMBDA, t.S3, t.ENDPOINT),
                *(t.ENDPOINT_CONFIG, t.MODEL, t.TOPIC, t.QUEUE, t.TABLE, t.APIM, t.APP, t.JOB, t.APP_ENVIRONMENT),
                *(t.ACR, t.COSMOS, t.EVENT_TOPIC, t.WORKSPACE, t.RESOURCE_GROUP, t.STORAGE),
            )
        ),
    ),
    *_of_each("tagged", "labels lacks", _alike((t.RUN, t.GCS, t.REGISTRY, t.EVENTARC, t.SUBSCRIPTION))),
)
