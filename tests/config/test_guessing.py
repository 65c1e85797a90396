"""`guessing`: what it may say, at the top and in a login."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from gateway.config.load import load
from gateway.config.login_sections import Guessing
from gateway.config.logins.backend import BackendSection
from gateway.config.model import Config
from gateway.config.problems import ConfigError
from gateway.config.schema import json_schema
from tests.support.configs import MINIMAL, write

LOGIN = "login: {{kind: backend, path: /login, upstream: shop, guessing: {}}}\n"


def only(config: Config) -> BackendSection:
    """The one login that there is."""
    [login] = config.login
    assert isinstance(login, BackendSection)
    return login


def test_it_is_on_unless_it_is_said(tmp_path: Path) -> None:
    """What is guessed is limited by default; a login has the rules of all."""
    config = load(write(tmp_path, MINIMAL + LOGIN.replace(", guessing: {}", "").format()), {})
    assert config.guessing == Guessing()
    assert config.guessing.per_account
    assert config.guessing.per_account_everywhere
    assert config.guessing.per_address
    assert only(config).guessing is None


@pytest.mark.parametrize("off", ["off", "'off'", "false"])
def test_off(tmp_path: Path, off: str) -> None:
    """However YAML reads it: nothing is counted."""
    text = MINIMAL + f"guessing: {off}\n" + LOGIN.format(off)
    config = load(write(tmp_path, text), {})
    for rules in (config.guessing, only(config).guessing):
        assert rules is not None
        amounts = (rules.per_account, rules.per_account_everywhere, rules.per_address, rules.in_all)
        assert amounts == (0, 0, 0, 0)
    jsonschema.validate(yaml.safe_load(text), json_schema())


def test_rules_of_its_own(tmp_path: Path) -> None:
    """One value may stand for a list, as everywhere."""
    rules = {"account": "badge", "window": "1h", "per_account": 3, "known_for": "7d"}
    text = MINIMAL + LOGIN.format(json.dumps(rules))
    own = only(load(write(tmp_path, text), {})).guessing
    assert own is not None
    assert (own.account, own.window, own.known_for) == (("badge",), 3600, 604_800)
    jsonschema.validate(yaml.safe_load(text), json_schema())


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ("{per_acount: 3}", "guessing.per_acount: is not known here (did you mean per_account?)"),
        ("{per_account: -1}", "guessing.per_account: must be at least 0"),
        ("{window: 500ms}", "guessing.window: must be at least 1"),
        ("{account: []}", "guessing.account: must not be empty"),
        ("on", "guessing: "),
    ],
)
def test_what_is_wrong_with_it(tmp_path: Path, rules: str, message: str) -> None:
    """Said with its place, as everything."""
    with pytest.raises(ConfigError) as error:
        load(write(tmp_path, MINIMAL + f"guessing: {rules}\n"), {})
    assert message in str(error.value)


@pytest.mark.parametrize("kind", ["backend", "mint"])
def test_no_login_is_by_options(tmp_path: Path, kind: str) -> None:
    """A preflight is never counted, so it may never log in."""
    claims = "claims: {sub: /id}, " if kind == "mint" else ""
    login = f"login: {{kind: {kind}, path: /login, {claims}upstream: shop, methods: [OPTIONS]}}\n"
    with pytest.raises(ConfigError) as error:
        load(write(tmp_path, MINIMAL + login), {})
    assert "login.methods: cannot hold OPTIONS" in str(error.value)
