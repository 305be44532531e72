"""A server with recorded answers: what a cloud's API says, asked over HTTP."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit


class Recorded:
    """Answers until closed, below `address`: `answers` by method, path and `pageToken`; `asked` are the requests."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str, str], tuple[int, Any]] = {}
        self.asked: list[tuple[str, str, list[tuple[str, str]], Any]] = []
        recorded = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                target = urlsplit(self.path)
                length = int(self.headers.get("content-length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                path, query = unquote(target.path), parse_qsl(target.query)
                recorded.asked.append((self.command, path, query, body))
                missing = (404, recorded.missing(path))
                status, content = recorded.answers.get((self.command, path, dict(query).get("pageToken", "")), missing)
                text = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_POST = do_GET

            def log_message(self, format: str, *args: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def missing(self, path: str) -> Any:
        """What the API says where nothing was recorded."""
        raise NotImplementedError

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
