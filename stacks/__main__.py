"""CONFIG -> STACK: settings, packaged artifacts, one pattern, outputs."""

import gc

gc.disable()  # before the imports: a sixth of the program's seconds would go to looking through the SDK for garbage

import pulumi

from components.event_pipeline import EventPipeline
from components.inference_api import InferenceApi
from components.platforms import load_endpoint, load_home
from components.tags import standard, tagging
from stacks.artifacts import build_tag, cache_folder, find_function, find_model
from stacks.plan import now
from stacks.service import home_args, pipeline_args, service_args
from stacks.settings import load_settings

project, stack = pulumi.get_project(), pulumi.get_stack()
settings = load_settings(stack)
model, code = find_model(settings, stack, cache_folder()), find_function(settings, stack, cache_folder())
home = load_home(settings.cloud)(home_args(settings, project, stack))
endpoint = load_endpoint(settings.endpoint.platform)
options = pulumi.ResourceOptions(transformations=[tagging({**settings.tags, **standard(project, stack)})])
service: EventPipeline | InferenceApi
if settings.pattern == "events":
    service = EventPipeline("events", home, endpoint, pipeline_args(settings, model, code, build_tag(), now()), options)
else:
    service = InferenceApi("api", home, endpoint, service_args(settings, model, code, build_tag(), now()), options)
for name, value in {"pattern": settings.pattern, "platform": settings.endpoint.platform, **service.outputs}.items():
    pulumi.export(name, value)
