"""The IAM API, as far as a look before a deployment asks: roles, and the simulator over the twin's own decisions."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from pilotlight.twin.iam import ROLE
from pilotlight.twin.rows import AwsRequest, AwsResponse, Caller, Refusal
from pilotlight.twin.twin import Twin

_NAMESPACE = "https://iam.amazonaws.com/doc/2010-05-08/"


class IamService:
    """The `iam` service: GetRole and SimulatePrincipalPolicy."""

    name = "iam"

    def __init__(self, twin: Twin) -> None:
        self._twin = twin

    def _asked(self, request: AwsRequest) -> tuple[str, dict[str, str]]:
        parameters = dict(parse_qsl(request.body.decode("utf-8", "replace")))
        name = parameters.get("Action", "")
        if name not in ("GetRole", "SimulatePrincipalPolicy"):
            raise Refusal("InvalidAction", f"The twin does not serve iam:{name}; it serves GetRole and SimulatePrincipalPolicy.")
        return name, parameters

    def actions(self, request: AwsRequest) -> list[tuple[str, str]]:
        name, parameters = self._asked(request)
        role = f"arn:aws:iam::{self._twin.account}:role/{parameters.get('RoleName', '')}"
        return [(f"iam:{name}", role if name == "GetRole" else parameters.get("PolicySourceArn", ""))]

    async def handle(self, request: AwsRequest) -> AwsResponse:
        name, parameters = self._asked(request)
        result = self._role(parameters) if name == "GetRole" else self._simulated(parameters)
        meta = f"<ResponseMetadata><RequestId>{uuid.uuid4()}</RequestId></ResponseMetadata>"
        body = f'<{name}Response xmlns="{_NAMESPACE}"><{name}Result>{result}</{name}Result>{meta}</{name}Response>'
        return AwsResponse(headers={"content-type": "text/xml"}, body=body.encode())

    def _role(self, parameters: Mapping[str, str]) -> str:
        name = parameters.get("RoleName", "")
        role = self._twin.world.one(ROLE, name=name)
        if role is None:
            raise Refusal("NoSuchEntity", f"The role with name {name} cannot be found.", 404)
        values = {"Path": role.get("path", "/"), "RoleName": name, "RoleId": role.get("uniqueId", name), "Arn": role["arn"]}
        return f"<Role>{_elements(values)}<CreateDate>2026-01-01T00:00:00Z</CreateDate></Role>"

    def _simulated(self, parameters: Mapping[str, str]) -> str:
        """One result for each action on each resource, as the twin's own evaluator decides."""
        source = parameters.get("PolicySourceArn", "")
        deployer = source == self._twin.iam.identify(self._twin.iam.deployer.access_key_id, None)[0].arn
        if not deployer and self._twin.iam.role(source) is None:
            raise Refusal("NoSuchEntity", f"The entity {source} cannot be found.", 404)
        caller = Caller(arn=source, account=self._twin.account, role_arn=None if deployer else source)
        resources = _members(parameters, "ResourceArns") or ["*"]
        results = [self._result(caller, action, resource) for action in _members(parameters, "ActionNames") for resource in resources]
        return f"<IsTruncated>false</IsTruncated><EvaluationResults>{''.join(results)}</EvaluationResults>"

    def _result(self, caller: Caller, action: str, resource: str) -> str:
        allowed = self._twin.iam.decide(caller, action, resource).allowed and not (
            caller.role_arn is None and self._twin.faults.denies(action)
        )
        values = {"EvalActionName": action, "EvalResourceName": resource, "EvalDecision": "allowed" if allowed else "implicitDeny"}
        return f"<member>{_elements(values)}<MatchedStatements/><MissingContextValues/></member>"


def _members(parameters: Mapping[str, str], name: str) -> list[str]:
    """A list in the query protocol: `Name.member.1`, `Name.member.2`, …"""
    found = {key: value for key, value in parameters.items() if key.startswith(f"{name}.member.")}
    return [found[key] for key in sorted(found, key=lambda key: int(key.rpartition(".")[2]))]


def _elements(values: Mapping[str, object]) -> str:
    return "".join(f"<{name}>{escape(str(value))}</{name}>" for name, value in values.items())
