"""From checked settings and found artifacts to the arguments of the components."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pulumi

from components import timeouts
from components.args import (
    AnswersArgs,
    BudgetArgs,
    EndpointArgs,
    EventArgs,
    FunctionArgs,
    GatewayArgs,
    HomeArgs,
    ImageArgs,
    LoadArgs,
    ModelArtifact,
    NetworkArgs,
    PipelineArgs,
    ServiceArgs,
    WarmingArgs,
)
from components.platform_facts import PLATFORM_FACTS
from components.timeouts import Chain, Hops, QueueChain
from components.warming_checks import TAKE_OUT, ended
from components.warming_schedule import in_force
from stacks.plan import plan_of
from stacks.settings_events import Events
from stacks.settings_service import Auth, Settings
from stacks.sizes import cold_start_s, instance, requests


def home_args(settings: Settings, project: str, stack: str) -> HomeArgs:
    return HomeArgs(
        project=project,
        stack=stack,
        data_retention=settings.data_retention,
        log_retention_days=settings.logs.retention_days,
        network=network_args(settings),
        gpu=settings.endpoint.gpu,
        tracing=settings.tracing,
    )


def network_args(settings: Settings) -> NetworkArgs | None:
    network = settings.network
    return None if network is None else NetworkArgs(addresses=network.addresses, subnet_id=network.subnet_id)


def service_args(settings: Settings, artifact: ModelArtifact, code: Path | None, tag: str, now: datetime) -> ServiceArgs:
    """The service of pattern 1; `tag` is the registry tag of an image that is built, `now` the instant whose floor is declared."""
    if settings.auth is None:
        raise pulumi.RunError("auth: missing: pattern api needs it.")
    auth, facts = settings.auth, PLATFORM_FACTS[settings.endpoint.platform]
    chain = timeouts.chain(
        cloud=settings.cloud,
        auth_mode=auth.mode,
        separate_function=facts.separate_function,
        predict_s=settings.endpoint.predict_seconds,
        tier=settings.tier,
    )
    warming = _warming(settings, now)
    return ServiceArgs(
        artifact=artifact,
        image=_image(settings, tag),
        endpoint=_endpoint(settings, chain, warming),
        function=_function(settings, code, chain),
        gateway=_gateway(settings, auth, chain),
        answers=_answers(settings, auth),
        warming=warming,
        budget=_budget(settings, now),
        dashboard=settings.dashboard,
        alarms=settings.alarms.enabled,
        alarm_email=settings.alarms.email,
    )


def pipeline_args(settings: Settings, artifact: ModelArtifact, code: Path | None, tag: str, now: datetime) -> PipelineArgs:
    """The service of pattern 2, as `service_args`."""
    events = settings.events
    if events is None:
        raise pulumi.RunError("events: missing: pattern events needs it.")
    chain, warming = event_chain(settings, events), _warming(settings, now)
    return PipelineArgs(
        artifact=artifact,
        image=_image(settings, tag),
        endpoint=_endpoint(settings, chain, warming),
        function=_function(settings, code, chain),
        events=EventArgs(
            prefix=events.prefix,
            suffixes=tuple(events.suffixes),
            min_object_bytes=events.min_object_bytes,
            max_object_bytes=events.max_object_bytes,
            batch_size=events.batch_size,
            batch_window_s=events.batch_window_seconds,
            max_concurrency=events.max_concurrency,
            max_attempts=events.max_attempts,
            results=tuple(events.results),
            results_table=events.results_table,
            timeouts=chain,
        ),
        warming=warming,
        budget=_budget(settings, now),
        dashboard=settings.dashboard,
        alarms=settings.alarms.enabled,
        alarm_email=settings.alarms.email,
    )


def event_chain(settings: Settings, events: Events) -> QueueChain:
    """The chain behind the events queue, with the visibility that the settings ask for where they do."""
    facts = PLATFORM_FACTS[settings.endpoint.platform]
    chain = timeouts.event_chain(
        separate_function=facts.separate_function,
        predict_s=settings.endpoint.predict_seconds,
        cold_start_s=cold_start(settings),
        requests=requests(events, facts),
        window_s=events.batch_window_seconds,
    )
    return chain if events.visibility_seconds is None else replace(chain, visibility_s=events.visibility_seconds)


def cold_start(settings: Settings) -> int:
    """Seconds kept free for the first call after a rest."""
    return cold_start_s(settings.endpoint, PLATFORM_FACTS[settings.endpoint.platform])


def _endpoint(settings: Settings, hops: Hops, warming: WarmingArgs | None) -> EndpointArgs:
    endpoint, facts = settings.endpoint, PLATFORM_FACTS[settings.endpoint.platform]
    return EndpointArgs(
        memory_mb=endpoint.memory_mb,
        max_concurrency=endpoint.max_concurrency,
        instance=instance(endpoint, facts),
        cold_start_s=cold_start(settings),
        max_body_bytes=facts.max_body_bytes if endpoint.max_body_bytes is None else endpoint.max_body_bytes,
        timeouts=hops,
        warming=warming,
        load=LoadArgs(batch_size=endpoint.batch_size, batch_wait_ms=endpoint.batch_wait_ms, workers=endpoint.workers),
    )


def _function(settings: Settings, code: Path | None, hops: Hops) -> FunctionArgs:
    function = settings.function
    return FunctionArgs(
        code=code,
        memory_mb=function.memory_mb,
        reserved_concurrency=function.reserved_concurrency,
        polling_s=function.polling_seconds,
        task=settings.model.task,
        timeouts=hops,
    )


def _gateway(settings: Settings, auth: Auth, chain: Chain) -> GatewayArgs:
    return GatewayArgs(
        auth_mode=auth.mode,
        requests_per_second=auth.requests_per_second,
        burst=auth.burst,
        daily_quota=auth.daily_quota,
        issuer=auth.issuer,
        audience=tuple(auth.audience or ()),
        scopes=tuple(auth.scopes or ()),
        allow_origins=() if settings.cors is None else tuple(settings.cors.allow_origins),
        account_role=None if settings.access_logs is None else settings.access_logs.account_role,
        publisher=None if settings.gateway is None else (settings.gateway.publisher_name, settings.gateway.publisher_email),
        tier=settings.tier,
        later=_answers(settings, auth) is not None,
        any_input=settings.model.task == "custom",
        timeouts=chain,
    )


def _answers(settings: Settings, auth: Auth) -> AnswersArgs | None:
    if settings.answers is None or not settings.answers.async_:
        return None
    chain = timeouts.answer_chain(predict_s=settings.endpoint.predict_seconds, cold_start_s=cold_start(settings))
    return AnswersArgs(
        auth_mode=auth.mode,
        keep_hours=settings.answers.keep_hours,
        max_concurrency=settings.endpoint.max_concurrency or 1,
        timeouts=chain,
    )


def _warming(settings: Settings, now: datetime) -> WarmingArgs | None:
    """What is in force at `now`, None for nothing. A rule whose lease is over counts as none and is told of: an `up` that nobody
    watches must go through."""
    plan = plan_of(settings.warming)
    for text in ended(plan, now):
        pulumi.log.warn(f"{text}: {TAKE_OUT}")
    live = in_force(plan, now)
    return WarmingArgs(plan=live, now=now) if live.rules else None


def _budget(settings: Settings, now: datetime) -> BudgetArgs | None:
    budget = settings.budget
    if budget is None:
        return None
    return BudgetArgs(
        monthly_usd=budget.monthly_usd,
        alert_at=tuple(budget.alert_at),
        drop_warming=budget.on_exceeded == "drop-warming",
        email=budget.email or settings.alarms.email,
        now=now,
    )


def _image(settings: Settings, tag: str) -> ImageArgs:
    image, build = settings.image, settings.image.build
    if build is None:
        return ImageArgs(uri=image.uri, registry=image.registry)
    return ImageArgs(target=build.target, platform=build.platform, builder=build.builder, tag=tag, registry=image.registry)
