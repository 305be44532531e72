"""What each identity of the Azure stacks calls, and where: the code, or the service that calls in its name.

An identity that stands in no table here fails the tests, and so does a right that no call needs and nothing excuses.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_STORAGE = "Microsoft.Storage/storageAccounts"
_CONTAINERS, _QUEUES, _TABLES = (
    f"{_STORAGE}/{each}" for each in ("blobServices/containers", "queueServices/queues", "tableServices/tables")
)
PULL = "Microsoft.ContainerRegistry/registries/pull/read"
READ, WRITE = f"{_CONTAINERS}/blobs/read", f"{_CONTAINERS}/blobs/write"
# Messages: put in, looked at, taken and removed, held for longer; and how many there are, which is no right on data.
PUT, PEEK, TAKE, HOLD = (f"{_QUEUES}/messages/{each}" for each in ("add/action", "read", "process/action", "write"))
COUNT = f"{_QUEUES}/read"
# Of Resource Manager: a budget, and what is changed of apps and jobs.
ASK, SEE, CHANGE, LOOK, STOP = (
    "Microsoft.Consumption/budgets/read",
    *(f"Microsoft.App/{each}" for each in ("containerApps/read", "containerApps/write", "jobs/read", "jobs/write")),
)
GET, INSERT, UPDATE, UPSERT, REMOVE = (f"{_TABLES}/entities/{each}" for each in ("read", "add/action", "update/action", "write", "delete"))
# The same of Cosmos DB, each with what its service does for it: a transaction is a procedure, and of a merge no page says which it takes.
_IN_COSMOS = "Microsoft.DocumentDB/databaseAccounts"
_ROWS = f"{_IN_COSMOS}/tables/containers/entities"
COSMOS: Mapping[str, tuple[str, ...]] = {
    GET: (f"{_IN_COSMOS}/readMetadata", f"{_ROWS}/read"),
    INSERT: (f"{_IN_COSMOS}/tables/containers/executeStoredProcedure", f"{_ROWS}/create"),
    UPDATE: (f"{_ROWS}/replace", f"{_ROWS}/upsert"),
}
TELL = "Microsoft.Insights/Telemetry/Write"
_OURS = "handlers/functions/azure/"
# The module that each identity's program begins with; the others are what services call as.
CODE: Mapping[str, str] = {
    "endpoint": "handlers/server/__main__.py",
    **{role: f"{_OURS}{role}.py" for role in ("api", "worker", "forgetter", "events", "warmer", "floor")},
}
IDENTITIES = (*CODE, "gateway", "delivery")
# Data actions of what the code calls, by what `called.py` finds in its text. Of a write that may have had its effect the table is asked
# whether it had.
METHODS: Mapping[str, tuple[str, ...]] = {
    # The endpoint is asked without a token: its ingress is its environment's alone.
    "asked 'POST'": (),
    "blobs.etag": (READ,),
    "blobs.open": (READ,),
    "blobs.write": (WRITE,),
    "insights.track": (TELL,),
    "manager.app": (SEE,),
    "manager.budget": (ASK,),
    "manager.change_app": (CHANGE,),
    "manager.change_job": (STOP,),
    "manager.job": (LOOK,),
    "queues.delete": (TAKE,),
    "queues.get": (TAKE,),
    "queues.peek": (PEEK,),
    "queues.put": (PUT,),
    "queues.put_off": (HOLD,),
    # New entities, and others in the place of what was read.
    "tables.commit": (INSERT, UPDATE, GET),
    "tables.delete": (REMOVE,),
    "tables.get": (GET,),
    "tables.insert": (INSERT, GET),
    "tables.merge": (UPDATE, GET),
    "tables.older": (GET,),
    # Whatever is there.
    "tables.put": (UPSERT,),
    "tables.replace": (UPDATE, GET),
}
# Below the calls that are counted: each of these is one of them on its way, or asks for a token.
BELOW = frozenset(
    (
        "handlers/functions/rest.py: asked",
        "handlers/functions/tokens.py: ask",
        # Spans go to the collector that whoever runs the image names, with nobody's right.
        "handlers/functions/otlp_http.py: take",
        # Cog's webhooks go to whom the stack names, with nobody's right.
        "handlers/server/contracts/webhooks.py: _once",
        f"{_OURS}blobs.py: _asked",
        *(f"{_OURS}blobs.py: {each}" for each in ("told", "written")),
        *(f"{_OURS}queues.py: {each}" for each in ("_done", "_messages", "put_off")),
        f"{_OURS}insights.py: track",
        f"{_OURS}manager.py: _once",
        f"{_OURS}storage_api.py: asked",
        *(f"{_OURS}tables.py: {each}" for each in ("_listed", "_read", "_written")),
        *(f"{_OURS}transactions.py: {each}" for each in ("_ours", "_sent")),
    )
)
_KEYS: Mapping[str, tuple[str, ...]] = {
    "_create": (INSERT, GET),
    "_read": (GET,),
    "_replace": (UPDATE, GET),
    "_remove": (REMOVE,),
}
# What an identity's program could call by what it imports, and never does: where, and why not.
PASSED_OVER: Mapping[str, Mapping[str, str]] = {
    "endpoint": {f"{_OURS}objects.py: state": "what became of a version is asked by who takes its event"},
    "forgetter": {
        f"{_OURS}answers.py: {each}": "it asks that file for the name of a property alone"
        for each in ("put_row", "send", "waits", "_changed", "_read", "_put", "_get")
    },
    "worker": {
        f"{_OURS}answers.py: put_row": "who was asked makes the row",
        f"{_OURS}answers.py: send": "who was asked hands over",
        f"{_OURS}answers.py: waits": "who is asked for an answer looks",
        **{f"{_OURS}idempotency.py: {each}": "keys are of requests" for each in _KEYS},
    },
}
_ITSELF = "of that one {}, and no smaller built-in role {}: a role of the stack's own would need the right to define roles"
_OF_CONTAINER = _ITSELF.format("container", "writes blobs")
_OF_QUEUE = _ITSELF.format("queue", "holds messages for longer")
_OF_TABLE = _ITSELF.format("table", "changes entities")
_DELEGATION = f"{_STORAGE}/blobServices/generateUserDelegationKey/action"
_OF_ACCOUNT = "of an account, and it is granted on a container"
# What a role brings along that nothing here calls, and why no smaller one does: role → actions → reason.
SPARE: Mapping[str, Mapping[str, str]] = {
    "Storage Blob Data Reader": {
        f"{_CONTAINERS}/read": "what the container is like, whose blobs it reads anyway",
        _DELEGATION: _OF_ACCOUNT,
    },
    "Storage Blob Data Contributor": {
        **{f"{_CONTAINERS}/{each}": _OF_CONTAINER for each in ("delete", "read", "write")},
        **{f"{_CONTAINERS}/blobs/{each}": _OF_CONTAINER for each in ("read", "delete", "move/action", "add/action")},
        _DELEGATION: _OF_ACCOUNT,
    },
    "Monitoring Metrics Publisher": {
        "Microsoft.Insights/Register/Action": "of a subscription, and it is granted on a component",
        "Microsoft.Resources/subscriptions/resourceGroups/read": "of a group, and it is granted on a component",
        "Microsoft.Insights/Metrics/Write": "figures of that one component, and no smaller built-in role tells spans",
    },
    "Storage Queue Data Reader": {COUNT: "how many messages there are, which it may look at anyway"},
    "Storage Queue Data Contributor": {
        **{f"{_QUEUES}/{each}": _OF_QUEUE for each in ("delete", "write")},
        **{f"{_QUEUES}/messages/{each}": _OF_QUEUE for each in ("read", "delete")},
    },
    "Storage Table Data Contributor": {
        **{f"{_TABLES}/{each}": _OF_TABLE for each in ("read", "write", "delete")},
        **{f"{_TABLES}/entities/{each}": _OF_TABLE for each in ("write", "delete", "add/action", "update/action")},
    },
}


@dataclass(frozen=True)
class Call:
    """One action on one resource. `by`: the file and the function that needs it, or the page that says which service does. `reach`: what
    holds the resource and the grant is on; the resource alone where it is empty."""

    action: str
    data: bool
    scope: str
    by: str
    reach: str = ""

    def covers(self, scope: str) -> bool:
        held = self.reach or self.scope
        return scope == held or scope.startswith(f"{held}/")


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where calls of one plan go: `accounts` of storage by their roles, the stack's own registry by the roles of the parts whose image is
    in it. `sends`: results are put into a queue, too. `group`, `endpoint` and `pings`: what a spent budget is about. `cosmos`: the
    account of Cosmos DB that has the rows of results, where one has. `insights`: what takes spans, empty where nothing does."""

    accounts: Mapping[str, str]
    registries: Mapping[str, str]
    sends: bool
    group: str
    endpoint: str
    pings: Sequence[str]
    cosmos: str = ""
    insights: str = ""

    def container(self, account: str, name: str) -> str:
        return f"{self.accounts[account]}/blobServices/default/containers/{name}"

    def queue(self, account: str, name: str) -> str:
        return f"{self.accounts[account]}/queueServices/default/queues/{name}"

    def table(self, account: str, name: str) -> str:
        return f"{self.accounts[account]}/tableServices/default/tables/{name}"


def calls(role: str, places: Places) -> list[Call]:
    """One identity's calls, by its role's word. KeyError for a role without a table."""
    of_image = "Container Apps documentation, image pull with managed identity"
    pulls = [Call(PULL, False, places.registries[role], of_image)] if role in places.registries else []
    table = {
        "endpoint": _of_endpoint,
        "api": _hands_over,
        "worker": _answers_later,
        "forgetter": _forgets,
        "events": _keeps_results,
        "delivery": _delivers,
        # The endpoint asks for no role.
        "warmer": _nothing,
        "floor": _drops,
        # Its tokens prove who calls: whoever is called decides, not a role.
        "gateway": _nothing,
    }
    return [*pulls, *table[role](places), *_tells(role, places)]


def _tells(role: str, places: Places) -> list[Call]:
    """Spans, by whoever has a part in answering; the gateway by itself."""
    by = {"gateway": "API Management documentation, Application Insights: managed identity credentials"}
    by |= dict.fromkeys(("endpoint", "api", "worker", "events"), f"{_OURS}insights.py: send")
    return [Call(TELL, True, places.insights, by[role])] if places.insights and role in by else []


def _nothing(_: Places) -> list[Call]:
    return []


def _of_endpoint(places: Places) -> list[Call]:
    model = _blobs(READ, "handlers/engines/fetching.py: _from_blob", places.container("models", "models"))
    return [model, *([_reads_objects(places)] if "work" in places.accounts else [])]


def _reads_objects(places: Places) -> Call:
    return _blobs(READ, f"{_OURS}objects.py: _content", places.container("work", "objects"))


def _hands_over(places: Places) -> list[Call]:
    """Answers that come later, as the function that is asked has them; idempotency keys are entities of the same table."""
    if "answers" not in places.accounts:
        return []
    table, queue = places.table("answers", "answers"), places.queue("answers", "answers")
    return [
        *_data(table, "answers.py", {"put_row": (UPSERT,)}),
        *_answers(places),
        *_data(table, "idempotency.py", _KEYS),
        *_data(queue, "answers.py", {"send": (PUT,), "waits": (PEEK,)}),
    ]


def _answers_later(places: Places) -> list[Call]:
    """The same as their worker has them."""
    return [*_answers(places), *_consumes(places.queue("answers", "answers"), places)]


def _answers(places: Places) -> list[Call]:
    """Rows and bodies, as both have them."""
    store, bodies = f"{_OURS}answers.py: ", places.container("answers", "answers")
    rows = _data(places.table("answers", "answers"), "answers.py", {"_read": (GET,), "_changed": (UPDATE, GET)})
    return [*rows, _blobs(WRITE, f"{store}_put", bodies), _blobs(READ, f"{store}_get", bodies)]


def _forgets(places: Places) -> list[Call]:
    return _data(places.table("answers", "answers"), "forgetter.py", {"run": (GET,), "_remove": (REMOVE,)})


def _drops(places: Places) -> list[Call]:
    """The budget, which is read in the group that it is of; the endpoint, and each job that pings it."""
    file = f"{_OURS}floor.py: "
    asks = Call(ASK, False, f"{places.group}/providers/Microsoft.Consumption/budgets/spend", f"{file}run", places.group)
    of_jobs = [Call(action, False, job, f"{file}_stopped") for job in places.pings for action in (LOOK, STOP)]
    return [asks, *of_jobs, *(Call(action, False, places.endpoint, f"{file}_cooled") for action in (SEE, CHANGE))]


def _keeps_results(places: Places) -> list[Call]:
    """Results of events: entities, large results beside them, messages where they are wanted."""
    rows = {"newest": (GET,), "_rows": (GET,), "_write": (GET, INSERT, UPDATE), "_mark": (UPDATE, GET)}
    # A transaction's address names no table, and no page says that a role on one covers it.
    account = places.accounts["results"]
    return [
        _reads_objects(places),
        _blobs(READ, f"{_OURS}objects.py: state", places.container("work", "objects")),
        *_consumes(places.queue("work", "events"), places),
        *_rows_of_results(places, rows, account),
        _blobs(WRITE, f"{_OURS}results.py: _keep", places.container("results", "results")),
        *(_data(places.queue("results", "results"), "results.py", {"_sent": (PUT,)}) if places.sends else []),
    ]


def _rows_of_results(places: Places, functions: Mapping[str, tuple[str, ...]], account: str) -> list[Call]:
    if not places.cosmos:
        return _data(places.table("results", "results"), "results.py", functions, account)
    there = {function: tuple(one for action in actions for one in COSMOS[action]) for function, actions in functions.items()}
    return _data(f"{places.cosmos}/tables/results", "results.py", there, places.cosmos)


def _consumes(queue: str, places: Places) -> list[Call]:
    """Messages that are taken, held and removed, and dead letters; the scaler asks for the queue's length with the same identity."""
    return [
        *_data(queue, "consuming.py", {"_take": (TAKE,)}),
        *_data(queue, "held.py", {"renew": (HOLD,), "put_off": (HOLD,), "delete": (TAKE,)}),
        *_data(places.queue("letters", "dead"), "consuming.py", {"_bury": (PUT,)}),
        Call(COUNT, False, queue, "Container Apps documentation, scale rules with managed identity"),
    ]


def _delivers(places: Places) -> list[Call]:
    by = "Event Grid documentation, event delivery with a managed identity"
    return [Call(PUT, True, places.queue("work", "events"), by), _blobs(WRITE, by, places.container("work", "dead-events"))]


def _data(scope: str, file: str, functions: Mapping[str, tuple[str, ...]], reach: str = "") -> list[Call]:
    """Functions of a file, and what each does to messages of a queue or entities of a table."""
    return [Call(action, True, scope, f"{_OURS}{file}: {function}", reach) for function, actions in functions.items() for action in actions]


def _blobs(action: str, by: str, container: str) -> Call:
    return Call(action, True, f"{container}/blobs/abc/one", by, container)
