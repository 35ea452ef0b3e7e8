"""A small internet on loopback: names, sites behind public addresses, and canaries wherever else somebody dials.

The fetch server gets it as its network. A dial to a site's public address reaches the site; a dial to any other address
really reaches a canary, which counts. What names mean is read from a file, so that a server in a child process sees the
same world.
"""

import json
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpcore2
import idna
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from httpcore2 import AnyIOBackend, AsyncNetworkStream

from bascule.servers.fetch.network import Network

PUBLIC = "93.184.215.14"
OTHER = "93.184.215.15"
PAGE = b"<html><head><title>Honest</title></head><body><p>HONEST PAGE</p></body></html>"


def answer(body: bytes = PAGE, status: str = "200 OK", kind: str = "text/html; charset=utf-8", **headers: str) -> bytes:
    """One answer, as a site that caches nothing sends it."""
    told = {"Content-Type": kind, "Content-Length": str(len(body)), "Cache-Control": "no-store", **headers}
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in told.items())
    return f"HTTP/1.1 {status}\r\n{head}Connection: close\r\n\r\n".encode() + body


class Site:
    """A site: plain on one port, TLS on another. `serve(send, path, head)` writes the answer; it counts requests."""

    def __init__(self, serve: Callable[[Callable[[bytes], Any], str, str], None], certificate: Path) -> None:
        self.serve = serve
        self.requests: list[tuple[str, str]] = []
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)
        self._plain = _listen(self, None)
        self._secure = _listen(self, tls)
        self.ports = {"plain": self._plain.server_address[1], "secure": self._secure.server_address[1]}

    def close(self) -> None:
        for server in (self._plain, self._secure):
            server.shutdown()
            server.server_close()


def _listen(site: Site, tls: ssl.SSLContext | None) -> socketserver.ThreadingTCPServer:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError), self.request if tls is None else tls.wrap_socket(self.request, True) as sock:
                head = b""
                while b"\r\n\r\n" not in head:
                    part = sock.recv(65536)
                    if not part:
                        return
                    head += part
                path = head.split(b" ")[1].decode()
                site.requests.append((path, head.decode("latin-1")))
                site.serve(sock.sendall, path, head.decode("latin-1"))

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    return server


class Canary:
    """Listens on every address of this machine, IPv4 and IPv6; `hits` counts who came."""

    def __init__(self) -> None:
        self.hits = 0
        self.came = threading.Semaphore(0)
        four = socket.create_server(("0.0.0.0", 0))
        self.port = four.getsockname()[1]
        self._sockets = [four]
        if socket.has_ipv6:
            with suppress(OSError):
                self._sockets.append(socket.create_server(("::", self.port), family=socket.AF_INET6))
        for one in self._sockets:
            threading.Thread(target=self._listen, args=(one,), daemon=True).start()

    def _listen(self, sock: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = sock.accept()
                self.hits += 1
                self.came.release()
                connection.close()

    def close(self) -> None:
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


class World:
    """What the server sees. `folder` holds the state that a test writes, the dials that were made, and the CA."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, **state: Any) -> None:
        """Say what is: `sites` (address to ports), `canary` (its port), `dns` (name to addresses, None for any name),
        `answers` (name to a list of answers, one for each look-up)."""
        (self.folder / "state.json").write_text(json.dumps(state))

    def state(self) -> dict[str, Any]:
        return json.loads((self.folder / "state.json").read_text())

    def dials(self) -> list[str]:
        """The addresses that were dialed since the last call."""
        file = self.folder / "dials"
        found = file.read_text().split() if file.exists() else []
        file.unlink(missing_ok=True)
        return found

    def network(self, **more: Any) -> Network:
        return Network(self.resolve, self.dial, self._tls, **more)

    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.folder / "ca.pem")

    async def resolve(self, host: str, port: int) -> list[str]:
        state = self.state()
        turns = state.get("answers", {}).get(host)
        if turns:
            self.write(**{**state, "answers": {**state["answers"], host: turns[1:] or turns}})
            return list(turns[0])
        if state.get("dns") is None:
            return [PUBLIC]
        names = {idna.encode(name.rstrip("."), uts46=True).decode(): found for name, found in state["dns"].items()}
        if host not in names:
            raise OSError("no such name")
        return list(names[host])

    async def dial(self, address: str, port: int, seconds: float) -> AsyncNetworkStream:
        with (self.folder / "dials").open("a") as file:
            file.write(f"{address}\n")
        state = self.state()
        site = state["sites"].get(address)
        if site is not None:
            return await AnyIOBackend().connect_tcp(
                "127.0.0.1", site["secure" if port in (443, 8443) else "plain"], timeout=seconds
            )
        here = address if address in ("127.0.0.1", "::1") else "127.0.0.1"
        await (await AnyIOBackend().connect_tcp(here, state["canary"], timeout=seconds)).aclose()
        raise httpcore2.ConnectError("a canary")


SIGNS = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)
"""What the key of an authority is for; newer versions of Python insist on that."""


def make_certificates(folder: Path, *names: str) -> Path:
    """A certificate for these names and its key in one file, issued by the CA in ca.pem."""
    now = datetime.now(UTC)

    def issued(name: str, key: Any, by: Any, signer: Any, *extensions: x509.ExtensionType) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, by)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
        )
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
        for extension in (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), issuer, *extensions):
            critical = isinstance(extension, x509.BasicConstraints | x509.KeyUsage)
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(signer, hashes.SHA256())

    authority, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    constraints = x509.BasicConstraints(ca=True, path_length=0)
    root = issued("test root", authority, "test root", authority, constraints, SIGNS)
    leaf = issued(
        "leaf", own, "test root", authority, x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    )
    (folder / "ca.pem").write_bytes(root.public_bytes(serialization.Encoding.PEM))
    file = folder / "leaf.pem"
    key = own.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(key + leaf.public_bytes(serialization.Encoding.PEM))
    return file
