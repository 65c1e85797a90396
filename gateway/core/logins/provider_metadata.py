"""The metadata of an OpenID provider.

OpenID Connect Discovery 1.0 §3 and §4, RFC 8414.
"""

from __future__ import annotations

import ipaddress
import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

_WELL_KNOWN = "/.well-known/openid-configuration"

# A URL (RFC 3986) without a user and a fragment, with a plain host (in networks of containers,
# names may have an underscore). No client reads such a URL in another way.
_ADDRESS = re.compile(
    r"https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]+)?([/?][A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?"
)

# In characters. Browsers are sent there, with a query behind it.
_MAX_URL = 2048

# The default of Discovery §3.
_DEFAULT_CLIENT_AUTH = ("client_secret_basic",)


class BadMetadata(ValueError):
    """The document describes no usable provider; the message says why."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """A provider's metadata. `end_session_endpoint` is "" if it has no logout."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    end_session_endpoint: str
    client_auth: tuple[str, ...]  # how clients may authenticate at the token endpoint
    sends_iss: bool  # with `iss` in its answers (RFC 9207)


def address(issuer: str) -> str:
    """The URL of an issuer's metadata."""
    return issuer.removesuffix("/") + _WELL_KNOWN


def read(data: bytes, issuer: str) -> Metadata:
    """Read the metadata of an issuer. Raises `BadMetadata`."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise BadMetadata("the answer is no JSON") from None
    if not isinstance(document, dict):
        raise BadMetadata("the answer is not a JSON object")
    if document.get("issuer") != issuer:
        # Otherwise one provider could speak for another (Discovery §4.3).
        raise BadMetadata("it names another issuer; a slash at the end makes a difference")
    methods = document.get("token_endpoint_auth_methods_supported", _DEFAULT_CLIENT_AUTH)
    return Metadata(
        issuer=issuer,
        authorization_endpoint=_endpoint(document, "authorization_endpoint"),
        token_endpoint=_endpoint(document, "token_endpoint"),
        jwks_uri=_endpoint(document, "jwks_uri"),
        end_session_endpoint=(
            _endpoint(document, "end_session_endpoint")
            if document.get("end_session_endpoint")
            else ""
        ),
        client_auth=tuple(methods) if isinstance(methods, list | tuple) else (),
        sends_iss=document.get("authorization_response_iss_parameter_supported") is True,
    )


def is_address(url: str) -> bool:
    """Whether this is a plain HTTP URL."""
    try:
        return bool(_ADDRESS.fullmatch(url)) and urlsplit(url).port != 0
    except ValueError:  # a wrong port or IPv6 address
        return False


def is_protected(url: str) -> bool:
    """Whether connections to a URL are private: by TLS or on this machine."""
    if not is_address(url):
        return False
    parts = urlsplit(url)
    return parts.scheme == "https" or _is_loopback(parts.hostname or "")


def _endpoint(document: dict[str, Any], name: str) -> str:
    url = document.get(name)
    if not isinstance(url, str):
        raise BadMetadata(f"it has no {name}")
    if len(url) > _MAX_URL or not is_address(url):
        raise BadMetadata(f"its {name} is not an address")
    if not is_protected(url):
        raise BadMetadata(f"its {name} is neither https nor on loopback")
    return url


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
