"""The API Keys API, as far as a look before a deployment asks: a project's keys, without what they are."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

from pilotlight.twin.asgi import Send, respond
from pilotlight.twin.gcp import services
from pilotlight.twin.gcp.assigned import project_number, short_hash
from pilotlight.twin.gcp.http_api import Asked, HttpApi, answered
from pilotlight.twin.gcp.projects_api import project_named, unserved
from pilotlight.twin.gcp.types import API_KEY
from pilotlight.twin.rows import Refusal

_HOST = "apikeys.googleapis.com"
# Of a page where none is asked for; Google tells neither that nor the most.
USUAL_KEYS = 50
_KEYS = re.compile(r"/v2/projects/([^/]+)/locations/global/keys")
_SAME = ("displayName", "uid", "restrictions", "serviceAccountEmail")


class ApiKeysApi(HttpApi):
    name = "apikeys"
    host = _HOST

    async def answer(self, asked: Asked, send: Send) -> None:
        match = _KEYS.fullmatch(unquote(asked.path))
        if match is None or asked.request.method != "GET":
            raise unserved(asked, "it lists a project's keys (GET /v2/projects/PROJECT/locations/global/keys)")
        project = project_named(self.twin.world, match[1])
        self.permit(asked, "apikeys.keys.list", f"projects/{project}")
        services.require(self.twin.world, project, _HOST)
        await respond(send, answered(_page(self._keys(project), dict(asked.request.query))))

    def _keys(self, project: str) -> list[dict[str, Any]]:
        """Those of programs, and those that a test says somebody made by hand, which nothing restricts."""
        parent = f"projects/{project_number(project)}/locations/global/keys"
        declared = [
            {"name": f"{parent}/{key['name']}", **{field: key[field] for field in _SAME if key.get(field) is not None}}
            for key in self.twin.world.find(API_KEY, project=project)
        ]
        by_hand = [{"name": f"{parent}/{short_hash(project, name)}", "displayName": name} for name in self.twin.faults.listed("open_keys")]
        return sorted([*declared, *by_hand], key=lambda key: str(key["name"]))


def _page(keys: list[dict[str, Any]], query: dict[str, str]) -> dict[str, Any]:
    """One page of them: those after the key that the token names."""
    given = query.get("pageSize") or str(USUAL_KEYS)
    if not given.isdecimal() or int(given) == 0:
        raise Refusal("INVALID_ARGUMENT", f"pageSize: {given!r} is not allowed: use a whole number of 1 or more.")
    rest = [key for key in keys if key["name"] > query.get("pageToken", "")]
    page = rest[: int(given)]
    more = {"nextPageToken": page[-1]["name"]} if len(rest) > len(page) else {}
    return {**({"keys": page} if page else {}), **more}
