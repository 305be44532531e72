import json
from typing import Any

import pytest

from pilotlight.twin.iam import ATTACHMENT, DEPLOYER_KEY, POLICY, Iam, anonymous
from pilotlight.twin.rows import Refusal
from pilotlight.twin.sigv4 import AuthFailure
from pilotlight.twin.world import Resource
from tests.parts.twin.front.declared import ACCOUNT, PUSH_TO_LOGS, Declared

OBJECT = "arn:aws:s3:::models/model.tar.gz"
READ = [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::models/*"}]


def test_a_role_may_do_what_its_inline_policy_grants_and_no_more(account: Declared) -> None:
    role = account.role("reader", policy=READ)
    assert account.iam.allowed(role, "s3:GetObject", OBJECT)
    assert not account.iam.allowed(role, "s3:PutObject", OBJECT)
    assert not account.iam.allowed(role, "s3:GetObject", "arn:aws:s3:::other/x")
    assert not account.iam.allowed("arn:aws:iam::123456789012:role/missing", "s3:GetObject", OBJECT)


def test_known_managed_policies_count_and_unknown_ones_deny_by_name(account: Declared) -> None:
    role = account.role("logger", policy=READ)
    account.world.put(Resource(token=ATTACHMENT, id="a", urn="u", outputs={"role": "logger", "policyArn": PUSH_TO_LOGS}))
    assert account.iam.allowed(role, "logs:PutLogEvents", "arn:aws:logs:us-east-1:1:log-group:x")
    account.world.put(
        Resource(token=ATTACHMENT, id="b", urn="u2", outputs={"role": "logger", "policyArn": "arn:aws:iam::aws:policy/AdministratorAccess"})
    )
    caller, _ = account.iam.identify(*keys(account.iam, role))
    decision = account.iam.decide(caller, "s3:GetObject", OBJECT)
    assert not decision.allowed
    assert "AdministratorAccess" in decision.reason


def keys(iam: Iam, role: str) -> tuple[str, str | None]:
    issued = iam.credentials(role)
    return issued.access_key_id, issued.session_token


def test_a_policy_of_the_account_can_be_attached(account: Declared) -> None:
    role = account.role("reader")
    arn = f"arn:aws:iam::{ACCOUNT}:policy/own"
    text = '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sqs:*", "Resource": "*"}}'
    account.world.put(Resource(token=POLICY, id=arn, urn="p", outputs={"arn": arn, "policy": text}))
    account.world.put(Resource(token=ATTACHMENT, id="a", urn="u", outputs={"role": "reader", "policyArn": arn}))
    assert account.iam.allowed(role, "sqs:SendMessage", "arn:aws:sqs:us-east-1:1:q")


def test_an_unknown_condition_operator_denies_even_beside_an_allow(account: Declared) -> None:
    role = account.role("odd", policy=[*READ, {**READ[0], "Condition": {"StringSounds": {"a": "b"}}}])
    assert not account.iam.allowed(role, "s3:GetObject", OBJECT)


def bucket_policy(**statement: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": {"Action": "s3:*", "Resource": "*", **statement}})


def test_resource_policies_add_rights_and_deny_even_the_deployer(account: Declared) -> None:
    role = account.role("nobody")
    caller, _ = account.iam.identify(*keys(account.iam, role))
    deployer, _ = account.iam.identify(DEPLOYER_KEY, None)
    grant = bucket_policy(Effect="Allow", Principal={"AWS": role})
    deny = bucket_policy(Effect="Deny", Principal="*")
    assert account.iam.decide(caller, "s3:GetObject", OBJECT, {}, [grant]).allowed
    assert account.iam.decide(deployer, "s3:GetObject", OBJECT).allowed
    assert not account.iam.decide(deployer, "s3:GetObject", OBJECT, {}, [deny]).allowed
    assert not account.iam.decide(anonymous(ACCOUNT), "s3:GetObject", OBJECT).allowed


def test_a_policy_that_demands_tls_lets_the_twins_callers_in(account: Declared) -> None:
    deployer, _ = account.iam.identify(DEPLOYER_KEY, None)
    deny = bucket_policy(Effect="Deny", Principal="*", Condition={"Bool": {"aws:SecureTransport": "false"}})
    assert account.iam.decide(deployer, "s3:GetObject", OBJECT, {}, [deny]).allowed


def test_trust_decides_which_service_may_assume_a_role(account: Declared) -> None:
    role = account.role("fn", service="lambda.amazonaws.com")
    assert account.iam.assumable(role, "lambda.amazonaws.com")
    assert not account.iam.assumable(role, "sagemaker.amazonaws.com")
    assert not account.iam.assumable(role + "x", "lambda.amazonaws.com")


def test_trust_in_the_account_needs_the_callers_own_right_too(account: Declared) -> None:
    target = account.role("target", trust={"AWS": f"arn:aws:iam::{ACCOUNT}:root"})
    direct = account.role("direct", trust={"AWS": f"arn:aws:iam::{ACCOUNT}:role/plain"})
    plain, _ = account.iam.identify(*keys(account.iam, account.role("plain")))
    entitled_role = account.role("entitled", policy=[{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": target}])
    entitled, _ = account.iam.identify(*keys(account.iam, entitled_role))
    assert not account.iam.assumable_by(target, plain)
    assert account.iam.assumable_by(target, entitled)
    assert account.iam.assumable_by(direct, plain)
    assert not account.iam.assumable_by(direct, entitled)


def test_credentials_end_with_their_time_and_with_their_role(account: Declared) -> None:
    moment = [1_000_000.0]
    iam = Iam(account.world, "s", account=ACCOUNT, now=lambda: moment[0])
    role = account.role("short")
    issued = iam.credentials(role, duration_s=60)
    assert iam.identify(issued.access_key_id, issued.session_token)[0].role_arn == role
    with pytest.raises(AuthFailure, match="InvalidClientTokenId"):
        iam.identify(issued.access_key_id, "another token")
    moment[0] += 61
    with pytest.raises(AuthFailure, match="ExpiredToken"):
        iam.identify(issued.access_key_id, issued.session_token)
    later = iam.credentials(role)
    account.world.delete("aws:iam/role:Role", "short")
    with pytest.raises(AuthFailure, match="InvalidClientTokenId"):
        iam.identify(later.access_key_id, later.session_token)
    with pytest.raises(Refusal, match="NoSuchEntity"):
        iam.credentials(role)


def test_credentials_of_a_deleted_role_do_not_work_for_a_later_one_of_its_name(account: Declared) -> None:
    issued = account.iam.credentials(account.role("twice"))
    replaced = account.world.get("aws:iam/role:Role", "twice")
    assert replaced is not None
    account.world.put(Resource(token=replaced.token, id="twice", urn="v", outputs={**replaced.outputs, "uniqueId": "AROAother"}))
    with pytest.raises(AuthFailure):
        account.iam.identify(issued.access_key_id, issued.session_token)
