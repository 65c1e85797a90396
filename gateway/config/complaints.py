"""Pydantic's errors in the words of config.yaml.

No message repeats a value, which may be a secret in the wrong place.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel

from gateway.config.base import Model
from gateway.config.document import Document, Position, Where
from gateway.config.model import Config
from gateway.config.problems import Problem

TEXT = "a text"
_SECTION = "a section of names and values"
_LIST = "a list"
_NUMBER = "a number"
_WHOLE = "a whole number"
_TRUTH = "true or false"

# What a value must be, by pydantic's error type. Alternatives are joined by "or".
_KINDS = {
    "string_type": TEXT,
    "is_instance_of": TEXT,
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "int_parsing_size": "a smaller number",
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": "a finite number",
    "bool_type": _TRUTH,
    "bool_parsing": _TRUTH,
    "none_required": "nothing",
    "literal_error": "{expected}",
    "dict_type": _SECTION,
    "dataclass_type": _SECTION,
    "model_type": _SECTION,
    "model_attributes_type": _SECTION,
    "list_type": _LIST,
    "tuple_type": _LIST,
    "iterable_type": _LIST,
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
}

_SENTENCES = {
    "too_short": "needs at least {min_length} of them",
    "too_long": "has too many: {max_length} at most",
    "string_too_short": "is too short: at least {min_length} characters",
    "string_too_long": "is too long: at most {max_length} characters",
    "string_unicode": "is not a text",
    "invalid_key": "has a name that is not a text",
    "union_tag_not_found": "needs kind",
}

# What the patterns of the model mean.
PATTERNS = {
    r"^[A-Za-z0-9_-]+$": "consists of letters, digits, - and _ alone",
    r"^[A-Za-z0-9:._-]*$": "consists of letters, digits and : . _ - alone",
    r"^[A-Za-z0-9_.~-]+$": "consists of letters, digits and _ . ~ - alone",
    r"^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$": "is one word, as in the name of a field",
    r"^[a-z0-9.+-]+/(?:\*(?:\+[a-z0-9.-]+)?|[a-z0-9.+-]+)$": (
        "is a media type, such as text/css, text/* or application/*+json"
    ),
    r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$": "is one word, as in the name of a field",
    r'^/[!"$-~]*$': "is a path of printable ASCII without spaces and #",
    r"^[!-~]+$": "consists of printable ASCII without spaces",
    r"^[!#-\[\]-~]+$": 'consists of printable ASCII without spaces, " and \\',
}
_OTHERWISE = "is not a valid value"


def explain(errors: Iterable[Any], document: Document) -> list[Problem]:
    """Turn pydantic's errors into problems, one for each value.

    A value that may be of several kinds has an error for each; their problem lists the kinds.
    """
    problems: dict[Where, Problem] = {}
    kinds: dict[Where, list[str]] = {}
    errors = list(errors)
    steps = [error["loc"] for error in errors]
    for error in errors:
        loc = error["loc"]
        if error["type"] == "too_short" and any(loc == step[: len(loc)] != step for step in steps):
            continue  # pydantic counts the values that are right
        where = tuple(_written_steps(loc, document))
        kind = _KINDS.get(error["type"])
        if kind is None:
            problems.setdefault(where, _problem(error, where, document))
            continue
        may_be = kinds.setdefault(where, [])
        noun = kind.format_map(_context(error))
        if noun not in may_be:
            may_be.append(noun)
    around = {where[:size] for where in (*problems, *kinds) for size in range(len(where))}
    for where, may_be in kinds.items():
        if where in around:
            continue  # it might be of another kind, too; what is wrong stands inside
        quote = TEXT in may_be and isinstance(_value(where, document), bool | int | float)
        problems[where] = document.problem(
            where,
            f"must be {', or '.join(may_be)}",
            hint="write it in quotes" if quote else "",
        )
    return list(problems.values())


def suggest(word: object, known: list[str]) -> str:
    """A hint: the known word that is nearest to `word`, or all of them."""
    near = difflib.get_close_matches(str(word), known, n=1)
    if near:
        return f"did you mean {near[0]}?"
    return f"known are {', '.join(sorted(known))}" if known else ""


def not_at(causes: Sequence[Problem], problems: Iterable[Problem]) -> Iterator[Problem]:
    """The problems at other positions than these: a value that is missing has no other problem."""
    positions = {Position(cause.line, cause.column) for cause in causes}
    return (
        problem for problem in problems if Position(problem.line, problem.column) not in positions
    )


def unique(problems: Iterable[Problem]) -> list[Problem]:
    """Keep the first problem of each position: it causes the others there."""
    seen: dict[Position, Problem] = {}
    for problem in problems:
        seen.setdefault(Position(problem.line, problem.column), problem)
    return list(seen.values())


def _problem(error: Any, where: Where, document: Document) -> Problem:
    """The problem of an error that is not about the kind of a value."""
    kind, context = error["type"], _context(error)
    if kind == "extra_forbidden":
        hint = suggest(where[-1], _known_fields(error["loc"][:-1]))
        return document.problem(where, "is not known here", hint=hint, key=True)
    if kind == "missing":
        return document.problem(where[:-1], f"needs {where[-1]}")
    if kind == "union_tag_invalid":
        return document.problem((*where, "kind"), f"must be one of {context['expected_tags']}")
    is_key = error["loc"][-1] == "[key]"
    if kind == "value_error":
        cause = context["error"]
        hint = getattr(cause, "hint", "")
        return document.problem(where, str(cause), hint=hint, key=is_key)
    if kind == "string_pattern_mismatch":
        pattern = context["pattern"]
        message = PATTERNS.get(pattern, f"must match {pattern}")
        return document.problem(where, message, key=is_key)
    if context.get("min_length") == 1:
        return document.problem(where, "must not be empty", key=is_key)
    message = _SENTENCES.get(kind, _OTHERWISE).format_map(context)
    return document.problem(where, message, key=is_key)


def _context(error: Any) -> dict[str, Any]:
    """The parameters of an error; `1.0` becomes `1`."""
    context = error.get("ctx", {})
    return {
        name: int(value) if isinstance(value, float) and value.is_integer() else value
        for name, value in context.items()
    }


def _written_steps(location: tuple[str | int, ...], document: Document) -> Iterator[str | int]:
    """The steps of pydantic's location that exist in the file.

    Other steps name the kind of a section, a member of a union or a validator of pydantic.
    """
    data, last = document.data, len(location) - 1
    for at, step in enumerate(location):
        is_written = step in data if isinstance(data, dict) else isinstance(step, int)
        is_kind = isinstance(data, dict) and step == data.get("kind") and at < last
        if is_written or (step in _field_names() and not is_kind):
            yield step
            data = _below(data, step)


def _below(data: Any, step: str | int) -> Any:
    try:
        return data[step]
    except (LookupError, TypeError):  # one value may stand for a list or a section
        return data if step == 0 else None


def _value(where: Where, document: Document) -> Any:
    data = document.data
    for step in where:
        data = _below(data, step)
    return data


@cache
def _field_names() -> frozenset[str]:
    """The names of all fields of config.yaml."""

    def sections(model: type[Model]) -> Iterator[type[Model]]:
        yield model
        for below in model.__subclasses__():
            yield from sections(below)

    return frozenset(
        field.alias or name
        for section in sections(Model)
        for name, field in section.model_fields.items()
    )


def _known_fields(where: Iterable[str | int]) -> list[str]:
    """The keys that a section of config.yaml may have."""
    models: list[type[BaseModel]] = [Config]
    for part in where:
        if isinstance(part, int) or not models or part in [model.__name__ for model in models]:
            continue  # a member of a union has the name of its model
        if len(models) > 1:
            models = [model for model in models if part in get_args(_annotation(model, "kind"))]
        else:
            models = list(_models_in(_annotation(models[0], part)))
    fields = models[0].model_fields if models else {}
    return [field.alias or name for name, field in fields.items()]


def _annotation(model: type[BaseModel], name: str) -> Any:
    field = model.model_fields.get(name)
    return None if field is None else field.annotation


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models in an annotation such as `dict[str, Upstream]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    else:
        for argument in getattr(annotation, "__args__", ()):
            yield from _models_in(argument)
