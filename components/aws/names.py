"""The physical names of a service that others must know: log groups, endpoint, function, bucket, repository. Pure."""

from dataclasses import dataclass

from components.limits import BUCKET_NAME, ENDPOINT_NAME, FUNCTION_NAME, REPOSITORY_NAME, TOPIC_NAME
from components.naming import fixed, short_hash, slug

# The second one is there beside the first while a plan keeps the model warm at times: see components/aws/alias_floor.py.
ALIAS, WARMED_ALIAS = "live", "warmed"
STAGE = "v1"
MODEL_PREFIX = "models/"


@dataclass(frozen=True, kw_only=True)
class Names:
    """Derived from project and stack, so that a second stack in the account collides with nothing.

    Parts that take each other's place when a setting changes have names of their own: the new one comes before the old one goes.
    """

    endpoint: str
    function: str
    model_function: str
    repository: str
    topic: str
    prefix: str

    def bucket(self, account: str, region: str, role: str = "models") -> str:
        """Bucket names are global, so account and region go in, as a hash that keeps the length known."""
        return f"{self.prefix}-{role}-{short_hash(f'{account}/{region}')}"

    def named(self, role: str) -> str:
        """The name of a queue, a table or a function of the event pipeline, of asynchronous answers or of warming."""
        return f"{self.prefix}-{role}"

    def logs_of(self, role: str) -> str:
        """The log group of the function of that name."""
        return f"/aws/lambda/{self.named(role)}"

    @property
    def endpoint_logs(self) -> str:
        """SageMaker's own choice for an endpoint of this name."""
        return f"/aws/sagemaker/Endpoints/{self.endpoint}"

    @property
    def function_logs(self) -> str:
        return f"/aws/lambda/{self.function}"

    @property
    def model_logs(self) -> str:
        return f"/aws/lambda/{self.model_function}"

    @property
    def rest_logs(self) -> str:
        return f"/aws/apigateway/{self.prefix}-rest"

    @property
    def http_logs(self) -> str:
        """Below the prefix whose groups need no entry in the account's log resource policy, which is short."""
        return f"/aws/vendedlogs/apigateway/{self.prefix}-http"


def names_of(project: str, stack: str) -> Names:
    """All names of a stack. Raises RunError when one is longer than its service allows."""
    prefix = f"{slug(project)}-{slug(stack)}"
    # The longest name of the shortest limit: 46 characters are left for the prefix, with which all of `named` fit as well.
    fixed(f"{prefix}-objects-{short_hash('')}", BUCKET_NAME)
    return Names(
        endpoint=fixed(prefix, ENDPOINT_NAME),
        function=fixed(f"{prefix}-predict", FUNCTION_NAME),
        model_function=fixed(f"{prefix}-model", FUNCTION_NAME),
        repository=fixed(prefix, REPOSITORY_NAME),
        topic=fixed(f"{prefix}-alarms", TOPIC_NAME),
        prefix=prefix,
    )
