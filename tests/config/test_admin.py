"""What config.yaml may say of the admin listener and of the logs."""

from pathlib import Path

import pytest

from gateway.config.load import load
from gateway.config.model import Config
from gateway.config.problems import ConfigError

REST = """
version: 1
upstreams: {shop: http://127.0.0.1:9000}
routes: [{path: /*, upstream: shop, auth: public}]
"""


def read(folder: Path, text: str, **env: str) -> Config:
    file = folder / "config.yaml"
    file.write_text(REST + text)
    return load(file, env)


def test_the_secret_is_none_unless_it_is_said(tmp_path: Path) -> None:
    """So the admin API is off; what is said is shown by nothing."""
    assert read(tmp_path, "").admin.secret is None
    config = read(tmp_path, "admin: {secret: '${ADMIN}'}", ADMIN="a secret of sixteen")
    assert config.admin.secret is not None
    assert config.admin.secret.reveal() == "a secret of sixteen"
    assert "sixteen" not in repr(config)


@pytest.mark.parametrize("secret", ["", "guess", "x" * 15])
def test_a_secret_that_can_be_guessed(tmp_path: Path, secret: str) -> None:
    """It is refused with its place, and without being repeated."""
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, "admin: {secret: '${ADMIN}'}", ADMIN=secret)
    text = str(caught.value)
    assert "config.yaml:5:17: admin.secret: is too short: at least 16 characters" in text
    assert not secret or secret not in text


@pytest.mark.parametrize(
    ("said", "means"),
    [
        ("stdout", "stdout"),
        ("off", "off"),
        ("'off'", "off"),
        ("logs/audit.log", "{folder}/logs/audit.log"),
        ("/var/log/audit.log", "/var/log/audit.log"),
    ],
)
@pytest.mark.parametrize("log", ["access_log", "audit_log"])
def test_where_a_log_goes(tmp_path: Path, log: str, said: str, means: str) -> None:
    """YAML's `off` is a word here; a file is relative to config.yaml."""
    config = read(tmp_path, f"{log}: {said}")
    assert getattr(config, log) == means.format(folder=tmp_path)
