"""A deployed API as those meet it who may call and those who may not, and whether anything behind its gateway heard of them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.conformance.gates import GATES, Gate
from tests.conformance.observed import Observed, Reached, observed_of
from tests.conformance.stacks import ReadyStack
from tests.support.deployment import Deployment
from tests.support.issuer import serving, token

BODY = {"inputs": "may I?"}
UNREACHED = Reached(function=0, endpoint=0, started=frozenset())


@dataclass(frozen=True, kw_only=True)
class Guarded:
    """A stack that is up, and how its callers say who they are."""

    deployment: Deployment
    stack: str
    gate: Gate
    outputs: dict[str, Any]
    observed: Observed
    before: Reached
    issuer: str | None
    answered: list[httpx.Response] = field(default_factory=list)

    @property
    def right(self) -> dict[str, str]:
        """Headers of somebody who may call."""
        return {"x-api-key": self.outputs["apiKey"]} if self.issuer is None else bearer(token(self.issuer))

    @property
    def front(self) -> str:
        """The twin's own address."""
        url = httpx.URL(self.outputs["url"])
        return f"{url.scheme}://{url.netloc.decode()}"

    def reached(self) -> Reached:
        """Since it came up: a metric outlives the stack of an earlier test, and `up` itself calls a model that is a function.

        Waits for every call that was answered: what tells of it may come after its answer.
        """
        seen: Reached = self.observed.wait(self._reached_by_answered, f"{len(self.answered)} calls that were answered")
        return seen

    def _reached_by_answered(self) -> Reached | None:
        now, before = self.observed.reached(), self.before
        function, endpoint = now.function - before.function, now.endpoint - before.endpoint
        if min(function, endpoint) < len(self.answered):
            return None
        return Reached(function=function, endpoint=endpoint, started=now.started - before.started)

    def call(self, headers: Mapping[str, str], *, method: str = "POST", path: str = "predict") -> httpx.Response:
        url = self.outputs["url"].removesuffix("predict") + path
        answer = httpx.request(method, url, json=BODY if method == "POST" else None, headers=headers, timeout=60)
        if answer.status_code == 200:
            self.answered.append(answer)
        return answer

    def until_refused(self, most: int) -> tuple[int, httpx.Response]:
        """How many calls in a row were answered 200, and the first other answer, of `most`. The twin's clock stands still meanwhile."""
        self.deployment.twin("clock", {"speed": 0})
        try:
            for count in range(most):
                answer = self.call(self.right)
                if answer.status_code != 200:
                    return count, answer
        finally:
            self.deployment.twin("clock", {"speed": 1})
        raise AssertionError(f"{most} calls at once were answered 200")


def bearer(text: str) -> dict[str, str]:
    return {"authorization": f"Bearer {text}"}


@contextmanager
def guarded(deployment: Deployment, ready: ReadyStack, mode: str, auth: Mapping[str, Any], **others: Any) -> Iterator[Guarded]:
    """The stack behind a gateway of that mode, with those settings of `auth`, and of `others` beside it; destroyed afterwards.

    With `jwt` the issuer runs beside it, and its address is in the settings.
    """
    stack = ready.name
    committed = (deployment.checkout / "stacks" / f"Pulumi.{stack}.yaml").read_text()
    with serving() if mode == "jwt" else nullcontext() as issuer:
        identity = {} if issuer is None else {"mode": "jwt", "issuer": issuer}
        deployment.configure(stack, {"auth": {**auth, **identity}, **others})
        assert deployment.up(stack)["result"] == "succeeded"
        outputs = deployment.outputs(stack)
        observed = observed_of(deployment, outputs)
        yield Guarded(
            deployment=deployment,
            stack=stack,
            gate=GATES[ready.cloud],
            outputs=outputs,
            observed=observed,
            before=observed.reached(),
            issuer=issuer,
        )
    deployment.report("destroy", stack)
    (deployment.checkout / "stacks" / f"Pulumi.{stack}.yaml").write_text(committed)
