"""Reading config.yaml: positions, substitution, validation, and all errors at once."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from gateway.config.checks import check
from gateway.config.document import Document, Position, read
from gateway.config.model import Config
from gateway.config.problems import ConfigError, Problem
from gateway.config.signing import with_keys
from gateway.core.secret import Secret


def load(path: str | os.PathLike[str], env: Mapping[str, str] | None = None) -> Config:
    """The configuration in a file. Raises `ConfigError`, which lists everything that is wrong.

    `env` is what `${VAR}` refers to; the process's environment by default.
    """
    file = Path(path)
    document = read(file, os.environ if env is None else env)
    try:
        config = Config.model_validate(document.data)
    except ValidationError as error:
        problems = [_explain(each, document) for each in error.errors(include_url=False)]
        raise ConfigError(_unique([*document.problems, *problems])) from None
    config, file_problems = _with_files(config, file.parent, document)
    problems = [*document.problems, *file_problems, *check(config, document)]
    if problems:
        raise ConfigError(problems)
    return _with_renewal(config)


def _with_renewal(config: Config) -> Config:
    """What is said of renewal for all sessions holds for each login that says nothing of it."""
    renew = config.session.renew
    logins = [
        each.model_copy(update={"renew": each.renew or renew}) if each.kind == "backend" else each
        for each in config.login
    ]
    return config.model_copy(update={"login": tuple(logins)})


def _with_files(config: Config, folder: Path, document: Document) -> tuple[Config, list[Problem]]:
    """Puts in what stands in other files, and makes relative paths absolute."""
    store = config.store.model_copy(
        update={"data_dir": str((folder / config.store.data_dir).absolute())}
    )
    logins = [
        each.model_copy(update={"file": str((folder / each.file).absolute())})
        if each.kind == "users"
        else each
        for each in config.login
    ]
    signing, problems = with_keys(config.signing, folder, document)
    config = config.model_copy(update={"store": store, "login": tuple(logins), "signing": signing})
    name = config.session.secrets_file
    if name is None:
        return config, problems
    try:
        lines = (folder / name).read_text().split()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        message = f"cannot be read: {reason}"
        return config, [*problems, document.problem(("session", "secrets_file"), message)]
    secrets = (*config.session.secrets, *(Secret(line) for line in lines))
    session = config.session.model_copy(update={"secrets": secrets})
    return config.model_copy(update={"session": session}), problems


def _explain(error: Any, document: Document) -> Problem:
    """One of pydantic's errors in the words of this file."""
    where = tuple(part for part in error["loc"] if isinstance(part, str | int))
    kind, message = error["type"], error["msg"]
    if kind == "extra_forbidden":
        known = _known_fields(where[:-1])
        return replace(
            document.problem(where, "is not known here", key=True), hint=suggest(where[-1], known)
        )
    if kind == "missing":
        return document.problem(where[:-1], f"needs {where[-1]}")
    if kind == "value_error":
        message = str(error["ctx"]["error"])
    elif kind == "literal_error":
        message = f"must be {error['ctx']['expected']}"
    elif kind == "union_tag_invalid":
        return document.problem((*where, "kind"), f"must be one of {error['ctx']['expected_tags']}")
    elif kind == "union_tag_not_found":
        return document.problem(where, "needs kind")
    else:
        message = message[:1].lower() + message[1:]
    return document.problem(where, message)


def _known_fields(where: tuple[str | int, ...]) -> list[str]:
    """The keys that config.yaml may have at a place."""
    models: list[type[BaseModel]] = [Config]
    for part in where:
        if isinstance(part, int) or not models:
            continue
        if len(models) > 1:
            models = [each for each in models if part in get_args(_annotation(each, "kind"))]
        else:
            models = list(_models_in(_annotation(models[0], part)))
    fields = models[0].model_fields if models else {}
    return [field.alias or name for name, field in fields.items()]


def _annotation(model: type[BaseModel], name: str) -> Any:
    field = model.model_fields.get(name)
    return None if field is None else field.annotation


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The sections inside an annotation such as `dict[str, Upstream]` or `tuple[Route, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    else:
        for each in getattr(annotation, "__args__", ()):
            yield from _models_in(each)


def suggest(word: object, known: list[str]) -> str:
    """Did you mean …? With the whole list when nothing is near."""
    near = difflib.get_close_matches(str(word), known, n=1)
    if near:
        return f"did you mean {near[0]}?"
    return f"known are {', '.join(sorted(known))}" if known else ""


def _unique(problems: list[Problem]) -> list[Problem]:
    """One complaint of a place is enough: the first one is the cause of the others."""
    seen: dict[Position, Problem] = {}
    for problem in problems:
        seen.setdefault(Position(problem.line, problem.column), problem)
    return list(seen.values())
