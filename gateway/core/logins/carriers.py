"""Carriers: a key travels in the login's reply or in a cookie.

A program takes the key out of the reply and sends it in a field, which no other site can make a
browser do. A browser keeps the key in a cookie that no script can read. Each request of such a
browser that may change something has to show that the site's own pages caused it (see `origins`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from gateway.core.http import media_types, negotiation
from gateway.core.logins.token_places import Auto, Cookie, TokenPlace

Carrier = Literal["reply", "cookie"]
Choice = Literal["auto", "reply", "cookie"]

# RFC 6265bis §4.1.3: browsers take a cookie of such a name only with Secure and without a Domain.
# So no sibling host can set one, nor can an attacker in a plain HTTP connection.
HOST_PREFIX = "__Host-"

# The deletion of a cookie of such a name needs Secure, too (RFC 6265bis §4.1.3).
_SECURE_PREFIXES = (HOST_PREFIX, "__Secure-")

# The beginning of cookies that hold login states (see `login_state`): no upstream gets or sets one.
# A key begins alike, and has no full stop.
LOGIN_STATE_MARK = "lk_trip."


@dataclass(frozen=True, slots=True)
class KeyCookie:
    """The cookie that holds keys, for one kind of connection (HTTP or HTTPS)."""

    name: str
    secure: bool

    def setting(self, key: str, seconds: int | None = None) -> str:
        """A Set-Cookie value that hands out a key for some seconds.

        None: until the browser closes. The gateway decides when the session ends.
        """
        return (
            f"{self.name}={key}; {self._attributes}"
            if seconds is None
            else self.lasting(key, seconds)
        )

    def lasting(self, value: str, seconds: int) -> str:
        """A Set-Cookie value for a cookie that ends in some seconds."""
        return f"{self.name}={value}; Max-Age={seconds}; {self._attributes}"

    @property
    def deletion(self) -> str:
        """A Set-Cookie value by which the browser forgets the key."""
        return f"{self.name}=; Max-Age=0; {self._attributes}"

    @property
    def _attributes(self) -> str:
        return "Path=/; HttpOnly; SameSite=Lax" + ("; Secure" if self.secure else "")


def key_cookie(name: str, *, secure: bool) -> KeyCookie:
    """The cookie of a configured name, with a protecting prefix over HTTPS."""
    return KeyCookie(HOST_PREFIX + name if secure else name, secure)


def deletion(name: str) -> str:
    """A Set-Cookie value by which a browser forgets a cookie that held a key."""
    return KeyCookie(name, name.startswith(_SECURE_PREFIXES)).deletion


def own_cookies(name: str, places: Iterable[TokenPlace]) -> frozenset[str]:
    """The names of cookies with keys.

    They are the configured one, and those of backends' tokens.
    """
    own = [key_cookie(name, secure=secure).name for secure in (False, True)]
    return frozenset([*own, *(place.name for place in places if isinstance(place, Cookie))])


def unknown_to_backends(name: str, places: Iterable[TokenPlace]) -> frozenset[str]:
    """The names of cookies with keys that no backend uses for its token."""
    of_backends = {place.name for place in places if isinstance(place, Cookie)}
    return own_cookies(name, ()) - of_backends


def trusted_cookies(
    name: str, places: Iterable[TokenPlace], *, secure: bool
) -> frozenset[str] | None:
    """The names of the cookies in which a kind of connection may bring keys.

    None: in any cookie, since `auto` finds a backend's cookie under many names. A sibling host can
    set other cookies in a browser, with a key of its own: then the visitor would act as another
    user. Over HTTPS the configured name without its prefix is such a cookie (RFC 6265bis §8.6).
    """
    places = tuple(places)
    if any(isinstance(place, Auto) for place in places):
        return None
    own = own_cookies(name, places)
    return own - {name} if secure else own


def choose(
    choice: Choice, *, content_type: str, accept: str, requested_with: str, wanted: str
) -> Carrier:
    """Choose how a login's key travels.

    choice: by config.yaml
    content_type, accept, requested_with: the request's fields of these names
    wanted: `cookie` or `reply` in a form's field, or ""

    X-Requested-With may say `cookie` or `reply` as well. Otherwise it says that a script asks, or
    which Android app. A form whose answer is to be a page comes from a browser. A program that
    sends a form (RFC 6749 §4.3) accepts JSON, or anything, and can keep a key.
    """
    if choice != "auto":
        return choice
    for wish in (requested_with, wanted):
        if wish in ("cookie", "reply"):
            return "cookie" if wish == "cookie" else "reply"
    is_form = media_types.essence(content_type) in (media_types.FORM, media_types.FORM_OF_PARTS)
    by_script = requested_with.lower() == "xmlhttprequest"
    return "cookie" if is_form and negotiation.names_html(accept) and not by_script else "reply"
