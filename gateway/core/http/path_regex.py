"""Regular expressions for paths, matched in linear time.

An expression becomes an automaton that reads each byte once, so no path makes it slow. It fits
whole paths. It knows letters, `.`, `[…]`, `\\d`, `\\w`, groups, `|`, `*`, `+`, `?` and `{m,n}`, and
neither anchors nor back-references.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

# More makes an automaton too large, as in `(a|b)*a(a|b){12}`.
_MAX_STATES = 2000
_MAX_NODES = 2000
_MAX_REPEATS = 256
_MAX_DEPTH = 32

_SLASH = ord("/")
_ANY = frozenset(range(1, 256))
_DIGITS = frozenset(b"0123456789")
_WORDS = _DIGITS | frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_")
_CLASSES = {"d": _DIGITS, "w": _WORDS, "D": _ANY - _DIGITS, "W": _ANY - _WORDS}
_SPECIAL = frozenset("()[]{}|*+?^$\\")


class BadRegex(ValueError):
    """The text is no expression that can be matched in linear time."""


@lru_cache(4096)
def compiled(text: str, *, ignores_case: bool = False) -> PathRegex:
    """The automaton of an expression. Raises `BadRegex`."""
    return PathRegex(text, ignores_case=ignores_case)


def escaped(text: str) -> str:
    """The expression that fits this text alone."""
    return "".join(char if char.isalnum() or char in "/_~" else "\\" + char for char in text)


class PathRegex:
    """The automaton of one expression: by state and byte, the next state."""

    def __init__(self, text: str, *, ignores_case: bool) -> None:
        """Raises `BadRegex`."""
        nodes = _Nodes(ignores_case=ignores_case)
        start, end = _Parser(text, nodes).parse()
        self._next: list[dict[int, int]] = []
        self._accepts: list[bool] = []
        known = {nodes.closure([start]): 0}
        waiting = list(known)
        while waiting:
            state = waiting.pop(0)
            row: dict[int, int] = {}
            for byte, reached in nodes.steps(state).items():
                closure = nodes.closure(reached)
                if closure not in known:
                    if len(known) >= _MAX_STATES:
                        raise BadRegex("is too complex")
                    known[closure] = len(known)
                    waiting.append(closure)
                row[byte] = known[closure]
            self._next.append(row)
            self._accepts.append(end in state)

    def fits(self, path: bytes) -> bool:
        """Whether the whole path fits."""
        state = self._after(path)
        return state is not None and self._accepts[state]

    def fits_with_slash(self, path: bytes) -> bool:
        """Whether the whole path fits, as it is or with a slash at its end."""
        state = self._after(path)
        if state is None:
            return False
        slash = self._next[state].get(_SLASH)
        return self._accepts[state] or (slash is not None and self._accepts[slash])

    def fits_below(self, prefix: bytes) -> bool:
        """Whether some path that begins so fits."""
        return self._after(prefix) is not None  # each state leads to one that accepts

    def is_within(self, other: PathRegex) -> bool:
        """Whether each path that fits this one fits the other as well."""
        known: set[tuple[int, int | None]] = {(0, 0)}
        waiting = [*known]
        while waiting:
            mine, theirs = waiting.pop()
            if theirs is None or (self._accepts[mine] and not other._accepts[theirs]):
                return False  # each state leads to one that accepts
            for byte, after in self._next[mine].items():
                pair = after, other._next[theirs].get(byte)
                if pair not in known:
                    known.add(pair)
                    waiting.append(pair)
        return True

    def _after(self, path: bytes) -> int | None:
        """The state behind a path; None if nothing that begins so fits."""
        state, rows = 0, self._next
        for byte in path:
            after = rows[state].get(byte)
            if after is None:
                return None
            state = after
        return state


class _Nodes:
    """A nondeterministic automaton (Thompson's construction)."""

    def __init__(self, *, ignores_case: bool) -> None:
        self._ignores_case = ignores_case
        self._free: list[list[int]] = []
        self._reads: list[tuple[frozenset[int], int] | None] = []

    def new(self, *free: int) -> int:
        if len(self._free) >= _MAX_NODES:
            raise BadRegex("is too complex")
        self._free.append([*free])
        self._reads.append(None)
        return len(self._free) - 1

    def link(self, node: int, after: int) -> None:
        self._free[node].append(after)

    def reading(self, wanted: frozenset[int]) -> tuple[int, int]:
        if self._ignores_case:
            wanted |= {other for byte in wanted for other in bytes((byte,)).swapcase()}
        end, start = self.new(), self.new()
        self._reads[start] = (wanted, end)
        return start, end

    def closure(self, nodes: Sequence[int]) -> frozenset[int]:
        found, waiting = set(nodes), list(nodes)
        while waiting:
            for node in self._free[waiting.pop()]:
                if node not in found:
                    found.add(node)
                    waiting.append(node)
        return frozenset(found)

    def steps(self, state: frozenset[int]) -> dict[int, list[int]]:
        reached: dict[int, list[int]] = {}
        for node in state:
            read = self._reads[node]
            if read is not None:
                for byte in read[0]:
                    reached.setdefault(byte, []).append(read[1])
        return reached


class _Parser:
    """Reads an expression into nodes. Each part has a start and an end."""

    def __init__(self, text: str, nodes: _Nodes) -> None:
        self._text, self._nodes, self._at, self._depth = text, nodes, 0, 0

    def parse(self) -> tuple[int, int]:
        if not self._text.isascii() or not self._text.isprintable():
            raise BadRegex("is not ASCII: write letters beyond it percent-encoded, in capitals")
        part = self._choice()
        if self._at < len(self._text):
            raise BadRegex("has a bracket that opens nowhere")
        return part

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self) -> str:
        char = self._peek()
        if not char:
            raise BadRegex("ends too early")
        self._at += 1
        return char

    def _choice(self) -> tuple[int, int]:
        parts = [self._sequence()]
        while self._peek() == "|":
            self._at += 1
            parts.append(self._sequence())
        if len(parts) == 1:
            return parts[0]
        end = self._nodes.new()
        for part in parts:
            self._nodes.link(part[1], end)
        return self._nodes.new(*(part[0] for part in parts)), end

    def _sequence(self) -> tuple[int, int]:
        start = end = self._nodes.new()
        while self._peek() not in ("", "|", ")"):
            part = self._repeated()
            self._nodes.link(end, part[0])
            end = part[1]
        return start, end

    def _repeated(self) -> tuple[int, int]:
        began = self._at
        part = self._single()
        ended = self._at
        least, most = self._times()
        if (least, most) == (1, 1):
            return part
        if self._peek() in ("*", "+", "?", "{"):
            raise BadRegex("repeats what is repeated: put it into a group")
        after = self._at
        end = self._nodes.new()
        start = last = self._nodes.new()
        for number in range(max(least, most or least + 1)):
            if number:
                self._at = began
                part = self._single()
            if number >= least:
                self._nodes.link(last, end)
            self._nodes.link(last, part[0])
            last = part[1]
        if most is None:
            self._nodes.link(last, part[0])
        self._nodes.link(last, end)
        self._at = after
        assert ended <= after
        return start, end

    def _times(self) -> tuple[int, int | None]:
        """How often the part before stands: at least, and at most."""
        char = self._peek()
        if char in ("*", "+", "?"):
            self._at += 1
            return {"*": (0, None), "+": (1, None), "?": (0, 1)}[char]
        if char != "{":
            return 1, 1
        close = self._text.find("}", self._at)
        least, comma, most = self._text[self._at + 1 : max(close, self._at + 1)].partition(",")
        try:
            times = int(least), (int(most) if most else None) if comma else int(least)
        except ValueError:
            raise BadRegex("has an invalid count: write {2} or {2,5}") from None
        upper = times[0] if times[1] is None else times[1]
        if not 0 <= times[0] <= upper <= _MAX_REPEATS or upper == 0:
            raise BadRegex(f"has an invalid count, or one over {_MAX_REPEATS}")
        self._at = close + 1
        return times

    def _single(self) -> tuple[int, int]:
        char = self._take()
        if char == "(":
            return self._group()
        if char == "[":
            return self._nodes.reading(self._set())
        if char == ".":
            return self._nodes.reading(_ANY)
        if char == "\\":
            return self._nodes.reading(self._escape())
        if char in _SPECIAL:
            raise BadRegex(f"cannot have {char} here: it fits whole paths, without anchors")
        return self._nodes.reading(frozenset(char.encode()))

    def _group(self) -> tuple[int, int]:
        if self._text.startswith("?:", self._at):
            self._at += 2
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise BadRegex("is nested too deeply")
        part = self._choice()
        self._depth -= 1
        if self._peek() != ")":
            raise BadRegex("has a bracket that is not closed")
        self._at += 1
        return part

    def _escape(self) -> frozenset[int]:
        char = self._take()
        if char in _CLASSES:
            return _CLASSES[char]
        if char.isalnum():
            raise BadRegex(f"has an unknown escape: \\{char}")
        return frozenset(char.encode())

    def _set(self) -> frozenset[int]:
        excludes = self._peek() == "^"
        self._at += excludes
        found: set[int] = set()
        while (char := self._take()) != "]":
            one = self._escape() if char == "\\" else frozenset(char.encode())
            if self._peek() == "-" and self._text[self._at + 1 : self._at + 2] not in ("]", ""):
                self._at += 1
                last = self._take()
                if len(one) != 1 or last == "\\" or ord(last) < min(one):
                    raise BadRegex("has an invalid range")
                one = frozenset(range(min(one), ord(last) + 1))
            found |= one
        if not found:
            raise BadRegex("has an empty set")
        return _ANY - found if excludes else frozenset(found)
