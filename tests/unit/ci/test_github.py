"""GitHub's API: one comment edited in place, pull requests, runs; against a server that answers as GitHub documents."""

from collections.abc import Iterator

import pytest

from pilotlight.ci.github import GitHub, GitHubError, Pull
from tests.unit.ci.api import REPOSITORY, TOKEN, World, github

MARK = "<!-- pilotlight plan: mine -->"


@pytest.fixture
def world() -> Iterator[World]:
    with github() as made:
        yield made


def client(world: World, token: str = TOKEN) -> GitHub:
    return GitHub(api=world.url, repository=REPOSITORY, token=token)


def test_a_comment_is_made_once_and_then_edited(world: World) -> None:
    first = client(world).upsert_comment(7, MARK, "one")
    assert client(world).upsert_comment(7, MARK, "two") == first
    assert [comment["body"] for comment in world.comments] == [f"{MARK}\ntwo"]


def test_each_stack_has_a_comment_of_its_own(world: World) -> None:
    client(world).upsert_comment(7, MARK, "one")
    client(world).upsert_comment(7, MARK.replace("mine", "mine-too"), "other")
    assert len(world.comments) == 2


def test_a_comment_beyond_the_first_page_is_found(world: World) -> None:
    for number in range(150):
        world.add(f"talk {number}", by="User")
    made = world.add(f"{MARK}\nold")
    client(world).upsert_comment(7, MARK, "new")
    assert made["body"] == f"{MARK}\nnew"
    assert len(world.comments) == 151


def test_what_a_person_wrote_is_left_alone(world: World) -> None:
    quoted = world.add(f"{MARK}\nI quote it", by="User")
    below = world.add(f"see {MARK}")
    client(world).upsert_comment(7, MARK, "plan")
    assert quoted["body"] == f"{MARK}\nI quote it"
    assert below["body"] == f"see {MARK}"
    assert len(world.comments) == 3


def test_a_pull_request_is_open_or_not_and_has_labels(world: World) -> None:
    world.pulls, world.labels = {1: "open", 2: "closed"}, {2: ["bug", "environment"]}
    assert client(world).pull(1).is_open
    assert client(world).pull(2) == Pull(is_open=False, labels=frozenset({"bug", "environment"}))


def test_the_last_run_that_went_well_is_the_newest_of_that_branch(world: World) -> None:
    assert client(world).last_success("deploy.yml", "main") is None
    world.runs = [
        {"branch": "main", "status": "failure", "head_sha": "c"},
        {"branch": "other", "status": "success", "head_sha": "d"},
        {"branch": "main", "status": "success", "head_sha": "b"},
        {"branch": "main", "status": "success", "head_sha": "a"},
    ]
    assert client(world).last_success("deploy.yml", "main") == "b"


def test_a_refusal_has_githubs_words_and_what_to_do(world: World) -> None:
    with pytest.raises(GitHubError, match=r"answered 401: Bad credentials\. The token is over"):
        client(world, "another").pull(1)
    with pytest.raises(GitHubError, match="answered 404: Not Found"):
        client(world).pull(9)


def test_nobody_at_the_address_is_told() -> None:
    with github() as gone:
        pass
    with pytest.raises(GitHubError, match="does not answer"):
        client(gone).pull(1)


@pytest.mark.parametrize(("repository", "token", "says"), [("octo", TOKEN, "use OWNER/NAME"), (REPOSITORY, "", "GITHUB_TOKEN is empty")])
def test_what_is_missing_is_told_before_anything_is_sent(repository: str, token: str, says: str) -> None:
    with pytest.raises(GitHubError, match=says):
        GitHub(api="http://127.0.0.1:9", repository=repository, token=token)
