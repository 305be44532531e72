"""What each identity of the Google stacks calls, and where: the code, or the service that calls in its name.

An account that stands in no table here fails the tests, and so does a right that no call needs and nothing excuses.
"""

from collections.abc import Mapping
from dataclasses import dataclass

PROJECT, REGION, NUMBER = "my-project", "europe-west1", "123456789012"
PUBSUB_AGENT = f"service-{NUMBER}@gcp-sa-pubsub.iam.gserviceaccount.com"
STORAGE_AGENT = f"service-{NUMBER}@gs-project-accounts.iam.gserviceaccount.com"
EVENTARC_AGENT = f"service-{NUMBER}@gcp-sa-eventarc.iam.gserviceaccount.com"
INVOKE, PUBLISH, TAKE = "run.routes.invoke", "pubsub.topics.publish", "pubsub.subscriptions.consume"
GET, LIST, CREATE = "storage.objects.get", "storage.objects.list", "storage.objects.create"
# The module that each identity's program begins with; the others are what services call as.
CODE: Mapping[str, str] = {
    "endpoint": "handlers/server/__main__.py",
    **{role: f"handlers/functions/gcp/{role}.py" for role in ("api", "events", "worker", "warmer", "floor")},
}
ACCOUNTS = (*CODE, "gateway", "answers", "trigger", "pings", "floors", "spent")
# Permissions of what the code calls, by what `called.py` finds in its text.
METHODS: Mapping[str, tuple[str, ...]] = {
    "asked 'POST'": (INVOKE,),
    "firestore.commit": (),  # what is in it counts by itself
    "firestore.create": ("datastore.entities.create",),
    "firestore.delete": ("datastore.entities.delete",),
    "firestore.get": ("datastore.entities.get",),
    "firestore.get_all": ("datastore.entities.get",),
    "firestore.set": ("datastore.entities.create", "datastore.entities.update"),
    "firestore.update": ("datastore.entities.update",),
    "pubsub.publish": (PUBLISH,),
    "run GET": ("run.services.get",),
    # Who changes a service deploys as its identity (Cloud Run documentation, "Service identity").
    "run PATCH": ("run.services.update", "iam.serviceAccounts.actAs"),
    "scheduler GET": ("cloudscheduler.jobs.get",),
    "scheduler POST :pause": ("cloudscheduler.jobs.pause",),
    # What may be listed is told 404 of what is gone, else 403, which would be tried for ever.
    "storage.open": (GET, LIST),
    "storage.write": (CREATE,),
}
# Below the calls that are counted: each of these is one of them on its way.
_OURS = "handlers/functions/gcp/"
BELOW = frozenset(
    (
        "handlers/functions/rest.py: asked",
        "handlers/functions/tokens.py: ask",
        # Spans go to the collector that whoever runs the image names, with nobody's right.
        "handlers/functions/otlp_http.py: take",
        # Cog's webhooks go to whom the stack names, with nobody's right.
        "handlers/server/contracts/webhooks.py: _once",
        f"{_OURS}floor.py: _sent",
        f"{_OURS}storage.py: _asked",
        f"{_OURS}storage.py: _is_there",
        f"{_OURS}storage.py: written",
        f"{_OURS}topics.py: publish",
    )
)
# What is done to a document by each function that `handlers/functions/keys.py` keeps keys with.
_KEYS = {"_create": "create", "_read": "get", "_replace": "update", "_remove": "delete"}
# What an identity's program could call by what it imports, and never does: where, and why not.
PASSED_OVER: Mapping[str, Mapping[str, str]] = {
    "worker": {
        f"{_OURS}answers.py: put_row": "who was asked makes the row",
        f"{_OURS}answers.py: send": "its store has no topic",
        **{f"{_OURS}idempotency.py: {one}": "keys are of requests" for one in _KEYS},
    },
}
# What a role brings along that nothing here calls, and why no smaller one does: role → permissions (`*` at the end) → reason.
SPARE: Mapping[str, Mapping[str, str]] = {
    "roles/run.invoker": {"run.jobs.run": "there is no job, and it is granted on one service"},
    "roles/storage.objectViewer": {
        "storage.folders.*": "of buckets with a hierarchy, which this is not",
        "storage.managedFolders.*": "managed folders hold policies, and there is none",
    },
    "roles/storage.objectCreator": {
        "storage.folders.create": "of buckets with a hierarchy, which this is not",
        "storage.managedFolders.create": "a folder without a policy changes nothing",
        "storage.multipartUploads.*": "of the XML API; parts of its own uploads alone",
        "storage.objects.createContext": "words beside an object that it may write anyway",
    },
    "roles/datastore.user": {
        "datastore.databases.get*": "which database this is",
        "datastore.databases.list": "on a database it lists nothing: databases are listed on the project",
        "datastore.entities.*": "of documents in its own database, which it reads and writes anyway",
        "datastore.namespaces.*": "of Datastore mode, which this database is not in",
        "datastore.schemas.list": "the shape of its own documents",
        "datastore.statistics.*": "of Datastore mode",
    },
    "roles/iam.serviceAccountUser": {"iam.serviceAccounts.get": "the name of that one account", "iam.serviceAccounts.list": "the same"},
    "roles/eventarc.eventReceiver": {"eventarc.events.receiveAuditLogWritten": "there is no trigger of audit logs that it could serve"},
    "roles/eventarc.serviceAgent": {
        "iam.serviceAccounts.*": "Google's own role for its own agent, which it has wherever Eventarc works: of the trigger's account",
        "pubsub.topics.*": "the same: of the topic of a trigger",
        "pubsub.subscriptions.*": "the same: of its subscription",
        "storage.buckets.*": "the same: of the bucket that tells of objects",
        "run.services.get": "the same: of the service that is told",
    },
    "roles/pubsub.serviceAgent": {"iam.serviceAccounts.*": "Google's own role for its own agent: of any account that a push may name"},
    "roles/pubsub.subscriber": {
        "pubsub.snapshots.seek": "there is no snapshot",
        "pubsub.topics.attachSubscription": "of topics, and it is granted on a subscription",
    },
}


@dataclass(frozen=True, kw_only=True)
class Names:
    """The physical names of one plan: what calls are about. `endpoint` is that of its service; `buckets` by role; `jobs` by their short
    names."""

    prefix: str
    endpoint: str
    buckets: Mapping[str, str]
    endpoint_account: str
    jobs: tuple[str, ...]

    def service(self, role: str = "") -> str:
        """Of the endpoint without a role."""
        return f"projects/{PROJECT}/locations/{REGION}/services/{self.named(role) if role else self.endpoint}"

    def topic(self, role: str) -> str:
        return f"projects/{PROJECT}/topics/{self.named(role)}"

    def subscription(self, role: str) -> str:
        return f"projects/{PROJECT}/subscriptions/{self.named(role)}"

    def database(self, role: str) -> str:
        return f"projects/{PROJECT}/databases/{self.named(role)}"

    def bucket(self, role: str) -> str:
        return f"projects/_/buckets/{self.buckets[role]}"

    def object(self, role: str, name: str) -> str:
        return f"{self.bucket(role)}/objects/{name}"

    def named(self, role: str) -> str:
        return f"{self.prefix}-{role}"


@dataclass(frozen=True)
class Call:
    """One permission on one resource. `by`: the file and the function that needs it, or the page that says which service does. `reach`:
    what holds the resource and the grant is on; the resource alone where it is empty."""

    permission: str
    resource: str
    by: str
    reach: str = ""

    def covers(self, resource: str) -> bool:
        held = self.reach or self.resource
        return resource == held or resource.startswith(held if held.endswith("/") else f"{held}/")


def calls(account: str, names: Names, *, pattern: str, answers: bool, queue: bool) -> list[Call]:
    """One account's calls, by its role's word. KeyError for a role without a table."""
    asks_model = Call(INVOKE, names.service(), "handlers/functions/http_endpoint.py: _asked")
    push, http = "Pub/Sub documentation, push authentication", "Cloud Scheduler documentation, HTTP targets with authentication"
    of_trigger = "Eventarc documentation, roles of a trigger's account"
    model = _read(names, "handlers/engines/fetching.py: _from_cloud_storage", "models", "", "models/x")
    objects = _read(names, f"{_OURS}objects.py: get", "objects", "", "in/a.txt") if pattern == "events" else []
    table: Mapping[str, list[Call]] = {
        "endpoint": [*model, *objects],
        "api": [asks_model, *(_hands_over(names) if answers else ())],
        "gateway": [Call(INVOKE, names.service("predict"), "API Gateway documentation, x-google-backend")],
        "worker": [asks_model, *(_answers_later(names) if answers else ())],
        "answers": [Call(INVOKE, names.service("worker"), push)],
        "events": [asks_model, *objects, *(_keeps_results(names, queue) if pattern == "events" else ())],
        "trigger": [
            Call("eventarc.events.receiveEvent", f"projects/{PROJECT}", of_trigger),
            Call(INVOKE, names.service("events"), of_trigger),
        ],
        "warmer": [asks_model],
        "pings": [Call(INVOKE, names.service("warmer"), http)],
        "floors": _sets_floor(names, "Cloud Run API v2, services.patch, which a job of Cloud Scheduler asks for"),
        "floor": [*_sets_floor(names, f"{_OURS}floor.py: _cooled"), *_pauses(names)],
        "spent": [Call(INVOKE, names.service("floor"), push)],
    }
    return list(table[account])


def agents(names: Names, subscriptions: Mapping[str, str], pushes: set[str], triggers: bool) -> dict[str, list[Call]]:
    """What Google's own identities do in the name of the stack; `subscriptions` have dead letters: their roles, and those of the topics.
    `pushes` are the accounts that are pushed as."""
    project, dead_letters = f"projects/{PROJECT}", "Pub/Sub documentation, dead-letter topics"
    moved = [
        call
        for of, dead in subscriptions.items()
        for call in (Call(TAKE, names.subscription(of), dead_letters), Call(PUBLISH, names.topic(dead), dead_letters))
    ]
    # Granted on the project, where Google itself grants it.
    signs, by = "iam.serviceAccounts.getOpenIdToken", "Pub/Sub documentation, push authentication"
    tokens = [Call(signs, f"{project}/serviceAccounts/{email}", by, project) for email in sorted(pushes)]
    # The topic, the subscription and the notification of a trigger are Eventarc's to make.
    by = "Eventarc documentation, service agents"
    made = [Call(permission, project, by) for permission in ("pubsub.topics.create", "pubsub.subscriptions.create")]
    told = {}
    if triggers:
        tells = Call("storage.buckets.update", names.bucket("objects"), by, "projects/_/buckets/")
        notifies = Call(PUBLISH, project, "Cloud Storage documentation, Pub/Sub notifications")
        told = {STORAGE_AGENT: [notifies], EVENTARC_AGENT: [*made, tells]}
    return {**({PUBSUB_AGENT: moved + tokens} if moved or tokens else {}), **told}


def _read(names: Names, by: str, bucket: str, folder: str, name: str) -> list[Call]:
    return [_of_object(names, GET, by, bucket, folder, name), Call(LIST, names.bucket(bucket), by)]


def _write(names: Names, by: str, bucket: str, folder: str, name: str) -> Call:
    return _of_object(names, CREATE, by, bucket, folder, name)


def _of_object(names: Names, permission: str, by: str, bucket: str, folder: str, name: str) -> Call:
    """In every folder of the bucket where none is named."""
    return Call(permission, names.object(bucket, name), by, names.object(bucket, f"{folder}/") if folder else names.bucket(bucket))


def _rows(names: Names, role: str, file: str, functions: Mapping[str, str]) -> list[Call]:
    """Functions of a file, and what each does to documents of a database, in words."""
    return [
        Call(f"datastore.entities.{verb}", names.database(role), f"{_OURS}{file}: {function}")
        for function, verbs in functions.items()
        for verb in verbs.split()
    ]


def _hands_over(names: Names) -> list[Call]:
    """Answers that come later, as the function that is asked has them; idempotency keys are documents of the same database."""
    store = f"{_OURS}answers.py: "
    return [
        *_rows(names, "answers", "answers.py", {"put_row": "create update", "row": "get", "_changed": "get update"}),
        *_rows(names, "answers", "idempotency.py", _KEYS),
        _write(names, f"{store}_put", "answers", "requests", "requests/abc"),
        _write(names, f"{store}_put", "answers", "answers", "answers/abc"),
        *_read(names, f"{store}_get", "answers", "answers", "answers/abc"),
        Call(PUBLISH, names.topic("answers"), f"{store}send"),
    ]


def _answers_later(names: Names) -> list[Call]:
    """The same as their worker has them."""
    store = f"{_OURS}answers.py: "
    return [
        *_rows(names, "answers", "answers.py", {"row": "get", "_changed": "get update"}),
        *_read(names, f"{store}_get", "answers", "requests", "requests/abc"),
        *_read(names, "a write that is forbidden looks whether what it would write is there", "answers", "answers", "answers/abc"),
        _write(names, f"{store}_put", "answers", "answers", "answers/abc"),
    ]


def _keeps_results(names: Names, queue: bool) -> list[Call]:
    """Results and attempts of events: documents, large results beside them, messages where they are wanted."""
    attempts = {"begin": "get", "over_with": "create update", "_end": "get", "_created": "create", "_updated": "update"}
    return [
        *_rows(names, "results", "attempts.py", attempts),
        *_rows(names, "results", "results.py", {"_write": "create update", "_mark": "update", "_read": "get"}),
        _write(names, f"{_OURS}results.py: _keep", "results", "", "results/x"),
        Call(PUBLISH, names.topic("dead"), f"{_OURS}events.py: _bury"),
        *([Call(PUBLISH, names.topic("results"), f"{_OURS}results.py: _publish")] if queue else []),
    ]


def _sets_floor(names: Names, by: str) -> list[Call]:
    account = f"projects/{PROJECT}/serviceAccounts/{names.endpoint_account}"
    own = [Call(f"run.services.{verb}", names.service(), by) for verb in ("get", "update")]
    return [*own, Call("iam.serviceAccounts.actAs", account, by)]


def _pauses(names: Names) -> list[Call]:
    """Jobs have no policies of their own, so that the grant is the project's."""
    jobs, by = [f"projects/{PROJECT}/locations/{REGION}/jobs/{job}" for job in names.jobs], f"{_OURS}floor.py: _paused"
    return [Call(f"cloudscheduler.jobs.{verb}", job, by, f"projects/{PROJECT}") for job in jobs for verb in ("get", "pause")]
