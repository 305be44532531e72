"""The Google Cloud home of a service: every part but the endpoint.

Parts that only some stacks have are imported where they are made: each part of the SDK costs a tenth of a second.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pulumi

from components.args import AnswersArgs, BudgetArgs, EventArgs, FunctionArgs, GatewayArgs, ImageArgs, ModelArtifact, WarmingArgs
from components.contract import Work
from components.gcp.artifacts import ModelStore
from components.gcp.context import GcpContext
from components.gcp.function import ApiFunction
from components.gcp.image import BuiltImages, Image
from components.gcp.watch import Watch

if TYPE_CHECKING:
    from components.gcp.answer_worker import AnswerWorker
    from components.gcp.answers import AnswerStore
    from components.gcp.budget import Budget
    from components.gcp.event_function import Delivery, EventFunction
    from components.gcp.events import ObjectSource
    from components.gcp.gateway import ApiGateway
    from components.gcp.results import ResultStore
    from components.gcp.warming import Warming


class GcpHome(GcpContext):
    """Builds the parts that stand in front of an endpoint."""

    def image(self, name: str, args: ImageArgs, opts: pulumi.ResourceOptions) -> Image:
        """The image that `args` names by digest, or one built here; the functions' image, which is always built, with it."""
        return BuiltImages(name, self, args, opts).image

    def model(self, name: str, artifact: ModelArtifact, opts: pulumi.ResourceOptions) -> ModelStore:
        """The packaged model in a bucket of the stack."""
        return ModelStore(name, self, artifact, opts)

    def function_for(self, name: str, endpoint: Any, args: FunctionArgs, answers: Any | None, opts: pulumi.ResourceOptions) -> ApiFunction:
        """The function in front of `endpoint`."""
        return ApiFunction(name, self, endpoint, args, answers, opts)

    def gateway(self, name: str, function: Any, args: GatewayArgs, opts: pulumi.ResourceOptions) -> "ApiGateway":
        """One gateway for keys and for tokens."""
        from components.gcp.gateway import ApiGateway

        return ApiGateway(name, self, function, args, opts)

    def answers(self, name: str, args: AnswersArgs, opts: pulumi.ResourceOptions) -> "AnswerStore":
        """A bucket and a database that forget, and a topic."""
        from components.gcp.answers import AnswerStore

        return AnswerStore(name, self, args, opts)

    def worker(
        self, name: str, endpoint: Any, answers: Any, args: AnswersArgs, function: FunctionArgs, opts: pulumi.ResourceOptions
    ) -> "AnswerWorker":
        """The service that the topic's messages are pushed to."""
        from components.gcp.answer_worker import AnswerWorker

        return AnswerWorker(name, self, endpoint, answers, args, function, opts)

    def objects(self, name: str, args: EventArgs, opts: pulumi.ResourceOptions) -> "ObjectSource":
        """A bucket, and the dead letters of its objects."""
        from components.gcp.events import ObjectSource

        return ObjectSource(name, self, args, opts)

    def results(self, name: str, args: EventArgs, opts: pulumi.ResourceOptions) -> "ResultStore":
        """A database, a bucket and, if wanted, a topic."""
        from components.gcp.results import ResultStore

        return ResultStore(name, self, args, opts)

    def event_function(self, name: str, endpoint: Any, work: Work, args: FunctionArgs, opts: pulumi.ResourceOptions) -> "EventFunction":
        """The function between events and results."""
        from components.gcp.event_function import EventFunction

        return EventFunction(name, self, endpoint, work, args, opts)

    def deliver(self, name: str, function: Any, work: Work, opts: pulumi.ResourceOptions) -> "Delivery":
        """The trigger that brings events, and the way back from the dead letters."""
        from components.gcp.event_function import Delivery

        return Delivery(name, self, function, work, opts)

    def warm(self, name: str, endpoint: Any, args: WarmingArgs, function: FunctionArgs, opts: pulumi.ResourceOptions) -> "Warming":
        """Pings, and jobs that set the floor."""
        from components.gcp.warming import Warming

        return Warming(name, self, endpoint, args, function, opts)

    def budget(self, name: str, endpoint: Any, args: BudgetArgs, function: FunctionArgs, opts: pulumi.ResourceOptions) -> "Budget":
        """A budget of the stack's costs, and the function that drops the floor."""
        from components.gcp.budget import Budget

        return Budget(name, self, endpoint, args, function, opts)

    def dashboard(self, name: str, parts: Sequence[Any], opts: pulumi.ResourceOptions) -> pulumi.Output[str]:
        """A dashboard with the figures of all parts."""
        from components.gcp.dashboard import Dashboard

        return Dashboard(name, self, [alarm for part in parts for alarm in part.alarms], opts).url

    def watch(self, name: str, parts: Sequence[Any], email: str | None, opts: pulumi.ResourceOptions) -> Watch:
        """One alert policy per failure that a part can name."""
        return Watch(name, self, [alarm for part in parts for alarm in part.alarms], email, opts)
