"""Who a key belongs to, and what its role may do: credentials of the deployer and of roles, decisions, trust."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache

from pilotlight.twin.conditions import Context, PolicyError, as_list
from pilotlight.twin.iam_managed import managed_policy
from pilotlight.twin.policy import Effect, Question, evaluate
from pilotlight.twin.rows import Caller, Refusal
from pilotlight.twin.sigv4 import AuthFailure
from pilotlight.twin.world import Resource, World

ROLE = "aws:iam/role:Role"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
ATTACHMENT = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
POLICY = "aws:iam/policy:Policy"
DEPLOYER_KEY = "AKIAPILOTLIGHTDEPLOY"
# Longest session of a role, by the IAM documentation: 12 hours.
SESSION_S = 12 * 3600
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """What a client signs with. `expiration` is in seconds since the epoch; None for the deployer's, which do not expire."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None
    expiration: float | None = None

    @property
    def expires_at(self) -> str | None:
        """`expiration` in the form of AWS's answers."""
        return None if self.expiration is None else datetime.fromtimestamp(self.expiration, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, kw_only=True)
class Decision:
    """`reason` completes AWS's sentence "… is not authorized to perform: … because {reason}"."""

    allowed: bool
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class _Session:
    credentials: Credentials
    role_arn: str
    role_id: str
    name: str


class Iam:
    """Decisions over the roles and policies of the world. Role sessions live in memory: a restart of the twin ends them.

    `now` gives seconds since the epoch. It is real time, not the twin's clock: clients sign with theirs.
    """

    def __init__(self, world: World, deployer_secret: str, *, account: str, now: Callable[[], float] = time.time) -> None:
        self._world = world
        self._now = now
        self._account = account
        self._lock = threading.Lock()
        self._sessions: dict[str, _Session] = {}
        self._gathered: dict[str, tuple[int, list[str]]] = {}
        self.deployer = Credentials(access_key_id=DEPLOYER_KEY, secret_access_key=deployer_secret)

    def role(self, role_arn: str) -> Resource | None:
        return self._world.one(ROLE, arn=role_arn)

    def credentials(self, role_arn: str, session: str = "pilotlight", duration_s: int = SESSION_S) -> Credentials:
        """New credentials of a role; Refusal (NoSuchEntity) where there is no such role."""
        role = self.role(role_arn)
        if role is None:
            raise Refusal("NoSuchEntity", f"The role with ARN {role_arn} cannot be found.", 404)
        issued = Credentials(
            access_key_id="ASIA" + "".join(secrets.choice(_ALPHABET) for _ in range(16)),
            secret_access_key=secrets.token_urlsafe(30),
            session_token=secrets.token_urlsafe(120),
            expiration=self._now() + duration_s,
        )
        with self._lock:
            expired = [key for key, held in self._sessions.items() if (held.credentials.expiration or 0) < self._now()]
            for key in expired:
                del self._sessions[key]
            self._sessions[issued.access_key_id] = _Session(credentials=issued, role_arn=role_arn, role_id=_identity(role), name=session)
        return issued

    def identify(self, access_key_id: str, token: str | None) -> tuple[Caller, Credentials]:
        """Whose key this is. AuthFailure for an unknown or expired key, a wrong session token, a role that is gone."""
        if access_key_id == self.deployer.access_key_id:
            return Caller(arn=f"arn:aws:iam::{self._account}:user/deployer", account=self._account), self.deployer
        with self._lock:
            held = self._sessions.get(access_key_id)
        role = self.role(held.role_arn) if held else None
        if held is None or role is None or _identity(role) != held.role_id or token != held.credentials.session_token:
            raise AuthFailure("InvalidClientTokenId", "The security token included in the request is invalid.")
        if held.credentials.expiration is not None and self._now() > held.credentials.expiration:
            raise AuthFailure("ExpiredToken", "The security token included in the request is expired")
        return self._session_caller(held, role), held.credentials

    def _session_caller(self, held: _Session, role: Resource) -> Caller:
        arn = f"arn:aws:sts::{self._account}:assumed-role/{role['name']}/{held.name}"
        return Caller(arn=arn, account=self._account, role_arn=held.role_arn)

    def allowed(self, role_arn: str, action: str, resource: str, context: Context | None = None) -> bool:
        """Whether the role's own policies allow it. False for a role that does not exist."""
        return self.decide(Caller(arn=role_arn, account=self._account, role_arn=role_arn), action, resource, context).allowed

    def decide(
        self,
        caller: Caller,
        action: str,
        resource: str,
        context: Context | None = None,
        resource_policies: Iterable[str] = (),
    ) -> Decision:
        """Identity and resource policies of one account together: an explicit deny wins, then an allow on either side."""
        question = Question(
            action=action,
            resource=resource,
            context=self._context(caller, context or {}),
            principals=self._principals(caller),
        )
        try:
            by_resource = evaluate(resource_policies, question, by_principal=True)
            by_identity = Effect.ALLOW if caller.role_arn is None else evaluate(self._documents(caller.role_arn), question)
        except PolicyError as error:
            return Decision(allowed=False, reason=f"a policy can't be evaluated: {error}")
        if by_identity is Effect.DENY:
            return Decision(allowed=False, reason="with an explicit deny in an identity-based policy")
        if by_resource is Effect.DENY:
            return Decision(allowed=False, reason="with an explicit deny in a resource-based policy")
        if Effect.ALLOW in (by_identity, by_resource):
            return Decision(allowed=True)
        return Decision(allowed=False, reason=f"because no identity-based policy allows the {action} action")

    def grants(self, documents: Iterable[str], service: str, action: str, resource: str, context: Mapping[str, str]) -> bool:
        """Whether resource policies let a service (`s3.amazonaws.com`) do something: nothing else speaks for a service."""
        return _granted(tuple(documents), service, action, resource, tuple(context.items()))

    def assumable(self, role_arn: str, service: str, context: Context | None = None) -> bool:
        """Whether the role's trust policy lets a service (`lambda.amazonaws.com`) assume it, on behalf of this account."""
        return self._trusts(role_arn, frozenset({service}), {"aws:SourceAccount": self._account, **(context or {})})

    def assumable_by(self, role_arn: str, caller: Caller) -> bool:
        """Whether the trust policy lets a caller of this account assume the role, and its own policies too where needed."""
        context = self._context(caller, {})
        own = frozenset({caller.arn} | ({caller.role_arn} if caller.role_arn else set()))
        if self._trusts(role_arn, own, context):
            return True
        # A trust policy that names the account leaves it to the account's own policies.
        return self._trusts(role_arn, self._principals(caller), context) and self.decide(caller, "sts:AssumeRole", role_arn).allowed

    def _trusts(self, role_arn: str, principals: frozenset[str], context: Context) -> bool:
        role = self.role(role_arn)
        if role is None:
            return False
        question = Question(action="sts:AssumeRole", resource=role_arn, context=context, principals=principals)
        try:
            return evaluate([role["assumeRolePolicy"]], question, by_principal=True) is Effect.ALLOW
        except PolicyError:
            return False

    def _documents(self, role_arn: str) -> list[str]:
        """The policies of a role, gathered once for each state of the world: a decision is asked for in every request."""
        version = self._world.version
        held = self._gathered.get(role_arn)
        if held is None or held[0] != version:
            held = self._gathered[role_arn] = (version, self._gather(role_arn))
        return held[1]

    def _gather(self, role_arn: str) -> list[str]:
        role = self.role(role_arn)
        if role is None:
            return []
        names = {role.id, role["name"]}
        inline = [policy["policy"] for policy in self._world.find(ROLE_POLICY) if policy.get("role") in names]
        inline += [policy["policy"] for policy in as_list(role.get("inlinePolicies", [])) if policy.get("policy")]
        attached = {item["policyArn"] for item in self._world.find(ATTACHMENT) if item.get("role") in names}
        attached |= set(role.get("managedPolicyArns", []))
        return inline + [self._attached(arn) for arn in sorted(attached)]

    def _attached(self, arn: str) -> str:
        own = self._world.one(POLICY, arn=arn)
        return str(own["policy"]) if own else managed_policy(arn)

    def _principals(self, caller: Caller) -> frozenset[str]:
        root = f"arn:aws:iam::{self._account}:root"
        return frozenset({caller.arn, self._account, root} | ({caller.role_arn} if caller.role_arn else set()))

    def _context(self, caller: Caller, context: Context) -> Mapping[str, str | list[str]]:
        second = int(self._now())
        # The twin's door stands for AWS's, which speaks TLS: a policy that demands it must not lock everybody out.
        always = {
            "aws:PrincipalArn": caller.role_arn or caller.arn,
            "aws:PrincipalAccount": caller.account,
            "aws:SecureTransport": "true",
            "aws:EpochTime": str(second),
            "aws:CurrentTime": _time(second),
        }
        return {**always, **context}


@lru_cache(maxsize=1024)
def _granted(documents: tuple[str, ...], service: str, action: str, resource: str, context: tuple[tuple[str, str], ...]) -> bool:
    question = Question(action=action, resource=resource, context=dict(context), principals=frozenset({service}))
    try:
        return evaluate(documents, question, by_principal=True) is Effect.ALLOW
    except PolicyError:
        return False


@lru_cache(maxsize=16)
def _time(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _identity(role: Resource) -> str:
    """What tells a role from a later one of the same name: credentials of the first must not work for the second."""
    return str(role.get("uniqueId", role.urn))


def anonymous(account: str) -> Caller:
    """The caller of an unsigned request: no identity policy speaks for it."""
    return replace(Caller(arn="anonymous", account=account), role_arn="anonymous")
