"""Settings of listeners that cannot be, and what is said of them."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.config.load import load_with_warnings
from tests.support.configs import MINIMAL, problems, write
from tests.support.tls import certificates, named


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with certificates in `tls`."""
    made = tmp_path_factory.mktemp("listening")
    certificates(made / "tls")
    (made / "tls" / "broken.pem").write_text("broken")
    return made


def complaint(folder: Path, listen: dict[str, Any], **more: Any) -> str:
    """The one problem of a configuration with this listener."""
    text = MINIMAL + yaml.safe_dump({"listen": {"address": "127.0.0.1:8443", **listen}, **more})
    [problem] = problems(folder, text)
    return problem


def pair(cert: str, key: str) -> dict[str, str]:
    return {"cert_file": f"tls/{cert}", "key_file": f"tls/{key}"}


@pytest.mark.parametrize(
    ("tls", "message"),
    [
        (pair("missing.pem", "server.key"), "tls.cert_file: cannot be read: No such file"),
        (pair("server.pem", "missing.key"), "tls.key_file: cannot be read: No such file"),
        (pair("server.pem", "client.key"), "tls.cert_file: cannot be used: the key belongs to"),
        (pair("broken.pem", "server.key"), "tls.cert_file: cannot be used: needs a certificate"),
        (
            {"certificates": [pair("server.pem", "server.key"), pair("client.pem", "server.key")]},
            "listen.tls.certificates[1].cert_file: cannot be used",
        ),
        ({"cert_file": "tls/server.pem"}, "cert_file and key_file go together"),
        ({}, "needs cert_file and key_file, or certificates"),
        ({**pair("server.pem", "server.key"), "min_version": "1.1"}, "tls.min_version: must be"),
    ],
)
def test_certificates(folder: Path, tls: dict[str, Any], message: str) -> None:
    """Files that cannot be read, pairs that do not fit, and halves of one."""
    assert message in complaint(folder, {"tls": tls})


@pytest.mark.parametrize(
    ("days", "why"), [(-30, "it has expired on 20"), (30, "it is not valid before 20")]
)
def test_a_certificate_that_is_not_valid_now(folder: Path, days: int, why: str) -> None:
    """It is served, as everywhere, since a gateway that does not start helps no one; with a word."""
    good, bad = named(folder / "n", "good.example"), named(folder / "n", "bad.example", days=days)
    listen = {"address": "127.0.0.1:8443", "tls": {"certificates": [good, bad]}}
    file = write(folder, MINIMAL + yaml.safe_dump({"listen": listen}))
    [warning] = load_with_warnings(file, {})[1]
    place = "listen.tls.certificates[1].cert_file: is accepted by no client: "
    assert place + why in str(warning)


def test_a_certificate_that_is_never_shown(folder: Path) -> None:
    """One whose names all belong to certificates before it: a second key type, or an old copy."""
    pairs = [named(folder / "n", name) for name in ("one.example", "other.example", "One.example")]
    listen = {"address": "127.0.0.1:8443", "tls": {"certificates": pairs}}
    file = write(folder, MINIMAL + yaml.safe_dump({"listen": listen}))
    [warning] = load_with_warnings(file, {})[1]
    assert "certificates[2].cert_file: is shown to no client" in str(warning)


def test_redirects(folder: Path) -> None:
    """They are for plain HTTP, and lead to a port of HTTPS."""
    tls = pair("server.pem", "server.key")
    message = "redirect is for plain HTTP: it cannot stand beside tls"
    assert message in complaint(folder, {"tls": tls, "redirect": "https"})
    assert "redirect: " in complaint(folder, {"redirect": "http"})
    assert "redirect: " in complaint(folder, {"redirect": "https:99999"})


def test_proxy_headers(folder: Path) -> None:
    """They are believed from trusted proxies alone."""
    needs = "listen.proxy_protocol: needs trusted_proxies: "
    for proxies in ([], ["unix"]):
        said = complaint(folder, {"proxy_protocol": True}, trusted_proxies=proxies)
        assert needs + "the addresses" in said
    unix = {"address": f"unix:{folder}/a.sock", "proxy_protocol": True}
    assert needs + "unix" in complaint(folder, unix, trusted_proxies=["10.0.0.1"])


def test_the_admin_listener(folder: Path) -> None:
    admin = {"listen": {"address": "127.0.0.1:9081", "proxy_protocol": True}}
    assert "admin.listen: takes no tls, redirect or proxy_protocol" in complaint(
        folder, {}, admin=admin
    )
