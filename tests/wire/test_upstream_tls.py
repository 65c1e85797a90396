"""TLS to upstreams: `tls` with a name and a client certificate, whose files may change."""

import contextlib
import shutil
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import Start
from tests.support.gateway import Gateway
from tests.support.processes import eventually
from tests.support.raw import Client, ask, request, status
from tests.support.tls import certificates


class TlsServer:
    """Asks for a client certificate, and answers 403 with the name that the client asked for."""

    def __init__(self, folder: Path) -> None:
        self.use(folder)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._asked: str | None = None
        threading.Thread(target=self._serve, daemon=True).start()

    def use(self, folder: Path) -> None:
        """Have the certificates of this folder from now on."""
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=folder / "ca.pem")
        self.context.verify_mode = ssl.CERT_REQUIRED
        self.context.load_cert_chain(folder / "server.pem", folder / "server.key")
        self.context.sni_callback = self._note

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _note(self, _socket: object, name: str | None, _context: object) -> None:
        self._asked = name

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), self.context.wrap_socket(plain, True) as client:
                while b"\r\n\r\n" not in client.recv(65536):
                    pass
                body = str(self._asked).encode()
                head = b"HTTP/1.1 403 No\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
                client.sendall(head % len(body) + body)


@dataclass
class Site:
    gateway: Gateway
    server: TlsServer
    folder: Path  # with the files that the gateway reads

    def answer(self, path: bytes = b"/api/") -> tuple[int, bytes]:
        with Client(self.gateway.port) as client:
            client.send(b"GET %b HTTP/1.1\r\nHost: a.example\r\n\r\n" % path)
            code, _, body = client.answer()
            return code, body


@pytest.fixture(scope="module")
def site(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("tls") / "used"
    files = certificates(folder)
    server = TlsServer(folder)
    tls = {
        "ca_file": str(files.ca),
        "server_name": "server.internal",
        "cert_file": str(files.client),
        "key_file": str(files.client_key),
    }
    url = f"https://127.0.0.1:{server.port}"
    health = {"path": "/up", "interval": "500ms", "timeout": "2s", "status": 403}
    anonymous = {"ca_file": tls["ca_file"], "server_name": tls["server_name"]}
    started = start(
        upstreams={
            "api": {"servers": url, "tls": tls},
            "checked": {"servers": url, "tls": tls, "health": health},
            "anonymous": {"servers": url, "tls": anonymous, "health": health},
        },
        routes=[
            {"path": f"/{name}/*", "upstream": name, "auth": "public"}
            for name in ("api", "checked", "anonymous")
        ],
        login={"kind": "backend", "path": "/login", "upstream": "api"},
        timeouts={"connect": "500ms"},
    )
    yield Site(started, server, folder)
    server.close()


def test_the_name_is_asked_for_and_the_client_certificate_is_shown(site: Site) -> None:
    """The server has this name in its certificate; an address has no SNI of its own."""
    assert site.answer() == (403, b"server.internal")


def test_the_gateways_own_calls_use_the_same_settings(site: Site) -> None:
    """A login reaches the backend as a route does; its refusal passes."""
    answer = ask(
        site.gateway.port, request("POST /login", "Content-Type: application/json", body="{}")
    )
    assert status(answer) == 403


def test_health_checks_use_the_same_settings(site: Site) -> None:
    """Without the client certificate, the server is unhealthy: its requests would fail as well."""
    eventually(lambda: b'"upstream_down"' in site.answer(b"/anonymous/")[1])
    checks = 'latchkey_upstream_health_checks_total{result="%s",upstream="checked"}'
    eventually(lambda: site.gateway.metrics().get(checks % "ok", 0) > 0)
    assert site.gateway.metrics().get(checks % "failed", 0) == 0
    assert site.answer(b"/checked/") == (403, b"server.internal")


def test_a_certificate_that_has_expired(site: Site, tmp_path: Path) -> None:
    """Requests fail, the log says why, and all is well once the server has a new one."""
    expired, good = certificates(tmp_path, days=-2), site.server.context
    used = site.folder / "ca.pem"
    authority = used.read_text()
    used.write_text(expired.ca.read_text())
    site.server.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    site.server.context.load_cert_chain(expired.server, expired.server_key)

    def has_failed() -> bool:
        assert site.answer()[0] == 502
        return "TLS: certificate has expired" in site.gateway.log.read_text()

    eventually(has_failed)
    site.server.context = good
    used.write_text(authority)
    eventually(lambda: site.answer() == (403, b"server.internal"))


def test_files_that_change_are_used_by_new_connections(site: Site, tmp_path: Path) -> None:
    """Files that cannot be used change nothing, and the log warns."""
    certificates(tmp_path / "new")
    (site.folder / "client.pem").write_text("no certificate")
    log = site.gateway.log

    def has_warned() -> bool:
        assert site.answer()[0] == 403
        return "upstream api: the files of its tls cannot be used" in log.read_text()

    eventually(has_warned)
    for file in (tmp_path / "new").iterdir():
        shutil.copy(file, site.folder / file.name)
    site.server.use(site.folder)
    eventually(lambda: site.answer() == (403, b"server.internal"))
    assert "are read again" in log.read_text()
    counted = 'latchkey_upstream_tls_reloads_total{{result="{}",upstream="api"}}'.format
    names = [counted("ok"), counted("failed")]
    eventually(lambda: all(site.gateway.metrics()[name] >= 1 for name in names))
