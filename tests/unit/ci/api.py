"""A server that answers as GitHub's REST API does, for one repository: comments of one issue, pull requests, runs."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "token-of-the-job"
REPOSITORY = "octo/blueprints"


@dataclass
class World:
    """What the repository has, pull requests by their states; one has the label `environment` where `labels` has no others for it. `calls`
    are the methods and paths that came."""

    url: str = ""
    comments: list[dict[str, Any]] = field(default_factory=list)
    pulls: dict[int, str] = field(default_factory=dict)
    labels: dict[int, list[str]] = field(default_factory=dict)
    runs: list[dict[str, Any]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)

    def add(self, body: str, *, by: str = "Bot") -> dict[str, Any]:
        number = len(self.comments) + 1
        comment = {"id": number, "body": body, "user": {"type": by}, "html_url": f"https://github.example/c/{number}"}
        self.comments.append(comment)
        return comment

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        place, query = urlsplit(path).path.removeprefix(f"/api/v3/repos/{REPOSITORY}"), parse_qs(urlsplit(path).query)
        if place == "/issues/7/comments" and method == "GET":
            size, page = int(query["per_page"][0]), int(query["page"][0])
            return 200, self.comments[(page - 1) * size : page * size]
        if place == "/issues/7/comments" and method == "POST":
            if len(body["body"]) > 65_536:
                return 422, {"message": "Validation Failed"}
            return 201, self.add(body["body"])
        if place.startswith("/issues/comments/") and method == "PATCH":
            comment = self.comments[int(place.rsplit("/", 1)[-1]) - 1]
            comment["body"] = body["body"]
            return 200, comment
        if place.startswith("/pulls/") and int(place.rsplit("/", 1)[-1]) in self.pulls:
            number = int(place.rsplit("/", 1)[-1])
            return 200, {"state": self.pulls[number], "labels": [{"name": name} for name in self.labels.get(number, ["environment"])]}
        if place.startswith("/actions/workflows/deploy.yml/runs"):
            wanted = {"branch": query["branch"][0], "status": query["status"][0]}
            return 200, {"workflow_runs": [run for run in self.runs if {**run, **wanted} == run][: int(query["per_page"][0])]}
        return 404, {"message": "Not Found"}


@contextmanager
def github() -> Iterator[World]:
    """The server, on a free port of the loopback interface."""
    world = World()

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            world.calls.append(f"{self.command} {self.path}")
            allowed = self.headers.get("authorization") == f"Bearer {TOKEN}"
            status, told = world.answer(self.command, self.path, body) if allowed else (401, {"message": "Bad credentials"})
            text = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PATCH = _serve

        def log_message(self, *_: object) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    world.url = f"http://127.0.0.1:{server.server_port}/api/v3"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield world
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
