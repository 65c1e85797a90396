"""Fields by which browsers protect a site: HSTS, and the like.

What an upstream says itself stays. Strict-Transport-Security is for https alone (RFC 6797 §7.2).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping


class SecurityFields:
    """The fields of one policy, rendered once."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields = [
            (b"\n%b:" % name.lower().encode(), f"{name}: {value}\r\n".encode(), (name, value))
            for name, value in fields.items()
        ]

    def lines(self, present: Iterable[bytes], *, https: bool) -> list[bytes]:
        """The lines that an answer lacks. `present` are those that it has."""
        head = b"\n" + b"".join(present).lower()
        return [
            line
            for mark, line, _ in self._fields
            if head.find(mark) < 0 and (https or mark != _HSTS)
        ]

    def beside(self, fields: Mapping[str, str], *, https: bool) -> dict[str, str]:
        """The fields that an answer of the gateway's own lacks."""
        names = {name.lower() for name in fields}
        return {
            name: value
            for mark, _, (name, value) in self._fields
            if name.lower() not in names and (https or mark != _HSTS)
        }


_HSTS = b"\nstrict-transport-security:"
