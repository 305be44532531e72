"""`Twin`: what every hook and service of the twin gets handed."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from pilotlight.twin.aws.alarms import Alarms
    from pilotlight.twin.aws.budgets import BudgetsService
    from pilotlight.twin.aws.event_source import EventSources
    from pilotlight.twin.aws.lambda_ import LambdaService
    from pilotlight.twin.aws.logs import Logs
    from pilotlight.twin.aws.s3 import ObjectStore
    from pilotlight.twin.aws.s3_events import BucketEvents
    from pilotlight.twin.aws.sagemaker import SageMakerService
    from pilotlight.twin.aws.scaling import ScalingService
    from pilotlight.twin.aws.scheduler import SchedulerService
    from pilotlight.twin.aws.sns import SnsService
    from pilotlight.twin.aws.sqs import SqsService
    from pilotlight.twin.aws.tables import Tables
    from pilotlight.twin.azure.cloud import AzureCloud
    from pilotlight.twin.clock import Clock
    from pilotlight.twin.faults import Faults
    from pilotlight.twin.gcp.cloud import GoogleCloud
    from pilotlight.twin.iam import Iam
    from pilotlight.twin.images import Images
    from pilotlight.twin.metrics import Metrics
    from pilotlight.twin.processes import Processes
    from pilotlight.twin.timers import Timers
    from pilotlight.twin.world import World

ACCOUNT = "123456789012"
T = TypeVar("T")


@dataclass(kw_only=True)
class Twin:
    """The running twin. Services are attached by `pilotlight.twin.__main__` before anything is served."""

    home: Path
    cache: Path
    front_url: str
    world: World
    clock: Clock
    timers: Timers
    faults: Faults
    processes: Processes
    images: Images
    iam: Iam
    s3: ObjectStore
    bucket_events: BucketEvents
    tables: Tables
    logs: Logs
    lambda_: LambdaService
    sagemaker: SageMakerService
    scheduler: SchedulerService
    scaling: ScalingService
    metrics: Metrics
    alarms: Alarms
    sns: SnsService
    budgets: BudgetsService
    sqs: SqsService
    event_sources: EventSources
    gcp: GoogleCloud
    azure: AzureCloud
    loop: asyncio.AbstractEventLoop
    account: str = ACCOUNT

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine of the front's loop from a provider thread and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()
