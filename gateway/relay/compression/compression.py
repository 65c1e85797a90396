"""Compresses answers on their way to clients, where a route asks for it."""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.core.http import content_codings
from gateway.relay.compression.encoders import Encoder, encoder_of
from gateway.relay.http1.request_head import RequestHead
from gateway.relay.http1.response_head import ResponseHead

if TYPE_CHECKING:
    from gateway.config.model import Config
    from gateway.config.route_sections import RouteAction

_VARY = b"Vary: Accept-Encoding\r\n"
_ALSO_VARIES = re.compile(rb"[:,]\s*(?:\*|accept-encoding)\s*[,\r]", re.IGNORECASE)

# Fields that vouch for the bytes or for other fields (RFC 9530, RFC 9421, RFC 1864).
_VOUCHING = rb"(?:content-digest|repr-digest|digest|content-md5|signature)"

# An answer that is a part, has been encoded, or is vouched for, stays as it is (RFC 9110 §15.3.7,
# §8.4); and so does one that must not change (RFC 9111 §5.2.2.6).
_KEPT = re.compile(
    rb"^(?:content-range|content-encoding|%b):|^cache-control:.*no-transform|^trailer:.*%b"
    % (_VOUCHING, _VOUCHING),
    re.MULTILINE | re.IGNORECASE,
)
_VOUCHES = re.compile(_VOUCHING, re.IGNORECASE)
_TYPE = re.compile(rb"^content-type:[ \t]*([^ \t;\r]+)", re.MULTILINE | re.IGNORECASE)
_STRONG_TAG = re.compile(rb'(?i:etag):[ \t]*("[^"]*")')
_RANGES = b"accept-ranges:"

# Statuses whose answers have no body, or a part of one.
_BODILESS = frozenset({101, 204, 205, 304})
_NOT_MODIFIED, _PARTIAL = 304, 206


@dataclass(frozen=True, slots=True)
class Compression:
    """How the answers of a route are compressed.

    codings: the first one is preferred
    min_bytes: a shorter body stays as it is
    types: media types; `text/*` is all of text, `application/*+json` is JSON, and all
        with that suffix
    """

    codings: tuple[str, ...]
    min_bytes: int
    types: frozenset[bytes]

    @classmethod
    def of(cls, options: RouteAction, config: Config) -> Compression | None:
        """The compression of a route; None without any."""
        codings = config.compress if options.compress is None else options.compress
        if not codings:
            return None
        least = config.compress_min if options.compress_min is None else options.compress_min
        types = config.compress_types if options.compress_types is None else options.compress_types
        return cls(tuple(codings), least, frozenset(kind.encode() for kind in types))

    def begin(
        self, response: ResponseHead, request: RequestHead, *, with_body: bool
    ) -> tuple[ResponseHead, Encoder | None]:
        """The head that the client gets, and what encodes the body, if it is encoded.

        An answer that could be encoded varies by what clients take, encoded or not
        (RFC 9110 §12.5.5).

        with_body: whether a body follows. The head of an answer to HEAD is that of GET, since a
            Content-Length has to be that of the answer to GET (RFC 9110 §8.6)
        """
        if response.status == _NOT_MODIFIED:
            return _not_modified(response, request), None
        if not self._fits(response):
            return response, None
        shown = _varying(response)
        coding = None
        if not request.old and not _forbids_changes(request):
            coding = content_codings.chosen(request.passed_list(b"accept-encoding"), self.codings)
        encoder = encoder_of(coding) if coding is not None and with_body else None
        if coding is None or (with_body and encoder is None):
            return shown, None
        return _encoded(shown, coding), encoder

    def _fits(self, response: ResponseHead) -> bool:
        """Whether the answer may be encoded for clients that take it."""
        status, length = response.status, response.length
        if status in _BODILESS or status == _PARTIAL or response.is_event_stream:
            return False
        if length is not None and length < self.min_bytes:
            return False
        lines = b"".join(response.passed)
        found = _TYPE.search(lines)
        if found is None or _KEPT.search(lines) is not None:
            return False
        return not self.types.isdisjoint(_names(found[1].lower()))


def _names(kind: bytes) -> tuple[bytes, ...]:
    """The names of a media type in a setting: `a/b+json`, `a/*` and `a/*+json` (as of `a/json`)."""
    top, _, name = kind.partition(b"/")
    return kind, top + b"/*", top + b"/*+" + name.rpartition(b"+")[2]


def unvouched(trailers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The trailers (line, name) of an encoded body, without those that vouch for the plain one."""
    return [(line, name) for line, name in trailers if _VOUCHES.fullmatch(name) is None]


def _forbids_changes(request: RequestHead) -> bool:
    """Whether the client asks for the bytes as they are (RFC 9111 §5.2.1.6)."""
    return "no-transform" in (request.passed_list(b"cache-control") or "").lower()


def _not_modified(response: ResponseHead, request: RequestHead) -> ResponseHead:
    """A 304 with the tag by which the client knows the answer.

    With a strong tag, a cache finds no stored answer that has a weak one (RFC 9111 §4.3.4).
    """
    known = (request.passed_list(b"if-none-match") or "").encode("latin-1")
    shown = copy.copy(_varying(response))
    shown.passed = [
        _weak(line) if (tag := _STRONG_TAG.match(line)) and b"W/" + tag[1] in known else line
        for line in shown.passed
    ]
    return shown


def _varying(response: ResponseHead) -> ResponseHead:
    if any(_ALSO_VARIES.search(line) for line in response.vary):
        return response
    shown = copy.copy(response)
    shown.passed, shown.vary = [*response.passed, _VARY], (*response.vary, _VARY)
    return shown


def _encoded(response: ResponseHead, coding: str) -> ResponseHead:
    """The head of the encoded answer.

    Its bytes are others, so its tag is weak (RFC 9110 §8.8.1), and its ranges are not served.
    """
    shown = copy.copy(response)
    shown.length = None
    shown.passed = [
        _weak(line) for line in response.passed if line[: len(_RANGES)].lower() != _RANGES
    ]
    shown.passed.append(b"Content-Encoding: %b\r\n" % coding.encode())
    return shown


def _weak(line: bytes) -> bytes:
    if _STRONG_TAG.match(line) is None:
        return line
    name, _, tag = line.partition(b":")
    return b"%b: W/%b" % (name, tag.lstrip(b" \t"))
