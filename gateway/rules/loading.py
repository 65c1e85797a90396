"""Loads rules from files of Python.

The file and its neighbours are read once, with config.yaml, so all workers of a configuration run
the same code, whatever becomes of the files. It is run once in each process that loads it.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from gateway.rules import Request
from gateway.rules.neighbours import Neighbours
from gateway.rules.time_limit import TimeLimit, TookTooLong

Function = Callable[[Request], bool]

# How long a file may take to be run. Large libraries take some seconds to import from a slow disk.
MAX_LOAD_SECONDS = 10.0

_TEXT = re.compile(r"(.+\.py):([A-Za-z_][A-Za-z0-9_]*)")


class BadRule(ValueError):
    """The rule cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class RuleSource:
    """Where a rule stands, and the code of its file once that has been read.

    neighbours: the paths and the code of what the file imports from its folder; None: not read yet
    """

    file: str
    function: str
    code: bytes = field(default=b"", repr=False)
    neighbours: tuple[tuple[str, bytes], ...] | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"{self.file}:{self.function}"

    @property
    def label(self) -> str:
        """Its name in logs and metrics."""
        return f"{Path(self.file).name}:{self.function}"


def parse_source(text: str) -> RuleSource:
    """Read `./rules.py:may_edit`. Raises `BadRule`."""
    found = _TEXT.fullmatch(text)
    if found is None:
        raise BadRule("names no rule: write the file and its function, as ./rules.py:may_edit")
    return RuleSource(found[1], found[2])


class RuleLoader:
    """Loads rules of one configuration. Rules of one file share its module."""

    def __init__(self, read: Callable[[Path], bytes] = Path.read_bytes) -> None:
        """`read` reads the neighbours of files, and raises `OSError`."""
        self._read = read
        self._modules: dict[tuple[str, bytes], ModuleType] = {}
        self._neighbours: dict[tuple[str, bytes], Mapping[str, bytes]] = {}

    def with_neighbours(self, source: RuleSource) -> RuleSource:
        """The source of a rule that has been loaded, with what its file has imported."""
        return replace(source, neighbours=tuple(self._neighbours[source.file, source.code].items()))

    def function(self, source: RuleSource) -> Function:
        """The function of a rule, whose code has been read. Raises `BadRule`."""
        place = (source.file, source.code)
        if place not in self._modules:
            codes = None if source.neighbours is None else dict(source.neighbours)
            neighbours = Neighbours(source.file, self._read, codes)
            self._modules[place] = _module(source, neighbours)
            self._neighbours[place] = neighbours.codes
        known = vars(self._modules[place])
        if source.function not in known:
            near = get_close_matches(source.function, known, n=1)
            hint = f"; is {near[0]} meant?" if near else ""
            raise BadRule(f"names no function of {Path(source.file).name}{hint}")
        function = known[source.function]
        _check(function)
        return function  # type: ignore[no-any-return]


def _module(source: RuleSource, neighbours: Neighbours) -> ModuleType:
    """Run the file. Raises `BadRule`."""
    name = Path(source.file).name
    module = ModuleType(f"latchkey_rules_{Path(source.file).stem}")
    module.__file__ = source.file
    sys.modules[module.__name__] = module  # dataclasses look up their module there
    try:
        code = compile(source.code, source.file, "exec", dont_inherit=True)
        with neighbours, TimeLimit(MAX_LOAD_SECONDS) as limit:
            limit.run(partial(exec, code, vars(module)))
    except SyntaxError as error:
        name = Path(error.filename or source.file).name  # it may be a neighbour's
        raise BadRule(f"cannot be loaded: {name}:{error.lineno or 1}: {error.msg}") from None
    except ImportError as error:
        place = line_in(source.file, error.__traceback__)
        raise BadRule(f"cannot be loaded: {name}:{place}: {error.msg}") from None
    except TookTooLong as error:
        place = line_in(source.file, error.__traceback__)
        what = f"takes longer than {MAX_LOAD_SECONDS:g} s"
        raise BadRule(f"cannot be loaded: {name}:{place}: {what}") from None
    except BaseException as error:
        place = line_in(source.file, error.__traceback__)
        raise BadRule(f"cannot be loaded: {name}:{place}: {type(error).__name__}") from None
    return module


def line_in(file: str, traceback: TracebackType | None) -> int:
    """The last line of a file that a traceback names; 1 if it names none."""
    line = 1
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == file:
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return line


def _check(function: Any) -> None:
    """Check that a rule can be called with a request. Raises `BadRule`."""
    if not callable(function) or inspect.isclass(function):
        raise BadRule("names no function")
    # A rule may also be an object that can be called.
    bodies = (function, type(function).__call__)
    if any(
        inspect.iscoroutinefunction(body) or inspect.isasyncgenfunction(body) for body in bodies
    ):
        raise BadRule("is async, and a rule has nothing to wait for: write def")
    if any(map(inspect.isgeneratorfunction, bodies)):
        raise BadRule("yields, and a rule returns True or False")
    try:
        inspect.signature(function).bind(Request("GET", "/"))
    except TypeError:
        raise BadRule("must take one argument, the request") from None
    except ValueError:
        return  # a built-in function without a signature
