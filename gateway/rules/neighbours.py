"""Lets a file of rules import its neighbours, whose code is read once, with the file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Self


class Neighbours(MetaPathFinder, Loader):
    """The modules, packages and folders beside a file. They are found after all other modules.

    codes: what was imported, by its path; a folder has a slash at its end, and no code
    """

    def __init__(
        self, file: str, read: Callable[[Path], bytes], codes: Mapping[str, bytes] | None
    ) -> None:
        """Find modules until the end of a `with`, and forget them then.

        file: the one that imports them
        read: reads a file, or raises `OSError`
        codes: what to find; None finds what stands there now
        """
        self.codes = dict(codes or {})
        self._folder = Path(file).absolute().parent
        self._read = None if codes is not None else read
        self._names: list[str] = []
        self._writes = sys.dont_write_bytecode

    def __enter__(self) -> Self:
        sys.meta_path.append(self)
        sys.dont_write_bytecode = True
        return self

    def __exit__(self, *_: object) -> None:
        sys.meta_path.remove(self)
        sys.dont_write_bytecode = self._writes
        for name in self._names:  # another folder may have others of the same names
            sys.modules.pop(name, None)

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        parent = fullname.rpartition(".")[0]
        if parent and parent not in self._names:
            return None
        place = str(self._folder.joinpath(*fullname.split(".")))
        for file, is_package in ((f"{place}/__init__.py", True), (f"{place}.py", False)):
            if self._finds(file):
                spec = ModuleSpec(fullname, self, origin=file, is_package=is_package)
                spec.has_location = True
                break
        else:
            if not self._finds_folder(f"{place}/"):
                return None
            spec = ModuleSpec(fullname, None, is_package=True)
        self._names.append(fullname)
        return spec

    def exec_module(self, module: ModuleType) -> None:
        assert module.__file__ is not None
        code = compile(self.codes[module.__file__], module.__file__, "exec", dont_inherit=True)
        exec(code, vars(module))  # noqa: S102 (the operator's own code)

    def _finds(self, file: str) -> bool:
        if file not in self.codes and self._read is not None:
            try:
                self.codes[file] = self._read(Path(file))
            except OSError:
                return False
        return file in self.codes

    def _finds_folder(self, folder: str) -> bool:
        if self._read is not None and Path(folder).is_dir():
            self.codes[folder] = b""
        return folder in self.codes
