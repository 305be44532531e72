"""Rules about what an operator needs: alarms that can ring, tags, data that does not go by accident."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from typing import Any

from . import tokens as t
from .cost import for_all_objects
from .delivery import redrive_of
from .model import Check, Context, Rule, one_of, wanted
from .reading import STACK, Resource, Unread, View, every, shown

# Namespace of metrics → dimension → type of what it names.
_DIMENSIONS: Mapping[str, Mapping[str, str]] = {
    "AWS/Lambda": {"FunctionName": t.LAMBDA},
    "AWS/SQS": {"QueueName": t.QUEUE},
    "AWS/SageMaker": {"EndpointName": t.ENDPOINT},
    "/aws/sagemaker/Endpoints": {"EndpointName": t.ENDPOINT},
    "AWS/DynamoDB": {"TableName": t.TABLE},
    "AWS/ApiGateway": {"ApiName": t.REST_API, "ApiId": t.HTTP_API},
    "AWS/SNS": {"TopicName": t.TOPIC},
}
# Label of a monitored resource → its type in a filter, and where what it can be says its name, the last step of an address.
_LABELS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "service_name": (
        "cloud_run_revision",
        {t.RUN: "name", t.OTHER_RUNS[0]: "serviceConfig.service", t.OTHER_RUNS[1]: "name"},
    ),
    "subscription_id": ("pubsub_subscription", {t.SUBSCRIPTION: "name", t.EVENTARC: "transport.pubsub.subscription"}),
    "gateway_id": ("apigateway.googleapis.com/Gateway", {t.GATEWAY: "gatewayId"}),
}
_FILTERS = ("conditionThreshold.filter", "conditionThreshold.denominatorFilter", "conditionAbsent.filter", "conditionMatchedLog.filter")
_LABEL = re.compile(
    r'\bresource\.labels?\.(service_name|subscription_id|gateway_id)"?\s*=\s*(?:"([^"]+)"|one_of\(([^)]*)\)|([\w-]+)(?![\w.(-]))'
)
# What is excluded, or is another project's, is not what is watched.
_ELSEWHERE = re.compile(r"\bNOT\b|(?:^|[\s(])-\w|\bresource\.labels?\.project_id\b")
_LOGS = "logging.googleapis.com/user"
_LOG_METRIC = re.compile(rf"\b{re.escape(_LOGS)}/([^\"'\s]+)")
_RESOURCE_TYPE = re.compile(r'\bresource\.type\s*=\s*"?([\w./-]+)')
_COLUMN = re.compile(r"""\bContainerAppName(?:_s)?\s*(==|=~)\s*@?["']([^"']+)["']""")
_TAGGED = {
    "tags": (
        t.S3, t.ECR, t.LAMBDA, t.MODEL, t.ENDPOINT, t.ENDPOINT_CONFIG, t.QUEUE, t.TOPIC, t.TABLE, t.ROLE, t.LOG_GROUP, t.ALARM, t.REST_API,
        t.REST_STAGE, t.STORAGE, t.ACR, t.APIM, t.APP, t.APP_ENVIRONMENT, t.JOB, t.WORKSPACE, t.RESOURCE_GROUP, t.EVENT_TOPIC, t.COSMOS,
    ),
    "labels": (t.RUN, t.GCS, t.REGISTRY, t.SUBSCRIPTION, t.EVENTARC),
}  # fmt: skip
_ALL_OF = {"tags": "tagsAll", "labels": "effectiveLabels"}
# Where a type says that it is not deleted by a `destroy`, and what.
_PROTECTED = {
    t.TABLE: ("deletionProtectionEnabled", True),
    t.DATABASE: ("deleteProtectionState", "DELETE_PROTECTION_ENABLED"),
    t.S3: ("", None),
    t.GCS: ("", None),
    t.STORAGE: ("", None),
    t.COSMOS: ("", None),
}
_RESTORED = {
    t.TABLE: ("pointInTimeRecovery.enabled", True),
    t.DATABASE: ("pointInTimeRecoveryEnablement", "POINT_IN_TIME_RECOVERY_ENABLED"),
}
# The oldest that AWS still mends (Lambda developer guide, supported runtimes; read by way of endoflife.date/aws-lambda, 2026-11).
_OLDEST = {"python": (3, 11), "nodejs": (22,), "java": (17,), "dotnet": (10,), "ruby": (3, 3)}
# Without a number that tells, and what came in their place.
_REPLACED = {
    **dict.fromkeys(("go1.x", "provided", "provided.al2"), "provided.al2023"),
    **dict.fromkeys(("nodejs", "nodejs4.3-edge"), "nodejs22.x"),
}


def _metrics(alarm: Resource) -> list[tuple[View, str]]:
    """What holds the alarm's own metric and those that it is computed from, and the way there."""
    return [(alarm, ""), *((each, "metric.") for each in alarm.each("metricQueries") if not each.at("accountId"))]


def _dimensions(alarm: Resource, context: Context) -> Iterator[str]:
    return every(_metrics(alarm), lambda holder: _of_metric(*holder, context))


def _of_metric(holder: View, way: str, context: Context) -> Iterator[str]:
    path = f"{way}dimensions"
    known = _DIMENSIONS.get(str(holder.at(f"{way}namespace")), {})
    for name, value in (holder.at(path) or {}).items() if known else ():
        if name in known:
            # A function that runs at the edge has its region before its name.
            named = str(value).rpartition(".")[2] if name == "FunctionName" else str(value)
            yield from _absent(f"{holder.named(path)}.{name}", named, [_called(each) for each in context.graph.all(known[name])], context)
        elif meant := next((each for each in known if each.lower() == re.sub("[^a-z]", "", name.lower())), None):
            yield f"{holder.named(path)} has {name}: AWS calls it {meant}, and measures nothing by another name."


def _called(resource: Resource) -> str:
    """What a dimension calls it."""
    return str(resource.at("id" if resource.type == t.HTTP_API else "name"))


def _filters(policy: Resource, context: Context) -> Iterator[str]:
    parts = [(each, path) for each in policy.each("conditions") for path in _FILTERS]
    return every(parts, lambda part: _of_filter(*part, context))


def _of_filter(condition: View, path: str, context: Context) -> Iterator[str]:
    text = re.sub(r"(?m)^\s*(#|--).*$", "", str(condition.at(path)))
    if _ELSEWHERE.search(text):
        return
    for metric in _LOG_METRIC.findall(text):
        named = [str(each.at("name")) for each in context.graph.all(t.LOG_METRIC)]
        yield from _absent(f"{condition.named(path)}: {_LOGS}", metric, named, context)
    for label, quoted, several, bare in _LABEL.findall(text):
        type_, places = _LABELS[label]
        if type_ in _RESOURCE_TYPE.findall(text):
            held = [(each, places[each.type]) for each in context.graph.all(*places)]
            for value in re.findall('"([^"]+)"', several) or [quoted or bare]:
                yield from _absent(f"{condition.named(path)}: {label}", value, _named(held, value), context)


def _named(held: Sequence[tuple[Resource, str]], value: str) -> list[str]:
    """The names of resources, each at its path. Raises Unread where one is not known, unless another one has the value."""
    known, unread = [], None
    for each, path in held:
        try:
            known.append(str(each.at(path)).rpartition("/")[2])
        except Unread as error:
            unread = error
    if unread is not None and value not in known:
        raise unread
    return known


def _query(alert: Resource, context: Context) -> Iterator[str]:
    def judge(condition: View) -> Iterator[str]:
        text = re.sub(r"//.*", "", str(condition.at("query")))
        # Azure's provider gives out `name` alone.
        named = [str(each.at("containerAppName") or each.at("name")) for each in context.graph.all(t.APP)]
        for how, value in _COLUMN.findall(text) if "not(" not in text else ():
            held = next((each for each in named if each.lower() == value.lower()), value) if how == "=~" else value
            yield from _absent(f"{condition.named('query')}: ContainerAppName", held, named, context)

    return every(alert.each("criteria.allOf"), judge)


def _scopes(alert: Resource, context: Context) -> Iterator[str]:
    """What an alert watches is a resource, or what holds some; Azure asks nobody where `skipMetricValidation` is true."""
    if alert.links.get("scopes"):
        return
    ids = [str(each.at("id")) for each in context.graph.resources if each.type.startswith("azure-native:")]
    for scope in alert.at("scopes", []):
        if not any(f"{each}/".lower().startswith(f"{scope}/".lower()) for each in ids):
            yield from _absent("scopes", scope, ids, context)


def _absent(where: str, value: str, named: Sequence[str], context: Context) -> Iterator[str]:
    """What an alarm names, and the stack has not; nothing where it is said to be elsewhere."""
    if value not in named and not any(fnmatchcase(value, each) for each in context.config["elsewhere"]):
        have = ", ".join(sorted(named)) or "none"
        yield f"{where} is {shown(value)}, and the stack has {have}: an alarm on what does not exist never rings."


def _unwatched(mapping: Resource, context: Context) -> Iterator[str]:
    """The queue of what failed has an alarm."""
    queue = context.graph.behind(mapping, "eventSourceArn", t.QUEUE)
    arn = str(redrive_of(queue, context)[1].get("deadLetterTargetArn", "")) if queue else ""
    name = arn.rpartition(":")[2]
    if name and not any(every(context.graph.all(t.ALARM), lambda alarm: _watches(alarm, name))):
        yield f"no alarm has the dimension QueueName {shown(name)}: add one on ApproximateNumberOfMessagesVisible above 0."


def _watches(alarm: Resource, queue: str) -> Iterator[bool]:
    return every(_metrics(alarm), lambda holder: iter([(holder[0].at(f"{holder[1]}dimensions") or {}).get("QueueName") == queue]))


def _tags(resource: Resource, context: Context) -> Iterator[str]:
    key = next(key for key, types in _TAGGED.items() if resource.type in types)
    came, counted = resource.at(key, {}), _counted_by(resource, context)
    wanted_keys = list(dict.fromkeys((*context.config["keys"], *counted)))
    if not all(map(came.get, wanted_keys)):
        # Those that the provider gives to each are in another output.
        came = {**(resource.at(_ALL_OF[key]) or {}), **came}
    missing = [each for each in wanted_keys if not came.get(each)]
    if missing:
        yield f"{key} lacks {', '.join(missing)}: add what the bill is split by."
    # Of a service of Cloud Run only what its template is labelled with reaches the bill ("Configure labels for services").
    billed = resource.at("template.labels", {}) if resource.type == t.RUN else came
    if unbilled := [each for each in counted if came.get(each) and billed.get(each) != came[each]]:
        yield f"template.labels lacks {', '.join(unbilled)} as {key} has it: the budget counts by that, and the bill has no other labels."
    for name, values in counted.items():
        if came.get(name) and came[name] not in values:
            yield f"{key}.{name} is {shown(came[name])}, and a budget counts by {name} {' or '.join(map(shown, values))}: set it to that."


def _counted_by(resource: Resource, context: Context) -> dict[str, list[str]]:
    """Tags, and the values of each, by which the stack's budget counts what is billed in the resource's cloud. One of several budgets may
    count a part of the stack alone, on purpose."""
    budgets = [each for each in context.graph.all(t.AWS_BUDGET, t.GCP_BUDGET) if each.type.split(":")[0] == resource.type.split(":")[0]]
    if len(budgets) != 1:
        return {}
    if budgets[0].type == t.GCP_BUDGET:
        return {name: [value] for name, value in budgets[0].at("budgetFilter.labels", {}).items()}
    found: dict[str, list[str]] = {}
    for each in budgets[0].each("costFilters"):
        # Without that prefix they are AWS's own, which nobody can set.
        for value in each.at("values") if each.at("name") == "TagKeyValue" else ():
            prefix, _, tag = value.partition(":")
            name, _, tagged = tag.partition("$")
            if prefix == "user":
                found.setdefault(name, []).append(tagged)
    return found


def _goes_with_stack(resource: Resource, context: Context) -> bool:
    """Whether somebody wrote that data goes with the stack: the parameter, else the stack's own `dataRetention`; what ends by itself anyhow
    does in any case. Raises Unread where neither is to be had; a stack that says nothing keeps its data."""
    if any(fnmatchcase(called, each) for each in context.config["passing"] for called in (resource.name, resource.urn)):
        return True
    written = context.config["dataRetention"]
    if written == "as-the-stack-says":
        if STACK.config is None:
            raise Unread(
                f"{resource.name}: the state does not say whether data may go with the stack; set the parameter dataRetention "
                'to "delete" or "keep"'
            )
        written = _service(STACK.config).get("dataRetention")
    return bool(written == "delete")


def _service(config: Mapping[str, str]) -> Mapping[str, Any]:
    """The stack's own settings; none where it has none, or a value of that name that is somebody else's."""
    with suppress(ValueError):
        service = json.loads(config.get("pilotlight:service", ""))
        if isinstance(service, dict):
            return service
    return {}


def _protected(resource: Resource, context: Context) -> Iterator[str]:
    path, value = _PROTECTED[resource.type]
    if resource.protect or (path and resource.at(path) == value) or _goes_with_stack(resource, context):
        return
    how = f"{path} is {shown(resource.at(path))}: set it to {shown(value)}" if path else "the option protect is false: set it to true"
    yield f"{how}, or write dataRetention: delete."


def _restored(resource: Resource, context: Context) -> Iterator[str]:
    path, value = _RESTORED[resource.type]
    if resource.at(path) != value and not _goes_with_stack(resource, context):
        yield f"{path} is {shown(resource.at(path))}: set it to {shown(value)}, or write dataRetention: delete."


def _expires(bucket: Resource) -> bool:
    return any(each.at("action.type") == "Delete" and each.at("condition.age") for each in bucket.each("lifecycleRules"))


def _versions(resource: Resource, _: Context) -> Iterator[str]:
    if resource.type == t.GCS and not resource.at("versioning.enabled") and not _expires(resource):
        yield "versioning.enabled is not true: set it to true, or delete by age what may go."
    if resource.type == t.BUCKET_VERSIONING and resource.at("versioningConfiguration.status") != "Enabled":
        yield f'versioningConfiguration.status is {shown(resource.at("versioningConfiguration.status"))}: set it to "Enabled".'


def _versioned(bucket: Resource, context: Context) -> Iterator[str]:
    """A bucket keeps versions by a resource of its own (what that says, `_versions` judges) or by an old input; where all ends, none."""
    graph, inline = context.graph, bucket.values.get("versioning")
    if isinstance(inline, Mapping) and inline.get("enabled") is True:
        return
    if any(graph.behind(each, "bucket", t.S3) is bucket for each in graph.all(t.BUCKET_VERSIONING)):
        return
    lives = [each for each in graph.all(t.BUCKET_LIFECYCLE) if graph.behind(each, "bucket", t.S3) is bucket]
    if not any(for_all_objects(rule) and rule.at("expiration.days") for each in lives for rule in each.each("rules")):
        yield 'has no BucketVersioning: add one with versioningConfiguration.status "Enabled", or let a lifecycle delete all by its age.'


def _runtime(resource: Resource, _: Context) -> Iterator[str]:
    runtime = resource.at("runtime")
    if runtime in _REPLACED:
        yield f"runtime is {shown(runtime)}, which is no longer mended: set it to {_REPLACED[runtime]}."
    match = re.fullmatch(r"(python|nodejs|java|dotnet|ruby)(?:core)?([\d.]+)(\.x|\.al2)?", str(runtime)) if runtime else None
    if match and (came := tuple(int(each) for each in match[2].strip(".").split("."))) < _OLDEST[match[1]]:
        least = ".".join(map(str, _OLDEST[match[1]]))
        yield f"runtime is {shown(runtime)} ({'.'.join(map(str, came))}): set it to {match[1]}{least} or later."


def _log_group(function: Resource, context: Context) -> Iterator[str]:
    if function.at("loggingConfig.logGroup"):
        return
    usual = f"/aws/lambda/{function.at('name')}"
    if not any(each.at("name") == usual for each in context.graph.all(t.LOG_GROUP)):
        yield f"loggingConfig.logGroup is missing: set it to the name of a LogGroup with a retention, or make the LogGroup {usual}."


_RETENTION: Mapping[str, Mapping[str, Any]] = {
    "dataRetention": {
        "type": "string",
        "enum": ["keep", "delete", "as-the-stack-says"],
        "default": "as-the-stack-says",
        "description": "Whether data may go with the stack; needed where only a state is judged.",
    },
    "passing": {
        "type": "array",
        "items": {"type": "string"},
        "default": ["*$pilotlight:index:AnswerStore$*", "*::pilotlight:index:AnswerStore$*"],
        "description": "Names or URNs (with * and ?) of stores whose content ends by itself, so that nobody keeps or restores it.",
    },
}

RULES = (
    Rule(
        id="alarm-dimensions-exist",
        group="operations",
        severity="high",
        idea="An alarm watches something that is there.",
        fix="Name the resource as it is named.",
        checks=(
            Check((t.ALARM,), _dimensions),
            Check((t.ALERT_POLICY,), _filters),
            Check((t.LOG_ALERT,), _query),
            Check((t.METRIC_ALERT,), _scopes),
        ),
        parameters={
            "elsewhere": {
                "type": "array",
                "items": {"type": "string"},
                "default": [],
                "description": "Names (with * and ?) of what is watched and is not of the stack.",
            }
        },
        stack=True,
    ),
    Rule(
        id="alarm-says-what-silence-means",
        group="operations",
        severity="low",
        idea="An alarm says what it means that nothing is measured.",
        fix="At rest nothing is measured: say that this is no fault.",
        checks=(
            *wanted(t.ALARM, one_of("treatMissingData", ("notBreaching", "ignore", "breaching"))),
            *wanted((t.METRIC_ALERT, t.LOG_ALERT), one_of("enabled", (True,))),
        ),
    ),
    Rule(
        id="dead-letters-are-watched",
        group="operations",
        severity="high",
        idea="Somebody is told when something was given up.",
        fix="Add an alarm on the queue of what failed.",
        checks=(Check((t.MAPPING,), _unwatched),),
        stack=True,
    ),
    Rule(
        id="tagged",
        group="operations",
        severity="low",
        idea="What is billed says whose it is.",
        fix="Tag it, or give the component a transformation that does. A budget that counts by a tag sees nothing of what lacks it.",
        checks=(Check(tuple(type_ for types in _TAGGED.values() for type_ in types), _tags),),
        parameters={
            "keys": {
                "type": "array",
                "items": {"type": "string"},
                "default": ["project", "stack"],
                "description": "Tags that each has, beside those that a budget counts by.",
            }
        },
        stack=True,
    ),
    Rule(
        id="data-is-protected",
        group="operations",
        severity="high",
        idea="Data goes with its stack only where somebody wrote so.",
        fix="Protect it, or write dataRetention: delete.",
        checks=(Check(tuple(_PROTECTED), _protected),),
        answers=("FSBP:DynamoDB.6",),
        framework=("AWS Foundational Security Best Practices", "DynamoDB.6"),
        parameters=_RETENTION,
    ),
    Rule(
        id="data-can-be-restored",
        group="operations",
        severity="medium",
        idea="Data that is kept can be restored to any minute.",
        fix="Turn on recovery, or write dataRetention: delete.",
        checks=(Check(tuple(_RESTORED), _restored),),
        answers=("CKV_AWS_28", "FSBP:DynamoDB.2", "nag:W78", "KICS:dynamodb_table_point_in_time_recovery_disabled"),
        framework=("AWS Foundational Security Best Practices", "DynamoDB.2"),
        parameters=_RETENTION,
    ),
    Rule(
        id="objects-have-versions",
        group="operations",
        severity="medium",
        idea="An object that is written again is not lost.",
        fix="Turn versions on.",
        checks=(Check((t.GCS, t.BUCKET_VERSIONING), _versions), Check((t.S3,), _versioned)),
        answers=("CKV_AWS_21", "CKV_GCP_78", "FSBP:S3.14"),
        framework=("AWS Foundational Security Best Practices", "S3.14"),
        stack=True,
    ),
    Rule(
        id="runtime-is-supported",
        group="operations",
        severity="high",
        idea="A function's runtime is one that AWS still mends.",
        fix="Take a later one: an old runtime can soon be neither made nor changed.",
        checks=(Check((t.LAMBDA,), _runtime),),
        answers=("CKV_AWS_363", "FSBP:Lambda.2"),
        framework=("AWS Foundational Security Best Practices", "Lambda.2"),
    ),
    Rule(
        id="function-logs-where-it-is-kept",
        group="operations",
        severity="medium",
        idea="A function writes its log to a group of the stack.",
        fix="Name the group: the one that Lambda makes itself is kept for ever, and stays when the stack goes.",
        checks=(Check((t.LAMBDA,), _log_group),),
        answers=("nag:W58",),
        stack=True,
    ),
)
