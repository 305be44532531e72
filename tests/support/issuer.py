"""An OpenID provider on this machine: its keys behind discovery, and the tokens that it signs."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
# One that no issuer publishes.
OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
AUDIENCE = "predict"


class Issuer(BaseHTTPRequestHandler):
    """Discovery and keys."""

    def do_GET(self) -> None:
        host = f"http://127.0.0.1:{self.server.server_port}"  # type: ignore[attr-defined]
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key()))
        pages = {
            "/.well-known/openid-configuration": {"issuer": host, "jwks_uri": f"{host}/keys"},
            "/keys": {"keys": [{**public, "kid": "one", "alg": "RS256", "use": "sig"}]},
        }
        body = json.dumps(pages.get(self.path, {})).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def serving() -> Iterator[str]:
    """The URL of an issuer, for as long as the block lasts."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Issuer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def token(issuer: str, key: Any = KEY, kid: str = "one", **claims: Any) -> str:
    """A token that is valid for a minute, but for what `claims` say otherwise; a claim that is None is left out."""
    given = {"iss": issuer, "aud": AUDIENCE, "sub": "me", "exp": time.time() + 60, "scope": "read", **claims}
    return jwt.encode({name: value for name, value in given.items() if value is not None}, key, algorithm="RS256", headers={"kid": kid})
