"""The files of fixed answers (`respond.file`), read with config.yaml.

So each worker answers with the same bytes, also one that begins when a file has changed or gone.
"""

from __future__ import annotations

import errno
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.config.files import MAX_ANSWER_BYTES, AnswerFile, read_file

if TYPE_CHECKING:
    from gateway.config.document import Document
    from gateway.config.model import Config
    from gateway.config.problems import Problem


def with_answer_files(
    config: Config, folder: Path, document: Document
) -> tuple[Config, list[Problem]]:
    """Read the files of all fixed answers; also return problems."""
    problems: list[Problem] = []
    known: dict[str, AnswerFile] = {}
    routes = list(config.routes)
    for at, route in enumerate(routes):
        if route.respond is None or route.respond.file is None:
            continue
        path = route.respond.file.path
        try:
            if path not in known:
                known[path] = _read(path, folder)
        except OSError as error:
            where = ("routes", at, "respond", "file")
            problems.append(document.problem(where, f"cannot be read: {error.strerror}"))
            continue
        respond = route.respond.model_copy(update={"file": known[path]})
        routes[at] = route.model_copy(update={"respond": respond})
    return config.model_copy(update={"routes": tuple(routes)}), problems


def _read(path: str, folder: Path) -> AnswerFile:
    """Raises `OSError`."""
    file = (folder / path).absolute()
    content = read_file(file)
    if len(content) > MAX_ANSWER_BYTES:
        raise OSError(errno.EFBIG, "is larger than 1 MiB, for a server of files", path)
    return AnswerFile(str(file), content)
