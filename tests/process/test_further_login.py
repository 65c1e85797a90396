"""A new kind of login: two files are added, and no line of the others is changed."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.gateway import REPOSITORY, environment, gateway
from tests.support.processes import HANG
from tests.support.raw import Upstream, ask, status
from tests.support.signing_keys import signing

SECTION = '''
"""The section of a login of `kind: club_motto`."""

from typing import ClassVar, Literal

from gateway.config.login_sections import PasswordLoginSection


class ClubMottoSection(PasswordLoginSection):
    FILES: ClassVar[tuple[str, ...]] = ("file",)

    kind: Literal["club_motto"]
    file: str

    @property
    def mints(self) -> bool:
        return True

    @property
    def has_form(self) -> bool:
        return True
'''

LOGIN = '''
"""`kind: club_motto`: a login by a motto that all members know."""

from pathlib import Path

from gateway.core.http import refusals
from gateway.core.logins.replies import Reply
from gateway.logins import LoggedIn, Login
from gateway.logins._minting import MintedRenewal, SessionMinter
from gateway.outbound.backends import BackendFailed


class ClubMottoLogin(Login):
    def __init__(self, config, services):
        self._motto = Path(config.file).read_bytes().strip()
        self._minter = SessionMinter(config.path, services)
        self.renewal = MintedRenewal(self._minter)

    async def __call__(self, attempt):
        if attempt.body != self._motto:
            raise BackendFailed(refusals.WRONG_LOGIN)
        issued = await self._minter.issue(attempt, "member", {})
        return LoggedIn.of(Reply(200, (), issued.key.reveal().encode()))
'''


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A copy of the gateway, to which the two files have been added."""
    folder = tmp_path / "program"
    package = folder / "gateway"
    shutil.copytree(REPOSITORY / "gateway", package)
    (package / "config" / "logins" / "club_motto.py").write_text(SECTION)
    (package / "logins" / "club_motto.py").write_text(LOGIN)
    (tmp_path / "motto.txt").write_text("per aspera")
    return folder


def test_it_logs_people_in(tmp_path: Path, program: Path, shop: Upstream) -> None:
    """A kind of two words is found by its file's name, and has all that logins have."""
    other = {"kind": "backend", "path": "/login", "upstream": "shop"}
    motto = {"kind": "club_motto", "path": "/motto", "file": "motto.txt"}
    with gateway(
        tmp_path,
        "embedded",
        program=program,
        upstreams={"shop": shop.url},
        login=[other, {**motto, "subject_prefix": "motto:"}],
        guessing={"per_account": 1},
        signing=signing(),
        routes=[{"path": "/api/*", "upstream": "shop"}],
    ) as running:
        assert status(ask(running.port, _post(b"/motto", b"ad astra"))) == 401
        assert status(ask(running.port, _post(b"/motto", b"per aspera"))) == 429, "it was a guess"
    with gateway(
        tmp_path,
        "embedded",
        program=program,
        upstreams={"shop": shop.url},
        login={**motto, "guessing": "off"},
        signing=signing(),
        routes=[{"path": "/api/*", "upstream": "shop"}],
    ) as running:
        answer = ask(running.port, _post(b"/motto", b"per aspera"))
        assert status(answer) == 200
        key = answer.partition(b"\r\n\r\n")[2]
        line = b"Authorization: Bearer %b\r\n" % key
        assert status(ask(running.port, _post(b"/api/x", b"", line))) == 200
        assert b"X-User-Id: member" in shop.got


def test_it_is_checked_and_shown(tmp_path: Path, program: Path) -> None:
    """`check`, `routes` and `schema` know it, and it alone is enough for a login page."""
    file = tmp_path / "config.yaml"
    data = {
        "version": 1,
        "upstreams": {},
        "login": {"kind": "club_motto", "path": "/motto", "file": "motto.txt", "flie": "x"},
        "pages": {"login": "/sign-in"},
        "routes": [],
    }
    file.write_text(json.dumps(data))
    code, said = _run(program, "check", "-c", str(file))
    assert code == 2
    assert "did you mean file?" in said
    del data["login"]["flie"]  # type: ignore[attr-defined]
    file.write_text(json.dumps(data))
    assert "needs signing" in _run(program, "check", "-c", str(file))[1]
    file.write_text(json.dumps({**data, "signing": signing()}))
    assert _run(program, "check", "-c", str(file))[0] == 0
    assert "/motto" in _run(program, "routes", "-c", str(file))[1]
    assert "ClubMottoSection" in json.loads(_run(program, "schema")[1])["$defs"]


def _post(path: bytes, body: bytes, line: bytes = b"") -> bytes:
    return b"POST %b HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n%b\r\n%b" % (
        path,
        len(body),
        line,
        body,
    )


def _run(program: Path, *arguments: str) -> tuple[int, str]:
    """The exit code of a command, and what it says."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "gateway", *arguments],
        env=environment(PYTHONPATH=str(program)),
        capture_output=True,
        text=True,
        timeout=HANG,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr
