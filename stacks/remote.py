"""The components for programs in other languages: settings are a component's inputs, where a stack of this project has them in its file.

`components/__main__.py` serves them. What is annotated here is in the schema, with the text below it (`components/schema.json`).
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import pulumi
from pulumi import Output, ResourceOptions
from pydantic.alias_generators import to_snake

from components import event_pipeline, inference_api
from components.args import ModelArgs, ModelArtifact
from components.contract import EndpointFactory, Home
from components.platforms import load_endpoint, load_home
from components.tags import standard, tagging
from stacks.artifacts import ROOT, build_tag, cache_folder, find_function, find_model, needs_function
from stacks.plan import now
from stacks.remote_inputs import EventPipelineArgs, InferenceApiArgs
from stacks.remote_settings import as_written, settings_of
from stacks.service import home_args, pipeline_args, service_args
from stacks.settings_service import Settings

Args = TypeVar("Args", bound=ModelArgs)


class InferenceApi(inference_api.InferenceApi):
    """A model behind an HTTP API: gateway, function, endpoint; it scales to zero where no warming plan says otherwise."""

    url: Output[str]
    """Full URL of `POST /predict`."""
    auth_mode: Output[str]
    """The input `auth.mode`."""
    api_key: Output[str] | None
    """The key that callers send as `x-api-key`, a secret; with `auth.mode` `api-key`."""
    region: Output[str]
    """Where it is."""
    project: Output[str] | None
    """The Google Cloud project, or Azure's resource group, that it is in."""
    function_name: Output[str]
    """The function behind the gateway."""
    function_alias: Output[str] | None
    """The function's alias that callers use; on AWS."""
    endpoint_name: Output[str] | None
    """The endpoint, where it is a resource of its own: SageMaker's, the Cloud Run service, or the container app."""
    floor: Output[int] | None
    """Instances that the warming plan wants at the moment of the `up`; with `warming`."""
    schedule_group: Output[str] | None
    """The group of the warming schedules; on AWS, with `warming`."""
    dashboard_url: Output[str] | None
    """The dashboard; with `dashboard`."""
    log_groups: Output[list[str]] | None
    """Every log group; on AWS."""
    answers_database: Output[str] | None
    """What the rows of answers are part of: the Firestore database, or the account's tables; with `answers`."""
    answers_table: Output[str] | None
    """The rows of answers that come later: the table, or the collection; with `answers`."""
    answers_queue_url: Output[str] | None
    """The queue of work that was handed over; with `answers`."""
    dead_letter_queue_url: Output[str] | None
    """Where work is that failed for good: the queue, or the subscription; with `answers`."""
    replay_topic: Output[str] | None
    """Where dead letters are sent again, where that is not the queue; with `answers`."""

    def __init__(self, name: str, args: InferenceApiArgs, opts: ResourceOptions | None = None) -> None:
        service = _service("api", name, args, opts)
        made = service_args(service.settings, service.model, service.code, build_tag(), now())
        super().__init__(name, service.home, service.endpoint, _from_here(made), service.options)
        _show(self, self.outputs)


class EventPipeline(event_pipeline.EventPipeline):
    """A model that predicts every uploaded object: bucket, queue, function, endpoint, table of results; dead letters for what fails."""

    objects_bucket: Output[str]
    """Where to upload: the bucket, or the container."""
    objects_url: Output[str] | None
    """The address of that container; on Azure."""
    region: Output[str]
    """Where it is."""
    project: Output[str] | None
    """The Google Cloud project, or Azure's resource group, that it is in."""
    queue_url: Output[str] | None
    """The queue of object events, where it is the pipeline's own."""
    dead_letter_queue_url: Output[str]
    """Where events are that failed for good: the queue, or the subscription."""
    replay_topic: Output[str] | None
    """Where dead letters are sent again, where that is not the queue."""
    results_database: Output[str] | None
    """What the rows of results are part of: the Firestore database, or the tables of an account."""
    results_table: Output[str]
    """One row per version of an object: the table, or the collection."""
    results_bucket: Output[str]
    """Results that are too large for a row."""
    results_queue_url: Output[str] | None
    """Results as messages: the queue, or the subscription; with `queue` in `events.results`."""
    function_name: Output[str]
    """The function between objects and results."""
    function_alias: Output[str] | None
    """The function's alias that the queue's messages go to; on AWS."""
    endpoint_name: Output[str] | None
    """The endpoint, where it is a resource of its own: SageMaker's, the Cloud Run service, or the container app."""
    floor: Output[int] | None
    """Instances that the warming plan wants at the moment of the `up`; with `warming`."""
    schedule_group: Output[str] | None
    """The group of the warming schedules; on AWS, with `warming`."""
    dashboard_url: Output[str] | None
    """The dashboard; with `dashboard`."""
    log_groups: Output[list[str]] | None
    """Every log group; on AWS."""

    def __init__(self, name: str, args: EventPipelineArgs, opts: ResourceOptions | None = None) -> None:
        service = _service("events", name, args, opts)
        made = pipeline_args(service.settings, service.model, service.code, build_tag(), now())
        super().__init__(name, service.home, service.endpoint, _from_here(made), service.options)
        _show(self, self.outputs)


@dataclass(frozen=True, kw_only=True)
class _Service:
    settings: Settings
    model: ModelArtifact
    code: Path | None
    home: Home
    endpoint: EndpointFactory
    options: ResourceOptions


def _service(pattern: str, name: str, args: Any, opts: ResourceOptions | None) -> _Service:
    """What both components need. Raises InputPropertiesError for the inputs, RunError for the rest."""
    settings = settings_of(pattern, as_written(Settings, args))
    if opts is not None and opts.providers:
        raise pulumi.RunError(
            f"{name}: options.providers: {', '.join(sorted(_packages(opts.providers)))}: account and region are asked of the default "
            "provider: leave the option out, and configure that (`pulumi config set aws:region us-east-1`)."
        )
    project, stack = pulumi.get_project(), pulumi.get_stack()
    # A program may have several, so that each counts as a stack of its own: in names, in tags, in the budget's filter.
    part = f"{stack}-{name}"
    packaged = packaging(settings)
    return _Service(
        settings=settings,
        model=find_model(settings, packaged, cache_folder()),
        code=find_function(settings, packaged, cache_folder()),
        home=load_home(settings.cloud)(home_args(settings, project, part)),
        endpoint=load_endpoint(settings.endpoint.platform),
        options=ResourceOptions.merge(opts, ResourceOptions(transformations=[tagging({**settings.tags, **standard(project, part)})])),
    )


def _packages(providers: Any) -> list[str]:
    return [*providers] if isinstance(providers, dict) else [each.package for each in providers]


def packaging(settings: Settings) -> str:
    """What `pilotlight package` must be given for these settings: there is no stack of this project to name."""
    model = settings.model
    shrunk = f" --quantize {model.quantize}" if model.quantize else ""
    # With all their digits: the artifact's key has them.
    shrunk += f" --prune {model.prune}" if model.prune else ""
    shrunk += f" --max-drift {model.max_drift}" if shrunk else ""
    return f"{model.source} --task {model.task} --engine {model.engine}{shrunk}{' --function' if needs_function(settings) else ''}"


def _from_here(args: Args) -> Args:
    """The same, with the image built from this checkout: the engine's providers look from the program's folder, as this process does."""
    return replace(args, image=replace(args.image, context=os.path.relpath(ROOT)))


def _show(component: pulumi.ComponentResource, outputs: dict[str, Any]) -> None:
    for name, value in outputs.items():
        setattr(component, to_snake(name), value)
