"""A registry of Azure's as far as its login: it exchanges tokens, over TLS, under a certificate of the twin's authority."""

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from pilotlight.twin.azure.tls import Tls


class TokenExchange:
    """`asked` are the paths and forms that came; `answer`, status and body, may be changed; `trusted` is whose certificates clients must
    trust."""

    def __init__(self, trusted: Path) -> None:
        self.asked: list[tuple[str, dict[str, list[str]]]] = []
        self.answer: tuple[int, bytes] = (200, json.dumps({"refresh_token": "the-refresh-token"}).encode())
        self.trusted = trusted
        exchange = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                exchange.asked.append((self.path, parse_qs(body)))
                status, text = exchange.answer
                self.send_response(status)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *told: Any) -> None:
                """Nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_port}"


@contextmanager
def token_exchange(folder: Path) -> Iterator[TokenExchange]:
    """One that answers meanwhile; the folder keeps its certificate."""
    found = TokenExchange(Tls().ca_file(folder))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(found.trusted.with_name("chain.pem"), found.trusted.with_name("key.pem"))
    found.server.socket = context.wrap_socket(found.server.socket, server_side=True)
    thread = threading.Thread(target=found.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        found.server.shutdown()
        thread.join()
        found.server.server_close()
