"""How a request's path is read before it is matched (wire-rules.md#C8). Nothing here does I/O.

A path goes upstream as it came, but routes match on readings of it: backends read the same bytes in
different ways, and every path confusion lives in the gap between two of them.

* The strict reading, RFC 3986 §6.2.2: only percent-encoded unreserved characters are decoded.
* The resolved reading: everything decoded until it is stable, backslashes as slashes, `;parameters`
  cut, empty and dot segments removed. Where this is another route's path, the request is refused:
  honest clients resolve a path before they send it. So is one with control bytes where a part
  between them, or the whole without them, is another route's path: patterns of Ruby see lines, and
  parsers of URLs drop line ends.
* The loose reading: what backends take for the same path in their ordinary settings. They drop
  case, a slash at the end, a format suffix (`.json`), what Windows drops from a name, a script
  before or behind the path (`/index.php/api`), and what tells a letter from an ASCII one. People
  and links do spell paths like this; where it is another route's path, the stricter route decides.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

# A path that has one reading only: no escapes, no parameters, no backslash, no empty segment and
# no segment that begins with a dot. Nearly every request is of this kind.
_PLAIN = re.compile(rb"(?:/[A-Za-z0-9_~!$&'()*+,=:@-][A-Za-z0-9_~!$&'()*+,=:@.-]*+)*+/?")

# A plain path that is its own loose reading: no capitals, no full stop, no slash at the end.
_FOLDED = re.compile(rb"(?:/[a-z0-9_~!$&'()*+,=@-]++)++")

_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_HEX = b"0123456789ABCDEFabcdef"
_CONTROLS = re.compile(rb"[\x00-\x1f\x7f]++")

# Each part between control bytes is read by itself; honest clients have no reason to send many.
_MAX_PARTS = 8

# ASCII in two to four bytes, which RFC 3629 §3 forbids and old decoders accept: `%c0%af` is `/`.
_OVERLONG = re.compile(rb"(?:([\xc0\xc1])|(?:\xe0|\xf0\x80)([\x80\x81]))([\x80-\xbf])")

# A percent sign that is escaped several times in a row, as by clients who escape what is escaped.
_ESCAPED_AGAIN = re.compile(rb"%(?:25)+(?=[0-9A-Fa-f]{2})")

# Other escapes in escapes are undone at most this often: honest clients have no reason for them.
_MAX_DECODINGS = 4

# A path that climbs, spelled so that every backend that resolves it ends at the same place.
_PLAIN_CLIMB = re.compile(rb"(?:/(?:\.|\.\.|[A-Za-z0-9_~!$&'()*+,=:@.-]*[A-Za-z0-9_-]))+/?")

# Letters that Java and Windows take for ASCII, and Unicode's normal forms (UAX #15) do not.
_BEST_FIT = str.maketrans({"\u0131": "i", "\u2044": "/", "\u2215": "/", "\u2216": "\\"})

# The combining marks into which letters come apart (Unicode's block U+0300).
_ACCENT = re.compile("[\u0300-\u036f]+")

# A program that gets the rest of the path (CGI's PATH_INFO, RFC 3875 §4.1.5), in a folded path.
_SCRIPT = re.compile(rb"/[^/]*\.(?:php[0-9]?|phtml|f?cgi|pl|cfm|aspx?|ashx|asmx|svc)(?=/|\Z)")

# What backends that decode a path before they take it apart find behind it.
_QUERY = re.compile(rb"[?#].*", re.DOTALL)


# What an escape of two hexadecimal digits is in the strict reading.
_STRICT = {
    digits: bytes((byte,)) if byte in _UNRESERVED else b"%" + digits.upper()
    for digits, byte in (
        (text, int(text, 16)) for text in map(bytes, itertools.product(_HEX, repeat=2))
    )
}


class AmbiguousPath(ValueError):
    """The path has no safe reading: a NUL, many control bytes, endless encoding, a climb above the
    root or over segments that not every backend sees.
    """


# A path, folded, and behind it the same without its format suffix.
Folded = tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Readings:
    """One path in its readings; mostly the same bytes."""

    strict: bytes
    resolved: bytes
    loose: tuple[Folded, ...]
    without_controls: tuple[bytes, ...] = ()  # what else a path with control bytes may be


def read(path: bytes) -> Readings:
    """The readings of an origin-form path without its query.

    Raises `AmbiguousPath` where no reading is safe.
    """
    if _FOLDED.fullmatch(path):
        return Readings(path, path, ((path,),))
    plain = strict(path)
    resolved = path if _PLAIN.fullmatch(path) else _resolved(plain)
    others = _without_controls(resolved)
    loose = sum(map(_loose, others), start=_loose(resolved))
    if b"/../" in plain + b"/":
        loose += _loose(plain)  # to a backend that takes `..` for a name
    return Readings(plain, resolved, loose, others)


def strict(path: bytes) -> bytes:
    """The strict reading of a path, for which there always is one."""
    before, *escapes = path.split(b"%")
    return before + b"".join(
        [_STRICT.get(text[:2], b"%" + text[:2]) + text[2:] for text in escapes]
    )


def fold(resolved: bytes) -> bytes:
    """A path without what backends drop: case, and a slash at the end. The root is empty.

    Raises `AmbiguousPath`.
    """
    if not resolved.isascii():
        resolved = _resolved(_letters(resolved))
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


class BackendPaths:
    """Paths that mean something to a backend, in every spelling that it may take for them."""

    def __init__(self, paths: Iterable[bytes]) -> None:
        self._whole: set[bytes] = set()  # they, and what a server may complete to them
        self._stems: set[bytes] = set()  # what they are in another format
        for path in map(fold, paths):
            script = _SCRIPT.search(path)
            shorter = {*_stems(path)} if script is None else {_without(script)}
            self._stems |= {path, *shorter - {b""}}
            self._whole |= {*self._stems, *_stems(path)} - ({b""} if path else set())

    def __bool__(self) -> bool:
        return bool(self._whole)

    def hold(self, loose: Iterable[Folded], *, suffixes: bool) -> bool:
        """Whether a backend may take a path of these readings for one of them; with `suffixes`,
        also when it asks for another format.
        """
        for whole, *stems in loose:
            if whole in self._whole or (suffixes and not self._stems.isdisjoint(stems)):
                return True
        return False


def _resolved(path: bytes) -> bytes:
    kept: list[bytes] = []
    may_climb = b"/.." in path and _PLAIN_CLIMB.fullmatch(path) is not None
    segments = [part.partition(b";")[0] for part in _decoded(path).replace(b"\\", b"/").split(b"/")]
    for segment in segments:
        if segment == b"..":
            if not kept or not may_climb:
                raise AmbiguousPath
            kept.pop()
        elif segment not in (b"", b"."):
            kept.append(segment)
    directory = kept and segments[-1] in (b"", b".", b"..")
    return b"/" + b"/".join(kept) + (b"/" if directory else b"")


def _decoded(path: bytes) -> bytes:
    path = _ESCAPED_AGAIN.sub(b"%", path)
    for _ in range(_MAX_DECODINGS):
        decoded = _OVERLONG.sub(_shortest, unquote_to_bytes(path))
        if decoded == path:
            break
        path = decoded
    else:
        raise AmbiguousPath
    if b"\0" in path:
        raise AmbiguousPath  # where it ends for some, in languages with strings like those of C
    return path


def _without_controls(resolved: bytes) -> tuple[bytes, ...]:
    """What a resolved path is to backends that drop control bytes, or that see lines in it."""
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


def _letters(path: bytes) -> bytes:
    """Letters as the ASCII ones that they fold to in some language's library, without accents."""
    text = path.decode("utf-8", "surrogateescape").translate(_BEST_FIT)
    # Each by itself: sorting the marks of a long run takes a time that grows with its square.
    text = "".join([unicodedata.normalize("NFKD", letter) for letter in text]).casefold()
    return _ACCENT.sub("", text).encode("utf-8", "surrogateescape")


def _loose(resolved: bytes) -> tuple[Folded, ...]:
    """What backends may take a resolved path for."""
    whole = fold(resolved)
    ways = [whole]
    if b"?" in whole or b"#" in whole:
        ways.append(fold(_QUERY.sub(b"", whole)))
    script = _SCRIPT.search(whole)
    if script is not None:
        ways += (whole[: script.end()], _without(script))
    return tuple((way, *_stems(way)) for way in ways)


def _without(script: re.Match[bytes]) -> bytes:
    """The path that a front controller serves: `/index.php/api/me` is `/api/me`."""
    return script.string[: script.start()] + script.string[script.end() :]


def _stems(folded: bytes) -> list[bytes]:
    """What is left of a path without a format suffix: of `/a.b.c`, `/a.b` and `/a`."""
    folder, _, name = folded.rpartition(b"/")
    ends = {name.find(b"."), name.rfind(b".")} - {-1}
    stems = [name[:end].rstrip(b" .") for end in ends]
    return [folder + b"/" + stem if stem else folder for stem in stems]
