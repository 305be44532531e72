"""The stack `gcp-cloud-run-api` by hand: gateway -> function -> endpoint on Cloud Run."""

from benchmarks.handwritten.google_gateway import ENDPOINT_S, FUNCTION_S, function_of, gateway_of
from benchmarks.handwritten.google_run import endpoint_alarms, endpoint_of, function_alarms

endpoint = endpoint_of(ENDPOINT_S, {})
function = function_of(endpoint)
gateway_of(function, endpoint)
endpoint_alarms(endpoint)
function_alarms(function, FUNCTION_S)
