"""Plain functions of the components on Azure: names, profiles, apps that can't work, the login to the registry."""

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pulumi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.args import NetworkArgs
from components.azure import registry_login
from components.azure.container_app import App, Rule, check, gibibytes, http_rule
from components.azure.environment import profiles
from components.azure.names import gateway_name, names_of
from components.function_size import shared
from components.limits_azure import CONTAINER_APPS_MAX_REPLICAS
from tests.support.token_exchange import TokenExchange, token_exchange

SCALING = "Container Apps documentation, set scaling rules"
SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"


def app(**changes: Any) -> App:
    given: dict[str, Any] = {"cpu": 1, "memory_mb": 2048, "rules": [http_rule(2)], "max_replicas": 5, "external": False}
    fixed: dict[str, Any] = {"name": "endpoint", "environment": "e", "identity": None, "image": "i", "server": "s", "variables": {}}
    return App(**fixed, **{**given, **changes})


REFUSED: list[tuple[dict[str, Any], str]] = [
    (
        {"external": None, "rules": []},
        f"endpoint has no ingress and no rule, and nothing brings it back from zero: give it a rule, or min_replicas 1 ({SCALING}).",
    ),
    (
        {"rules": [Rule(kind="cpu", metadata={"value": "70"})]},
        "endpoint scales by cpu alone, which is nothing at zero: add an http rule or a scaler of KEDA's, or give it min_replicas 1 "
        f"({SCALING}).",
    ),
    ({"rules": [Rule(kind=each, metadata={}) for each in ("memory", "cpu")]}, "scales by cpu and memory alone"),
    ({"min_replicas": 6}, "min_replicas 6 and max_replicas 5"),
    ({"cpu": 1, "memory_mb": 4096}, "has 1 vCPU and 4096 MiB: use 2048 MiB for each vCPU"),
]


@pytest.mark.parametrize(("changes", "told"), REFUSED, ids=[told[:30] for _, told in REFUSED])
def test_an_app_that_can_not_work_is_refused_by_name(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(pulumi.RunError, match=re.escape(told)):
        check(app(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"external": None, "rules": [Rule(kind="azure-queue", metadata={})]},
        {"external": None, "rules": [], "min_replicas": 1},
        {"rules": [Rule(kind="cpu", metadata={}), http_rule(1)]},
        {"rules": [Rule(kind="cpu", metadata={})], "min_replicas": 1},
        {"gpu": True, "cpu": 8, "memory_mb": 57_344},
        {"cpu": 0.25, "memory_mb": 512},
    ],
)
def test_an_app_that_can_work_is_taken(changes: dict[str, Any]) -> None:
    check(app(**changes))


@pytest.mark.parametrize(("memory", "words"), [(512, "0.5Gi"), (1536, "1.5Gi"), (2048, "2Gi"), (57_344, "56Gi"), (225_280, "220Gi")])
def test_memory_is_told_in_gibibytes(memory: int, words: str) -> None:
    assert gibibytes(memory) == words


def test_a_gpu_without_a_profile_is_refused_with_those_that_have_one() -> None:
    assert profiles(None) == {"Consumption": "Consumption"}
    assert profiles("a100")["gpu"] == "Consumption-GPU-NC24-A100"
    told = "There is no workload profile for the GPU 'l4': use t4 or a100 (Container Apps documentation, workload profiles, 2025-11)."
    with pytest.raises(pulumi.RunError, match=re.escape(told)):
        profiles("l4")


def test_two_stacks_and_two_subscriptions_share_no_name_of_the_world() -> None:
    made = [names_of("pilotlight", stack, subscription) for stack in ("one", "two") for subscription in ("a", "b")]
    assert len({each.registry for each in made}) == len({each.account("models") for each in made}) == 4
    assert len({each.app("endpoint") for each in made}) == 2


def test_what_lies_in_another_network_has_other_names_and_everything_else_keeps_its_own() -> None:
    subnet = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v/subnets/s"
    networks = [None, NetworkArgs(addresses="10.8.0.0/26"), NetworkArgs(addresses="10.9.0.0/26"), NetworkArgs(subnet_id=subnet)]
    made = [names_of("pilotlight", "one", SUBSCRIPTION, each) for each in networks]
    assert len({(each.environment, each.infrastructure, each.app("endpoint")) for each in made}) == 4
    assert len({each.app("endpoint") for each in made}) == len({each.environment for each in made}) == 4
    assert len({(each.account("models"), each.identity("api"), each.group, each.registry) for each in made}) == 1
    assert made[3] == names_of("pilotlight", "one", SUBSCRIPTION, NetworkArgs(subnet_id=subnet.upper()))
    assert made[0].environment == made[0].prefix


def test_what_runs_beside_another_gpu_has_other_names_too_and_the_network_stays_among_them() -> None:
    networks, gpus = (None, NetworkArgs(addresses="10.8.0.0/26")), (None, "t4", "a100")
    made = [names_of("pilotlight", "one", SUBSCRIPTION, network, gpu) for network in networks for gpu in gpus]
    assert len({each.app("endpoint") for each in made}) == len({each.environment for each in made}) == 6
    assert len({(each.account("models"), each.identity("api"), each.group, each.registry) for each in made}) == 1


@given(st.from_regex(r"[A-Za-z][\w.-]{0,44}", fullmatch=True))
def test_every_stack_name_makes_names_that_azure_takes(stack: str) -> None:
    names = names_of("pilotlight", stack[:40], SUBSCRIPTION)
    assert names.account("models").isalnum()
    assert names.account("models") == names.account("models").lower()
    assert (len(names.account("answers")) <= 24, len(names.registry) <= 50, len(names.app("endpoint")) <= 32) == (True, True, True)
    assert not set(names.prefix) - set("abcdefghijklmnopqrstuvwxyz0123456789-")


def test_a_stack_name_that_is_too_long_is_refused_by_name() -> None:
    with pytest.raises(pulumi.RunError, match="61 characters, 60 are allowed: use a shorter stack name"):
        names_of("pilotlight", "s" * 50, SUBSCRIPTION)
    with pytest.raises(pulumi.RunError, match="are allowed before Pulumi's suffix"):
        gateway_name("a" * 40, "consumption")


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[TokenExchange]:
    """Its certificate is trusted as programs trust the twin's."""
    with token_exchange(tmp_path) as found:
        monkeypatch.setenv("SSL_CERT_FILE", str(found.trusted))
        yield found


def test_the_deployers_token_is_exchanged_for_the_registrys(registry: TokenExchange) -> None:
    assert registry_login.refresh_token(registry.address, "tenant", "a+b=c") == "the-refresh-token"
    assert registry.asked == [
        (
            "/oauth2/exchange",
            {"grant_type": ["access_token"], "service": [registry.address], "tenant": ["tenant"], "access_token": ["a+b=c"]},
        )
    ]


@pytest.mark.parametrize("status", [401, 403, 404, 503])
def test_a_registry_that_is_a_moment_old_is_asked_again(registry: TokenExchange, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    monkeypatch.setattr(registry_login, "PAUSE_S", 0.02)
    good, registry.answer = registry.answer, (status, b"not yet")

    def known() -> None:
        registry.answer = good

    knows = threading.Timer(0.2, known)
    knows.start()
    assert registry_login.refresh_token(registry.address, "tenant", "token") == "the-refresh-token"
    knows.join()
    assert len(registry.asked) > 2


def test_a_login_that_can_never_be_is_asked_for_once(registry: TokenExchange) -> None:
    registry.answer = (400, b"no such tenant")
    with pytest.raises(pulumi.RunError, match="refuses the login with 400"):
        registry_login.refresh_token(registry.address, "tenant", "token")
    assert len(registry.asked) == 1


def test_a_refused_login_says_which_role_is_needed_and_not_the_token(registry: TokenExchange, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_login, "NEW_S", 0)
    registry.answer = (401, b'{"errors": [{"code": "UNAUTHORIZED"}]}')
    with pytest.raises(pulumi.RunError, match=r"refuses the login with 401: .*UNAUTHORIZED.*AcrPush") as refused:
        registry_login.refresh_token(registry.address, "tenant", "secret-token")
    assert "secret-token" not in str(refused.value)


def test_a_registry_that_says_something_else_or_nothing_is_told_of(registry: TokenExchange, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_login, "NEW_S", 0)
    registry.answer = (200, b"{}")
    with pytest.raises(pulumi.RunError, match="can't be logged in to: KeyError"):
        registry_login.refresh_token(registry.address, "tenant", "token")
    with pytest.raises(pulumi.RunError, match=r"can't be logged in to: .*Run `pulumi up` again"):
        registry_login.refresh_token("127.0.0.1:9", "tenant", "token")


@given(st.integers(1, 1_000_000), st.integers(1, 80))
def test_who_takes_messages_takes_no_more_than_the_setting_says_nor_than_fit_a_replica(most: int, requests: int) -> None:
    replicas, messages = shared(most, requests, CONTAINER_APPS_MAX_REPLICAS.high)
    assert replicas * messages <= most
    assert 1 <= messages <= requests
    assert replicas <= CONTAINER_APPS_MAX_REPLICAS.high
    # One more each would be too many, or does not fit.
    assert replicas * (messages + 1) > most or messages == requests
