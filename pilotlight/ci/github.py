"""GitHub's REST API, as far as the workflows need it: one comment that is edited in place, pull requests, runs.

Standard library only: the job that may write comments installs nothing and runs no code of the pull request.
"""

import http.client
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

TIMEOUT_S = 30
PAGE = 100
# GitHub refuses longer bodies with 422 ("body is too long (maximum is 65536 characters)").
MAX_BODY = 65_536
_REPOSITORY = re.compile(r"[A-Za-z0-9._-]+/[A-Za-z0-9._-]+")


class GitHubError(RuntimeError):
    """GitHub has refused something; the text says what, and what to do."""


@dataclass(frozen=True, kw_only=True)
class Pull:
    """A pull request: whether it is open, and the names of its labels."""

    is_open: bool
    labels: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class GitHub:
    """One repository, `owner/name`; `api` is the address that `GITHUB_API_URL` names."""

    api: str
    repository: str
    token: str

    def __post_init__(self) -> None:
        if not _REPOSITORY.fullmatch(self.repository):
            raise GitHubError(f"The repository {self.repository!r}: use OWNER/NAME, as GITHUB_REPOSITORY has it.")
        if not self.token:
            raise GitHubError("GITHUB_TOKEN is empty: hand `github.token` to the step.")

    def upsert_comment(self, number: int, mark: str, body: str) -> str:
        """Write the comment of an issue or pull request that holds `mark`, a new one where there is none; returns its address."""
        edited = self.edit_comment(number, mark, body)
        return edited or str(self._call("POST", self._comments(number), {"body": f"{mark}\n{body}"})["html_url"])

    def edit_comment(self, number: int, mark: str, body: str) -> str | None:
        """The same where there is one already; None, and nothing written, where there is none."""
        for comment in self._pages(self._comments(number)):
            # A person may quote the mark; only what the workflow's own token wrote can be edited with it.
            if comment["body"].startswith(mark) and comment["user"]["type"] == "Bot":
                path = f"/repos/{self.repository}/issues/comments/{comment['id']}"
                return str(self._call("PATCH", path, {"body": f"{mark}\n{body}"})["html_url"])
        return None

    def _comments(self, number: int) -> str:
        return f"/repos/{self.repository}/issues/{number}/comments"

    def pull(self, number: int) -> Pull:
        """A pull request as it is now."""
        found = self._call("GET", f"/repos/{self.repository}/pulls/{number}")
        return Pull(is_open=found["state"] == "open", labels=frozenset(label["name"] for label in found["labels"]))

    def last_success(self, workflow: str, branch: str) -> str | None:
        """The commit of the newest run of a workflow (its file's name) on a branch that went well; None where there is none."""
        query = urlencode({"branch": branch, "status": "success", "per_page": 1})
        found = self._call("GET", f"/repos/{self.repository}/actions/workflows/{quote(workflow)}/runs?{query}")["workflow_runs"]
        return str(found[0]["head_sha"]) if found else None

    def _pages(self, path: str) -> Iterator[Mapping[str, Any]]:
        page = 1
        while found := self._call("GET", f"{path}?per_page={PAGE}&page={page}"):
            yield from found
            if len(found) < PAGE:
                return
            page += 1

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The parsed answer. Raises GitHubError with GitHub's own words."""
        place = urlsplit(self.api)
        kind = http.client.HTTPSConnection if place.scheme == "https" else http.client.HTTPConnection
        connection = kind(place.netloc, timeout=TIMEOUT_S)
        headers = {
            "accept": "application/vnd.github+json",
            "authorization": f"Bearer {self.token}",
            "content-type": "application/json",
            "user-agent": "pilotlight",
            "x-github-api-version": "2022-11-28",
        }
        try:
            connection.request(method, place.path.rstrip("/") + path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            raise GitHubError(f"{self.api} does not answer ({error}): run the job again.") from error
        finally:
            connection.close()
        if answer.status >= 300:
            raise GitHubError(f"{method} {path}: GitHub answered {answer.status}: {_said(text)}{_advice(answer.status)}")
        return json.loads(text)


def _said(text: str) -> str:
    try:
        return str(json.loads(text).get("message", text))[:300]
    except (json.JSONDecodeError, AttributeError):
        return text[:300]


def _advice(status: int) -> str:
    return {
        401: ". The token is over: run the job again.",
        403: ". The job's `permissions:` lack it: `pull-requests: write` for comments, `pull-requests: read` for "
        "states, `actions: read` for runs.",
        404: ". It is not there, or the job's `permissions:` do not let it be seen.",
    }.get(status, "")
