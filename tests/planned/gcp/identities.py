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
FLOOR = ("run.services.get", "run.services.update")
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
    """The physical names of one plan: what calls are about. `buckets` by role; `jobs` by their short names."""

    prefix: str
    buckets: Mapping[str, str]
    endpoint_account: str
    jobs: tuple[str, ...]

    def service(self, role: str = "") -> str:
        return f"projects/{PROJECT}/locations/{REGION}/services/{self.named(role)}"

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
        return f"{self.prefix}-{role}" if role else self.prefix


@dataclass(frozen=True)
class Call:
    """One permission on one resource. `reach`: what holds the resource and the grant is on; the resource alone where it is empty."""

    permission: str
    resource: str
    reach: str = ""

    def covers(self, resource: str) -> bool:
        held = self.reach or self.resource
        return resource == held or resource.startswith(held if held.endswith("/") else f"{held}/")


def calls(account: str, names: Names, *, pattern: str, answers: bool, queue: bool) -> list[Call]:
    """One account's calls, by its role's word. KeyError for a role without a table."""
    asks_model = Call(INVOKE, names.service())
    table: Mapping[str, list[Call]] = {
        # handlers/engines/fetching.py; with events handlers/engines/references.py
        "endpoint": [*_read(names, "models", "", "models/x"), *(_read(names, "objects", "", "in/a.txt") if pattern == "events" else ())],
        "api": [asks_model, *(_hands_over(names) if answers else ())],
        "gateway": [Call(INVOKE, names.service("predict"))],
        "worker": [asks_model, *(_answers_later(names) if answers else ())],
        "answers": [Call(INVOKE, names.service("worker"))],
        "events": [asks_model, *(_works_on_objects(names, queue) if pattern == "events" else ())],
        # Eventarc documentation, roles of a trigger's account
        "trigger": [Call("eventarc.events.receiveEvent", f"projects/{PROJECT}"), Call(INVOKE, names.service("events"))],
        "warmer": [asks_model],
        "pings": [Call(INVOKE, names.service("warmer"))],
        "floors": _sets_floor(names),
        "floor": [*_sets_floor(names), *_pauses(names)],
        "spent": [Call(INVOKE, names.service("floor"))],
    }
    return list(table[account])


def agents(names: Names, subscriptions: Mapping[str, str], pushes: set[str], triggers: bool) -> dict[str, list[Call]]:
    """What Google's own identities do in the name of the stack; `subscriptions` have dead letters: their roles, and those of the topics.
    `pushes` are the accounts that are pushed as."""
    project = f"projects/{PROJECT}"
    moved = [call for of, dead in subscriptions.items() for call in (Call(TAKE, names.subscription(of)), Call(PUBLISH, names.topic(dead)))]
    # Granted on the project, where Google itself grants it.
    tokens = [Call("iam.serviceAccounts.getOpenIdToken", f"{project}/serviceAccounts/{email}", project) for email in sorted(pushes)]
    # The topic, the subscription and the notification of a trigger are Eventarc's to make.
    made = [Call(permission, project) for permission in ("pubsub.topics.create", "pubsub.subscriptions.create")]
    told = {}
    if triggers:
        tells = Call("storage.buckets.update", names.bucket("objects"), "projects/_/buckets/")
        told = {STORAGE_AGENT: [Call(PUBLISH, project)], EVENTARC_AGENT: [*made, tells]}
    return {**({PUBSUB_AGENT: moved + tokens} if moved or tokens else {}), **told}


def _read(names: Names, bucket: str, folder: str, name: str) -> list[Call]:
    """What may be listed is told 404 of what is gone, else 403, which would be tried for ever."""
    return [_of_object(names, GET, bucket, folder, name), Call(LIST, names.bucket(bucket))]


def _write(names: Names, bucket: str, folder: str, name: str) -> Call:
    return _of_object(names, CREATE, bucket, folder, name)


def _of_object(names: Names, permission: str, bucket: str, folder: str, name: str) -> Call:
    """In every folder of the bucket where none is named."""
    return Call(permission, names.object(bucket, name), names.object(bucket, f"{folder}/") if folder else names.bucket(bucket))


def _rows(names: Names, role: str, *verbs: str) -> list[Call]:
    return [Call(f"datastore.entities.{verb}", names.database(role)) for verb in verbs]


def _hands_over(names: Names) -> list[Call]:
    """handlers/functions/gcp/answers.py and idempotency.py, as the function that is asked uses them."""
    return [
        *_rows(names, "answers", "get", "create", "update", "delete"),
        _write(names, "answers", "requests", "requests/abc"),
        _write(names, "answers", "answers", "answers/abc"),
        *_read(names, "answers", "answers", "answers/abc"),
        Call(PUBLISH, names.topic("answers")),
    ]


def _answers_later(names: Names) -> list[Call]:
    """The same as their worker uses them."""
    read = _read(names, "answers", "requests", "requests/abc")
    return [*_rows(names, "answers", "get", "update"), *read, _write(names, "answers", "answers", "answers/abc")]


def _works_on_objects(names: Names, queue: bool) -> list[Call]:
    """handlers/functions/gcp/{objects,results,attempts}.py"""
    return [
        *_read(names, "objects", "", "in/a.txt"),
        *_rows(names, "results", "get", "create", "update", "delete"),
        _write(names, "results", "", "results/x"),
        Call(PUBLISH, names.topic("dead")),
        *([Call(PUBLISH, names.topic("results"))] if queue else []),
    ]


def _sets_floor(names: Names) -> list[Call]:
    """Cloud Run API v2, services.patch: who changes a service deploys as its identity."""
    account = f"projects/{PROJECT}/serviceAccounts/{names.endpoint_account}"
    return [*(Call(permission, names.service()) for permission in FLOOR), Call("iam.serviceAccounts.actAs", account)]


def _pauses(names: Names) -> list[Call]:
    """handlers/functions/gcp/floor.py; jobs have no policies of their own, so that the grant is the project's."""
    jobs = [f"projects/{PROJECT}/locations/{REGION}/jobs/{job}" for job in names.jobs]
    return [Call(f"cloudscheduler.jobs.{verb}", job, f"projects/{PROJECT}") for job in jobs for verb in ("get", "pause")]
