"""The operator's own texts, in `texts.yaml` beside their templates.

The file maps languages to texts, by their names in `texts.Texts`. Other texts stay ours.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from gateway.core.http import refusals
from gateway.core.http.refusals import Refusal
from gateway.pages.texts import Notice, Texts
from gateway.pages.views import LANGUAGES

if TYPE_CHECKING:
    from yaml import Node

FILE = "texts.yaml"

# The first part of a language tag (RFC 5646 §2.2.1).
_TAG = re.compile(r"[a-z]{2,3}")

# The reasons that a notice may be about.
_REASONS = {value.reason for value in vars(refusals).values() if isinstance(value, Refusal)}

T = TypeVar("T", Texts, Notice)


class BadTexts(ValueError):
    """The file cannot be used. The message says why, and `line` where."""

    def __init__(self, message: str, node: Node | None = None, *, line: int = 1) -> None:
        super().__init__(message)
        self.line = line if node is None else node.start_mark.line + 1


def languages(folder: str | None) -> Mapping[str, Texts]:
    """The texts by language tag, with the changes of the operator's file.

    In a language that we do not have, missing texts are English. Raises `BadTexts`.
    """
    file = None if folder is None else Path(folder) / FILE
    if file is None or not file.exists():
        return LANGUAGES
    found = dict(LANGUAGES)
    for tag, own in _pairs(_read(file)):
        if not _TAG.fullmatch(tag):
            raise BadTexts(f"{tag} is not a language: it has two or three letters, as en", own)
        english = next(iter(LANGUAGES.values()))
        found[tag] = _changed(LANGUAGES.get(tag, dataclasses.replace(english, language=tag)), own)
    return found


def _read(file: Path) -> Node | None:
    import yaml  # only a gateway with such a file needs it

    if not file.is_file():
        raise BadTexts("is not a regular file")  # a pipe may never end
    try:
        return yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except OSError as error:
        raise BadTexts(f"cannot be read: {error.strerror}") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise BadTexts(f"is not YAML: {error.problem}", line=line) from None
    except RecursionError:
        raise BadTexts("is nested too deeply") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise BadTexts("is not UTF-8 text") from None


def _pairs(node: Any) -> Iterable[tuple[str, Any]]:
    """The names and values of a mapping; an empty file has none."""
    if node is None:
        return
    if node.id != "mapping":
        raise BadTexts("must be a mapping of names", node)
    for name, value in node.value:
        if name.id != "scalar":
            raise BadTexts("must be a mapping of names", name)
        yield name.value, value


def _changed(ours: T, own: Node) -> T:
    """Our texts with the changes that `own` says."""
    known = {field.name for field in dataclasses.fields(ours)} - {"language"}
    changes = {}
    for name, value in _pairs(own):
        _insist_on_known(name, known, value)
        changes[name] = _value(ours, name, getattr(ours, name), value)
    return dataclasses.replace(ours, **changes)


def _insist_on_known(name: str, known: Collection[str], node: Node) -> None:
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise BadTexts(f"{name} is not known here{hint}", node)


def _value(ours: Texts | Notice, name: str, present: Any, own: Any) -> Any:
    match present:
        case str():
            return _text(present, own)
        case Notice():
            return _changed(present, own)
        case (one, several):
            if own.id != "sequence" or len(own.value) != 2:
                raise BadTexts(f"{name} must be two texts: singular and plural", own)
            # The singular may leave out the number.
            return _text(one, own.value[0], 0), _text(several, own.value[1])
    assert isinstance(ours, Texts)
    if name == "devices":
        return {**present, **{label: _text(label, text) for label, text in _pairs(own)}}
    notices = dict(present)
    for reason, notice in _pairs(own):
        _insist_on_known(reason, _REASONS, notice)
        notices[reason] = _changed(ours.notice(reason), notice)
    return notices


def _text(present: str, own: Any, also: int | None = None) -> str:
    """The operator's text, with as many `{}` as ours, or `also` of them."""
    if own.id != "scalar":
        raise BadTexts("must be a text", own)
    text: str = own.value
    places = present.count("{}")
    if places:
        try:
            filled = text.format(*["\0"] * places).count("\0")
        except (ValueError, LookupError, AttributeError):
            filled = -1
        if filled not in (places, also):
            raise BadTexts(f"needs {{}} as in: {present}", own)
    return text
