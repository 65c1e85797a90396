"""Fields that a route sets, adds and removes, with values of the session and of the path."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from gateway.core.http import templates
from gateway.core.http.field_names import fold
from gateway.core.http.templates import Template
from gateway.core.sessions import identity_headers
from gateway.core.sessions.identity_headers import Unsendable

if TYPE_CHECKING:
    from gateway.config.field_sections import FieldChanges as Section
    from gateway.core.sessions.session import Session
    from gateway.observe.unsent_fields import UnsentFields
    from gateway.store.resolved_session import ResolvedSession

_OF_PATHS = "path."


class FieldChanges:
    """The changes of one route, to requests or to answers."""

    def __init__(self, section: Section, unsent: UnsentFields) -> None:
        """Take the texts.

        unsent: is told of a field that is left out, and why
        """
        self.section = section
        fixed: list[bytes] = []
        self._of_sessions: list[tuple[str, Template]] = []
        self._of_requests: list[tuple[str, Template]] = []  # with segments of the path
        for name, text in (*section.set.items(), *section.add.items()):
            template = templates.parse(text)
            if any(value.startswith(_OF_PATHS) for value in template.names):
                self._of_requests.append((name, template))
            elif template.names:
                self._of_sessions.append((name, template))
            else:
                fixed.append(_line(name, text))
        self._fixed = fixed
        self.replaced = frozenset(fold(name.encode()) for name in (*section.set, *section.remove))
        self._unsent = unsent

    @property
    def of_paths(self) -> bool:
        """Whether a value is a segment of the path."""
        return bool(self._of_requests)

    def applied(
        self,
        lines: Iterable[bytes],
        resolved: ResolvedSession | None,
        path_values: Callable[[], Mapping[str, str]],
    ) -> list[bytes]:
        """The lines with the changes.

        path_values: tells the segments of the path, by name; may raise `Refused`
        """
        replaced = self.replaced
        kept = [line for line in lines if fold(line.partition(b":")[0]) not in replaced]
        kept += self._fixed
        if self._of_sessions and resolved is not None:
            kept += self._session_lines(resolved)
        if self._of_requests:
            values = path_values()
            session = None if resolved is None else resolved.session
            kept += [self._line(*field, session, values) for field in self._of_requests]
        return [line for line in kept if line]

    def of_own_answer(
        self,
        fields: Mapping[str, str],
        resolved: ResolvedSession | None,
        path_values: Callable[[], Mapping[str, str]],
    ) -> dict[str, str]:
        """The fields of an answer of the gateway's own, with the changes.

        A field that stands twice is one list (RFC 9110 §5.3).
        """
        changed: dict[str, str] = {}
        present = [_line(name, value) for name, value in fields.items()]
        names = {name.lower(): name for name in fields}
        for line in self.applied(present, resolved, path_values):
            name, _, value = line.decode("latin-1").partition(": ")
            name, value = names.setdefault(name.lower(), name), value.removesuffix("\r\n")
            changed[name] = f"{changed[name]}, {value}" if name in changed else value
        return changed

    def _session_lines(self, resolved: ResolvedSession) -> list[bytes]:
        """The lines that depend on the session alone: rendered once for each look-up."""
        if resolved.rendered is None:
            resolved.rendered = {}
        lines = resolved.rendered.get(self)
        if lines is None:
            session = resolved.session
            lines = [self._line(*field, session, {}) for field in self._of_sessions]
            resolved.rendered[self] = lines
        return lines

    def _line(
        self, name: str, template: Template, session: Session | None, values: Mapping[str, str]
    ) -> bytes:
        """A field line; empty if the session lacks a value, or if no field can hold it."""
        try:
            found = {value: _value(value, session, values) for value in template.names}
        except Unsendable as why:
            self._unsent(name, f"a value {why}")
            return b""
        return _line(name, template.filled(found.__getitem__)) if all(found.values()) else b""


def replaces_as_much(changes: FieldChanges | None, others: FieldChanges | None) -> bool:
    """Whether no field of a client stays that the other changes replace."""
    if others is None or not others.replaced:
        return True
    return changes is not None and changes.section == others.section


def trailing(
    may_trail: Callable[[bytes], bool], changes: FieldChanges | None
) -> Callable[[bytes], bool]:
    """Which trailers may pass: of those that may, none that the changes replace.

    Backends merge trailers with fields (RFC 9110 §6.5.1).
    """
    if changes is None:
        return may_trail
    return lambda name: name not in changes.replaced and may_trail(name)


def _value(name: str, session: Session | None, values: Mapping[str, str]) -> str:
    """A value as text, which no field's end can be hidden in. Raises `Unsendable`."""
    if name.startswith(_OF_PATHS):
        found = values.get(name.removeprefix(_OF_PATHS))
    elif session is None:
        return ""
    elif name == "session.handle":
        found = session.id
    else:
        found = session.claim("sub" if name == "subject" else name.removeprefix("claims."))
    return identity_headers.rendered(found, ",", None).decode("ascii")


def _line(name: str, text: str) -> bytes:
    return f"{name}: {text}\r\n".encode("latin-1")
