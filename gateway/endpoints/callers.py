"""Who asks: what the relay tells of the caller's session, and whether a browser was tricked."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from aiohttp import web

from gateway.core import refusals
from gateway.core.records import Open
from gateway.endpoints.answers import Refused
from gateway.store.directory import Directory


@dataclass(frozen=True, slots=True)
class Own:
    """The sessions of the caller's own subject, by their ids, the caller's `current` one first."""

    current: str
    sessions: dict[str, Open]

    @property
    def others(self) -> list[str]:
        return [each for each in self.sessions if each != self.current]


async def own_sessions(request: web.Request, directory: Directory) -> Own:
    """Raises `Refused` when the caller has no session, and `StoreUnavailable`.

    The store is asked whether the caller's session lives: the relay may remember it for a moment.
    """
    current = request.headers.get("X-Latchkey-Session")
    if current is None:
        with_key = "X-Latchkey-Carrier" in request.headers
        raise Refused(refusals.BAD_KEY if with_key else refusals.NO_KEY)
    said = (await directory.open([current])).get(current)
    if said is None:
        raise Refused(refusals.BAD_KEY)
    return Own(current, {current: said, **await directory.of(said.subject)})


def insist_on_own_site(request: web.Request) -> None:
    """Raises `Refused` when another site may have had a browser send its cookie with this request.

    A key in a header comes from nobody but the site's own code.
    """
    if request.headers.get("X-Latchkey-Carrier") == "cookie" and not _is_own(request):
        raise Refused(refusals.CROSS_SITE)


def _is_own(request: web.Request) -> bool:
    """Whether a request whose key came in a cookie was caused by this site, and by no other.

    Browsers say so. One that says nothing is old or no browser: then whatever is no GET passes, and
    a GET, which any image on any page can cause, does not.
    """
    headers = request.headers
    site = headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in ("same-origin", "none")
    source = headers.get("Origin") or headers.get("Referer")
    if source is not None:
        return _authority(source) == headers.get("X-Forwarded-Host", request.host).lower()
    return request.method != "GET"


def _authority(url: str) -> str:
    """The host and port of a URL, without a port that goes without saying; "" if there are none."""
    try:
        parts = urlsplit(url)
        default = {"http": ":80", "https": ":443"}.get(parts.scheme, "")
    except ValueError:
        return ""
    return parts.netloc.lower().removesuffix(default)
