"""What a deployment of a REST API holds: the routes, what each is made of, and the gateway's own answers."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import pulumi
import pulumi_aws as aws

from components.args import GatewayArgs
from components.aws.gateway_plan import PATH, RESULT_ID, RESULTS, problems, request_schema
from components.aws.names import STAGE
from components.contract import Function, Principal
from components.encoding import json_text
from components.naming import short_hash

MODEL_NAME = "PredictRequest"
Part = TypeVar("Part", bound=pulumi.CustomResource)


class Snapshot:
    """The parts of one REST API, as they are declared.

    A deployment serves them as they were when it was made, so it comes after all of them, and anew whenever an input of one changes:
    whatever is declared through `add` counts. Inputs that only name another part are `links` and don't: ids say nothing of content,
    and a deployment that knew them would be deleted first wherever a part is.
    """

    def __init__(self, name: str, api: aws.apigateway.RestApi, parent: pulumi.Resource) -> None:
        self.name, self.api, self.parent = name, api, parent
        self._parts: list[pulumi.Resource] = []
        self._inputs: list[pulumi.Input[str]] = []

    def add(
        self,
        make: Callable[..., Part],
        role: str,
        links: Mapping[str, pulumi.Input[str]],
        opts: pulumi.ResourceOptions | None = None,
        **inputs: Any,
    ) -> Part:
        """Declare one part by its class."""
        child = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(parent=self.parent))
        made = make(f"{self.name}-{role}", **links, **inputs, opts=child)
        self._parts.append(made)
        self._inputs.append(json_text([role, inputs]))
        return made

    def deployment(self, after: Sequence[pulumi.Resource]) -> aws.apigateway.Deployment:
        """The deployment of all parts, once `after` is there as well. Pulumi makes the new one, moves the stage, deletes the old one."""
        return aws.apigateway.Deployment(
            f"{self.name}-deployment",
            rest_api=self.api.id,
            triggers={"content": pulumi.Output.all(*self._inputs).apply(lambda parts: short_hash(f"[{', '.join(parts)}]"))},
            opts=pulumi.ResourceOptions(parent=self.parent, depends_on=[*self._parts, *after]),
        )


def predict_route(snapshot: Snapshot, function: Function, args: GatewayArgs) -> pulumi.Resource:
    """`POST /predict`: checked against the request's schema, then handed to the function as it came. Gives back the grant for it."""
    api = snapshot.api
    path = snapshot.add(aws.apigateway.Resource, "path", {"rest_api": api.id, "parent_id": api.root_resource_id}, path_part=PATH)
    schema = snapshot.add(
        aws.apigateway.Model,
        "schema",
        {"rest_api": api.id},
        name=MODEL_NAME,
        content_type="application/json",
        schema=json.dumps(request_schema(args.any_input)),
    )
    validator = snapshot.add(
        aws.apigateway.RequestValidator,
        "validator",
        {"rest_api": api.id},
        validate_request_body=True,
        validate_request_parameters=True,
    )
    links = {"resource_id": path.id, "request_validator_id": validator.id}
    models = {"application/json": MODEL_NAME}
    _method(snapshot, "", links, "POST", function, args, pulumi.ResourceOptions(depends_on=[schema]), request_models=models)
    return _grant(snapshot, snapshot.name, f"POST/{PATH}", function)


def results_route(snapshot: Snapshot, function: Function, args: GatewayArgs) -> list[pulumi.Resource]:
    """`GET /results/{id}` where answers may come later, under the same plan and limits; gives back the grant for it.

    The path is there in any case, and without a method it answers as a path that is not. Pulumi deletes what a program no longer
    declares at its very end, so that the new deployment would still hold the method (pulumi-aws issue 3683). A path that is replaced,
    and deleted before that, takes its method along first.
    """
    api = snapshot.api
    folder = snapshot.add(aws.apigateway.Resource, "results", {"rest_api": api.id, "parent_id": api.root_resource_id}, path_part=RESULTS)
    path = snapshot.add(
        aws.apigateway.Resource,
        "result",
        {"rest_api": api.id, "parent_id": folder.id},
        pulumi.ResourceOptions(replacement_trigger="answers" if args.later else "none", delete_before_replace=True),
        path_part=f"{{{RESULT_ID}}}",
    )
    if not args.later:
        return []
    links = {"resource_id": path.id}
    _method(snapshot, "result-", links, "GET", function, args, request_parameters={f"method.request.path.{RESULT_ID}": True})
    return [_grant(snapshot, f"{snapshot.name}-results", f"GET/{RESULTS}/*", function)]


def refusals(snapshot: Snapshot, args: GatewayArgs) -> None:
    """What the gateway itself answers."""
    for problem in problems(args.later, args.any_input):
        snapshot.add(
            aws.apigateway.Response,
            f"answer-{problem.response_type.lower().replace('_', '-')}",
            {"rest_api_id": snapshot.api.id},
            response_type=problem.response_type,
            status_code=None if problem.status is None else str(problem.status),
            response_templates={"application/json": problem.template()},
            response_parameters=problem.headers(),
        )


def _method(
    snapshot: Snapshot,
    role: str,
    links: Mapping[str, pulumi.Input[str]],
    verb: str,
    function: Function,
    args: GatewayArgs,
    opts: pulumi.ResourceOptions | None = None,
    **inputs: Any,
) -> None:
    """A method for callers with a key, and the function behind it."""
    where = {"rest_api": snapshot.api.id, **links}
    method = snapshot.add(
        aws.apigateway.Method, f"{role}method", where, opts, http_method=verb, authorization="NONE", api_key_required=True, **inputs
    )
    snapshot.add(
        aws.apigateway.Integration,
        f"{role}integration",
        {"rest_api": snapshot.api.id, "resource_id": links["resource_id"], "http_method": method.http_method},
        type="AWS_PROXY",
        # Lambda is always called by POST.
        integration_http_method="POST",
        uri=function.invoke_target,
        timeout_milliseconds=args.timeouts.gateway_s * 1000,
    )


def _grant(snapshot: Snapshot, name: str, route: str, function: Function) -> pulumi.Resource:
    source = pulumi.Output.format("{0}/{1}/{2}", snapshot.api.execution_arn, STAGE, route)
    return function.grant_invoke(Principal(name=name, identity="apigateway.amazonaws.com", source=source, parent=snapshot.parent))
