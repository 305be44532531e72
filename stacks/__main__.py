"""CONFIG -> STACK: settings, packaged artifacts, one pattern, outputs."""

import pulumi

from components.inference_api import InferenceApi
from components.platforms import load_endpoint, load_home
from components.tags import standard, tagging
from stacks.artifacts import build_tag, cache_folder, find_function, find_model
from stacks.service import home_args, service_args
from stacks.settings import load_settings

project, stack = pulumi.get_project(), pulumi.get_stack()
settings = load_settings(pulumi.Config(), stack)
model, code = find_model(settings, stack, cache_folder()), find_function(settings, stack, cache_folder())
home = load_home(settings.cloud)(home_args(settings, project, stack))
tags = tagging({**settings.tags, **standard(project, stack)})
args, options = service_args(settings, model, code, build_tag()), pulumi.ResourceOptions(transformations=[tags])
service = InferenceApi("api", home, load_endpoint(settings.endpoint.platform), args, options)

pulumi.export("url", service.url)
pulumi.export("authMode", settings.auth.mode)
if service.api_key is not None:
    pulumi.export("apiKey", service.api_key)
    pulumi.export("apiKeyCommand", "pulumi stack output apiKey --show-secrets")
pulumi.export("platform", settings.endpoint.platform)
pulumi.export("endpointName", service.endpoint_name)
pulumi.export("functionName", service.function_name)
pulumi.export("functionAlias", service.function_alias)
pulumi.export("logGroups", service.log_groups)
pulumi.export("region", service.region)
