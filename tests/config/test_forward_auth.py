"""What config.yaml says of the verify endpoint."""

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

import jsonschema
import pytest
import yaml

from gateway.cli.main import main
from gateway.config.load import load
from gateway.config.schema import json_schema
from tests.support.configs import MINIMAL, problems, write
from tests.support.gateway import REPOSITORY

NOWHERE = MINIMAL.replace(", upstream: shop", "")


def test_it_is_off_unless_asked_for(tmp_path: Path) -> None:
    """And then it answers to loopback alone."""
    assert load(write(tmp_path, MINIMAL), {}).verify is None
    verify = load(write(tmp_path, MINIMAL + "verify: {}"), {}).verify
    assert verify is not None
    assert verify.path == "/.well-known/latchkey/verify"
    assert verify.trusted == (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))
    verify = load(write(tmp_path, MINIMAL + "verify: {path: /ask, trusted: 10.0.0.0/8}"), {}).verify
    assert verify is not None
    assert (verify.path, verify.trusted) == ("/ask", (IPv4Network("10.0.0.0/8"),))
    verify = load(write(tmp_path, MINIMAL + "verify: /ask"), {}).verify
    assert verify is not None
    assert verify.path == "/ask"


def test_the_example_is_right() -> None:
    """Both for the gateway and for editors."""
    file = REPOSITORY / "deploy" / "forward-auth" / "latchkey.yaml"
    load(file, {})
    jsonschema.validate(yaml.safe_load(file.read_text()), json_schema())


def test_only_with_it_may_a_route_lead_nowhere(tmp_path: Path) -> None:
    """Proxies send what passes by themselves."""
    assert load(write(tmp_path, NOWHERE + "verify: {}"), {}).routes[0].upstream is None
    [problem] = problems(tmp_path, NOWHERE)
    assert problem == "config.yaml:4:10: routes[0]: needs upstream, as there is no verify"
    for more in ("strip_prefix: /a", "captures: auto"):
        text = NOWHERE.replace("path: /*", f"path: /a/*, {more}")
        [problem] = problems(tmp_path, text + "verify: {}")
        assert "strip_prefix and captures go with an upstream" in problem


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("verify: /logout\n", "verify.path: is the path of logout as well"),
        ("verify: /sessions\n", "verify.path: is the path of sessions as well"),
        ("verify: /ask/\n", "verify.path: cannot end in a slash"),
        ("verify: /ask/*\n", "verify.path: is one path"),
        ("verify: {trusted: localhost}\n", "verify.trusted[0]"),
        ("verify: {trust: 127.0.0.1}\n", "verify.trust: is not known here (did you mean trusted?)"),
    ],
)
def test_what_is_wrong_with_it(tmp_path: Path, text: str, complaint: str) -> None:
    """Each with its place."""
    assert any(complaint in problem for problem in problems(tmp_path, MINIMAL + text))


@pytest.mark.parametrize("path", ["/ask", "/ask/*", "/ask/more"])
def test_a_route_that_is_never_reached(tmp_path: Path, path: str) -> None:
    """The path itself and all below it are the endpoint's."""
    text = MINIMAL.replace("path: /*", f"path: {path}") + "verify: /ask\n"
    [problem] = problems(tmp_path, text)
    assert "routes[0].path: is never reached: verify answers there" in problem


def test_it_is_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`gateway routes` prints it, and a dash for nowhere."""
    assert main(["routes", "-c", str(write(tmp_path, NOWHERE + "verify: /ask\n"))]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["/ask", "any", "verify", "gateway"] in rows
    assert ["/*", "any", "required", "-"] in rows
