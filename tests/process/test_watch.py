"""`watch: true`: a change of config.yaml, or of a file that it names, is a reload."""

import os
import shutil
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.process.conftest import sections
from tests.support.gateway import Gateway, gateway
from tests.support.processes import eventually, free_port
from tests.support.raw import OK, Upstream, Visit, ask, status
from tests.support.redis_server import RedisServer
from tests.support.tls import TlsClient, named, trusting_all

GET = b"GET %b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
SECRETS = "0123456789abcdef0123456789abcdef\n"


def answer(visit: Visit) -> None:
    visit.head()
    visit.send(OK)


@pytest.fixture
def relay(tmp_path: Path, redis: RedisServer, shop: Upstream) -> Iterator[Gateway]:
    shop.clear(answer)
    (tmp_path / "secrets").write_text(SECRETS)
    more = {**sections(shop), "watch": True, "session": {"secrets_file": "secrets"}}
    with gateway(tmp_path, redis.url, **more) as started:
        yield started


def with_route(file: Path, path: str) -> str:
    """The configuration with another public route."""
    settings = yaml.safe_load(file.read_text())
    settings["routes"].append({"path": path, "upstream": "shop", "auth": "public"})
    return yaml.safe_dump(settings)


def in_place(file: Path, text: str) -> None:
    file.write_text(text)


def by_renaming(file: Path, text: str) -> None:
    """As editors do."""
    new = file.with_suffix(".new")
    new.write_text(text)
    new.rename(file)


def by_linking(file: Path, text: str) -> None:
    """As Kubernetes does: the file is a link through a link to a folder."""
    folder = file.with_name(f"data-{len(text)}")
    folder.mkdir()
    (folder / file.name).write_text(text)
    link = file.with_name("new")
    link.symlink_to(folder)
    link.rename(file.with_name("..data"))
    if not file.is_symlink():
        file.unlink()
        file.symlink_to(f"..data/{file.name}")


def test_every_way_of_writing_counts(relay: Gateway, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    ways: list[Callable[[Path, str], None]] = [in_place, by_renaming, by_linking, by_linking]
    for number, write in enumerate(ways):
        path = f"/new{number}"
        assert status(ask(relay.port, GET % path.encode())) == 404
        write(file, with_route(file, path))
        eventually(lambda path=path: status(ask(relay.port, GET % path.encode())) == 200)  # type: ignore[misc]


def test_a_broken_file_changes_nothing(relay: Gateway, tmp_path: Path) -> None:
    """It is reported once, and the next good one is taken."""
    file = tmp_path / "config.yaml"
    good = with_route(file, "/new")
    file.write_text("routes: [")
    eventually(lambda: "the old configuration stays" in relay.log.read_text())
    assert relay.metrics()["latchkey_config_last_reload_successful"] == 0
    file.write_text(good)
    eventually(lambda: status(ask(relay.port, GET % b"/new")) == 200)
    assert relay.log.read_text().count("the old configuration stays") == 1
    eventually(lambda: relay.metrics()["latchkey_config_last_reload_successful"] == 1)


def test_the_files_that_it_names_count(relay: Gateway, tmp_path: Path) -> None:
    """And no other file beside them."""
    (tmp_path / "other").write_text("x")
    os.utime(tmp_path / "config.yaml")
    eventually(lambda: relay.metrics()['latchkey_config_reloads_total{result="ok"}'] == 1)
    (tmp_path / "secrets").write_text(SECRETS + "fedcba9876543210fedcba9876543210\n")
    eventually(lambda: relay.metrics()['latchkey_config_reloads_total{result="ok"}'] == 2)


def test_certificates_count(tmp_path: Path, redis: RedisServer, shop: Upstream) -> None:
    """A pair that does not fit changes nothing, and is reported; the renewed one is used by each
    worker, and sessions of TLS resume at any of them again.
    """
    made = tmp_path / "made"
    for file, source in named(made, "old.example").items():
        shutil.copy(source, tmp_path / file)
    at = free_port()
    listen = {
        "address": f"127.0.0.1:{at}",
        "tls": {"cert_file": "cert_file", "key_file": "key_file"},
    }
    more = {**sections(shop), "watch": True, "workers": 2, "listen": listen}
    with gateway(tmp_path, redis.url, **more) as relay:
        new = named(made, "new.example")
        shutil.copy(new["cert_file"], tmp_path / "cert_file")
        eventually(lambda: "the old configuration stays" in relay.log.read_text())
        assert relay.metrics()["latchkey_config_last_reload_successful"] == 0
        with TlsClient(at) as client:
            assert client.shown() == "CN=old.example"
        shutil.copy(new["key_file"], tmp_path / "key_file")
        eventually(lambda: "gateway: reloaded" in relay.log.read_text())
        by = trusting_all(ssl.TLSVersion.TLSv1_2)
        with TlsClient(at, by=by) as client:
            assert client.shown() == "CN=new.example"
            session = client.tls.session
        for _ in range(8):
            with TlsClient(at, by=by, session=session) as client:
                assert client.tls.session_reused
