"""From checked settings and found artifacts to the arguments of the components."""

from pathlib import Path

from components.args import EndpointArgs, FunctionArgs, GatewayArgs, HomeArgs, ImageArgs, ModelArtifact, ServiceArgs
from components.capabilities import PLATFORM_FACTS
from components.timeouts import chain
from stacks.settings import Settings


def home_args(settings: Settings, project: str, stack: str) -> HomeArgs:
    return HomeArgs(project=project, stack=stack, data_retention=settings.data_retention, log_retention_days=settings.logs.retention_days)


def service_args(settings: Settings, artifact: ModelArtifact, code: Path | None, tag: str) -> ServiceArgs:
    """The service of these settings; `tag` is the registry tag of an image that is built."""
    facts = PLATFORM_FACTS[settings.endpoint.platform]
    endpoint, auth = settings.endpoint, settings.auth
    timeouts = chain(auth_mode=auth.mode, separate_function=facts.separate_function, predict_s=endpoint.predict_seconds)
    return ServiceArgs(
        artifact=artifact,
        image=_image(settings, tag),
        endpoint=EndpointArgs(
            memory_mb=endpoint.memory_mb,
            max_concurrency=endpoint.max_concurrency,
            cold_start_s=facts.cold_start_s if endpoint.cold_start_seconds is None else endpoint.cold_start_seconds,
            max_body_bytes=facts.max_body_bytes,
            timeouts=timeouts,
        ),
        function=FunctionArgs(
            code=code,
            memory_mb=settings.function.memory_mb,
            reserved_concurrency=settings.function.reserved_concurrency,
            task=settings.model.task,
            timeouts=timeouts,
        ),
        gateway=GatewayArgs(
            auth_mode=auth.mode,
            requests_per_second=auth.requests_per_second,
            burst=auth.burst,
            daily_quota=auth.daily_quota,
            issuer=auth.issuer,
            audience=tuple(auth.audience or ()),
            scopes=tuple(auth.scopes or ()),
            allow_origins=() if settings.cors is None else tuple(settings.cors.allow_origins),
            account_role=None if settings.access_logs is None else settings.access_logs.account_role,
            timeouts=timeouts,
        ),
        alarm_email=settings.alarms.email,
    )


def _image(settings: Settings, tag: str) -> ImageArgs:
    build = settings.image.build
    if build is None:
        return ImageArgs(uri=settings.image.uri)
    return ImageArgs(target=build.target, platform=build.platform, builder=build.builder, tag=tag)
