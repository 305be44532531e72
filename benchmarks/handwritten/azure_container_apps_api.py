"""The stack `azure-container-apps-api` by hand: gateway -> function -> endpoint on Container Apps."""

from benchmarks.handwritten.azure_apps import endpoint_of
from benchmarks.handwritten.azure_gateway import function_of, gateway_of
from benchmarks.handwritten.azure_watch import endpoint_alerts

endpoint = endpoint_of({})
function, who = function_of(endpoint)
gateway_of(function, who, endpoint)
endpoint_alerts(endpoint)
