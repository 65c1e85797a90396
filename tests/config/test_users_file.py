"""config/users_file: a users file is read with care, and replaced as a whole."""

import json
import multiprocessing
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.config import users_file
from gateway.config.load import load
from gateway.config.problems import ConfigError
from gateway.config.users_file import BrokenFile, NotChanged
from gateway.core.logins.users import BadUsers
from tests.support.signing_keys import signing_key
from tests.support.users import cheap_hash, user, write

HASH, OTHER = cheap_hash(), cheap_hash("another")

COMMENTED = f"""\
# Who may come in.
alice:   # the owner
    hash: "{HASH}"
    claims: {{role: admin}}
'no':
    hash: {OTHER}
"""


def test_yaml_and_json_say_the_same(tmp_path: Path) -> None:
    """JSON is what its name says is JSON."""
    as_yaml, as_json = tmp_path / "users.yaml", tmp_path / "users.JSON"
    as_yaml.write_text(COMMENTED)
    as_json.write_text(
        json.dumps({"alice": {"hash": HASH, "claims": {"role": "admin"}}, "no": {"hash": OTHER}})
    )
    assert users_file.read(as_yaml) == users_file.read(as_json)
    assert list(users_file.read(as_yaml)) == ["alice", "no"]


@pytest.mark.parametrize(
    ("name", "text", "message", "line"),
    [
        ("u.yaml", "a: [", "is not YAML", 1),
        ("u.yaml", "\nno: {hash: x}", "a name is no text: put it in quotes", 1),
        ("u.yaml", f"a: {{hash: {HASH}}}\nb: 1\na: 2\n", "a name stands twice", 3),
        ("u.yaml", f"a:\n  hash: {HASH}\n  hash: {HASH}", "a name stands twice", 3),
        ("u.yaml", "!!python/object/apply:os.abort []", "is not YAML", 1),
        ("u.yaml", "a: {hash: *b}", "is not YAML", 1),
        ("u.yaml", "[" * 100_000, "is not YAML", 1),
        ("u.yaml", "just a text", "must be a mapping of names to users", 1),
        ("u.json", "a: {}", "is no JSON, or a name stands twice", 1),
        ("u.json", '{"a": 1, "a": 2}', "is no JSON, or a name stands twice", 1),
        ("u.json", "[]", "must be a mapping of names to users", 1),
    ],
)
def test_broken_files(tmp_path: Path, name: str, text: str, message: str, line: int) -> None:
    """Why, where it can be told, and nothing of what stands there."""
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(BrokenFile) as caught:
        users_file.read(path)
    assert (str(caught.value), caught.value.line) == (message, line)


def test_what_is_no_text_or_no_file(tmp_path: Path) -> None:
    """A folder, another charset, nothing at all."""
    (tmp_path / "u.yaml").write_bytes("한글: x".encode("euc-kr"))
    for path, message in (
        (tmp_path, "cannot be read: Is a directory"),
        (tmp_path / "nowhere", "cannot be read: No such file or directory"),
        (tmp_path / "u.yaml", "is not UTF-8 text"),
    ):
        with pytest.raises(BrokenFile) as caught:
            users_file.read(path)
        assert str(caught.value) == message


def test_users_are_added_and_removed(tmp_path: Path) -> None:
    """In either form; what was there stays; the file is its owner's alone."""
    for name in ("users.yaml", "users.json"):
        path = tmp_path / name
        users_file.add(path, "no", HASH, {})
        users_file.add(path, "홍길동", OTHER, {"role": "admin", "n": [1, None]})
        assert path.stat().st_mode & 0o777 == 0o600
        users = users_file.read(path)
        assert list(users) == ["no", "홍길동"]
        assert users["홍길동"].claims == {"role": "admin", "n": [1, None]}
        with pytest.raises(NotChanged, match="there is a user no already"):
            users_file.add(path, "no", OTHER, {})
        with pytest.raises(BadUsers, match="claims cannot hold exp"):
            users_file.add(path, "x", OTHER, {"exp": 1})
        users_file.remove(path, "no")
        with pytest.raises(NotChanged, match="there is no user no"):
            users_file.remove(path, "no")
        assert list(users_file.read(path)) == ["홍길동"]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["users.json", "users.yaml"]


def test_another_hash_changes_nothing_else(tmp_path: Path) -> None:
    """Comments and order belong to the author."""
    path = tmp_path / "users.yaml"
    path.write_text(COMMENTED)
    fresh = cheap_hash("a third")
    users_file.change_hash(path, "alice", fresh)
    assert path.read_text() == COMMENTED.replace(HASH, fresh)
    users_file.change_hash(path, "alice", OTHER, old=HASH)
    assert path.read_text() == COMMENTED.replace(HASH, fresh), "it was changed meanwhile"
    with pytest.raises(NotChanged):
        users_file.change_hash(path, "bob", fresh)


def test_a_hash_in_escapes_or_of_two_users(tmp_path: Path) -> None:
    """Then the text cannot be edited, and is written anew; no other user's password changes."""
    path = tmp_path / "users.json"
    path.write_text(json.dumps({"a": {"hash": HASH}}).replace("$", "\\u0024"))
    users_file.change_hash(path, "a", OTHER)
    assert users_file.read(path)["a"].hash == OTHER
    write(path, a=user(), b=user())
    users_file.change_hash(path, "a", OTHER)
    users = users_file.read(path)
    assert (users["a"].hash, users["b"].hash) == (OTHER, HASH)


def test_a_broken_file_is_not_written_over(tmp_path: Path) -> None:
    """The problem names the line, so that it can be found."""
    path = tmp_path / "users.yaml"
    path.write_text("alice: {hash: oops}\n")
    with pytest.raises(BrokenFile):
        users_file.add(path, "bob", HASH, {})
    with pytest.raises(BrokenFile):
        users_file.remove(path, "alice")
    with pytest.raises(BrokenFile):
        users_file.change_hash(path, "alice", HASH)
    assert path.read_text() == "alice: {hash: oops}\n"


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """What it leads to is replaced."""
    (tmp_path / "there").mkdir()
    real, link = tmp_path / "there" / "users.yaml", tmp_path / "users.yaml"
    real.write_text(COMMENTED)
    link.symlink_to(real)
    users_file.remove(link, "no")
    assert link.is_symlink()
    assert list(users_file.read(real)) == ["alice"]


def _add(path: Path, at: int) -> None:
    users_file.add(path, f"user{at}", HASH, {})


def test_two_that_write_at_once(tmp_path: Path) -> None:
    """Neither's change is lost."""
    path = tmp_path / "users.yaml"
    context = multiprocessing.get_context("spawn")
    with context.Pool(4) as pool:
        pool.starmap(_add, [(path, at) for at in range(20)])
    assert len(users_file.read(path)) == 20
    assert [file.name for file in tmp_path.iterdir()] == ["users.yaml"]


def sections(folder: Path, login: Any) -> Path:
    file = folder / "config.yaml"
    data = {
        "version": 1,
        "upstreams": {"shop": "http://127.0.0.1:9000"},
        "routes": [],
        "login": login,
        "signing": {"issuer": "g", "keys": signing_key("HS256")},
    }
    file.write_text(yaml.safe_dump(data))
    return file


def test_the_configuration_checks_it(tmp_path: Path) -> None:
    """One that is not there yet has no users; one that is there must be right."""
    (tmp_path / "sub").mkdir()
    login = {"kind": "users", "path": "/login", "file": "sub/users.yaml"}
    config = load(sections(tmp_path, login), {})
    assert getattr(config.login[0], "file", None) == str(tmp_path / "sub" / "users.yaml")
    (tmp_path / "sub" / "users.yaml").write_text(f"a: {{hash: {HASH}}}\na: {{hash: {HASH}}}\n")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "config.yaml", {})
    assert str(caught.value) == f"{tmp_path}/sub/users.yaml:2:1: a name stands twice"


@pytest.mark.parametrize(
    ("login", "message"),
    [
        ({"kind": "users", "path": "/login"}, "login: needs file"),
        (
            {"kind": "users", "path": "/login", "file": "u", "upstream": "shop"},
            "login.upstream: is not known here",
        ),
        (
            {"kind": "users", "path": "/login", "file": "u", "methods": ["GET"]},
            "login.methods[0]: must be 'POST'",
        ),
    ],
)
def test_what_a_users_login_may_say(tmp_path: Path, login: Any, message: str) -> None:
    """One field, one sentence."""
    with pytest.raises(ConfigError) as caught:
        load(sections(tmp_path, login), {})
    [problem] = caught.value.problems
    assert f"{problem.field}: {problem.message}" == message


def test_root_leaves_the_file_to_its_owner(tmp_path: Path) -> None:
    """A command run by root must not take the file from the gateway's own user."""
    owner = (12345, 12345) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    path = write(tmp_path / "users.json", alice=user())
    os.chown(path, *owner)
    users_file.add(path, "bob", HASH, {})
    found = path.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (*owner, 0o600)
