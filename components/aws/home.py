"""The AWS home of a service: every part but the endpoint.

Parts that only some stacks have are imported where they are made: each part of the SDK costs a tenth of a second.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pulumi

from components.args import AnswersArgs, BudgetArgs, EventArgs, FunctionArgs, GatewayArgs, ImageArgs, ModelArtifact, WarmingArgs
from components.aws.artifacts import ModelStore
from components.aws.context import AwsContext
from components.aws.function import ApiFunction
from components.aws.image import Image, image_for
from components.aws.lambda_model import LambdaModel
from components.aws.watch import Watch
from components.contract import Work

if TYPE_CHECKING:
    from components.aws.answer_worker import AnswerWorker
    from components.aws.answers import AnswerStore
    from components.aws.budget import Budget
    from components.aws.event_function import Delivery, EventFunction
    from components.aws.events import ObjectSource
    from components.aws.gateway import RestGateway
    from components.aws.gateway_http import HttpGateway
    from components.aws.results import ResultStore
    from components.aws.warming import Warming


class AwsHome(AwsContext):
    """Builds the parts that stand in front of an endpoint."""

    def image(self, name: str, args: ImageArgs, opts: pulumi.ResourceOptions) -> Image:
        """The image that `args` names by digest, or one built and pushed into a registry of the stack."""
        return image_for(name, self, args, opts)

    def model(self, name: str, artifact: ModelArtifact, opts: pulumi.ResourceOptions) -> ModelStore:
        """The packaged model in a bucket of the stack."""
        return ModelStore(name, self, artifact, opts)

    def function_for(
        self, name: str, endpoint: Any, args: FunctionArgs, answers: Any | None, opts: pulumi.ResourceOptions
    ) -> ApiFunction | LambdaModel:
        """The function in front of `endpoint`; a Lambda-hosted model is its own."""
        if isinstance(endpoint, LambdaModel):
            return endpoint
        return ApiFunction(name, self, endpoint, args, answers, opts)

    def gateway(self, name: str, function: Any, args: GatewayArgs, opts: pulumi.ResourceOptions) -> "RestGateway | HttpGateway":
        """API keys, plans and quotas exist only on REST APIs; tokens and IAM are simpler and cheaper on HTTP APIs."""
        if args.auth_mode == "api-key":
            from components.aws.gateway import RestGateway

            return RestGateway(name, self, function, args, opts)
        from components.aws.gateway_http import HttpGateway

        return HttpGateway(name, self, function, args, opts)

    def answers(self, name: str, args: AnswersArgs, opts: pulumi.ResourceOptions) -> "AnswerStore":
        """A bucket, a table and a queue that forget."""
        from components.aws.answers import AnswerStore

        return AnswerStore(name, self, args, opts)

    def worker(
        self, name: str, endpoint: Any, answers: Any, args: AnswersArgs, function: FunctionArgs, opts: pulumi.ResourceOptions
    ) -> "AnswerWorker":
        """The function behind the queue of answers."""
        from components.aws.answer_worker import AnswerWorker

        return AnswerWorker(name, self, endpoint, answers, args, function, opts)

    def objects(self, name: str, args: EventArgs, opts: pulumi.ResourceOptions) -> "ObjectSource":
        """A bucket that tells a queue of its new objects."""
        from components.aws.events import ObjectSource

        return ObjectSource(name, self, args, opts)

    def results(self, name: str, args: EventArgs, opts: pulumi.ResourceOptions) -> "ResultStore":
        """A table, a bucket and, if wanted, a queue."""
        from components.aws.results import ResultStore

        return ResultStore(name, self, args, opts)

    def event_function(
        self, name: str, endpoint: Any, work: Work, args: FunctionArgs, opts: pulumi.ResourceOptions
    ) -> "EventFunction | LambdaModel":
        """The function between queue and results; a Lambda-hosted model is its own."""
        if isinstance(endpoint, LambdaModel):
            return endpoint
        from components.aws.event_function import EventFunction

        return EventFunction(name, self, endpoint, work, args, opts)

    def deliver(self, name: str, function: Any, work: Work, opts: pulumi.ResourceOptions) -> "Delivery":
        """The event source mapping from the queue to the function's alias."""
        from components.aws.event_function import Delivery

        return Delivery(name, function, work.objects, work.events, opts)

    def warm(self, name: str, endpoint: Any, args: WarmingArgs, function: FunctionArgs, opts: pulumi.ResourceOptions) -> "Warming":
        """Pings, and checks of a floor that schedules swap."""
        from components.aws.warming import Warming

        return Warming(name, self, endpoint, args, function, opts)

    def budget(self, name: str, endpoint: Any, args: BudgetArgs, function: FunctionArgs, opts: pulumi.ResourceOptions) -> "Budget":
        """A budget of the stack's costs, and what drops the floor when it is spent."""
        from components.aws.budget import Budget

        return Budget(name, self, endpoint, args, function, opts)

    def dashboard(self, name: str, parts: Sequence[Any], opts: pulumi.ResourceOptions) -> pulumi.Output[str]:
        """A dashboard with the figures of all parts."""
        from components.aws.dashboard import Dashboard

        figures = [figure for part in parts for figure in getattr(part, "figures", ())]
        return Dashboard(name, self, figures, [alarm for part in parts for alarm in part.alarms], opts).url

    def watch(self, name: str, parts: Sequence[Any], email: str | None, opts: pulumi.ResourceOptions) -> Watch:
        """One alarm per failure that a part can name."""
        return Watch(name, self.names.topic, self.place, [alarm for part in parts for alarm in part.alarms], email, opts)
