"""When a change of files counts (`gateway.processes.file_watch`), and which files are watched."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from gateway.config import files
from gateway.config.load_isolated import load_in_child
from gateway.processes import file_watch
from gateway.processes.file_watch import FileWatch
from tests.support import tls, users
from tests.support.signing_keys import pem, public_pem


@pytest.fixture(autouse=True)
def looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_watch, "_LOOK_SECONDS", 0.0)


@pytest.fixture
def mounted(tmp_path: Path) -> Path:
    """A file of a ConfigMap: `file` → `..data/file`, and `..data` → a folder."""
    swap(tmp_path, "1", "a: 1\n")
    (tmp_path / "file").symlink_to("..data/file")
    return tmp_path / "file"


def swap(folder: Path, version: str, text: str) -> None:
    """Mount another version, as the kubelet does (AtomicWriter)."""
    (folder / f"..{version}").mkdir()
    (folder / f"..{version}" / "file").write_text(text)
    (folder / "..data_tmp").symlink_to(f"..{version}")
    (folder / "..data_tmp").rename(folder / "..data")


def watch(*paths: Path) -> FileWatch:
    return FileWatch({str(path): files.mark(path) for path in paths})


def change_in_place(file: Path) -> None:
    file.write_text("a: 2\n")


def change_with_the_same_time(file: Path) -> None:
    """As `rsync --times --inplace` does: neither the size nor the time of the contents changes."""
    before = file.stat()
    file.write_text("a: 2\n")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def rename_over(file: Path) -> None:
    new = file.with_name(".file.swp")
    new.write_text("a: 1\n")
    new.rename(file)


def rename_away_first(file: Path) -> None:
    """As editors do that keep a copy."""
    file.rename(file.with_name("file~"))
    file.write_text("a: 2\n")


def swap_folders(file: Path) -> None:
    swap(file.parent, "2", "a: 1\n")


def change_behind_links(file: Path) -> None:
    file.resolve().write_text("a: 2\n")


def remove(file: Path) -> None:
    file.unlink()


def forbid(file: Path) -> None:
    """A reload that failed since a file was not readable is repeated when its mode changes."""
    file.chmod(0o400)


@pytest.mark.parametrize(
    "change",
    [
        change_in_place,
        change_with_the_same_time,
        rename_over,
        rename_away_first,
        swap_folders,
        change_behind_links,
        remove,
        forbid,
    ],
)
def test_what_changes_a_file(mounted: Path, change: Callable[[Path], None]) -> None:
    """It counts when it has stood still for a look, and once."""
    watched = watch(mounted)
    assert not watched.have_changed()
    change(mounted)
    assert [watched.have_changed(), watched.have_changed()] == [False, True]
    watched.follow({str(mounted): files.mark(mounted)})
    assert [watched.have_changed(), watched.have_changed()] == [False, False]


def test_a_file_that_is_still_written(mounted: Path) -> None:
    """It does not count before it is whole."""
    watched = watch(mounted)
    for size in range(2, 6):
        mounted.write_text("x" * size * 10)
        assert not watched.have_changed()
    assert watched.have_changed()


def test_a_file_that_was_missing(tmp_path: Path) -> None:
    watched = watch(tmp_path / "file")
    (tmp_path / "file").write_text("x")
    assert [watched.have_changed(), watched.have_changed()] == [False, True]


def test_other_files_do_not_count(mounted: Path) -> None:
    watched = watch(mounted)
    mounted.with_name("access.log").write_text("x")
    assert [watched.have_changed(), watched.have_changed()] == [False, False]


def test_all_files_that_are_named_are_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files of config.yaml, and templates that are not there yet."""
    certificate = tls.self_signed(tmp_path)
    users.write(tmp_path / "users.json", alice=users.user())
    (tmp_path / "secrets").write_text("0123456789abcdef0123456789abcdef\n")
    (tmp_path / "rules.py").write_text("def may(request):\n    return True\n")
    (tmp_path / "public.pem").write_text(public_pem("ES256"))
    (tmp_path / "signing.pem").write_text(pem("ES256"))
    (tmp_path / "page.html").write_text("closed")
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "logo.html").write_text("Latchkey")
    pair = {"cert_file": certificate.name, "key_file": certificate.name}
    config = {
        "version": 1,
        "listen": {"address": "127.0.0.1:8443", "tls": pair},
        "store": "redis://127.0.0.1:6379/0",
        "session": {"secrets_file": "secrets"},
        "signing": {
            "issuer": "https://gateway.example",
            "keys": [{"algorithm": "ES256", "private_key_file": "signing.pem"}],
        },
        "upstreams": {
            "shop": {"servers": ["https://127.0.0.1:1"], "tls": {"ca_file": certificate.name}}
        },
        "login": [
            {"kind": "users", "path": "/login", "file": "users.json"},
            {
                "kind": "backend",
                "path": "/staff",
                "upstream": "shop",
                "token": "/token",
                "verify": {"public_key": "public.pem"},
                "subject_prefix": "staff:",
            },
        ],
        "pages": {"templates": "templates"},
        "routes": [
            {"path": "/closed", "auth": "public", "respond": {"file": "page.html"}},
            {"path": "/*", "upstream": "shop", "require": {"rules": "rules.py:may"}},
        ],
    }
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(config))
    monkeypatch.setattr(files, "seen", {})  # by the tests before
    read: dict[str, files.Mark] = {}
    load_in_child(file, read_files=read)
    there = {str(path) for path in tmp_path.rglob("*") if path.is_file()}
    assert there == {path for path in read if Path(path).exists()}
    assert f"{tmp_path}/templates/refusal.html" in read
