"""A YAML document with the position of every value.

`${VAR}` is replaced in scalars after parsing, so a variable cannot change the structure.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from yaml.composer import Composer
from yaml.reader import ReaderError
from yaml.resolver import Resolver

from gateway.config.files import read_stream
from gateway.config.problems import ConfigError, Problem

Where = tuple[str | int, ...]

# Values of requests stand in routes, and are put in for each of them.
_OF_REQUESTS = re.compile(r"\$(?:[0-9]|\{(?:(?:claims|path|session)\.[^{}]*|subject|query)\})")
_VARIABLE = re.compile(
    _OF_REQUESTS.pattern + r"|\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)(?:(:-|:\?)([^}]*))?\}|\$"
)

# 10,000 routes have so many, with 30 values each. Aliases of aliases can multiply a few values.
_MAX_NODES = 300_000

_TOO_DEEP = "is nested too deeply, or has an alias inside the value that it names"

# By PyYAML's messages for `prefix: staff:`, `{path: /u/{id}}`, `host: *.shop.example` and `x: @y`.
_IN_QUOTES = (
    (re.compile(r"mapping values are not allowed|but got ':'"), "a text with a colon"),
    (re.compile(r"but got '(?:[\[{]|<scalar>)'"), "a text with braces or brackets"),
    (re.compile(r"scanning an alias|undefined alias"), "a text that begins with a star"),
    (re.compile(r"cannot start any token"), "a text that begins with this character"),
)

_STRING = "tag:yaml.org,2002:str"
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")  # all but tab, LF and CR
_SURROGATE = re.compile(r"[\ud800-\udfff]")  # half a character, which UTF-8 cannot write
_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+")


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A line and a column, both from 1."""

    line: int
    column: int


@dataclass
class Document:
    """The data of a document, and the position of each value and key."""

    file: str
    data: Any = None
    values: dict[Where, Position] = field(default_factory=dict)
    keys: dict[Where, Position] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    is_text: bool = True  # no value holds what the name of a file cannot

    def problem(self, where: Where, message: str, *, hint: str = "", key: bool = False) -> Problem:
        """A problem at a value, or at the nearest one around it in the file.

        hint: what would be right
        key: the problem is about the name of the value
        """
        where = self.written(where)
        name = ""
        for part in where:
            name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else str(part)
        places = self.keys if key else self.values
        while where not in places and where:
            where = where[:-1]
        at = places.get(where) or self.values.get(where, Position(1, 1))
        return Problem(self.file, at.line, at.column, name, message, hint)

    def written(self, where: Where) -> Where:
        """The path of a value in the file.

        A section may stand for a list there, and pydantic's step for its kind is not in the file.
        """
        data, steps = self.data, []
        for part in where:
            is_step = not isinstance(data, dict) or part in data
            if not is_step and (isinstance(part, int) or part == data.get("kind")):
                continue
            steps.append(part)
            try:
                data = data[part]
            except (LookupError, TypeError):
                data = None
        return tuple(steps)


def read(file: Path, env: Mapping[str, str]) -> Document:
    """Parse a file. Raises `ConfigError` if it is not YAML."""
    document = Document(str(file))
    try:
        node = _composed(read_stream(file).decode())
    except OSError as error:
        raise ConfigError(
            [Problem(str(file), 1, 1, "", f"cannot be read: {error.strerror}")]
        ) from None
    except UnicodeDecodeError:
        raise ConfigError([Problem(str(file), 1, 1, "", "is not UTF-8 text")]) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        told = f"{error.context} {error.problem}"
        texts = (text for pattern, text in _IN_QUOTES if pattern.search(told))
        hint = next((f"write {text} in quotes" for text in texts), "")
        raise ConfigError(
            [Problem(str(file), line, column, "", f"is not YAML: {error.problem}", hint)]
        ) from None
    except ReaderError as error:
        text = error.name if isinstance(error.character, bytes) else f"U+{error.character:04X}"
        message = f"holds a character that no YAML may hold: {text}"
        raise ConfigError([Problem(str(file), 1, 1, "", message)]) from None
    except RecursionError:
        raise ConfigError([Problem(str(file), 1, 1, "", _TOO_DEEP)]) from None
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(
            [Problem(str(file), 1, 1, "", "must be a mapping that begins version: 1")]
        )
    try:
        document.data = _Builder(document, env).build(node, ())
    except RecursionError:
        raise ConfigError([Problem(str(file), 1, 1, "", _TOO_DEEP)]) from None
    return document


def _composed(text: str) -> yaml.Node | None:
    """The nodes of a text. Raises `YAMLError` and `RecursionError`.

    libyaml parses it in half the time; what it refuses, PyYAML explains in better words.
    """
    if yaml.__with_libyaml__:
        with contextlib.suppress(yaml.YAMLError):
            return _FastLoader(text).get_single_node()
    return yaml.compose(text, Loader=yaml.SafeLoader)


if yaml.__with_libyaml__:
    from yaml._yaml import CParser

    class _FastLoader(Composer, CParser, Resolver):
        """Parses in C, and composes in Python: deep values overflow the stack of the C composer."""

        def __init__(self, text: str) -> None:
            CParser.__init__(self, text)
            Composer.__init__(self)
            Resolver.__init__(self)


class _Builder:
    """Builds plain data from YAML nodes and records their positions."""

    def __init__(self, document: Document, env: Mapping[str, str]) -> None:
        self._document = document
        self._env = env
        self._constructor = yaml.SafeLoader("")
        self._built = 0

    def build(self, node: yaml.Node, where: Where) -> Any:
        mark = node.start_mark
        self._built += 1
        if self._built > _MAX_NODES:
            message = f"has more than {_MAX_NODES} values"
            problem = Problem(self._document.file, mark.line + 1, mark.column + 1, "", message)
            raise ConfigError([problem])
        self._document.values[where] = Position(mark.line + 1, mark.column + 1)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, where)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*where, at)) for at, item in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)
        if "$" in node.value:
            text = self._substituted(node.value, where)
            resolver: Any = self._constructor
            tag = resolver.resolve(yaml.ScalarNode, text, (node.style is None, False))
            node = yaml.ScalarNode(tag, text, node.start_mark, node.end_mark, node.style)
        node = self._as_written(node, where)
        if _CONTROL.search(node.value):
            self._document.is_text = False
            self._complain(where, "holds a control character")
        if _SURROGATE.search(node.value):
            self._document.is_text = False
            self._complain(where, "holds half a character (a surrogate)")
        try:
            return self._constructor.construct_object(node)
        except (yaml.YAMLError, ValueError):
            self._document.problems.append(self._document.problem(where, "is not a plain value"))
            return None

    def _as_written(self, node: yaml.ScalarNode, where: Where) -> yaml.ScalarNode:
        """Undo YAML 1.1, which reads `1:30` as 90 and `010` as 8."""
        if node.tag not in _NUMBERS:
            return node
        if ":" in node.value:
            return yaml.ScalarNode(_STRING, node.value, node.start_mark, node.end_mark)
        if _LEADING_ZERO.fullmatch(node.value):
            self._complain(
                where, "begins with a 0, which YAML reads as octal: write it without, or in quotes"
            )
        return node

    def _mapping(self, node: yaml.MappingNode, where: Where) -> dict[str, Any]:
        built: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else ""
            place = (*where, key)
            mark = key_node.start_mark
            position = Position(mark.line + 1, mark.column + 1)
            if key in built:
                first = self._document.keys[place].line
                self._document.keys[place] = position
                self._document.problems.append(
                    self._document.problem(place, f"stands twice; first in line {first}", key=True)
                )
            self._document.keys[place] = position
            built[key] = self.build(value_node, place)
        return built

    def _substituted(self, text: str, where: Where) -> str:
        def put_in(found: re.Match[str]) -> str:
            if _OF_REQUESTS.fullmatch(found[0]):
                if where[0] != "routes":
                    self._complain(where, f"has {found[0]}, a value for routes: write $$ for a $")
                return found[0]
            if found[0] == "$$":
                return "$"
            if found[0] == "$":
                self._complain(where, "has a lone $: write $$, or ${NAME}")
                return "$"
            name, kind, rest = found[1], found[2], found[3]
            value = self._env.get(name, "")
            if value:
                return value
            if kind == ":-":
                return rest
            if kind == ":?":
                self._complain(where, f"needs the environment variable {name}: {rest}")
            elif name not in self._env:
                self._complain(where, f"needs the environment variable {name}, which is not set")
            return ""

        return _VARIABLE.sub(put_in, text)

    def _complain(self, where: Where, message: str) -> None:
        self._document.problems.append(self._document.problem(where, message))
