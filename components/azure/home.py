"""The Azure home of a service: every part but the endpoint.

Parts that only some stacks have are imported where they are made.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pulumi

from components.args import AnswersArgs, BudgetArgs, EventArgs, FunctionArgs, GatewayArgs, ImageArgs, ModelArtifact, WarmingArgs
from components.azure.artifacts import ModelStore
from components.azure.context import AzureContext
from components.azure.function import ApiFunction
from components.azure.image import BuiltImages, Image
from components.azure.watch import Watch
from components.contract import Work

if TYPE_CHECKING:
    from components.azure.answer_worker import AnswerWorker
    from components.azure.answers import AnswerStore
    from components.azure.budget import Budget
    from components.azure.delivery import Delivery
    from components.azure.event_function import EventFunction
    from components.azure.events import ObjectSource
    from components.azure.gateway import ApiManagementGateway
    from components.azure.results import ResultStore
    from components.azure.warming import Warming


class AzureHome(AzureContext):
    """Builds the parts that stand in front of an endpoint."""

    def image(self, name: str, args: ImageArgs, opts: pulumi.ResourceOptions) -> Image:
        """The image that `args` names by digest, or one built here; the functions' image, which is always built, with it."""
        return BuiltImages(name, self, args, opts).image

    def model(self, name: str, artifact: ModelArtifact, opts: pulumi.ResourceOptions) -> ModelStore:
        """The packaged model in a container of the stack."""
        return ModelStore(name, self, artifact, opts)

    def function_for(self, name: str, endpoint: Any, args: FunctionArgs, answers: Any | None, opts: pulumi.ResourceOptions) -> ApiFunction:
        """The function in front of `endpoint`."""
        return ApiFunction(name, self, endpoint, args, answers, opts)

    def gateway(self, name: str, function: Any, args: GatewayArgs, opts: pulumi.ResourceOptions) -> "ApiManagementGateway":
        """One gateway for keys and for tokens."""
        from components.azure.gateway import ApiManagementGateway

        return ApiManagementGateway(name, self, function, args, opts)

    def answers(self, name: str, args: AnswersArgs, opts: pulumi.ResourceOptions) -> "AnswerStore":
        """A storage account that forgets, and a queue."""
        from components.azure.answers import AnswerStore

        return AnswerStore(name, self, args, opts)

    def worker(
        self, name: str, endpoint: Any, answers: Any, args: AnswersArgs, function: FunctionArgs, opts: pulumi.ResourceOptions
    ) -> "AnswerWorker":
        """The function that takes the queue's messages."""
        from components.azure.answer_worker import AnswerWorker

        return AnswerWorker(name, self, endpoint, answers, args, function, opts)

    def objects(self, name: str, args: EventArgs, opts: pulumi.ResourceOptions) -> "ObjectSource":
        """A container, the queue of its events, and their dead letters."""
        from components.azure.events import ObjectSource

        return ObjectSource(name, self, args, opts)

    def results(self, name: str, args: EventArgs, opts: pulumi.ResourceOptions) -> "ResultStore":
        """A table, a container and, if wanted, a queue."""
        from components.azure.results import ResultStore

        return ResultStore(name, self, args, opts)

    def event_function(self, name: str, endpoint: Any, work: Work, args: FunctionArgs, opts: pulumi.ResourceOptions) -> "EventFunction":
        """The function between events and results."""
        from components.azure.event_function import EventFunction

        return EventFunction(name, self, endpoint, work, args, opts)

    def deliver(self, name: str, function: Any, work: Work, opts: pulumi.ResourceOptions) -> "Delivery":
        """What brings events to their queue."""
        from components.azure.delivery import Delivery

        return Delivery(name, self, function, work, opts)

    def warm(self, name: str, endpoint: Any, args: WarmingArgs, function: FunctionArgs, opts: pulumi.ResourceOptions) -> "Warming":
        """Pings; windows are the endpoint's own rules."""
        from components.azure.warming import Warming

        return Warming(name, self, endpoint, args, function, opts)

    def budget(self, name: str, endpoint: Any, args: BudgetArgs, function: FunctionArgs, opts: pulumi.ResourceOptions) -> "Budget":
        """Mails and, if wanted, what drops the warming floor."""
        from components.azure.budget import Budget

        return Budget(name, self, endpoint, args, function, opts)

    def dashboard(self, name: str, parts: Sequence[Any], opts: pulumi.ResourceOptions) -> pulumi.Output[str]:
        """A workbook with the figures of all parts."""
        from components.azure.dashboard import Dashboard

        return Dashboard(name, self, [alarm for part in parts for alarm in part.alarms], opts).url

    def watch(self, name: str, parts: Sequence[Any], email: str | None, opts: pulumi.ResourceOptions) -> Watch:
        """One alert per failure that a part can name."""
        return Watch(name, self, [alarm for part in parts for alarm in part.alarms], email, opts)
