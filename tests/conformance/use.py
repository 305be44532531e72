"""How a deployed stack is used, by pattern and not by platform: one text in, its answer out; and many at a steady rate."""

import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from components.platform_facts import PLATFORM_FACTS
from tests.conformance.pipeline import RESULT_S, Identity, pipeline_of
from tests.conformance.stacks import ReadyStack
from tests.support.deployment import Deployment, followed, post
from tests.support.load import at_a_steady_rate, calling
from tests.support.vectors import assert_agrees, assert_embeds

USES = 8
# What each cloud answers where an API was: by the host alone, since nobody knows any more whose it is.
GONE: Mapping[str, tuple[int, str]] = {
    "aws": (403, "Forbidden"),
    "azure": (404, "There is no API Management service at"),
    "gcp": (404, "there is no gateway"),
}


@dataclass
class Done:
    """What a steady use was answered: how many were right, and what the others said."""

    right: int = 0
    failed: list[str] = field(default_factory=list)


class AnswerTooLarge(Exception):
    """The answer has more bytes than the stack's gateway passes on."""


class Use(Protocol):
    def answer(self, text: str) -> Any:
        """The model's outputs for one text. Fails the test when none comes; AnswerTooLarge where the stack says that of it."""

    def steadily(self, per_second: float) -> Any:
        """A context in which texts go in at a fixed rate; it gives a `Done` that is complete when the context has ended."""

    def assert_gone(self) -> None:
        """What texts went into is not there any more, in the words that the cloud has for that."""


class Running(Protocol):
    """A ready stack that is up."""

    @property
    def deployment(self) -> Deployment: ...

    @property
    def ready(self) -> ReadyStack: ...

    @property
    def use(self) -> Use: ...


class ApiUse:
    """POST /predict."""

    def __init__(self, outputs: Mapping[str, Any]) -> None:
        self._outputs = outputs
        self._most = PLATFORM_FACTS[outputs["platform"]].max_body.high

    def answer(self, text: str) -> Any:
        answer = followed(self._outputs, post(self._outputs, {"inputs": text}))
        if answer.status_code == 422 and (found := re.fullmatch(r"The answer has (\d+) bytes, .*", answer.json()["detail"])):
            # No platform passes on smaller answers than requests.
            assert int(found[1]) > self._most, answer.text
            raise AnswerTooLarge
        assert answer.status_code == 200, answer.text
        return answer.json()["outputs"]

    @contextmanager
    def steadily(self, per_second: float) -> Iterator[Done]:
        done = Done()
        with calling(self._outputs, per_second=per_second) as calls:
            yield done
        done.right = calls.statuses.get(200, 0)
        done.failed = [f"{status} x {calls.statuses[status]}: {body}" for status, body in calls.failed.items()]

    def assert_gone(self) -> None:
        answer = post(self._outputs, {"inputs": "anyone?"})
        status, said = GONE[str(self._outputs["platform"]).partition("-")[0]]
        assert (answer.status_code, said in answer.json()["message"]) == (status, True), answer.text


class EventsUse:
    """An object in the bucket, its row in the table; `prefix` is that of the stack's filter."""

    def __init__(self, deployment: Deployment, outputs: Mapping[str, Any], prefix: str = "") -> None:
        self._pipeline = pipeline_of(deployment, outputs)
        self._prefix = prefix

    def answer(self, text: str) -> Any:
        row = self._pipeline.row(self.put(text))
        assert row is not None, f"no row within {RESULT_S} s"
        return self._pipeline.answer(row)

    @contextmanager
    def steadily(self, per_second: float) -> Iterator[Done]:
        done = Done()
        with at_a_steady_rate(lambda: self.put("a steady uploader"), per_second=per_second) as uploads:
            yield done
        done.failed = [repr(error) for error in uploads.errors]
        for identity in uploads.results:
            if self._pipeline.row(identity) is None:
                done.failed.append(f"{identity} has no row")
            else:
                done.right += 1
        if dead := set(self._pipeline.dead()) & set(uploads.results):
            done.failed.append(f"dead letters: {dead}")

    def assert_gone(self) -> None:
        self._pipeline.assert_gone()

    def put(self, text: str) -> Identity:
        """Where the text is, and the version of it."""
        return self._pipeline.put(f"{self._prefix}{uuid.uuid4()}.txt", text.encode())


def use_of(pattern: str, deployment: Deployment, outputs: Mapping[str, Any]) -> Use:
    """The use of a stack of this pattern."""
    return ApiUse(outputs) if pattern == "api" else EventsUse(deployment, outputs)


def assert_right(ready: ReadyStack, name: str, outputs: Any) -> None:
    """The answer for a recorded text is the one that transformers gives, by the task of the stack."""
    if ready.service["model"]["task"] == "sentence-embedding":
        assert_embeds(name, outputs)
    else:
        assert_agrees(name, outputs)


def assert_one_works_on_while_the_other_goes(going: Running, staying: Running) -> None:
    """No use of the one that stays fails while the other is destroyed, and nothing of it is another thing afterwards."""
    assert_all_work_on([staying], lambda: going.deployment.report("destroy", going.ready.name)["result"])


def assert_all_work_on(staying: Sequence[Running], meanwhile: Callable[[], Any]) -> None:
    """The same of several while something else is done that ends well; they are used `USES` times at least, should that be done sooner.
    Together they are used as often as one of them alone would be: they share a machine."""
    rates = [one.ready.steady / len(staying) for one in staying]
    ends = time.monotonic() + USES / min(rates)
    with ExitStack() as uses:
        used = [uses.enter_context(one.use.steadily(rate)) for one, rate in zip(staying, rates, strict=True)]
        assert meanwhile() == "succeeded"
        time.sleep(max(0.0, ends - time.monotonic()))
    for one, done in zip(staying, used, strict=True):
        assert not done.failed, f"{one.ready.name}: {done.failed}"
        assert done.right >= USES - 2, "whatever begins or ends with the use"
        changes = one.deployment.report("preview", one.ready.name, "--local")["changes"]
        assert {operation for operation, count in changes.items() if count} <= {"same", "unchanged"}
