"""The parts of a twin put together: the services attached, the front built around them."""

from __future__ import annotations

import asyncio
from pathlib import Path

from pilotlight.twin.aws import account_api
from pilotlight.twin.aws.alarms import Alarms
from pilotlight.twin.aws.budgets import BudgetsService
from pilotlight.twin.aws.event_source import EventSources
from pilotlight.twin.aws.gateway import Gateway
from pilotlight.twin.aws.lambda_ import LambdaService
from pilotlight.twin.aws.logs import Logs
from pilotlight.twin.aws.logs_api import LogsService
from pilotlight.twin.aws.s3 import ObjectStore
from pilotlight.twin.aws.s3_events import BucketEvents
from pilotlight.twin.aws.sagemaker import SageMakerService
from pilotlight.twin.aws.scaling import ScalingService
from pilotlight.twin.aws.scheduler import SchedulerService
from pilotlight.twin.aws.sns import SnsService
from pilotlight.twin.aws.sqs import SqsService
from pilotlight.twin.aws.sts import StsService
from pilotlight.twin.aws.tables import Tables
from pilotlight.twin.azure.cloud import AzureCloud
from pilotlight.twin.clock import Clock
from pilotlight.twin.control import Control
from pilotlight.twin.created_objects import CreatedObjects
from pilotlight.twin.docker_context import context_hash
from pilotlight.twin.emulators import Emulators
from pilotlight.twin.faults import Faults
from pilotlight.twin.forward import Forwarder
from pilotlight.twin.front import Front
from pilotlight.twin.gcp.cloud import GoogleCloud
from pilotlight.twin.iam import Iam
from pilotlight.twin.images import Images
from pilotlight.twin.metrics import Metrics
from pilotlight.twin.processes import Processes
from pilotlight.twin.timers import Timers
from pilotlight.twin.twin import ACCOUNT, Twin
from pilotlight.twin.world import World


def twin_of(
    *,
    home: Path,
    cache: Path,
    front_url: str,
    world: World,
    clock: Clock,
    faults: Faults,
    processes: Processes,
    iam: Iam,
    emulator_endpoint: str,
    region: str,
) -> Twin:
    """A twin whose services are attached but not started. Must be called in the loop that will serve it."""
    twin = Twin(
        home=home,
        cache=cache,
        front_url=front_url,
        world=world,
        clock=clock,
        timers=Timers(clock),
        faults=faults,
        processes=processes,
        images=Images(cache, home, processes, context_hash),
        iam=iam,
        s3=ObjectStore(emulator_endpoint),
        bucket_events=BucketEvents(),
        tables=Tables(emulator_endpoint),
        logs=Logs(home, world, iam, account=ACCOUNT, region=region, now=clock.now),
        lambda_=LambdaService(),
        sagemaker=SageMakerService(),
        scheduler=SchedulerService(),
        scaling=ScalingService(),
        metrics=Metrics(clock.now, home / "metrics.sqlite3"),
        alarms=Alarms(),
        sns=SnsService(),
        budgets=BudgetsService(),
        sqs=SqsService(),
        event_sources=EventSources(),
        gcp=GoogleCloud(world, clock.now),
        azure=AzureCloud(world),
        loop=asyncio.get_running_loop(),
    )
    twin.lambda_.attach(twin)
    twin.sagemaker.attach(twin)
    twin.scheduler.attach(twin)
    twin.scaling.attach(twin)
    twin.alarms.attach(twin)
    twin.sns.attach(twin)
    twin.budgets.attach(twin)
    twin.logs.listen(twin.metrics.heard)
    twin.sqs.attach(twin)
    twin.bucket_events.attach(twin)
    twin.event_sources.attach(twin)
    return twin


def front_of(twin: Twin, control: Control, emulators: Emulators) -> tuple[Front, Forwarder]:
    """The front of a twin, and the forwarder that must be closed after it."""
    forwarder = Forwarder(emulators)
    gateway = Gateway(
        world=twin.world,
        iam=twin.iam,
        functions=twin.lambda_,
        logs=twin.logs,
        account=twin.account,
        now=twin.clock.now,
        monotonic=twin.clock.now,
        metrics=twin.metrics,
    )
    front = Front(
        iam=twin.iam,
        world=twin.world,
        faults=twin.faults,
        services=(
            twin.lambda_,
            twin.sagemaker,
            twin.scheduler,
            twin.scaling,
            twin.alarms,
            twin.sns,
            twin.budgets,
            twin.sqs,
            StsService(twin.iam),
            LogsService(twin.logs, twin.world),
            *account_api.services(twin),
        ),
        forwarder=forwarder,
        gateway=gateway,
        google=twin.gcp,
        azure=twin.azure,
        control=control,
        account=twin.account,
        objects=CreatedObjects(twin.bucket_events, twin.s3),
    )
    twin.azure.tls.front = front
    return front, forwarder


async def start(twin: Twin) -> None:
    """Let the services work: in the loop that serves the front, once the emulator answers."""
    await twin.timers.start()
    for service in (twin.lambda_, twin.sagemaker, twin.scheduler, twin.scaling, twin.alarms, twin.budgets, twin.sqs, twin.event_sources):
        await service.start()
    await twin.gcp.planes.start(twin)
    await twin.azure.tls.start(twin)
    await twin.azure.planes.start(twin)


async def close(twin: Twin) -> None:
    """Stop what `start` started, once nothing is served any more."""
    await twin.azure.tls.close()
    await twin.azure.planes.close()
    await twin.gcp.planes.close()
    # Before the timers: a batch that is cut off must not start the next.
    await twin.event_sources.close()
    await twin.timers.close()
    for service in (twin.lambda_, twin.sagemaker, twin.scheduler, twin.scaling, twin.alarms, twin.budgets, twin.sqs):
        await service.close()
    twin.metrics.close()
