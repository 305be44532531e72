"""Exactly one result per object version: duplicates, reordering, two workers at once and a crash after any side effect."""

import json

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from moto import mock_aws

from handlers.functions import problems
from handlers.functions.aws.clients import Clients
from tests.parts.handlers.event_world import Answer, Context, World, batch, failed, message
from tests.support.size import examples

KEYS = ("a.txt", "b.txt")


class Killed(BaseException):
    """The end of a process, which no handler of exceptions can hold up."""


class Mortal:
    """A client of a process that dies after its `left`th call, with the effect of that call; then nothing works any more."""

    def __init__(self, client, life):
        self._client, self._life = client, life

    def __getattr__(self, name):
        call = getattr(self._client, name)

        def mortal(**arguments):
            if self._life["left"] <= 0:
                raise Killed
            self._life["left"] -= 1
            answer = call(**arguments)
            if self._life["left"] == 0:
                raise Killed
            return answer

        return mortal


class Worker:
    """The model of one process, which lets another process work on the same messages while it predicts.

    No two of its answers are equal, so that a result that is written twice shows.
    """

    count = 0

    def __init__(self, model, meanwhile):
        self._model, self._meanwhile = model, meanwhile

    def invoke(self, body, **asked):
        meanwhile, self._meanwhile = self._meanwhile, None
        if meanwhile is not None:
            meanwhile()
        Worker.count += 1
        outputs = json.loads(self._model.invoke(body, **asked).body)["outputs"]
        return Answer(json.dumps({"outputs": [[*output, Worker.count] for output in outputs]}).encode(), {})


class Deliveries(RuleBasedStateMachine):
    """The queue gives its messages in any order, in batches and more than once; what is acknowledged is gone."""

    def __init__(self):
        super().__init__()
        self.mock = mock_aws()
        self.mock.start()
        self.aws = World()
        self.versions = {}
        self.waiting = []
        self.results = {}

    def function(self, calls=None, meanwhile=None):
        life = {"left": calls or 10**9}
        clients = Clients(s3=self.aws.s3, dynamodb=Mortal(self.aws.dynamodb, life), sqs=Mortal(self.aws.sqs, life), pauses=self.aws.sqs)
        real, self.aws.model = self.aws.model, Worker(self.aws.model, meanwhile)
        made = self.aws.function(results="table,queue", clients=clients)
        self.aws.model = real
        return made

    def deliver(self, messages, **how):
        try:
            again = failed(self.function(**how).handle(batch(*messages), Context()))
        except Killed:
            return
        done = {each["messageId"] for each in messages} - set(again)
        self.waiting = [each for each in self.waiting if each["messageId"] not in done]
        rows = self.aws.rows()
        for each in messages:
            stored = json.loads(each["body"])["Records"][0]["s3"]["object"]
            assert each["messageId"] in again or (stored["key"], stored["versionId"]) in rows, "acknowledged without a result"

    @rule(key=st.sampled_from(KEYS), copies=st.integers(1, 3))
    def upload(self, key, copies):
        record = self.aws.put(key, "x" * (len(self.versions) + 1))
        stored = record["s3"]["object"]
        self.versions[key, stored["versionId"]] = stored["sequencer"], stored["size"]
        self.waiting += [message(record) for _ in range(copies)]

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), calls=st.none() | st.integers(1, 5))
    def deliver_some(self, data, calls):
        self.deliver(self.some(data), calls=calls)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), calls=st.none() | st.integers(1, 5))
    def deliver_the_same_to_two_workers_at_once(self, data, calls):
        messages = self.some(data)
        self.deliver(messages, meanwhile=lambda: self.deliver(messages, calls=calls))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), problem=st.sampled_from([problems.NotReady, problems.ModelFailed, problems.DeadlineExceeded]))
    def deliver_while_the_endpoint_fails(self, data, problem):
        # Drawn first: a draw may end the test, and what is cleaned up afterwards needs an endpoint that answers.
        messages = self.some(data)
        self.aws.model.failing = problem("Not now.")
        try:
            self.deliver(messages)
        finally:
            self.aws.model.failing = None

    def some(self, data):
        return data.draw(st.lists(st.sampled_from(self.waiting), min_size=1, max_size=6, unique_by=lambda each: each["messageId"]))

    @invariant()
    def rows_are_right_and_the_newest_is_pointed_to(self):
        rows = self.aws.rows()
        for key in KEYS:
            found = {name: row for (each, name), row in rows.items() if each == key and name != "#latest"}
            assert found.keys() <= {name for each, name in self.versions if each == key}
            for name, row in found.items():
                assert json.loads(row["result"])["outputs"][0] == self.versions[key, name][1]
                assert self.results.setdefault((key, name), row["result"]) == row["result"]
            pointer = rows.get((key, "#latest"))
            assert (pointer is None) == (not found)
            if pointer is not None:
                assert pointer["latest"] == max(found, key=lambda name: self.versions[key, name][0])

    def teardown(self):
        try:
            rounds = len(self.waiting)
            while self.waiting:
                assert rounds > 0, "no round acknowledged anything"
                rounds -= 1
                self.deliver(self.waiting[:10])
            rows = {id_: row for id_, row in self.aws.rows().items() if id_[1] != "#latest"}
            assert rows.keys() == self.versions.keys()
            assert all(row["published"] for row in rows.values())
            messages = self.aws.sent()
            assert {(sent["object"].partition("/")[2], sent["version"]) for sent in messages} == self.versions.keys()
            assert all(json.loads(rows[sent["object"].partition("/")[2], sent["version"]]["result"]) == sent["result"] for sent in messages)
        finally:
            self.mock.stop()


TestDeliveries = Deliveries.TestCase
TestDeliveries.settings = settings(
    max_examples=examples(4, 40), stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
)
