"""Type tokens, by the names that rules use."""

# AWS
ACCESS_BLOCK = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
ATTACHMENT = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
AWS_BUDGET = "aws:budgets/budget:Budget"
BUCKET_ENCRYPTION = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
BUCKET_LIFECYCLE = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
BUCKET_OWNERSHIP = "aws:s3/bucketOwnershipControls:BucketOwnershipControls"
BUCKET_POLICY = "aws:s3/bucketPolicy:BucketPolicy"
BUCKET_VERSIONING = "aws:s3/bucketVersioning:BucketVersioning"
ECR = "aws:ecr/repository:Repository"
ECR_LIFECYCLE = "aws:ecr/lifecyclePolicy:LifecyclePolicy"
ENDPOINT = "aws:sagemaker/endpoint:Endpoint"
ENDPOINT_CONFIG = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
EVENT_TARGET = "aws:cloudwatch/eventTarget:EventTarget"
EVENT_INVOKE = "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig"
HTTP_API = "aws:apigatewayv2/api:Api"
HTTP_INTEGRATION = "aws:apigatewayv2/integration:Integration"
HTTP_ROUTE = "aws:apigatewayv2/route:Route"
HTTP_STAGE = "aws:apigatewayv2/stage:Stage"
LAMBDA = "aws:lambda/function:Function"
LAMBDA_PERMISSION = "aws:lambda/permission:Permission"
LAMBDA_PROVISIONED = "aws:lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig"
LAMBDA_URL = "aws:lambda/functionUrl:FunctionUrl"
LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup"
MAPPING = "aws:lambda/eventSourceMapping:EventSourceMapping"
MODEL = "aws:sagemaker/model:Model"
QUEUE = "aws:sqs/queue:Queue"
QUEUE_POLICY = "aws:sqs/queuePolicy:QueuePolicy"
REDRIVE = "aws:sqs/redrivePolicy:RedrivePolicy"
REST_API = "aws:apigateway/restApi:RestApi"
REST_INTEGRATION = "aws:apigateway/integration:Integration"
REST_METHOD = "aws:apigateway/method:Method"
REST_SETTINGS = "aws:apigateway/methodSettings:MethodSettings"
REST_STAGE = "aws:apigateway/stage:Stage"
ROLE = "aws:iam/role:Role"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
S3 = "aws:s3/bucket:Bucket"
SCALED_ACTION = "aws:appautoscaling/scheduledAction:ScheduledAction"
SCALED_TARGET = "aws:appautoscaling/target:Target"
SCHEDULE = "aws:scheduler/schedule:Schedule"
TABLE = "aws:dynamodb/table:Table"
TOPIC = "aws:sns/topic:Topic"
TOPIC_POLICY = "aws:sns/topicPolicy:TopicPolicy"
TOPIC_SUBSCRIPTION = "aws:sns/topicSubscription:TopicSubscription"
USAGE_PLAN = "aws:apigateway/usagePlan:UsagePlan"

# Google Cloud
ALERT_POLICY = "gcp:monitoring/alertPolicy:AlertPolicy"
API_CONFIG = "gcp:apigateway/apiConfig:ApiConfig"
API_KEY = "gcp:projects/apiKey:ApiKey"
CRON_JOB = "gcp:cloudscheduler/job:Job"
DATABASE = "gcp:firestore/database:Database"
EVENTARC = "gcp:eventarc/trigger:Trigger"
GCP_BUDGET = "gcp:billing/budget:Budget"
GATEWAY = "gcp:apigateway/gateway:Gateway"
LOG_METRIC = "gcp:logging/metric:Metric"
GCS = "gcp:storage/bucket:Bucket"
GRANTS = (
    "gcp:cloudrunv2/serviceIamMember:ServiceIamMember",
    "gcp:projects/iAMMember:IAMMember",
    "gcp:pubsub/subscriptionIAMMember:SubscriptionIAMMember",
    "gcp:pubsub/topicIAMMember:TopicIAMMember",
    "gcp:serviceaccount/iAMMember:IAMMember",
    "gcp:storage/bucketIAMMember:BucketIAMMember",
)
MORE_GRANTS = (
    "gcp:cloudfunctions/functionIamBinding:FunctionIamBinding",
    "gcp:cloudfunctions/functionIamMember:FunctionIamMember",
    "gcp:artifactregistry/repositoryIamBinding:RepositoryIamBinding",
    "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember",
    "gcp:cloudfunctionsv2/functionIamBinding:FunctionIamBinding",
    "gcp:cloudfunctionsv2/functionIamMember:FunctionIamMember",
    "gcp:cloudrun/iamBinding:IamBinding",
    "gcp:cloudrun/iamMember:IamMember",
    "gcp:cloudrunv2/serviceIamBinding:ServiceIamBinding",
    "gcp:folder/iAMBinding:IAMBinding",
    "gcp:folder/iAMMember:IAMMember",
    "gcp:organizations/iAMBinding:IAMBinding",
    "gcp:organizations/iAMMember:IAMMember",
    "gcp:projects/iAMBinding:IAMBinding",
    "gcp:pubsub/subscriptionIAMBinding:SubscriptionIAMBinding",
    "gcp:pubsub/topicIAMBinding:TopicIAMBinding",
    "gcp:secretmanager/secretIamBinding:SecretIamBinding",
    "gcp:secretmanager/secretIamMember:SecretIamMember",
    "gcp:serviceaccount/iAMBinding:IAMBinding",
    "gcp:storage/bucketIAMBinding:BucketIAMBinding",
)
# Of them those on a project and what is above it.
GRANTS_ON_EVERYTHING = (
    "gcp:folder/iAMBinding:IAMBinding",
    "gcp:folder/iAMMember:IAMMember",
    "gcp:organizations/iAMBinding:IAMBinding",
    "gcp:organizations/iAMMember:IAMMember",
    "gcp:projects/iAMBinding:IAMBinding",
    "gcp:projects/iAMMember:IAMMember",
)
# What grants by a whole policy, which replaces every grant that there is.
GRANTED_WHOLE = (
    "gcp:cloudfunctions/functionIamPolicy:FunctionIamPolicy",
    "gcp:artifactregistry/repositoryIamPolicy:RepositoryIamPolicy",
    "gcp:cloudfunctionsv2/functionIamPolicy:FunctionIamPolicy",
    "gcp:cloudrun/iamPolicy:IamPolicy",
    "gcp:cloudrunv2/serviceIamPolicy:ServiceIamPolicy",
    "gcp:folder/iAMPolicy:IAMPolicy",
    "gcp:organizations/iAMPolicy:IAMPolicy",
    "gcp:projects/iAMPolicy:IAMPolicy",
    "gcp:pubsub/subscriptionIAMPolicy:SubscriptionIAMPolicy",
    "gcp:pubsub/topicIAMPolicy:TopicIAMPolicy",
    "gcp:secretmanager/secretIamPolicy:SecretIamPolicy",
    "gcp:serviceaccount/iAMPolicy:IAMPolicy",
    "gcp:storage/bucketIAMPolicy:BucketIAMPolicy",
)
WHOLE_ON_EVERYTHING = ("gcp:folder/iAMPolicy:IAMPolicy", "gcp:organizations/iAMPolicy:IAMPolicy", "gcp:projects/iAMPolicy:IAMPolicy")
OWN_ROLES = ("gcp:organizations/iAMCustomRole:IAMCustomRole", "gcp:projects/iAMCustomRole:IAMCustomRole")
# What a service of Cloud Run can be as well.
OTHER_RUNS = ("gcp:cloudfunctionsv2/function:Function", "gcp:cloudrun/service:Service")
REGISTRY = "gcp:artifactregistry/repository:Repository"
RUN = "gcp:cloudrunv2/service:Service"
SUBSCRIPTION = "gcp:pubsub/subscription:Subscription"

# Azure
ACR = "azure-native:containerregistry:Registry"
INSIGHTS = "azure-native:applicationinsights:Component"
APIM = "azure-native:apimanagement:ApiManagementService"
APIM_API = "azure-native:apimanagement:Api"
APIM_KEY = "azure-native:apimanagement:Subscription"
APIM_LIMITS = "azure-native:apimanagement:ProductPolicy"
APIM_POLICY = "azure-native:apimanagement:ApiPolicy"
APIM_PRODUCT = "azure-native:apimanagement:Product"
APP = "azure-native:app:ContainerApp"
APP_AUTH = "azure-native:app:ContainerAppsAuthConfig"
APP_ENVIRONMENT = "azure-native:app:ManagedEnvironment"
ASSIGNMENT = "azure-native:authorization:RoleAssignment"
AZURE_BUDGET = "azure-native:consumption:Budget"
BLOB = "azure-native:storage:Blob"
BLOBS = "azure-native:storage:BlobContainer"
COSMOS = "azure-native:cosmosdb:DatabaseAccount"
EVENT_SUBSCRIPTION = "azure-native:eventgrid:SystemTopicEventSubscription"
EVENT_SUBSCRIPTION_ELSEWHERE = "azure-native:eventgrid:EventSubscription"
EVENT_TOPIC = "azure-native:eventgrid:SystemTopic"
JOB = "azure-native:app:Job"
LOG_ALERT = "azure-native:monitor:ScheduledQueryRule"
METRIC_ALERT = "azure-native:monitor:MetricAlert"
OWN_DATA_ROLES = (
    "azure-native:cosmosdb:SqlResourceSqlRoleDefinition",
    "azure-native:cosmosdb:TableResourceTableRoleDefinition",
)
OWN_ROLE = "azure-native:authorization:RoleDefinition"
RESOURCE_GROUP = "azure-native:resources:ResourceGroup"
STORAGE = "azure-native:storage:StorageAccount"
WORKSPACE = "azure-native:operationalinsights:Workspace"
