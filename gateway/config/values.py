"""Types of single values in config.yaml.

`core` parses them; it knows nothing of pydantic.
"""

from __future__ import annotations

import grp
import re
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_interface
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError, core_schema

from gateway.config.units import parse_duration
from gateway.core.http import (
    allowed_origins,
    cors,
    hosts,
    path_patterns,
    path_regex,
    path_shapes,
    templates,
)
from gateway.core.http.addresses import (
    Address,
    ServerUrl,
    TcpAddress,
    parse_address,
    parse_dns_server,
    parse_server,
)
from gateway.core.json_text import pointed
from gateway.core.logins.provider_metadata import is_address, is_protected
from gateway.core.logins.refresh_tokens import AS_IT_CAME, Sending, parse_sending
from gateway.core.logins.token_places import (
    ClaimPlace,
    JsonPointer,
    TokenPlace,
    parse_claim_place,
    parse_pointer,
    parse_token_place,
)
from gateway.core.logins.token_sending import TokenSending, parse_token_sending
from gateway.core.secret import Secret
from gateway.core.sessions import claim_names
from gateway.core.sessions.identity_headers import AS_JSON
from gateway.core.sessions.realms import SubjectPrefix, parse_prefix
from gateway.core.store_urls import StoreUrl, parse_store_url
from gateway.core.tokens.minting import REGISTERED
from gateway.core.tokens.verifying_keys import Algorithm
from gateway.rules.loading import RuleSource, parse_source

_PATH = re.compile(r"/[A-Za-z0-9_.~!$&'()+,=:@/-]*(?<!/)\*?|/[A-Za-z0-9_.~!$&'()+,=:@/-]*/\*?|/\*?")
_QUERY = re.compile(r"[A-Za-z0-9_.~!$&'()*+,;=:@/?%-]+")  # RFC 3986 §3.4
_METHOD = re.compile(r"[A-Z][A-Z-]*")
_REDIRECT = re.compile(r"https(?::([0-9]{1,5}))?")
_SOCKET_MODE = re.compile(r"0?[0-7]{3}")
# Marks that stand between values: no letter, digit or escape of them.
_SEPARATOR = re.compile(r"[ ,;|:]{1,2}")
_REWRITTEN_PATH = re.compile(r"/(?:[A-Za-z0-9._~!&'()*+,=:@/-]|\$[0-9])*")
_HOST_NAME = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_FIELD_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


class OneOrMany:
    """Marks a list that may be written as one value."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        return core_schema.no_info_before_validator_function(self._listed, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> Any:
        many = handler(schema)
        return {"anyOf": [handler.resolve_ref_schema(many).get("items", {}), many]}

    @staticmethod
    def _listed(value: Any) -> Any:
        return value if isinstance(value, list | tuple) else [value]


def is_plain_path(value: Any) -> bool:
    """Whether a text is a valid path in config.yaml."""
    return isinstance(value, str) and _PATH.fullmatch(value) is not None


def _path(value: str) -> str:
    if not value.startswith("/"):
        raise ValueError("is not a path: it begins with a slash")
    if "*" in value and (not value.endswith("/*") or value.count("*") > 1):
        raise ValueError("is not a path: a star stands only at the end, as in /api/*")
    climbs = any(segment in (".", "..") for segment in value.split("/"))
    if not _PATH.fullmatch(value) or "//" in value or climbs:
        raise ValueError("is not a plain path: write it decoded, without //, dots or a query")
    return value


def _route_path(value: str) -> str:
    path_patterns.parse(value)
    return value


def _path_regex(value: str) -> str:
    if not value.startswith("/"):
        raise ValueError("is not an expression for paths: it begins with a slash")
    path_regex.compiled(value)
    return value


def _wanted(value: Any) -> Any:
    """A value of a field or a parameter; YAML reads some as numbers."""
    return str(value) if isinstance(value, int | float) and type(value) is not bool else value


def _exact_path(value: str) -> str:
    if value.endswith("*"):
        raise ValueError("is one path: it cannot end in a star")
    return _path(value)


def _shaped_path(value: str) -> str:
    names = path_shapes.names(value)
    _exact_path(path_shapes.filled(value, dict.fromkeys(names, "x")))
    return value


def _target(value: str) -> str:
    path, mark, query = value.partition("?")
    _exact_path(path)
    if mark and not _QUERY.fullmatch(query):
        raise ValueError("has a query that is none: escape what is not plain ASCII, as in %20")
    return value


def _rewriting(value: str) -> str:
    """A path with values of the request."""
    template = templates.parse(value)
    if "{" in "".join(template.literals):
        raise ValueError("names segments as ${path.id}")
    _exact_path(template.filled(lambda _: "x"))
    return value


def _rewritten_path(value: str) -> str:
    """A path with the groups of a regular expression."""
    if not _REWRITTEN_PATH.fullmatch(value):
        raise ValueError("is no path with groups: write it as in /new/$1, without a query")
    return value


def _path_of_a_list(value: str) -> str:
    if value.endswith("/"):
        raise ValueError("cannot end in a slash: other paths begin with it")
    return value


def off(value: Any) -> Any:
    """Undo YAML 1.1, which reads a plain `off` as false."""
    return "off" if value is False else value


def unless_off(value: Any) -> Any:
    """None for `off`."""
    return None if off(value) == "off" else value


def unless_none(value: Any) -> Any:
    """An empty list for none."""
    return () if value is None else value


def _method(value: str) -> str:
    if not _METHOD.fullmatch(value):
        raise ValueError("is not a method: write it in capitals, as in GET")
    if value in ("CONNECT", "TRACE"):
        raise ValueError("is never served")
    return value


def _field_name(value: str) -> str:
    if not _FIELD_NAME.fullmatch(value):
        raise ValueError("is not a field name")
    return value


def _sent_field(value: str) -> str:
    if value.lower() in ("cookie", "host") or value.lower().startswith("content-"):
        raise ValueError("is a field that the gateway itself sends")
    return _field_name(value)


def _host_name(value: str) -> str:
    if not _HOST_NAME.fullmatch(value):
        raise ValueError("is no host: write client, upstream, or a name as in shop.internal:8080")
    return value


def _redirect_port(value: Any) -> int:
    """The port of `https` or `https:8443`."""
    found = _REDIRECT.fullmatch(value) if isinstance(value, str) else None
    if found is None or not 1 <= int(found[1] or 443) <= 65535:
        raise ValueError("is not a redirect: write https, or https:8443 for another port")
    return int(found[1] or 443)


def _socket_mode(value: Any) -> int:
    """Parse a mode in quotes.

    Without quotes, YAML 1.1 reads 0660 as 432, and 660 as 660.
    """
    if not isinstance(value, str) or not _SOCKET_MODE.fullmatch(value):
        raise ValueError('is not a mode: write it in quotes, as in "0660"')
    return int(value, 8)


def _group(value: Any) -> int:
    """The number of a group, from its number or name."""
    try:
        return value if type(value) is int else grp.getgrnam(value).gr_gid
    except (KeyError, TypeError):
        raise ValueError("names no group of this machine") from None


def _origin(value: str) -> str:
    return value if value == cors.ANY else allowed_origins.parse(value)


def _claim_name(value: str) -> str:
    address = _claim_address(value)
    if claim_names.path_of(address)[0] in REGISTERED:
        raise ValueError("is a claim that the gateway sets itself")
    return address


def _claim_place_text(value: str) -> str:
    """A claim's name, or the place of one inside of another."""
    if not value:
        raise ValueError("names no claim")
    if value.startswith("/"):
        _pointer(value)
    return value


def _claim_address(value: str) -> str:
    """The same in its one spelling."""
    return claim_names.plain(_claim_place_text(value))


def _lifetime(value: Any) -> JsonPointer | float | None:
    """Parse `auto` (None), a place in the reply, or a duration."""
    if value is None or value == "auto":
        return None
    if isinstance(value, str) and value.startswith("/"):
        return _pointer(value)  # type: ignore[no-any-return]
    seconds = parse_duration(value)
    if seconds <= 0:
        raise ValueError("must be more than 0")
    return seconds


def _join(value: str) -> str:
    if value != AS_JSON and not _SEPARATOR.fullmatch(value):
        raise ValueError('joins no values: write ",", " ", another mark or two, or json')
    return value


def _store_url(value: str) -> StoreUrl:
    if value != "embedded":
        parse_store_url(value)
    return StoreUrl(value)


def _url(value: str) -> SplitResult:
    try:
        return urlsplit(value)
    except ValueError:  # its message may repeat the host
        raise ValueError("is not a URL: its host is wrong") from None


def _key_set_url(value: str) -> str:
    if _url(value).username is not None:
        raise ValueError("cannot hold a password: a public key set needs none")
    if not is_address(value):
        raise ValueError("is not an address of a key set: it begins with https://, or http://")
    return value


def _issuer(value: str) -> str:
    parts = _url(value)
    if parts.query or parts.fragment or parts.username is not None:
        raise ValueError("is not an issuer: it has no query, no fragment and no password")
    if not is_protected(value):
        raise ValueError("is not an issuer: write https://id.example, or http:// only on loopback")
    return value


def _published(value: str) -> str:
    if value.startswith("HS"):
        raise ValueError("goes with a secret, which providers do not publish")
    return value


def _named(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """Have `parse` refuse JSON pointers with empty names.

    RFC 6901 allows them, and no API uses them.
    """

    def read(text: str) -> Any:
        place = parse(text)
        if isinstance(place, JsonPointer) and "" in pointed(place.pointer):
            raise ValueError("has an empty name: there is a slash too many")
        return place

    return read


_token_place = _named(parse_token_place)
_pointer = _named(parse_pointer)
_claim_place = _named(parse_claim_place)


def _asked_sending(text: str) -> Sending | str:
    """Parse how a refresh token is sent, where none is sent by default."""
    return parse_sending(text) or AS_IT_CAME


def _captured(value: Any) -> Any:
    if isinstance(value, bool):
        return parse_token_place("auto") if value else None
    if value is not None and not isinstance(value, str):
        raise ValueError("is not a place: write true, or where the token is")
    return None if value is None else _token_place(value)


def _parsed(parse: Any, schema: dict[str, Any]) -> tuple[Any, Any, Any]:
    """The pydantic annotations of a value that `parse` reads from a text."""

    def from_text(value: Any) -> Any:
        if value is None or isinstance(value, str):
            return value if value is None else parse(value)
        raise PydanticCustomError("string_type", "must be a text")

    return BeforeValidator(from_text), PlainSerializer(str), WithJsonSchema(schema)


# A weight of more says nothing that a smaller one cannot say.
MAX_WEIGHT = 1000


def _weighted_server(value: Any) -> ServerUrl:
    """Parse a server: its URL, or `{url: …, weight: 3}`."""
    if isinstance(value, str):
        return parse_server(value)
    if not isinstance(value, dict) or not isinstance(value.get("url"), str):
        raise ValueError(  # noqa: TRY004 (pydantic tells of ValueErrors alone)
            "is not a server: write its URL, or {url: http://host:port, weight: 2}"
        )
    if unknown := sorted(map(str, value.keys() - {"url", "weight"})):
        raise ValueError(f"has an unknown key: {unknown[0]} (a server has url and weight)")
    weight = value.get("weight", 1)
    if type(weight) is not int or not 1 <= weight <= MAX_WEIGHT:
        raise ValueError(f"needs a weight from 1 to {MAX_WEIGHT}")
    return replace(parse_server(value["url"]), weight=weight)


def _address(value: Any) -> Address:
    """Parse an address. A number is a port without a colon.

    `parse_address` explains such a mistake.
    """
    return parse_address(str(value) if isinstance(value, str | int) else "")


_NO_NETWORK = "is not a network: write an address, 10.0.0.0/8, or unix"
_MAPPED_PREFIX_BITS = 96  # of ::ffff:0:0/96


def _peers(value: Any) -> IPv4Network | IPv6Network | Literal["unix"]:
    """Parse an address, a network such as 10.0.0.0/8, or `unix`."""
    if not isinstance(value, str):
        raise PydanticCustomError("string_type", "must be a text")
    if value == "unix":
        return "unix"
    try:
        interface = ip_interface(value)
    except ValueError:
        raise ValueError(_NO_NETWORK) from None
    network = interface.network
    if isinstance(network, IPv6Network) and network.network_address.scope_id is not None:
        raise ValueError(_NO_NETWORK)
    if interface.ip != network.network_address:
        raise ValueError(f"is an address in a network: write {network}, or leave out its length")
    return _unmapped(network)


def _unmapped(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    """The IPv4 network of an IPv4-mapped one (RFC 4291 §2.5.5.2).

    Peers have IPv4 addresses.
    """
    first = network.network_address
    mapped = first.ipv4_mapped if isinstance(first, IPv6Address) else None
    bits = network.prefixlen - _MAPPED_PREFIX_BITS
    return network if mapped is None or bits < 0 else IPv4Network((mapped, bits))


# RFC 9110 §7.8. A request that is HTTP by another name would pass all rules by (request smuggling).
_UPGRADE = re.compile(rf"{_FIELD_NAME.pattern}(?:/{_FIELD_NAME.pattern})?")
_HTTP_BY_ANOTHER_NAME = frozenset({"h2c", "h2", "h3", "http", "https", "tls", "ssl"})


def _upgrade(text: str) -> str:
    token = text.lower()
    if not _UPGRADE.fullmatch(token):
        raise ValueError(f"{text!r} is no protocol of Upgrade: write websocket, tcp or SPDY/3.1")
    if token.partition("/")[0] in _HTTP_BY_ANOTHER_NAME:
        raise ValueError(
            f"{text} would carry requests past all rules of the gateway (request smuggling)"
        )
    return token


_TEXT = {"type": "string"}
HostPattern = Annotated[str, AfterValidator(hosts.parse)]
Wanted = Annotated[bool | str, BeforeValidator(_wanted)]
RegexText = Annotated[str, AfterValidator(_path_regex)]
RoutePath = Annotated[str, AfterValidator(_route_path)]
ExactPath = Annotated[str, AfterValidator(_exact_path)]
ShapedPath = Annotated[str, AfterValidator(_shaped_path)]  # may have segments to fill in
Rewriting = Annotated[str, AfterValidator(_rewriting)]  # a path with `${path.id}` in it
RewrittenPath = Annotated[str, AfterValidator(_rewritten_path)]
Target = Annotated[str, AfterValidator(_target)]  # a path, and a query if there is one
ListPath = Annotated[ExactPath, AfterValidator(_path_of_a_list)]
Method = Annotated[str, AfterValidator(_method)]
UpgradeToken = Annotated[str, AfterValidator(_upgrade)]
FieldName = Annotated[str, AfterValidator(_field_name)]
SentField = Annotated[str, AfterValidator(_sent_field)]
Origin = Annotated[str, AfterValidator(_origin)]
SiteOrigin = Annotated[str, AfterValidator(allowed_origins.parse_site)]
Issuer = Annotated[str, AfterValidator(_issuer)]
KeySetUrl = Annotated[str, AfterValidator(_key_set_url)]
StoreUrlText = Annotated[str, AfterValidator(_store_url)]
LogPlace = Annotated[str, BeforeValidator(off)]
PublishedAlgorithm = Annotated[Algorithm, AfterValidator(_published)]
Scope = Annotated[str, Field(pattern=r"^[!#-\[\]-~]+$")]  # RFC 6749 §3.3
ListenAddress = Annotated[
    Address, BeforeValidator(_address), PlainSerializer(str), WithJsonSchema(_TEXT)
]
RedirectPort = Annotated[
    int,
    BeforeValidator(_redirect_port),
    WithJsonSchema({**_TEXT, "pattern": f"^{_REDIRECT.pattern}$"}),
]
SocketMode = Annotated[
    int,
    BeforeValidator(_socket_mode),
    PlainSerializer(lambda mode: f"{mode:04o}"),
    WithJsonSchema({**_TEXT, "pattern": f"^{_SOCKET_MODE.pattern}$"}),
]
Group = Annotated[int, BeforeValidator(_group), WithJsonSchema({"type": ["string", "integer"]})]
Peers = Annotated[IPv4Network | IPv6Network | Literal["unix"], BeforeValidator(_peers)]
HostName = Annotated[str, AfterValidator(_host_name)]
Networks = Annotated[tuple[Peers, ...], OneOrMany()]
RuleText = Annotated[RuleSource, *_parsed(parse_source, _TEXT)]
TlsName = Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9:._-]*$")]
DnsServer = Annotated[TcpAddress, *_parsed(parse_dns_server, _TEXT)]
WeightedServer = Annotated[
    ServerUrl,
    BeforeValidator(_weighted_server),
    PlainSerializer(str),
    WithJsonSchema(
        {
            "anyOf": [
                _TEXT,
                {
                    "type": "object",
                    "properties": {
                        "url": _TEXT,
                        "weight": {"type": "integer", "minimum": 1, "maximum": MAX_WEIGHT},
                    },
                    "required": ["url"],
                    "additionalProperties": False,
                },
            ]
        }
    ),
]
SecretText = Annotated[Secret, *_parsed(Secret, {**_TEXT, "format": "password", "writeOnly": True})]
TokenPlaceText = Annotated[TokenPlace, *_parsed(_token_place, _TEXT)]
CapturedPlace = Annotated[
    TokenPlace | None,
    BeforeValidator(_captured),
    PlainSerializer(str),
    WithJsonSchema({"anyOf": [{"type": "boolean"}, _TEXT]}),
]
PrefixText = Annotated[SubjectPrefix, *_parsed(parse_prefix, _TEXT)]
PointerText = Annotated[JsonPointer, *_parsed(_pointer, _TEXT)]
Carrier = Literal["auto", "reply", "cookie"]
KeyForm = Literal["opaque", "jwt"]
ClaimAt = Annotated[ClaimPlace, *_parsed(_claim_place, _TEXT)]
ClaimAddress = Annotated[str, AfterValidator(_claim_address)]
ClaimPlaceText = Annotated[str, AfterValidator(_claim_place_text)]
LifetimeText = Annotated[
    JsonPointer | float | None,
    BeforeValidator(_lifetime),
    PlainSerializer(str),
    WithJsonSchema({"anyOf": [_TEXT, {"type": "number", "exclusiveMinimum": 0}]}),
]
JoinText = Annotated[str, AfterValidator(_join)]
ClaimName = Annotated[str, AfterValidator(_claim_name)]
SendingText = Annotated[Sending | None, *_parsed(parse_sending, _TEXT)]
AskedSending = Annotated[Sending | Literal["auto"] | None, *_parsed(_asked_sending, _TEXT)]
ParameterName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.~-]+$")]  # RFC 3986 §2.3
# A scheme of Authorization (RFC 9110 §11.1), or `none`.
Scheme = Annotated[str, Field(pattern=rf"^{_FIELD_NAME.pattern}$")]
TokenSendingText = Annotated[TokenSending | Literal["auto"], *_parsed(parse_token_sending, _TEXT)]
