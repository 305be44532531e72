"""The front that speaks TLS, since Azure's clients send tokens nowhere else: the twin's own front behind a certificate of its own."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import os
import socket
import ssl
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import certifi
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from filelock import FileLock

from pilotlight.twin.asgi import Receive, Scope, Send
from pilotlight.twin.serving import Asgi, Server, config, listen

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin

_FOLDER = "azure-tls"
_CA, _BUNDLE, _CHAIN, _KEY, _PORT = "ca.pem", "bundle.pem", "chain.pem", "key.pem", "port"
_LIFETIME = datetime.timedelta(days=3650)
# By its name as well: azure-data-tables takes `localhost` for Cosmos DB's emulator, and so speaks to it as to Cosmos DB.
_ADDRESS, NAME = "127.0.0.1", "localhost"


class Tls:
    """Serves the front at a port of its own, `/NAME/…` there being `/_azure/NAME/…`. The port and the certificate stay over a restart."""

    def __init__(self) -> None:
        self.front: Asgi | None = None
        self._lock = threading.Lock()
        self._port: int | None = None
        self._server: Server | None = None
        self._serving: asyncio.Task[None] | None = None

    def port(self, twin: Twin) -> int:
        """The port, which listens from now on. In any thread. TwinError where another program has taken it."""
        with self._lock:
            if self._port is None:
                self._port = self._open(twin)
            return self._port

    def ca_file(self, home: Path) -> Path:
        """The certificate that clients must trust, made where there is none."""
        return _certified(home) / _CA

    def bundle_file(self, home: Path) -> Path:
        """That certificate beside those that this machine trusts."""
        folder = _certified(home)
        found = ssl.get_default_verify_paths().cafile
        # In a shell that has these variables already, that file itself.
        machine = found if found and Path(found) != folder / _BUNDLE else certifi.where()
        draft = folder / f"{_BUNDLE}.{os.getpid()}.draft"
        draft.write_bytes(Path(machine).read_bytes() + b"\n" + (folder / _CA).read_bytes())
        return draft.rename(folder / _BUNDLE)

    async def start(self, twin: Twin) -> None:
        """Listen again where an earlier run did: addresses in stacks point there."""
        if (twin.home / _FOLDER / _PORT).exists():
            self.port(twin)

    async def close(self) -> None:
        # A port that was opened a moment ago is served by now.
        await asyncio.sleep(0)
        if self._server is not None and self._serving is not None:
            self._server.should_exit = True
            await self._serving
        self._server, self._serving, self._port = None, None, None

    def _open(self, twin: Twin) -> int:
        folder = _certified(twin.home)
        remembered = folder / _PORT
        listener = listen(int(remembered.read_text()) if remembered.exists() else None, remembered)
        port: int = listener.getsockname()[1]
        remembered.write_text(str(port))
        twin.loop.call_soon_threadsafe(self._serve, folder, listener)
        return port

    def _serve(self, folder: Path, listener: socket.socket) -> None:
        self._server = Server(config(self._below, certificate=folder / _CHAIN, key=folder / _KEY))
        self._serving = asyncio.get_running_loop().create_task(self._server.serve(sockets=[listener]))

    async def _below(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.front is None:
            raise RuntimeError("The TLS front has nothing to serve.")
        path = b"/_azure" + scope.get("raw_path", b"")
        await self.front({**scope, "raw_path": path, "path": path.decode("latin-1")}, receive, send)


def _certified(home: Path) -> Path:
    """The folder of the certificates, which are made whole or not at all."""
    folder = home / _FOLDER
    with FileLock(home / f"{_FOLDER}.lock"):
        if not (folder / _CA).exists():
            folder.mkdir(mode=0o700, exist_ok=True)
            _make(folder)
    return folder


def _make(folder: Path) -> None:
    """An authority whose key nobody keeps, and the one certificate that it ever signs."""
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = _certificate("Pilotlight twin, authority", authority_key.public_key(), None, authority_key)
    own = _certificate("Pilotlight twin", key.public_key(), authority, authority_key)
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with open(os.open(folder / _KEY, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(secret)
    pems = [one.public_bytes(serialization.Encoding.PEM) for one in (own, authority)]
    (folder / _CHAIN).write_bytes(b"".join(pems))
    # Last: its presence means that the others are there.
    draft = folder / f"{_CA}.draft"
    draft.write_bytes(pems[1])
    draft.rename(folder / _CA)


def _certificate(
    name: str, key: ec.EllipticCurvePublicKey, issuer: x509.Certificate | None, signer: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    """Signed by itself where there is no issuer."""
    now, subject = datetime.datetime.now(datetime.UTC), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signing = issuer is None
    usage = x509.KeyUsage(
        digital_signature=not signing,
        key_cert_sign=signing,
        crl_sign=signing,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.BasicConstraints(ca=signing, path_length=0 if signing else None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if not signing:
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(_ADDRESS)), x509.DNSName(NAME)])
        builder = builder.add_extension(names, critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    return builder.sign(signer, hashes.SHA256())
