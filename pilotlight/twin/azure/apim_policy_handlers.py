"""What each policy does, by its name."""

from __future__ import annotations

from collections.abc import Mapping

from pilotlight.twin.azure import apim_policy_access as access
from pilotlight.twin.azure import apim_policy_cors
from pilotlight.twin.azure import apim_policy_shape as shape
from pilotlight.twin.azure.apim_policies import Handler

HANDLERS: Mapping[str, Handler] = {
    "authentication-managed-identity": access.managed_identity,
    "check-header": access.check_header,
    "choose": shape.choose,
    "cors": apim_policy_cors.cors,
    "forward-request": shape.forward_request,
    "quota": access.quota,
    "quota-by-key": access.quota_by_key,
    "rate-limit": access.rate_limit,
    "rate-limit-by-key": access.rate_limit_by_key,
    "return-response": shape.return_response,
    "rewrite-uri": shape.rewrite_uri,
    "set-backend-service": shape.set_backend_service,
    "set-body": shape.set_body,
    "set-header": shape.set_header,
    "set-query-parameter": shape.set_query_parameter,
    "set-status": shape.set_status,
    "set-variable": shape.set_variable,
    "validate-jwt": access.validate_jwt,
}
