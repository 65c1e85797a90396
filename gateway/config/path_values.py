"""Types of paths and hosts in config.yaml."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from gateway.core.http import (
    hosts,
    path_patterns,
    path_regex,
    path_rewriting,
    path_shapes,
    paths,
    templates,
)

_PATH = re.compile(r"/[A-Za-z0-9_.~!$&'()+,=:@/-]*(?<!/)\*?|/[A-Za-z0-9_.~!$&'()+,=:@/-]*/\*?|/\*?")

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # RFC 9110 §5.5

_QUERY = re.compile(r"[A-Za-z0-9_.~!$&'()*+,;=:@/?%-]+")  # RFC 3986 §3.4

_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")

_REWRITTEN_PATH = re.compile(r"/(?:[A-Za-z0-9._~!&'()*+,=:@/-]|\$[0-9])*")

_GROUP = re.compile(r"\$[0-9]")


def is_plain_path(value: Any) -> bool:
    """Whether a text is a valid path in config.yaml."""
    return isinstance(value, str) and _PATH.fullmatch(value) is not None


def _path(value: str) -> str:
    if not value.startswith("/"):
        raise ValueError("is not a path: it begins with a slash")
    if "*" in value and (not value.endswith("/*") or value.count("*") > 1):
        raise ValueError("is not a path: a star stands only at the end, as in /api/*")
    climbs = any(segment in (".", "..") for segment in value.split("/"))
    if not _PATH.fullmatch(value) or "//" in value or climbs:
        raise ValueError("is not a plain path: write it decoded, without //, dots or a query")
    return value


def _route_path(value: str) -> str:
    path_patterns.parse(value)
    return value


def _path_regex(value: str) -> str:
    if not value.startswith("/"):
        raise ValueError("is not an expression for paths: it begins with a slash")
    path_regex.compiled(value)
    return _matching(value)


def _rewritten_pattern(value: str) -> str:
    """An expression for the paths that are rewritten."""
    if not value.removeprefix("^").startswith(("/", "(", "[")):
        raise ValueError("fits no path: it begins with a slash")
    path_rewriting.compiled(value)
    return _matching(value)


def _matching(value: str) -> str:
    """An expression for paths in their strict reading (RFC 3986 §6.2.2)."""
    if not value.isascii():
        raise ValueError("is not ASCII: write letters beyond it percent-encoded, in capitals")
    for found in _ESCAPE.finditer(value):
        if (written := paths.strict(found[0].encode()).decode()) != found[0]:
            raise ValueError(f"has {found[0]}, which no path has: write {written}")
    return value


def _wanted(value: Any) -> Any:
    """A value of a field or a parameter; YAML reads some as numbers."""
    return str(value) if isinstance(value, int | float) and type(value) is not bool else value


def _wanted_in_field(value: Any) -> Any:
    if isinstance(value, str) and (_CONTROL.search(value) or value != value.strip(" \t")):
        raise ValueError("is no field's value: no line ends, nor spaces around it")
    return value


def _exact_path(value: str) -> str:
    if value.endswith("*"):
        raise ValueError("is one path: it cannot end in a star")
    return _path(value)


def _shaped_path(value: str) -> str:
    names = path_shapes.names(value)
    _exact_path(path_shapes.filled(value, dict.fromkeys(names, "x")))
    return value


def _prefix(value: str) -> str:
    if "{" in value:
        raise ValueError("is a text: where clients fill segments in, use rewrite: /${path.*}")
    return _exact_path(value)


def _target(value: str) -> str:
    path, mark, query = value.partition("?")
    _exact_path(path)
    if mark and not _QUERY.fullmatch(query):
        raise ValueError("has an invalid query: escape what is not plain ASCII, as in %20")
    return value


def _rewriting(value: str) -> str:
    """A path with values of the request."""
    template = templates.parse(value)
    if "{" in "".join(template.literals):
        raise ValueError("names segments as ${path.id}")
    _exact_path(template.filled(lambda _: "x"))
    return value


def _rewritten_path(value: str) -> str:
    """A path with the groups of a regular expression."""
    if not _REWRITTEN_PATH.fullmatch(value):
        raise ValueError("is no path with groups: write it as in /new/$1, without a query")
    _exact_path(_GROUP.sub("x", value))
    return value


def _path_of_a_list(value: str) -> str:
    if value.endswith("/"):
        raise ValueError("cannot end in a slash: other paths begin with it")
    return value


HostPattern = Annotated[str, AfterValidator(hosts.parse)]

Wanted = Annotated[bool | str, BeforeValidator(_wanted)]

WantedInField = Annotated[Wanted, AfterValidator(_wanted_in_field)]

RegexText = Annotated[str, AfterValidator(_path_regex)]

RoutePath = Annotated[str, AfterValidator(_route_path)]

ExactPath = Annotated[str, AfterValidator(_exact_path)]

PathPrefix = Annotated[str, AfterValidator(_prefix)]

ShapedPath = Annotated[str, AfterValidator(_shaped_path)]  # may have segments to fill in

Rewriting = Annotated[str, AfterValidator(_rewriting)]  # a path with `${path.id}` in it

RewrittenPattern = Annotated[str, AfterValidator(_rewritten_pattern)]

RewrittenPath = Annotated[str, AfterValidator(_rewritten_path)]

Target = Annotated[str, AfterValidator(_target)]  # a path, and a query if there is one

ListPath = Annotated[ExactPath, AfterValidator(_path_of_a_list)]
