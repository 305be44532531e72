"""What the components take from programs in other languages: the settings of `pilotlight:service`, typed.

`make docs` writes this from `stacks/settings_service.py`: the schema of the package is read from these classes.
"""

from typing import NotRequired, TypedDict


class Model(TypedDict):
    """The model: where it comes from, what it answers, what runs it."""

    source: str
    """`pypi:NAME`, `hf://ORG/NAME@COMMIT` or a folder; for task `custom` `handlers/models/<name>`. Use pypi:NAME, hf://ORG/NAME@COMMIT (40 hex digits, because a branch can move) or a folder."""
    task: str
    """What the model answers (`docs/tasks.md`); `custom`: a model of one's own. One of `feature-extraction`, `sentence-embedding`, `text-classification`, `token-classification`, `zero-shot-classification`, `text-generation`, `image-classification`, `custom`."""
    engine: NotRequired[str]
    """What runs it; `torch` needs the image `gpu-torch`, or one of your own. One of `onnx`, `torch`. Default: `onnx`."""
    quantize: NotRequired[str]
    """Makes the packaged model smaller (`docs/shrinking.md`): `int8` also faster on CPUs, `fp16` half the bytes; left out: as it is. One of `int8`, `fp16`."""
    prune: NotRequired[float]
    """The share of its neurons that packaging takes out; 0: none. Default: `0.0`."""
    max_drift: NotRequired[float]
    """How far its answers may move by `quantize` and `prune`: beyond, packaging refuses; without them it means nothing. Default: `0.03`."""


class Build(TypedDict):
    """The image built from `containers/`."""

    target: str
    """The stage of `containers/Dockerfile` that is built. One of `cpu`, `gpu`, `gpu-torch`."""
    platform: NotRequired[str]
    """The processor that the image is for. One of `linux/amd64`. Default: `linux/amd64`."""
    builder: NotRequired[str]
    """The buildx builder; Docker's default without."""


class Image(TypedDict):
    """Exactly one of the two: build it, or name it by digest. `registry` is the tier of the stack's own, where it has tiers."""

    build: NotRequired[Build]
    """The image built from `containers/`."""
    uri: NotRequired[str]
    """An image by digest instead of a build. Use <repository>@sha256:<64 hex digits>, because a tag can move to another image."""
    registry: NotRequired[str]
    """The tier of the stack's registry; `premium`: one that can stream images. One of `basic`, `premium`. Default: `basic`."""


class Endpoint(TypedDict):
    """The platform that runs the model, and its size. What each platform allows is on the pages in `docs/stacks`."""

    platform: str
    """What runs the model. Use aws-lambda or aws-sagemaker or gcp-cloud-run or azure-container-apps."""
    memory_mb: NotRequired[int]
    """Memory of an instance, and CPU with it where there is no `endpoint.cpu`. Default: `2048`."""
    max_concurrency: NotRequired[int]
    """Requests at a time. Default: `10`."""
    cpu: NotRequired[float]
    """vCPUs of an instance; left out: 2, on Azure one for each 2 GiB; with a GPU what it needs."""
    gpu: NotRequired[str]
    """The GPU of an instance; left out: none. One of `l4`, `t4`, `a100`."""
    requests_per_instance: NotRequired[int]
    """Requests that one instance takes at a time; left out: 2, with a GPU 8, whatever the model."""
    scale_at_requests: NotRequired[int]
    """Percent of an instance's requests from which on there is another one; left out: Cloud Run's own, 60; 0: not by them."""
    scale_at_cpu: NotRequired[int]
    """The same of its vCPUs."""
    cooldown_seconds: NotRequired[int]
    """How long the last instance stays, and is billed, after a request; left out: Azure's own, 300; with pings at least until the next one."""
    batch_size: NotRequired[int]
    """Inputs that the model computes at once, of one request or of several that wait together; left out: 32."""
    batch_wait_ms: NotRequired[int]
    """How long a request that must wait anyway is held for others to be computed with; left out: not at all, since those that come while the model computes are there when it is done; one that comes to an idle instance is never held."""
    workers: NotRequired[int]
    """Processes of an instance, each with the model; left out: 1, which computes in all vCPUs."""
    private: NotRequired[bool]
    """Whether the endpoint is reached from the project's network only. Default: `false`."""
    zonal_redundancy: NotRequired[bool]
    """Whether GPUs are kept in another zone as well, at a higher price. Default: `false`."""
    cold_start_seconds: NotRequired[int]
    """Kept free for the first call after a rest; left out: an estimate for a model of 100 MB."""
    predict_seconds: NotRequired[int]
    """Deadline of one prediction. Default: `10`."""
    max_body_bytes: NotRequired[int]
    """Largest request; left out: 4 MiB, on Azure 2 MiB."""


class Function(TypedDict):
    """The pattern's function, where one stands in front of the endpoint."""

    memory_mb: NotRequired[int]
    """Memory of the function in front of the endpoint. Default: `512`."""
    reserved_concurrency: NotRequired[int]
    """Instances reserved for it; left out: the account's pool."""
    polling_seconds: NotRequired[int]
    """How often Container Apps looks at a function's queue, which the first event or late answer after a rest waits for; each look is a request of Storage; left out: Azure's own, 30."""


class Network(TypedDict):
    """Exactly one of the two: a network of the stack's own with these addresses, or a subnet that is there."""

    addresses: NotRequired[str]
    """A virtual network of the stack's own with these addresses, that its containers are placed in; /27 or larger. Use a private range of addresses, /27 or larger: 10.8.0.0/26, say."""
    subnet_id: NotRequired[str]
    """The id of a subnet that is there instead: /27 or larger, delegated to `Microsoft.App/environments`, empty, in the stack's region and subscription. Use a subnet's id, /subscriptions/<id>/resourceGroups/<name>/providers/Microsoft.Network/virtualNetworks/<name>/subnets/<name>."""


class Auth(TypedDict):
    """Who may call and how often; `mode` decides which gateway is built."""

    mode: str
    """Who may call: holders of a key, of a token, or of AWS credentials; decides which gateway is built. One of `api-key`, `jwt`, `iam`."""
    requests_per_second: NotRequired[float]
    """Calls a second, of one key and of all of them; counted by the minute on Google Cloud, by ten seconds on Azure, for keys only on both. Default: `20`."""
    burst: NotRequired[int]
    """Calls at once. Default: `40`."""
    daily_quota: NotRequired[int]
    """Calls a day of one key; only with `api-key`, on Azure with `jwt` as well in the classic tiers of the gateway."""
    issuer: NotRequired[str]
    """URL of the token issuer; only with `jwt`. Use the issuer's URL, https://…, as it stands in the tokens' `iss`."""
    audience: NotRequired[list[str]]
    """Audiences that are accepted; only with `jwt`."""
    scopes: NotRequired[list[str]]
    """Scopes of which a token must have one; only with `jwt`."""


class Gateway(TypedDict):
    """Who publishes the API, which a gateway that is API Management must know, and that gateway's tier."""

    publisher_email: str
    """Where API Management writes to; only Azure asks. Use one address, name@example.com."""
    publisher_name: str
    """Who publishes the API; only Azure asks. Use a name, 1 to 100 characters."""
    tier: NotRequired[str]
    """API Management's tier: beyond the default it costs by the hour, waits longer and counts calls of tokens too. One of `consumption`, `developer`, `basic`, `standard`, `basic-v2`, `standard-v2`. Default: `consumption`."""


class Cors(TypedDict):
    """Browsers of these origins may call; off by default."""

    allow_origins: list[str]
    """Browsers of these origins may call; only with `jwt` and `iam`. Use a list of origins, https://app.example.com, say."""


class Answers(TypedDict):
    """Answers that take longer than the gateway waits, and are fetched later."""

    async_: NotRequired[bool]
    """Answers that take longer than the gateway waits are fetched later, at an address that comes with 202. Use true or false. Default: `false`."""
    keep_hours: NotRequired[int]
    """How long an answer can be fetched. Use 24 to 168 hours. Default: `24`."""


class WarmingRule(TypedDict):
    """A rule of the warming plan. `kind` says which of the others it takes."""

    kind: str
    """`ping`: A request every few minutes that is no caller's, `parallel` at a time; always, or inside a weekly window. `scheduled`: Instances that stay warm inside a weekly window, until the lease ends where there is one. `provisioned`: Instances that stay warm always."""
    every_minutes: NotRequired[int]
    """`ping`: A request that is no caller's, every so many minutes. Must be given."""
    parallel: NotRequired[int]
    """`ping`: So many at a time, so that as many instances stay warm. Default: `1`."""
    cron: NotRequired[str]
    """`ping`: Start of a weekly window, `M H * * DOW`; always without. `scheduled`: Start of the weekly window, `M H * * DOW`. Must be given."""
    until: NotRequired[str]
    """`ping`: Its end, in the same form. `scheduled`: Its end, in the same form. Must be given."""
    timezone: NotRequired[str]
    """`ping`, `scheduled`: Of the window. Default: `UTC`."""
    lease_until: NotRequired[str]
    """`ping`, `scheduled`: The last day of the rule in its time zone; the next `up` takes away what the rule made, and warns that it is still here. Use a date, 2027-01-31, say."""
    instances: NotRequired[int]
    """`scheduled`: Instances that are warm inside it. Default: `1`. `provisioned`: Instances that are always warm. Default: `1`."""


class Budget(TypedDict):
    """Dollars a month: who is told at which share of them, and what happens beyond."""

    monthly_usd: float
    """Dollars a month for what carries the stack's tags; on Azure for its group, in the currency of its bill. Use an amount above 0, up to 1,000,000,000."""
    alert_at: NotRequired[list[float]]
    """Shares of it at which somebody is told. Default: `[0.5, 0.9]`."""
    on_exceeded: NotRequired[str]
    """Beyond it: tell, or also drop the warming floor, hours later, until an `up --refresh`. One of `notify`, `drop-warming`. Default: `notify`."""
    email: NotRequired[str]
    """Who is told; left out: `alarms.email`. Use one address, name@example.com."""


class Logs(TypedDict):
    """How long every log group of the stack keeps its lines."""

    retention_days: NotRequired[int]
    """How long every log group keeps its lines. Default: `30`."""


class AccessLogs(TypedDict):
    """Whose is the account-wide role that access logs of REST APIs go through."""

    account_role: str
    """The account's role for access logs of REST APIs: make and keep it, or rely on the one that is there; Google Cloud and Azure need none. One of `create`, `existing`."""


class Alarms(TypedDict):
    """Whether there are alarms, and who is told when one goes off; nobody, without an address."""

    enabled: NotRequired[bool]
    """Whether there are alarms. Default: `true`."""
    email: NotRequired[str]
    """Who is told when an alarm goes off; left out: nobody. Use one address, name@example.com."""


class InferenceApiArgs(TypedDict):
    """What an API is made of."""

    cloud: str
    """Where everything but the endpoint lives. Use aws or gcp or azure."""
    model: Model
    """The model: where it comes from, what it answers, what runs it."""
    image: Image
    """Exactly one of the two: build it, or name it by digest. `registry` is the tier of the stack's own, where it has tiers."""
    endpoint: Endpoint
    """The platform that runs the model, and its size. What each platform allows is on the pages in `docs/stacks`."""
    function: NotRequired[Function]
    """The pattern's function, where one stands in front of the endpoint."""
    network: NotRequired[Network]
    """Exactly one of the two: a network of the stack's own with these addresses, or a subnet that is there."""
    auth: Auth
    """Who may call and how often; `mode` decides which gateway is built."""
    gateway: NotRequired[Gateway]
    """Who publishes the API, which a gateway that is API Management must know, and that gateway's tier."""
    cors: NotRequired[Cors]
    """Browsers of these origins may call; off by default."""
    answers: NotRequired[Answers]
    """Answers that take longer than the gateway waits, and are fetched later."""
    warming: NotRequired[list[WarmingRule]]
    """The warming plan: up to ten rules; without one it scales to zero."""
    budget: NotRequired[Budget]
    """Dollars a month: who is told at which share of them, and what happens beyond."""
    dashboard: NotRequired[bool]
    """A dashboard of the stack. Default: `false`."""
    tracing: NotRequired[bool]
    """Every request in Application Insights, as one trace of its parts; only Azure is asked. Default: `false`."""
    logs: NotRequired[Logs]
    """How long every log group of the stack keeps its lines."""
    access_logs: NotRequired[AccessLogs]
    """Whose is the account-wide role that access logs of REST APIs go through."""
    alarms: NotRequired[Alarms]
    """Whether there are alarms, and who is told when one goes off; nobody, without an address."""
    data_retention: NotRequired[str]
    """`delete`: destroy takes bucket, images and logs along (Azure can bring logs back for 14 days); `keep`: it refuses. One of `keep`, `delete`. Default: `keep`."""
    tags: NotRequired[dict[str, str]]
    """Further tags on everything that has tags."""


class Events(TypedDict):
    """Which objects are taken, how many at a time, how often one is tried, and where the results go."""

    prefix: NotRequired[str]
    """Only objects whose key begins so. Use letters, digits and _ . / ! ' ( ) -."""
    suffixes: NotRequired[list[str]]
    """Only objects whose key ends so. Use letters, digits and _ . / ! ' ( ) -."""
    min_object_bytes: NotRequired[int]
    """Smaller objects are passed over. Default: `1`."""
    max_object_bytes: NotRequired[int]
    """Larger ones go to the dead letters, with the reason. Default: `10485760`."""
    batch_size: NotRequired[int]
    """Objects that one call of the function gets, no more than it has time for (`predictSeconds` for each request). Default: `10`."""
    requests_per_object: NotRequired[int]
    """Requests to the model that the function has time for, for each object: one holds 256 inputs. Default: `1`."""
    batch_window_seconds: NotRequired[int]
    """How long a batch is gathered. Default: `0`."""
    max_concurrency: NotRequired[int]
    """Batches, or events, at a time. Default: `5`."""
    max_attempts: NotRequired[int]
    """Attempts before an object is a dead letter. Default: `5`."""
    visibility_seconds: NotRequired[int]
    """How long an object under way stays unseen; left out: six times the function's timeout and the window."""
    results: NotRequired[list[str]]
    """Where results go. One of `table`, `queue`. Default: `[table]`."""
    results_table: NotRequired[str]
    """Who keeps the rows of results, in the place of the cloud's own table. One of `cosmos`."""


class EventPipelineArgs(TypedDict):
    """What an event pipeline is made of."""

    cloud: str
    """Where everything but the endpoint lives. Use aws or gcp or azure."""
    model: Model
    """The model: where it comes from, what it answers, what runs it."""
    image: Image
    """Exactly one of the two: build it, or name it by digest. `registry` is the tier of the stack's own, where it has tiers."""
    endpoint: Endpoint
    """The platform that runs the model, and its size. What each platform allows is on the pages in `docs/stacks`."""
    function: NotRequired[Function]
    """The pattern's function, where one stands in front of the endpoint."""
    network: NotRequired[Network]
    """Exactly one of the two: a network of the stack's own with these addresses, or a subnet that is there."""
    events: Events
    """Which objects are taken, how many at a time, how often one is tried, and where the results go."""
    warming: NotRequired[list[WarmingRule]]
    """The warming plan: up to ten rules; without one it scales to zero."""
    budget: NotRequired[Budget]
    """Dollars a month: who is told at which share of them, and what happens beyond."""
    dashboard: NotRequired[bool]
    """A dashboard of the stack. Default: `false`."""
    tracing: NotRequired[bool]
    """Every request in Application Insights, as one trace of its parts; only Azure is asked. Default: `false`."""
    logs: NotRequired[Logs]
    """How long every log group of the stack keeps its lines."""
    alarms: NotRequired[Alarms]
    """Whether there are alarms, and who is told when one goes off; nobody, without an address."""
    data_retention: NotRequired[str]
    """`delete`: destroy takes bucket, images and logs along (Azure can bring logs back for 14 days); `keep`: it refuses. One of `keep`, `delete`. Default: `keep`."""
    tags: NotRequired[dict[str, str]]
    """Further tags on everything that has tags."""
