"""Reading config.yaml. All its problems are found at once."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from gateway.config.answer_files import with_answer_files
from gateway.config.checks import check
from gateway.config.complaints import explain, not_at, unique
from gateway.config.document import Document, read
from gateway.config.files import read_file
from gateway.config.listening import with_certificates
from gateway.config.login_places import taken_paths
from gateway.config.model import Config
from gateway.config.openings import check_openings
from gateway.config.problems import ConfigError, Problem
from gateway.config.rule_files import with_rules
from gateway.config.server_locations import with_locations
from gateway.config.signing import with_signing_keys
from gateway.config.store_sections import StoreTls
from gateway.config.tls import client_context
from gateway.config.upstream_sections import UpstreamTls
from gateway.config.verifying import with_keys
from gateway.config.warnings import warnings
from gateway.core.secret import Secret

M = TypeVar("M", bound=BaseModel)


def load(path: str | os.PathLike[str], env: Mapping[str, str] | None = None) -> Config:
    """Load a configuration. Raises `ConfigError`, which lists all problems.

    env: the values of `${VAR}`; by default the environment of the process
    """
    return load_with_document(path, env)[0]


def load_with_warnings(
    path: str | os.PathLike[str], env: Mapping[str, str] | None = None, *, opens: bool = False
) -> tuple[Config, list[Problem]]:
    """Load a configuration and find unsafe settings. Raises `ConfigError`.

    opens: also check that the files and sockets which `run` opens can be opened
    """
    config, document = load_with_document(path, env, opens=opens)
    return config, warnings(config, document)


def load_with_document(
    path: str | os.PathLike[str], env: Mapping[str, str] | None = None, *, opens: bool = False
) -> tuple[Config, Document]:
    """Load a configuration, and tell the lines of its settings. Raises `ConfigError`."""
    file = Path(path)
    document = read(file, os.environ if env is None else env)
    if not document.is_text:
        raise ConfigError(document.problems)
    try:
        config = Config.model_validate(document.data)
    except ValidationError as error:
        problems = explain(error.errors(include_url=False), document)
        raise ConfigError(unique([*document.problems, *problems])) from None
    config = _with_login_page(config)
    config, file_problems = _with_files(config, file.parent, document)
    config, key_problems = with_keys(config, file.parent, document)
    config, rule_problems = with_rules(config, file.parent, document)
    config, answer_problems = with_answer_files(config, file.parent, document)
    problems = [*file_problems, *key_problems, *rule_problems, *answer_problems]
    problems += check(config, document)
    if opens:
        problems += check_openings(config, document)
    if problems or document.problems:
        raise ConfigError([*document.problems, *not_at(document.problems, problems)])
    return with_locations(_with_renewal(config)), document


def _with_login_page(config: Config) -> Config:
    """Use the gateway's own login page, unless `login_page` is set."""
    return config.model_copy(update={"login_page": config.login_page or config.pages.login})


def _with_renewal(config: Config) -> Config:
    """Use `session.renew` for each login without a `renew` of its own.

    Where tokens are renewed, frontends may refresh.
    """
    taken = taken_paths(config)
    logins = tuple(
        login.with_renewal(config.session.renew).with_refresh(taken) for login in config.login
    )
    return config.model_copy(update={"login": logins})


def _with_files(config: Config, folder: Path, document: Document) -> tuple[Config, list[Problem]]:
    """Read the files that config.yaml names, and make relative paths absolute."""
    config = _with_absolute_paths(config, folder)
    config, listen_problems = with_certificates(config, folder, document)
    config, problems = with_signing_keys(config, folder, document)
    problems += _tls_problems(config.store.tls, ("store", "tls"), document)
    problems += listen_problems
    problems += _upstream_tls_problems(config, document)
    config, secrets_problems = _with_secrets(config, folder, document)
    return config, [*problems, *secrets_problems]


def _with_absolute_paths(config: Config, folder: Path) -> Config:
    """Make the paths of config.yaml absolute, which are relative to its folder."""
    tls_files = ("ca_file", "cert_file", "key_file")
    tls = _absolute(config.store.tls, folder, *tls_files)
    upstreams = {
        name: upstream.model_copy(update={"tls": _absolute(upstream.tls, folder, *tls_files)})
        for name, upstream in config.upstreams.items()
    }
    logs = [name for name in ("access_log", "audit_log") if _is_file(getattr(config, name))]
    return _absolute(config, folder, *logs).model_copy(
        update={
            "store": _absolute(config.store, folder, "data_dir").model_copy(update={"tls": tls}),
            "pages": _absolute(config.pages, folder, "templates"),
            "login": tuple(_absolute(login, folder, *login.FILES) for login in config.login),
            "upstreams": upstreams,
        }
    )


def _absolute(section: M, folder: Path, *names: str) -> M:
    """Make the paths in these fields of a section absolute."""
    paths = {name: getattr(section, name) for name in names}
    there = {name: str((folder / path).absolute()) for name, path in paths.items() if path}
    return section.model_copy(update=there)


def _is_file(log: str) -> bool:
    return log not in ("stdout", "off")


def _with_secrets(config: Config, folder: Path, document: Document) -> tuple[Config, list[Problem]]:
    """Add the secrets of `session.secrets_file`."""
    name = config.session.secrets_file
    if name is None:
        return config, []
    try:
        lines = _secrets_in(folder / name)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        where = ("session", "secrets_file")
        return config, [document.problem(where, f"cannot be read: {reason}")]
    secrets = (*config.session.secrets, *(Secret(line) for line in lines))
    session = config.session.model_copy(update={"secrets": secrets})
    return config.model_copy(update={"session": session}), []


def _secrets_in(file: Path) -> list[str]:
    """One secret per line. Raises `OSError` and `ValueError`."""
    text = read_file(file).decode()
    if not text.replace("\n", "").replace("\r", "").replace("\t", "").isprintable():
        raise ValueError
    return text.split()


def _upstream_tls_problems(config: Config, document: Document) -> Iterator[Problem]:
    """Problems of the files of upstreams."""
    for name, upstream in config.upstreams.items():
        yield from _tls_problems(upstream.tls, ("upstreams", name, "tls"), document)


def _tls_problems(
    tls: StoreTls | UpstreamTls, where: tuple[str, ...], document: Document
) -> Iterator[Problem]:
    """Problems of the files of a section `tls`, which stands at `where`."""
    names = [name for name in ("ca_file", "cert_file", "key_file") if getattr(tls, name)]
    for name in names:
        try:
            read_file(Path(getattr(tls, name)))
        except OSError as error:
            yield document.problem((*where, name), f"cannot be read: {error.strerror}")
            names = []
    try:
        if "ca_file" in names:
            client_context(tls.ca_file, None, None, verify=tls.verify)
    except OSError:
        yield document.problem((*where, "ca_file"), "does not hold a certificate in PEM")
        return
    try:
        if "cert_file" in names:
            client_context(tls.ca_file, tls.cert_file, tls.key_file, verify=tls.verify)
    except OSError:
        yield document.problem(
            (*where, "cert_file"),
            "cannot be used: needs a certificate in PEM with its unencrypted key, "
            "in the same file or in key_file",
        )
