"""An account to examine: the twin's door, its IAM and the services that a look before a deployment asks, without the rest of a twin."""

import asyncio
import functools
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import uvicorn

from pilotlight.doctor.subject import Clients, Identity, Subject
from pilotlight.twin.aws import account_api, lambda_api, sagemaker_api
from pilotlight.twin.aws.budgets import BudgetsService
from pilotlight.twin.aws.sns import SnsService
from pilotlight.twin.aws.sts import StsService
from pilotlight.twin.clock import Clock
from pilotlight.twin.faults import Faults
from pilotlight.twin.front import Front
from pilotlight.twin.iam import DEPLOYER_KEY, Iam
from pilotlight.twin.rows import AwsRequest, AwsResponse
from pilotlight.twin.world import Resource, World
from tests.parts.cli.subjects import subject_with

ACCOUNT, SECRET, REGION = "123456789012", "the-deployers-secret", "us-east-1"
DEPLOYER = f"arn:aws:iam::{ACCOUNT}:user/deployer"


class Reading:
    """A service of the twin that is only read here: its API module over a world, without what it runs."""

    def __init__(self, name: str, api: Any, twin: Any) -> None:
        self.name, self._api = name, api
        self._service = SimpleNamespace(twin=twin, updating=set(), failures={})

    def actions(self, request: AwsRequest) -> list[tuple[str, str]]:
        return cast(list[tuple[str, str]], self._api.actions(self._service, request))

    async def handle(self, request: AwsRequest) -> AwsResponse:
        return cast(AwsResponse, await self._api.handle(self._service, request))


class Door:
    """One server for all accounts of the process, one after the other: it takes a tenth of a second to end, as often as there are tests."""

    def __init__(self) -> None:
        self.front: Front | None = None
        server = uvicorn.Server(uvicorn.Config(self, port=0, lifespan="off", log_level="error"))
        threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True).start()
        while not server.started:
            time.sleep(0.01)
        self.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert self.front, "asked after the account was closed"
        await self.front(scope, receive, send)


door = functools.cache(Door)


class Account:
    """Answers at `url` until closed. `world` holds what is there, `faults` what is unusual about it."""

    def __init__(self, home: Path) -> None:
        self.world, self.faults = World(home / "world.sqlite3"), Faults()
        self.iam = Iam(self.world, SECRET, account=ACCOUNT)
        twin = cast(Any, SimpleNamespace(world=self.world, faults=self.faults, iam=self.iam, account=ACCOUNT, home=home, clock=Clock()))
        sns, budgets = SnsService(), BudgetsService()
        sns.attach(twin)
        budgets.attach(twin)
        services = [
            *account_api.services(twin),
            StsService(self.iam),
            sns,
            budgets,
            Reading("lambda", lambda_api, twin),
            Reading("sagemaker", sagemaker_api, twin),
        ]
        nothing = cast(Any, None)
        door().front = Front(
            iam=self.iam,
            world=self.world,
            faults=self.faults,
            services=services,
            forwarder=nothing,
            gateway=nothing,
            control=nothing,
            account=ACCOUNT,
        )
        self.url = door().url

    def close(self) -> None:
        door().front = None
        self.world.close()

    def put(self, token: str, **outputs: Any) -> None:
        """Something that is there already."""
        id_ = str(outputs.get("arn") or outputs.get("name") or len(self.world.all()))
        self.world.put(Resource(token=token, id=id_, urn=f"urn:{token}:{id_}", outputs=outputs))

    def clients(self, **changed: str) -> Clients:
        variables = {"AWS_ENDPOINT_URL": self.url, "AWS_ACCESS_KEY_ID": DEPLOYER_KEY, "AWS_SECRET_ACCESS_KEY": SECRET, **changed}
        return Clients(variables, local=True, profile=None)

    def subject(self, root: Path, settings: Mapping[str, Any] | None = None, **changed: Any) -> Subject:
        """A stack `demo` with these settings, examined here."""
        known = {"clients": self.clients(), "identity": Identity(account=ACCOUNT, arn=DEPLOYER), **changed}
        return subject_with(root, settings or {}, **known)
