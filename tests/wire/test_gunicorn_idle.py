"""gunicorn closes kept connections after two seconds: no request may be lost to that."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.conftest import Start
from tests.support.gateway import Gateway
from tests.support.processes import free_port, running
from tests.support.raw import Client

_APP = """
def app(environ, start):
    body = environ["wsgi.input"].read(5)
    start("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""

_POST = b"POST /%b/ HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n\r\nhello"

# Requests come this long after the last one: about when gunicorn closes its side (seconds).
_PACES = [1.97 + 0.005 * number for number in range(12)]


@pytest.fixture(scope="module")
def site(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("gunicorn")
    (folder / "hello.py").write_text(_APP)
    ports = {kind: free_port() for kind in ("gthread", "sync")}
    with (
        _gunicorn("gthread", ports["gthread"], folder),
        _gunicorn("sync", ports["sync"], folder),
    ):
        yield start(
            upstreams={
                kind: {"servers": f"http://127.0.0.1:{port}", "upstream_idle": "1s"}
                for kind, port in ports.items()
            },
            routes=[{"path": f"/{kind}/*", "upstream": kind, "auth": "public"} for kind in ports],
        )


def _gunicorn(kind: str, port: int, folder: Path) -> AbstractContextManager[object]:
    threads = ["--threads", "16"] if kind == "gthread" else []
    command = [sys.executable, "-m", "gunicorn", "hello:app", "--bind", f"127.0.0.1:{port}"]
    return running(
        [*command, "--worker-class", kind, *threads, "--keep-alive", "2"],
        log=folder / f"{kind}.log",
        port=port,
        cwd=folder,
    )


def test_no_post_is_lost_to_a_kept_connection(site: Gateway) -> None:
    """With `upstream_idle: 1s`, however the pauses between requests fall."""
    statuses: list[int] = []

    def post(kind: bytes, pause: float) -> None:
        with Client(site.port) as client:
            for number in range(3):
                time.sleep(pause if number else 0)
                client.send(_POST % kind)
                statuses.append(client.answer()[0])

    clients = [
        threading.Thread(target=post, args=(kind, pause))
        for kind in (b"gthread", b"sync")
        for pause in _PACES
    ]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert statuses == [200] * 6 * len(_PACES)
