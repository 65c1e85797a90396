"""Templates of pages: the operator's own, else ours.

Jinja is imported for the first page: it costs a worker 2.4 MiB and 20 ms (measured), and most
workers never show a page.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.core.http import negotiation
from gateway.core.sessions.records import SessionInfo
from gateway.pages import own_texts, views
from gateway.pages.own_texts import BadTexts
from gateway.pages.texts import Texts

if TYPE_CHECKING:
    from jinja2 import Environment

_log = logging.getLogger("gateway.pages")

_OURS = Path(__file__).parent / "templates"

# `latchkey/refusal.html` is always our template, for one that extends it.
_PREFIX = "latchkey"

SESSIONS, REFUSAL, LOGOUT, CHOICE = "sessions.html", "refusal.html", "logout.html", "choice.html"


class Templates:
    """Templates and texts, loaded when first used."""

    def __init__(self, folder: str | None) -> None:
        """folder: the operator's own templates and texts; None if there are none"""
        self._folder = folder
        self._environment: Environment | None = None
        self._languages: Mapping[str, Texts] = {}

    def texts(self, accept_language: str) -> Texts:
        """The texts in the reader's language."""
        if not self._languages:
            self._languages = _languages(self._folder)
        return self._languages[negotiation.language(accept_language, list(self._languages))]

    def get_template(self, name: str) -> Any:
        if self._environment is None:
            self._environment = _environment(self._folder, strict=False)
        return self._environment.get_template(name)


def _languages(folder: str | None) -> Mapping[str, Texts]:
    """The texts by language; ours if the operator's file is broken by now."""
    try:
        return own_texts.languages(folder)
    except BadTexts as error:
        _log.error("%s cannot be used: line %d: %s", own_texts.FILE, error.line, error)
        return views.LANGUAGES


@dataclass(frozen=True, slots=True)
class Flaw:
    """A mistake in a template or text, and where it is."""

    file: str
    line: int
    message: str


def files_of(folder: Path) -> Iterator[Path]:
    """The files in a folder of templates and texts, and those that may come into it."""
    yield folder / own_texts.FILE
    for ours in _OURS.iterdir():
        yield folder / ours.name
    yield from (file for file in folder.rglob("*") if file.is_file())


def flaws(folder: str) -> Iterator[Flaw]:
    """Find mistakes in a folder of templates and texts.

    Each page is rendered once in each language.
    """
    try:
        languages = own_texts.languages(folder)
    except BadTexts as error:
        yield Flaw(str(Path(folder) / own_texts.FILE), error.line, str(error))
        return
    environment = _environment(folder, strict=True)
    for texts in languages.values():
        for name, context in _samples(texts):
            try:
                environment.get_template(name).render(context)
            except Exception as error:  # a template may raise anything
                yield _flaw(error, str(Path(folder) / name))
                return


def _environment(folder: str | None, *, strict: bool) -> Environment:
    """strict: an unknown name is an error; otherwise it is empty"""
    import jinja2

    ours = jinja2.FileSystemLoader(_OURS)
    loaders = [] if folder is None else [jinja2.FileSystemLoader(folder)]
    return jinja2.Environment(
        loader=jinja2.ChoiceLoader([*loaders, ours, jinja2.PrefixLoader({_PREFIX: ours})]),
        autoescape=True,
        auto_reload=False,  # a template stays as it was checked at the start
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined if strict else jinja2.ChainableUndefined,
    )


def _samples(texts: Texts) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """All pages, with all kinds of content."""
    info = SessionInfo(
        subject="alice",
        label="Firefox on Linux",
        address="192.0.2.7",
        ends_at=1_800_000_000,
        created=1_700_000_000,
        seen=1_700_000_000,
    )
    now = info.seen + 7200.0
    shown = [
        views.device(handle, info, texts, current=handle == "first", now=now)
        for handle in ("first", "second")
    ]
    always = {"text": texts, "nonce": "nonce"}
    paths = {"sessions_path": "/sessions", "logout_path": "/logout"}
    for devices, not_listed in ((shown, 0), (shown, 7), (shown[:1], 0), (shown[:1], None)):
        listed = {"devices": devices, "not_listed": not_listed}
        yield SESSIONS, {**always, **paths, **listed}
    yield LOGOUT, {**always, "logout_path": "/logout"}
    logins: dict[str, Any] = {
        "forms": ["/login", "/staff"],
        "remember": {"/login": "remember_me"},
        "providers": [{"name": "Example", "path": "/login/example"}],
    }
    for failed in (None, "/login"):
        outcome = {"failed": failed, "notice": texts.failure if failed else None}
        yield CHOICE, {**always, **logins, **outcome, "back": "/"}
    for back, again in ((None, "/login"), ("/sessions", None)):
        ways = {"back": back, "again": again}
        yield REFUSAL, {**always, "notice": texts.failure, "status": 404, **ways}


def _flaw(error: Exception, file: str) -> Flaw:
    """The position of an error.

    Jinja knows that of a wrong syntax; other errors have it in the traceback.
    """
    import jinja2

    if isinstance(error, jinja2.TemplateSyntaxError):
        return Flaw(error.filename or file, error.lineno, error.message or "is not a template")
    if isinstance(error, jinja2.TemplateNotFound):
        return Flaw(file, 1, f"there is no template {error.name}")
    frames = traceback.extract_tb(error.__traceback__)
    templates = [frame for frame in frames if frame.filename.endswith(".html")]
    place = templates[-1] if templates else None
    message = f"{type(error).__name__}: {error}"
    return Flaw(place.filename if place else file, (place and place.lineno) or 1, message)
