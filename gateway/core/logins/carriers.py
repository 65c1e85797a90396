"""How a key travels to the device that logs in: in the login's reply, or in a cookie.

A program takes the key out of the reply and sends it in a field, which no other site can make a
browser do. A browser keeps it in a cookie that no script can read, and then every request that may
change something has to show that it was caused by the site's own pages (see `origins`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from gateway.core.http import media_types, negotiation
from gateway.core.logins.token_places import Auto, Cookie, TokenPlace

Carrier = Literal["reply", "cookie"]
Choice = Literal["auto", "reply", "cookie"]

# RFC 6265bis §4.1.3: browsers take a cookie of such a name only with Secure and without a Domain,
# so neither a sibling host nor anybody on the wire can set one.
HOST_PREFIX = "__Host-"

# Nor do they take the deletion of one that begins so without Secure (the same, §4.1.3).
_SECURE_PREFIXES = (HOST_PREFIX, "__Secure-")

# The beginning of cookies that hold login states (see `login_state`): no upstream gets or sets one.
# A key begins alike, and has no full stop.
LOGIN_STATE_MARK = "lk_trip."


@dataclass(frozen=True, slots=True)
class KeyCookie:
    """The cookie that holds keys, for one kind of connection."""

    name: str
    secure: bool

    def setting(self, key: str) -> str:
        """A Set-Cookie value that hands out a key, until the browser is closed: when the session
        ends, the gateway decides.
        """
        return f"{self.name}={key}; {self._attributes}"

    def lasting(self, value: str, seconds: int) -> str:
        """A Set-Cookie value for something else than a key, which is kept for so long."""
        return f"{self.name}={value}; Max-Age={seconds}; {self._attributes}"

    @property
    def deletion(self) -> str:
        """A Set-Cookie value that has the browser forget the key."""
        return f"{self.name}=; Max-Age=0; {self._attributes}"

    @property
    def _attributes(self) -> str:
        return "Path=/; HttpOnly; SameSite=Lax" + ("; Secure" if self.secure else "")


def key_cookie(name: str, *, secure: bool) -> KeyCookie:
    """The cookie of this configured name; over HTTPS it gets the prefix that protects it."""
    return KeyCookie(HOST_PREFIX + name if secure else name, secure)


def deletion(name: str) -> str:
    """A Set-Cookie value that has the browser forget a cookie in which a key came."""
    return KeyCookie(name, name.startswith(_SECURE_PREFIXES)).deletion


def own_cookies(name: str, places: Iterable[TokenPlace]) -> frozenset[str]:
    """The cookies that hold keys: those of this configured name, and those among the places in
    which backends' tokens come.
    """
    own = [key_cookie(name, secure=secure).name for secure in (False, True)]
    return frozenset([*own, *(place.name for place in places if isinstance(place, Cookie))])


def unknown_to_backends(name: str, places: Iterable[TokenPlace]) -> frozenset[str]:
    """Those of this configured name, if no backend hands its token out under it."""
    of_backends = {place.name for place in places if isinstance(place, Cookie)}
    return own_cookies(name, ()) - of_backends


def trusted_cookies(
    name: str, places: Iterable[TokenPlace], *, secure: bool
) -> frozenset[str] | None:
    """The cookies in which keys are taken that come by one kind of connection; None if in any,
    since `auto` knows a backend's cookie by many names, in many spellings.

    A sibling host can have a browser send other cookies here, with a key of its own, so that what a
    visitor does is done as somebody else. Over HTTPS the configured name is one of these without
    its prefix (RFC 6265bis §8.6).
    """
    places = tuple(places)
    if any(isinstance(place, Auto) for place in places):
        return None
    own = own_cookies(name, places)
    return own - {name} if secure else own


def choose(
    choice: Choice, *, content_type: str, accept: str, requested_with: str, wanted: str
) -> Carrier:
    """How a login's key travels. `wanted` is what a form's field says of it, or nothing; the rest
    are the request's fields of these names. X-Requested-With may say it as well, but often says
    something else: that a script asks, or, of an app on Android, which one.

    A form whose answer is to be a page is what a browser sends by itself. Whoever sends a form from
    a program (as RFC 6749 §4.3 has it) asks for JSON, or for anything, and can keep a key.
    """
    if choice != "auto":
        return choice
    for wish in (requested_with, wanted):
        if wish in ("cookie", "reply"):
            return "cookie" if wish == "cookie" else "reply"
    is_form = media_types.essence(content_type) in (media_types.FORM, media_types.FORM_OF_PARTS)
    by_script = requested_with.lower() == "xmlhttprequest"
    return "cookie" if is_form and negotiation.names_html(accept) and not by_script else "reply"
