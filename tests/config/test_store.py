"""The section `store`: how it is entered, and what is said when that cannot work."""

from pathlib import Path

import pytest

from gateway.config.load import load
from gateway.config.load_isolated import load_in_child
from gateway.config.problems import ConfigError
from gateway.config.tls import client_context
from tests.support.configs import MINIMAL, problems, write
from tests.support.tls import certificates

SESSION = "session: {secrets: [a-secret-of-the-tests]}\n"


def store(text: str) -> str:
    return f"{MINIMAL}{SESSION}store: {text}\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("redis://a:b@c:d", "6:8: store.url: has no host, or a wrong one"),
        ("{url: 'redis://a/b'}", "6:14: store.url: has no number as its database"),
        ("{url: 'redis://a', tls: {verify: false}}", "6:8: store: tls goes with a URL that begins"),
        (
            "{url: 'rediss://a', tls: {key_file: a.key}}",
            "6:33: store.tls: key_file goes with a cert_file",
        ),
        ("{url: 'redis://a', username: b}", "6:8: store: username goes with a password"),
        ("{password: hunter2}", "6:8: store: password and replicas go with a Redis, not with the"),
        (
            "{url: 'redis://a', sentinel: {password: hunter2}}",
            "6:8: store: sentinel goes with a redis+sentinel:// URL",
        ),
    ],
)
def test_what_does_not_fit(tmp_path: Path, text: str, problem: str) -> None:
    """A store that could never be reached is a problem of config.yaml, with its place."""
    [found] = problems(tmp_path, store(text))
    assert found.startswith(f"config.yaml:{problem}")


def test_tls_files(tmp_path: Path) -> None:
    """Relative to config.yaml; what is missing or unusable is said where it is named."""
    made = certificates(tmp_path / "pki")
    text = "{url: 'rediss://a', tls: {ca_file: pki/%s, cert_file: pki/%s, key_file: pki/%s}}"
    tls = load(write(tmp_path, store(text % ("ca.pem", "client.pem", "client.key"))), {}).store.tls
    assert (tls.ca_file, tls.cert_file) == (str(made.ca), str(made.client))
    client_context(tls.ca_file, tls.cert_file, tls.key_file, verify=True)
    assert problems(tmp_path, store(text % ("no.pem", "client.pem", "no.key"))) == [
        "config.yaml:6:43: store.tls.ca_file: cannot be read: No such file or directory",
        "config.yaml:6:92: store.tls.key_file: cannot be read: No such file or directory",
    ]
    [problem] = problems(tmp_path, store(text % ("client.key", "client.pem", "client.key")))
    assert problem.endswith("store.tls.ca_file: does not hold a certificate in PEM")
    [problem] = problems(tmp_path, store(text % ("ca.pem", "client.pem", "server.key")))
    assert "store.tls.cert_file: cannot be used: needs a certificate" in problem


def test_an_encrypted_key_asks_nobody(tmp_path: Path) -> None:
    """OpenSSL would ask for the password on a terminal, which a service lacks."""
    key = tmp_path / "client.key"
    made = certificates(tmp_path / "pki")
    key.write_text(
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
        "MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAgrmEQQT6VnywICCAAw\n"
        "-----END ENCRYPTED PRIVATE KEY-----\n"
    )
    text = f"{{url: 'rediss://a', tls: {{cert_file: {made.client}, key_file: {key}}}}}"
    [problem] = problems(tmp_path, store(text))
    assert "unencrypted key" in problem


def test_passwords_are_secret(tmp_path: Path) -> None:
    """In the URL, beside it and for the sentinels: no repr shows them, nor does a refusal."""
    text = (
        "{url: 'redis+sentinel://u:hunter2@a', username: u, password: hunter2, "
        "sentinel: {username: s, password: hunter2}}"
    )
    file = write(tmp_path, store(text))
    for config in (load(file, {}), load_in_child(file)):
        assert "hunter2" not in repr(config)
        assert config.store.url == "redis+sentinel://u:hunter2@a"
        assert config.store.sentinel.password is not None
        assert config.store.sentinel.password.reveal() == "hunter2"
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, store("{url: 'redis://u:hunter2@a:b', password: [hunter2]}")), {})
    assert "hunter2" not in str(caught.value)
