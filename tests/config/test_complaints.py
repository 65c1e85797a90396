"""Complaints about values: plain sentences, whatever stands wherever in config.yaml."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from gateway.config.complaints import PATTERNS
from gateway.config.load import load
from gateway.config.model import Config
from gateway.config.problems import ConfigError

MINIMAL = """
version: 1
upstreams: {shop: "http://127.0.0.1:9000"}
routes: [{path: /*, upstream: shop}]
"""

SECRET = "hunter2"

# Values of every kind that YAML knows, as a file spells them.
WRONG = {
    "nothing": "null",
    "true": "true",
    "zero": "0",
    "a negative number": "-7",
    "a fraction": "1.5",
    "a huge number": "9" * 60,
    "infinity": ".inf",
    "no number": ".nan",
    "a date": "2026-01-31",
    "sexagesimal": "1:30",
    "octal": "010",
    "an empty text": "''",
    "a text": f"'{SECRET}'",
    "a text with odd letters": f"'{SECRET} é \" / {{}}'",
    "an address with a secret": f"'http://{SECRET}:{SECRET}@[::1/{SECRET}'",
    "a host that cannot be": f"'https://{SECRET}℀.example'",
    "an empty list": "[]",
    "a list of texts": f"['{SECRET}', '{SECRET}']",
    "a list of lists": f"[['{SECRET}'], [1]]",
    "a list of sections": f"[{{kind: '{SECRET}'}}, {{path: ['{SECRET}']}}]",
    "an empty section": "{}",
    "a section": f"{{path: '{SECRET}', kind: [1], url: {{a: '{SECRET}'}}}}",
}

# Words of pydantic and of Python, which no config.yaml has.
JARGON = re.compile(
    r"input|pydantic|validat|lax|(?<!')strict\b|union|literal|constrained|function|instance|tuple"
    r"|\bdict|boolean|integer|\bstr\b|\bint\b|\bbool\b|string|float|NoneType|(?-i:\bNone\b)|Error\b"
    r"|Field required|extra|iterable|discriminator|\bctx\b|\bclass\b|dataclass|\{(?!host\})\w*\}",
    re.IGNORECASE,
)


def problems(folder: Path, text: str) -> list[str]:
    file = folder / "config.yaml"
    file.write_text(text)
    try:
        load(file, {})
    except ConfigError as error:
        return [str(problem).removeprefix(f"{folder}/") for problem in error.problems]
    return []


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from models_in(part)


def sections(model: type[BaseModel], way: tuple[str, ...] = ()) -> Iterator[Any]:
    """Each section that config.yaml may have, with the way to it."""
    yield way, model
    for name, field in model.model_fields.items():
        for below in models_in(field.annotation):
            if below is not model:  # a group in a group of its kind
                yield from sections(below, (*way, field.alias or name))


def document(way: tuple[str, ...], model: type[BaseModel], value: str) -> str:
    """A file in which every field of one section has this value; all else is right."""
    fields = {field.alias or name: "WRONG" for name, field in model.model_fields.items()}
    if kind := get_args(getattr(model.model_fields.get("kind"), "annotation", None)):
        fields["kind"] = kind[0]
    data: Any = fields
    for step in reversed(way):
        data = {step: {"shop": data} if step in ("upstreams", "claims") else data}
    whole = {**yaml.safe_load(MINIMAL), **data}
    return yaml.safe_dump(whole, sort_keys=False).replace("WRONG", value)


@pytest.mark.parametrize("value", WRONG.values(), ids=WRONG.keys())
def test_every_field_with_wrong_values(tmp_path: Path, value: str) -> None:
    """No word of pydantic's, no value that was written, and always a place in the file."""
    for way, model in sections(Config):
        for problem in problems(tmp_path, document(way, model, value)):
            place, _, said = problem.partition(": ")
            assert re.fullmatch(r"config\.yaml:\d+:\d+", place), problem
            assert not JARGON.search(said), problem
            assert SECRET not in said, problem


@pytest.mark.parametrize("value", WRONG.values(), ids=WRONG.keys())
def test_every_section_with_wrong_values(tmp_path: Path, value: str) -> None:
    """The same of what stands in the place of a whole section."""
    for way, _ in sections(Config):
        data: Any = "WRONG"
        for step in reversed(way):
            data = {step: data}
        if not way:
            continue
        text = yaml.safe_dump({**yaml.safe_load(MINIMAL), **data}).replace("WRONG", value)
        for problem in problems(tmp_path, text):
            said = problem.partition(": ")[2]
            assert not JARGON.search(said), problem
            assert SECRET not in said, problem


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("trusted_proxies: 10.0.0.1/8", "is an address in a network: write 10.0.0.0/8"),
        ("trusted_proxies: [10.0.0.0/8, 1.2.3]", "trusted_proxies[1]: is not a network: write"),
        ("trusted_proxies: 'fe80::1%eth0'", "trusted_proxies[0]: is not a network: write"),
        ("trusted_proxies: 5", "trusted_proxies[0]: must be a text (write it in quotes)"),
        ("listen: 127.0.0.1:0", "needs a port from 1 to 65535"),
        ("listen: 127.0.0.1:99999", "needs a port from 1 to 65535"),
        ("listen: ['127.0.0.1:8080', '127.0.0.1:8080']", "127.0.0.1:8080 stands twice"),
        ("listen: ['unix:/a/b', 'unix:/a/./b']", "listen[1]: unix:/a/b stands twice"),
        ("listen: ['[::1]:1', '[0:0::1]:1']", "listen[1]: [::1]:1 stands twice, first in line "),
        (
            "listen: ['127.0.0.1:1', '[::ffff:127.0.0.1]:1']",
            "127.0.0.1:1 stands twice, first in line ",
        ),
        ("listen:\n- 0.0.0.0:1\n- '[::]:1'", "[::]:1 takes the connections of 0.0.0.0:1 in line "),
        ("listen: [':1', '[::]:1']", "listen[1]: [::]:1 takes the connections of :1 in line "),
        ("listen: ['127.0.0.1:1', 'LOCALHOST:1']", "localhost:1 takes the connections of 127."),
        (
            "admin: {listen: ['127.0.0.1:1', '127.0.0.1:1']}",
            "admin.listen[1]: 127.0.0.1:1 stands twice",
        ),
        ("listen: ['systemd:a', 'systemd:a']", "listen[1]: systemd:a stands twice"),
        ("listen: ['systemd:a', systemd]", "listen[1]: systemd is all of its sockets"),
        ("listen: systemd\nadmin: {listen: 'systemd:a'}", "systemd:a is in listen too: systemd"),
        ("listen: 'systemd:'", "needs a name behind systemd"),
        ("listen: {address: systemd, mode: '0600'}", "mode and group go with a unix socket"),
        ("admin: {listen: 127.0.0.1:8080}", "127.0.0.1:8080 is in listen too: 127.0.0.1:8080"),
        ("admin: {listen: ':8080'}", ":8080 is in listen too: 127.0.0.1:8080"),
        ("admin: {listen: localhost:8080}", "localhost:8080 is in listen too: 127.0.0.1:8080"),
        ("listen: 8080", "is not an address: write host:port, :port, unix:/path or systemd"),
        (
            "admin: {listen: 8081}",
            "is not an address: write host:port, :port, unix:/path or systemd",
        ),
        ("timeouts: {idle: 1:30}", "timeouts.idle: is not a duration: write 30s, 5m, 1h30m"),
        ("timeouts: {idle: 010}", "timeouts.idle: begins with a 0, which YAML reads as octal"),
        ("timeouts: {idle: .inf}", "timeouts.idle: is too long a duration"),
        ("limits: {fields: 1:30}", "limits.fields: must be a whole number"),
        ("limits: {fields: 0100}", "limits.fields: begins with a 0"),
        ("limits: {fields: 10.5}", "limits.fields: must be a whole number"),
        ("limits: {fields: 1}", "limits.fields: must be at least 8"),
        ("limits: {body_size: 99999999GB}", "limits.body_size: is too large a size"),
        ("keys: {secure: maybe}", "keys.secure: must be 'auto', or true or false"),
        ("keys: {form: token}", "keys.form: must be 'opaque' or 'jwt'"),
        (
            "keys: {claims: [sub, exp]}",
            "keys.claims: cannot hold exp, which the gateway itself says",
        ),
        ("keys: {cookie: 'a b'}", "keys.cookie: consists of letters, digits, - and _ alone"),
        ("identity: {X-User: [sub]}", "identity.X-User: must be a section of names and values"),
        ("identity: {X-User: {}}", "identity.X-User: needs one of claim and session"),
        ("identity: {X-User: {claim: a, join: x}}", "identity.X-User.join: joins no values"),
        ("identity: {X-User: /a//b}", "identity.X-User.claim: has an empty name"),
        ("identity: {X-User: {claim: a, encode: hex}}", "identity.X-User.encode: must be"),
        ("identity: {'X User': sub}", "identity.X User: is not a field name"),
        ("session: {secrets: {a: b}}", "session.secrets: must be a list"),
        ("login: {kind: backnd, path: /a}", "login.kind: must be one of 'backend', 'mint'"),
        ("login: {path: /a}", "login: needs kind"),
        ("login: here", "login[0]: must be a section of names and values"),
        ("login: {kind: backend, path: a, upstream: shop}", "login.path: is not a path"),
    ],
)
def test_what_is_said(tmp_path: Path, text: str, complaint: str) -> None:
    """One complaint, which says what would be right."""
    [problem] = problems(tmp_path, MINIMAL + text + "\n")
    assert complaint in problem


def test_a_claim_of_no_kind(tmp_path: Path) -> None:
    """What may be of several kinds is one complaint, and not one for each."""
    text = MINIMAL.replace("upstream: shop", "upstream: shop, claims: {a: [{b: c}]}")
    [problem] = problems(tmp_path, text)
    assert problem.endswith(
        "routes[0].claims.a.any[0]: must be a text, or a whole number, or a number, or true or false"
    )


def test_every_pattern_is_explained() -> None:
    """A regular expression is no sentence."""
    patterns = {
        part.pattern
        for _, model in sections(Config)
        for field in model.model_fields.values()
        for part in [*field.metadata, *metadata_in(field.annotation)]
        if getattr(part, "pattern", None) is not None
    }
    assert patterns == PATTERNS.keys()


def metadata_in(annotation: Any) -> Iterator[Any]:
    for part in get_args(annotation):
        yield from getattr(part, "metadata", [])
        for field in getattr(part, "__metadata__", []):
            yield from getattr(field, "metadata", [])
        yield from metadata_in(part)
