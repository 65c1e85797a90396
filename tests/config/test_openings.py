"""What `check` opens because `run` would; and files that are no configuration at all."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.config import files
from gateway.config.load import load, load_with_warnings
from gateway.config.problems import ConfigError

MINIMAL = """
version: 1
upstreams: {shop: "http://127.0.0.1:9000"}
routes: [{path: /*, upstream: shop}]
"""


def problems(folder: Path, text: str | bytes) -> list[str]:
    file = folder / "config.yaml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    before = sorted(folder.rglob("*"))
    try:
        load_with_warnings(file, {}, opens=True)
    except ConfigError as error:
        return [str(problem).removeprefix(f"{folder}/") for problem in error.problems]
    finally:
        assert sorted(folder.rglob("*")) == before, "something was made"
    return []


def folder(path: Path) -> None:
    path.mkdir()


def text(path: Path) -> None:
    path.write_text("no certificate, no key")


def pipe(path: Path) -> None:
    os.mkfifo(path)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def endless_texts(path: Path) -> None:
    path.mkdir()
    endless(path / "texts.yaml")


def deep_texts(path: Path) -> None:
    path.mkdir()
    (path / "texts.yaml").write_text("en: " + "[" * 5000)


def nothing(path: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("line", "make", "complaint"),
    [
        ("access_log: nowhere/x", nothing, "access_log: cannot be written: No such file"),
        ("access_log: x", folder, "access_log: cannot be written: Is a directory"),
        ("audit_log: x", folder, "audit_log: cannot be written: Is a directory"),
        ("audit_log: x/y", text, "audit_log: cannot be written: Not a directory"),
        ("audit_log: x", pipe, "audit_log: cannot be written: No such device"),
        ("store: {data_dir: x}", text, "store.data_dir: cannot be used: Not a directory"),
        ("listen: unix:{folder}/no/a", nothing, "cannot be listened on: No such file"),
        ("listen: unix:{folder}/x", text, "there is a file that is not a socket"),
        ("session: {secrets_file: x}", nothing, "secrets_file: cannot be read: No such file"),
        ("session: {secrets_file: x}", folder, "secrets_file: cannot be read: "),
        ("session: {secrets_file: x}", pipe, "cannot be read: is not a regular file"),
        ("session: {secrets_file: x}", endless, "cannot be read: is not a regular file"),
        ('session: {secrets_file: "x\\0y"}', nothing, "secrets_file: holds a control character"),
        ("jwt: {public_key: x}", endless, "jwt.public_key: "),
        ("pages: {templates: x}", text, "pages.templates: is not a folder"),
        ("pages: {templates: x}", endless_texts, "pages.templates: is not a regular file"),
        ("pages: {templates: x}", deep_texts, "pages.templates: is nested too deeply"),
        ('access_log: "a\\ud800"', nothing, "access_log: holds half a character"),
        ("listen: 192.0.2.1:8080", nothing, "cannot be listened on: Cannot assign requested"),
    ],
)
def test_what_cannot_be_opened(
    tmp_path: Path, line: str, make: Callable[[Path], None], complaint: str
) -> None:
    """One complaint, in the line that names it, and nothing is made or changed."""
    make(tmp_path / "x")
    [problem] = problems(tmp_path, MINIMAL + line.replace("{folder}", str(tmp_path)) + "\n")
    assert complaint in problem


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (nothing, "cannot be read: No such file"),
        (text, "does not hold a certificate in PEM"),
        (folder, "cannot be read: Is a directory"),
        (endless, "cannot be read: is not a regular file"),
    ],
)
def test_authorities_of_an_upstream(
    tmp_path: Path, make: Callable[[Path], None], complaint: str
) -> None:
    """They are read when the configuration is, and not only by a worker."""
    make(tmp_path / "x")
    shop = '{servers: "https://a.example", tls: {ca_file: x}}'
    [problem] = problems(tmp_path, MINIMAL.replace('"http://127.0.0.1:9000"', shop))
    assert f"upstreams.shop.tls.ca_file: {complaint}" in problem


def test_secrets_with_odd_bytes(tmp_path: Path) -> None:
    for content in (b"a secret \0 that is long enough", b"\xff" * 20):
        (tmp_path / "x").write_bytes(content)
        [problem] = problems(tmp_path, MINIMAL + "session: {secrets_file: x}\n")
        assert problem.endswith("session.secrets_file: cannot be read: it is not text")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (MINIMAL + "access_log: a\x07b\n", "holds a character that no YAML may hold: U+0007"),
        (MINIMAL + 'access_log: "a\\x07b"\n', "access_log: holds a control character"),
        (MINIMAL + 'login_page: "/a\\0"\n', "login_page: holds a control character"),
        (MINIMAL + "pages: &a {templates: *a}\n", "an alias inside the value that it names"),
        (MINIMAL + "x: &a [*a, *a]\n", "an alias inside the value that it names"),
        (MINIMAL + f"x: {'[' * 5000}\n", "is nested too deeply"),
        (MINIMAL + f"x: {'{a: ' * 5000}\n", "is nested too deeply"),
        (b"\xff\xfeversion: 1", "is not UTF-8 text"),
        (
            "a: &a [1,1,1,1,1,1,1,1,1,1]\n"
            + "".join(
                f"{b}: &{b} [{','.join([f'*{a}'] * 10)}]\n"
                for a, b in zip("abcdefg", "bcdefgh", strict=True)
            ),
            "has more than 300000 values",
        ),
    ],
)
def test_no_configuration_at_all(tmp_path: Path, content: str | bytes, complaint: str) -> None:
    """A sentence, and neither a traceback nor an endless loop."""
    assert complaint in " ".join(problems(tmp_path, content))


def test_a_file_without_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_FILE_BYTES", 1000)
    with pytest.raises(ConfigError, match="cannot be read: is larger than 1000 bytes"):
        load(Path("/dev/zero"), {})
