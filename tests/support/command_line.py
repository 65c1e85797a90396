"""The command line `gateway …`, without a process of its own, which takes half a second.

`tests/process/test_processes.py` starts real ones.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import BytesIO, TextIOWrapper
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO
from unittest import mock

from gateway.cli.main import main


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    returncode: int
    stdout: str
    stderr: str


def run(*arguments: str, stdin: bytes = b"", cwd: Path | None = None) -> Done:
    """Runs a command, with the bytes of its standard input."""
    with TemporaryFile() as out, TemporaryFile() as err:
        with ExitStack() as stack:
            stack.enter_context(chdir(cwd or Path.cwd()))
            stack.enter_context(mock.patch.object(sys, "stdin", TextIOWrapper(BytesIO(stdin))))
            stack.enter_context(redirect_stdout(stack.enter_context(_standing_in(1, out))))
            stack.enter_context(redirect_stderr(stack.enter_context(_standing_in(2, err))))
            code = _exit_code(arguments)
        return Done(code, _text(out), _text(err))


def _exit_code(arguments: tuple[str, ...]) -> int:
    try:
        return main(arguments)
    except SystemExit as end:  # argparse
        return end.code if isinstance(end.code, int) else 1


@contextmanager
def _standing_in(number: int, file: IO[bytes]) -> Iterator[IO[str]]:
    """Has a standard stream lead to a file: for Python, and for what writes to its descriptor."""
    saved = os.dup(number)
    os.dup2(file.fileno(), number)
    try:
        with open(os.dup(number), "w", encoding="utf-8") as stream:
            yield stream
    finally:
        os.dup2(saved, number)
        os.close(saved)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()
