"""The three readings of a path, by which routes match (wire-rules.md#C8).

A path goes upstream as it came, but routes match on readings of it. Backends read the same bytes in
different ways, and attacks by path confusion use the difference between two readings.

* The strict reading (RFC 3986 §6.2.2): only percent-encoded unreserved characters are decoded.
* The resolved reading: everything is decoded until it is stable, backslashes become slashes,
  `;parameters` are cut, empty and dot segments are removed. A request is refused if this is another
  route's path, because honest clients resolve a path before they send it. So is a path with control
  bytes if a part between them, or the whole without them, is another route's path: patterns in Ruby
  match by line, and parsers of URLs drop line ends.
* The loose readings: what backends take for the same path in their ordinary settings. They ignore
  case, a slash at the end, a format suffix (`.json`), what Windows drops from a name, a script
  before or behind the path (`/index.php/api`), and the difference between a letter and an ASCII
  one. People and links do spell paths like this. If this is another route's path, the stricter of
  the two routes decides.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from gateway.core.http.path_shapes import Shape

# A path with a single reading: without escapes, parameters, backslashes, empty segments and
# segments that begin with a dot. Nearly all requests have one.
_PLAIN = re.compile(rb"(?:/[A-Za-z0-9_~!$&'()*+,=:@-][A-Za-z0-9_~!$&'()*+,=:@.-]*+)*+/?")

# A plain path that is its own loose reading: without capitals, full stops and a slash at the end.
_FOLDED = re.compile(rb"(?:/[a-z0-9_~!$&'()*+,=@-]++)++")

_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_HEX = b"0123456789ABCDEFabcdef"
_CONTROLS = re.compile(rb"[\x00-\x1f\x7f]++")

# Each part between control bytes is read by itself. Honest clients do not send many.
_MAX_PARTS = 8

# ASCII in two to four bytes: RFC 3629 §3 forbids it, and old decoders accept it (`%c0%af` is `/`).
_OVERLONG = re.compile(rb"(?:([\xc0\xc1])|(?:\xe0|\xf0\x80)([\x80\x81]))([\x80-\xbf])")

_BEYOND_ASCII = re.compile(rb"[\x80-\xff]")

# What stands in a request's path in escapes alone (RFC 3986 §3.3). Not `%`, which begins them.
_ESCAPED_ALONE = re.compile(rb"[\x00-\x20?#\x7f-\xff]")

# A percent sign that is escaped several times in a row, by clients that escape an escaped path.
_ESCAPED_AGAIN = re.compile(rb"%(?:25)+(?=[0-9A-Fa-f]{2})")

# Other escapes in escapes are decoded at most so often. Honest clients do not send them.
_MAX_DECODINGS = 4

# A path with `..` that all backends that resolve it understand alike.
_PLAIN_CLIMB = re.compile(rb"(?:/(?:\.|\.\.|[A-Za-z0-9_~!$&'()*+,=:@.-]*[A-Za-z0-9_-]))+/?")

# Java and Windows take these letters for ASCII; Unicode's normal forms (UAX #15) do not.
_BEST_FIT = str.maketrans({"\u0131": "i", "\u2044": "/", "\u2215": "/", "\u2216": "\\"})

# The combining marks of decomposed letters (Unicode's block U+0300). One behind a byte that is no
# UTF-8 stays: without it, that byte and the next could be another letter.
_ACCENT = re.compile("(?<![\udc80-\udcff])[\u0300-\u036f]+")

# In a folded path: a script that gets the rest of the path (PATH_INFO, RFC 3875 §4.1.5).
_SCRIPT = re.compile(rb"/[^/]*\.(?:php[0-9]?|phtml|f?cgi|pl|cfm|aspx?|ashx|asmx|svc)(?=/|\Z)")

# Some backends decode a path before they split a query off.
_QUERY = re.compile(rb"[?#].*", re.DOTALL)


# By the two hexadecimal digits of an escape: its strict reading.
_STRICT = {
    digits: bytes((byte,)) if byte in _UNRESERVED else b"%" + digits.upper()
    for digits, byte in (
        (text, int(text, 16)) for text in map(bytes, itertools.product(_HEX, repeat=2))
    )
}


class AmbiguousPath(ValueError):
    """The path has no safe reading.

    It holds a NUL, many control bytes, endless escapes, or `..` that leads above the root or over
    segments that some backends ignore.
    """


# A folded path, and then the same path without its format suffix, as `_stems` gives it.
Folded = tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Readings:
    """One path in its readings, which mostly are the same bytes."""

    strict: bytes
    resolved: bytes
    loose: tuple[Folded, ...]
    without_controls: tuple[bytes, ...] = ()  # other readings of a path with control bytes
    named: tuple[Folded, ...] = ()  # each segment is a name, whatever stands in it

    @property
    def at_backends(self) -> tuple[Folded, ...]:
        """What the path may be to a backend that fills segments in."""
        return self.loose + self.named


def read(path: bytes) -> Readings:
    """Read an origin-form path without its query.

    Raises `AmbiguousPath` if no reading is safe.
    """
    if _FOLDED.fullmatch(path):
        return Readings(path, path, ((path,),))
    plain = strict(path)
    resolved = path if _PLAIN.fullmatch(path) else _resolved(plain)
    others = _without_controls(resolved)
    loose = sum(map(_loose, others), start=_loose(resolved))
    if b"/../" in plain + b"/":
        loose += _loose(plain)  # some backends take `..` for a name
    named = () if _PLAIN.fullmatch(plain) else _named(plain, loose)
    return Readings(plain, resolved, loose, others, named)


def strict(path: bytes) -> bytes:
    """The strict reading, which any path has."""
    before, *escapes = path.split(b"%")
    return before + b"".join(
        [_STRICT.get(text[:2], b"%" + text[:2]) + text[2:] for text in escapes]
    )


def escaped(path: bytes) -> bytes:
    """Any reading of a path, with the escapes without which no request can name it."""
    return _ESCAPED_ALONE.sub(lambda found: b"%%%02X" % found[0][0], path)


def fold(resolved: bytes) -> bytes:
    """Fold a path: without case and a slash at the end, which backends ignore.

    The root is empty.

    Raises `AmbiguousPath`.
    """
    if not resolved.isascii():
        resolved = _resolved(plain_letters(resolved))
    kept: list[bytes] = []
    for segment in resolved.lower().split(b"/"):
        # On Windows a name ends before `::$DATA`, and without spaces and full stops.
        name = segment.partition(b"::$")[0].rstrip(b" ")
        if segment == b"..":
            kept.append(segment)
        elif name == b"..":
            raise AmbiguousPath
        elif name := name.rstrip(b" ."):
            kept.append(name)
    return b"".join([b"/" + name for name in kept])


def plain_letters(path: bytes) -> bytes:
    """Replace letters by the ASCII letters that libraries take them for."""
    text = path.decode("utf-8", "surrogateescape")
    # One letter at a time: the time to sort a long run of marks grows with the square of its
    # length.
    text = "".join([unicodedata.normalize("NFKD", letter) for letter in text])
    # After the normal form, in which a fraction such as \u00bc has a slash of its own.
    text = text.translate(_BEST_FIT).casefold()
    return _ACCENT.sub("", text).encode("utf-8", "surrogateescape")


class BackendPaths:
    """Paths of a backend, in all spellings that the backend may take for them."""

    def __init__(self, paths: Iterable[bytes]) -> None:
        self._whole: set[bytes] = set()  # the paths, and beginnings that a server may complete
        self._stems: set[bytes] = set()  # the paths without a format suffix
        self._shapes: list[Shape] = []  # of paths with segments that clients fill in
        for path in map(fold, paths):
            shape = Shape(path)
            if not shape.is_plain:
                self._shapes.append(shape)
                continue
            script = _SCRIPT.search(path)
            shorter = {*_stems(path)} if script is None else {_without(script)}
            self._stems |= {path, *shorter - {b""}}
            self._whole |= {*self._stems, *_stems(path)} - ({b""} if path else set())

    def __bool__(self) -> bool:
        return bool(self._whole or self._shapes)

    def hold(self, loose: Iterable[Folded], *, suffixes: bool) -> bool:
        """Whether the backend may take a request's path for one of these.

        loose: the readings of the request's path, see `Readings.at_backends`
        suffixes: whether a path with a format suffix counts as well
        """
        for whole, *stems in loose:
            if whole in self._whole or (suffixes and not self._stems.isdisjoint(stems)):
                return True
            for shape in self._shapes:
                if shape.fits(whole) or (suffixes and any(map(shape.fits, stems))):
                    return True
        return False


def _resolved(path: bytes) -> bytes:
    kept: list[bytes] = []
    may_climb = b"/.." in path and _PLAIN_CLIMB.fullmatch(path) is not None
    segments = [part.partition(b";")[0] for part in decoded(path).replace(b"\\", b"/").split(b"/")]
    for segment in segments:
        if segment == b"..":
            if not kept or not may_climb:
                raise AmbiguousPath
            kept.pop()
        elif segment not in (b"", b"."):
            kept.append(segment)
    directory = kept and segments[-1] in (b"", b".", b"..")
    return b"/" + b"/".join(kept) + (b"/" if directory else b"")


def decoded(path: bytes) -> bytes:
    """A path without any escape.

    Raises `AmbiguousPath` for a NUL, and for endless escapes.
    """
    path = _ESCAPED_AGAIN.sub(b"%", path)
    for _ in range(_MAX_DECODINGS):
        text = _OVERLONG.sub(_shortest, unquote_to_bytes(path))
        if text == path:
            break
        path = text
    else:
        raise AmbiguousPath
    if b"\0" in path:
        raise AmbiguousPath  # in languages with strings as in C, a text ends at a NUL
    return path


def _without_controls(resolved: bytes) -> tuple[bytes, ...]:
    """A resolved path for backends that drop control bytes or match by line."""
    parts = _CONTROLS.split(resolved)
    if len(parts) == 1:
        return ()
    whole = b"".join(parts)
    if len(parts) > _MAX_PARTS or b"/.." in whole:
        raise AmbiguousPath
    return tuple([_resolved(text) for text in {whole, *parts} if text.startswith(b"/")])


def _shortest(overlong: re.Match[bytes]) -> bytes:
    lead = (overlong[1] or overlong[2])[0] & 1
    return bytes((lead << 6 | overlong[3][0] & 0x3F,))


def _loose(resolved: bytes) -> tuple[Folded, ...]:
    """The loose readings of a resolved path."""
    whole = fold(resolved)
    ways = [whole]
    if b"?" in whole or b"#" in whole:
        ways.append(fold(_QUERY.sub(b"", whole)))
    script = _SCRIPT.search(whole)
    if script is not None:
        ways += (whole[: script.end()], _without(script))
    return tuple((way, *_stems(way)) for way in ways)


def _named(plain: bytes, loose: tuple[Folded, ...]) -> tuple[Folded, ...]:
    """The reading of backends that split a path before they decode it.

    An escaped slash, a dot or a space is then a segment's text, which fills in a `{name}`.
    """
    plain = _BEYOND_ASCII.sub(_in_escapes, plain)
    whole = b"".join([fold(b"/" + name) or b"/%2e" for name in plain.split(b"/") if name])
    return () if any(whole == known for known, *_ in loose) else ((whole, *_stems(whole)),)


def _in_escapes(letter: re.Match[bytes]) -> bytes:
    return b"%%%02x" % letter[0][0]


def _without(script: re.Match[bytes]) -> bytes:
    """The path without a front controller: `/index.php/api/me` is `/api/me`."""
    return script.string[: script.start()] + script.string[script.end() :]


def _stems(folded: bytes) -> list[bytes]:
    """The path without a format suffix: `/a.b` and `/a` for `/a.b.c`."""
    folder, _, name = folded.rpartition(b"/")
    ends = {name.find(b"."), name.rfind(b".")} - {-1}
    stems = [name[:end].rstrip(b" .") for end in ends]
    return [folder + b"/" + stem if stem else folder for stem in stems]
