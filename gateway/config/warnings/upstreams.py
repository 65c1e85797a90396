"""Warnings about upstreams."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.config.document import Document
from gateway.config.model import Config
from gateway.config.problems import Problem


def upstream_warnings(config: Config, document: Document) -> Iterator[Problem]:
    """Find settings of upstreams that are unsafe, or change nothing."""
    yield from _unchecked_upstreams(config, document)
    yield from _lenient_upstreams(config, document)
    yield from _idle_settings(config, document)
    yield from _paths_by_spelling(config, document)


def _unchecked_upstreams(config: Config, document: Document) -> Iterator[Problem]:
    for name, upstream in config.upstreams.items():
        if not upstream.tls.verify:
            yield document.problem(
                ("upstreams", name, "tls", "verify"),
                "accepts any certificate: an attacker on the way reads every token; name a ca_file",
            )


def _lenient_upstreams(config: Config, document: Document) -> Iterator[Problem]:
    for name, upstream in config.upstreams.items():
        if upstream.lenient:
            yield document.problem(
                ("upstreams", name, "lenient"),
                "accepts responses that break HTTP/1.1: if a proxy reads them in another way, one "
                "user may get another's response; mend the backend",
            )


def _idle_settings(config: Config, document: Document) -> Iterator[Problem]:
    """Settings of upstreams that change nothing with these servers."""
    for name, upstream in config.upstreams.items():
        where = ("upstreams", name)
        if upstream.resolve is not None and not any(url.has_name for url in upstream.servers):
            message = "changes nothing: no server has a name that could be looked up"
            yield document.problem((*where, "resolve"), message)
        if upstream.tls.model_fields_set and not any(url.tls for url in upstream.servers):
            message = "changes nothing: no server is https"
            yield document.problem((*where, "tls"), message)


def _paths_by_spelling(config: Config, document: Document) -> Iterator[Problem]:
    for name, upstream in config.upstreams.items():
        if upstream.paths == "strict":
            yield document.problem(
                ("upstreams", name, "paths"),
                "treats /API/me, /api/me/ and /api/me.json as other paths than /api/me: "
                "a backend that treats them alike serves them without that route's checks",
            )
