"""Loads rules from files of Python.

The file is read once, with config.yaml, so all workers of a configuration run the same code,
whatever becomes of the file. It is run once in each process that loads it.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from gateway.rules import Request
from gateway.rules.time_limit import TimeLimit, TookTooLong

Function = Callable[[Request], bool]

# How long a file may take to be run. Large libraries take some seconds to import from a slow disk.
MAX_LOAD_SECONDS = 10.0

_TEXT = re.compile(r"(.+\.py):([A-Za-z_][A-Za-z0-9_]*)")


class BadRule(ValueError):
    """The rule cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class RuleSource:
    """Where a rule stands, and the code of its file once that has been read."""

    file: str
    function: str
    code: bytes = field(default=b"", repr=False)

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

    def __init__(self) -> None:
        self._modules: dict[tuple[str, bytes], ModuleType] = {}

    def function(self, source: RuleSource) -> Function:
        """The function of a rule, whose code has been read. Raises `BadRule`."""
        place = (source.file, source.code)
        if place not in self._modules:
            self._modules[place] = _module(source)
        known = vars(self._modules[place])
        if source.function not in known:
            near = get_close_matches(source.function, known, n=1)
            hint = f"; is {near[0]} meant?" if near else ""
            raise BadRule(f"names no function of {Path(source.file).name}{hint}")
        function = known[source.function]
        _check(function)
        return function  # type: ignore[no-any-return]


def _module(source: RuleSource) -> ModuleType:
    """Run the file. Raises `BadRule`."""
    name = Path(source.file).name
    module = ModuleType(f"latchkey_rules_{Path(source.file).stem}")
    module.__file__ = source.file
    sys.modules[module.__name__] = module  # dataclasses look up their module there
    try:
        code = compile(source.code, source.file, "exec", dont_inherit=True)
        with _importing_beside(source.file), TimeLimit(MAX_LOAD_SECONDS) as limit:
            limit.run(partial(exec, code, vars(module)))
    except SyntaxError as error:
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


@contextmanager
def _importing_beside(file: str) -> Iterator[None]:
    """Let a file import its neighbours, after all other modules, and write nothing."""
    folder, writes = str(Path(file).absolute().parent), sys.dont_write_bytecode
    known = set(sys.modules)
    sys.path.append(folder)
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.path.remove(folder)
        sys.dont_write_bytecode = writes
        _forget_neighbours(folder, known)


def _forget_neighbours(folder: str, known: set[str]) -> None:
    """Forget the modules of a folder: another folder may have others of the same names.

    known: the modules that had been there before
    """
    packages = ((name, name.partition(".")[0]) for name in sys.modules.keys() - known)
    neighbours = [
        name
        for name, package in packages
        if package not in known and _stands_at(f"{folder}/{package}", sys.modules[name])
    ]
    for name in neighbours:  # after all have been asked: folders ask the modules around them
        del sys.modules[name]


def _stands_at(place: str, module: ModuleType) -> bool:
    """Whether a module is this package, a part of it, or a file of its name."""
    files = [getattr(module, "__file__", None), *getattr(module, "__path__", ())]
    return any(
        file == place or file.startswith((f"{place}.", f"{place}/"))
        for file in files
        if isinstance(file, str)
    )


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
