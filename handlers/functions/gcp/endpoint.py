"""The call of a Cloud Run service that holds the model, and what each of its failures means for the client."""

from http.client import HTTPResponse

from handlers.functions.endpoint import RETRY_AFTER_S, NotLetIn
from handlers.functions.gcp import metadata
from handlers.functions.http_endpoint import HttpEndpoint
from handlers.functions.problems import DeadlineExceeded, ModelFailed, NotReady, RequestProblem, Throttled


class CloudRunEndpoint(HttpEndpoint):
    """A Cloud Run service by its URL, which is called with an ID token for that URL."""

    def __init__(self, url: str) -> None:
        super().__init__(url, refused=_refused, tokens=metadata.id_tokens(url))


def _refused(answer: HTTPResponse) -> RequestProblem:
    """Cloud Run's refusal ("Troubleshoot Cloud Run issues", errors while serving)."""
    if answer.status in (401, 403):
        return NotLetIn("The model can't be asked now.", retry_after_s=RETRY_AFTER_S)
    if answer.status == 429:
        return Throttled("The model takes no more requests at this moment.", retry_after_s=RETRY_AFTER_S)
    # What has an error of its own answers with a problem document; a 500 without one is "no available instance", as a 503 is.
    if answer.status in (500, 503):
        return NotReady("The model is not available.", retry_after_s=RETRY_AFTER_S)
    if answer.status == 504:
        return DeadlineExceeded("The model did not answer in time.")
    return ModelFailed("The model could not be asked.")
