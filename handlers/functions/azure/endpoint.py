"""The call of a container app that holds the model, and what each of its failures means for the client."""

from http.client import HTTPResponse

from handlers.functions.endpoint import RETRY_AFTER_S, Dropped, NotLetIn
from handlers.functions.http_endpoint import HttpEndpoint
from handlers.functions.logs import CLIENT_REQUEST_ID_HEADER
from handlers.functions.problems import DeadlineExceeded, ModelFailed, RequestProblem, Throttled


class ContainerAppEndpoint(HttpEndpoint):
    """A container app by its URL. No token goes along: an internal ingress answers its own environment alone, and that is its guard."""

    def __init__(self, url: str) -> None:
        # The ingress changes an x-request-id that is a UUID (microsoft/azure-container-apps issue 1673), and leaves the other one alone.
        super().__init__(url, refused=_refused, id_headers=("X-Request-Id", CLIENT_REQUEST_ID_HEADER))


def _refused(answer: HTTPResponse) -> RequestProblem:
    """The ingress' own answer, Envoy's or that of the page "This Container App is stopped or does not exist" ("Ingress in Azure Container
    Apps"; Envoy, "Access logging", response flags)."""
    if answer.status in (401, 403, 404):
        return NotLetIn("The model can't be asked now.", retry_after_s=RETRY_AFTER_S)
    if answer.status == 429:
        return Throttled("The model takes no more requests at this moment.", retry_after_s=RETRY_AFTER_S)
    if answer.status in (502, 503):
        # No replica took it, or the one that did is gone: another one may.
        return Dropped("The model is not available.", retry_after_s=RETRY_AFTER_S)
    if answer.status == 504:
        return DeadlineExceeded("The model did not answer in time.")
    return ModelFailed("The model could not be asked.")
