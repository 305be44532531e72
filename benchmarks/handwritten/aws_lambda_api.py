"""The stack `aws-lambda-api` by hand: gateway -> function, which has the model."""

import pulumi

from benchmarks.handwritten.gateway import access, alarms, gateway_of
from benchmarks.handwritten.model import function_alarms, model_function
from benchmarks.handwritten.site import settings

# Seconds: what the gateway waits for is 29.
FUNCTION_S = 28
if settings.auth is None:
    raise pulumi.RunError("auth: missing.")

alias = model_function("api", FUNCTION_S, [], {}, [])
function_alarms("api-watch-function", alias, None, "function")
api, stage = gateway_of(alias)
key = access(api, stage, settings.auth)
alarms(api, stage)

pulumi.export("url", pulumi.Output.format("{0}/predict", stage.invoke_url))
pulumi.export("apiKey", pulumi.Output.secret(key.value))
pulumi.export("functionName", alias.function_name)
