"""Settings that are allowed and give up safety: `gateway check` and the log name their lines.

A warning says what could happen and which lines would prevent it. It never stops the gateway.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.config.document import Document
from gateway.config.model import Config
from gateway.config.problems import Problem, in_order


def warnings(config: Config, document: Document) -> list[Problem]:
    """Everything in a valid configuration that is less safe than it could be, in its order."""
    return in_order(
        [
            *_unchecked_upstreams(config, document),
            *_unlimited_sessions(config, document),
            *_undone_logouts(config, document),
        ]
    )


def _unchecked_upstreams(config: Config, document: Document) -> Iterator[Problem]:
    for name, upstream in config.upstreams.items():
        if not upstream.tls.verify:
            yield document.problem(
                ("upstreams", name, "tls", "verify"),
                "accepts any certificate: who stands between reads every token; name a ca_file",
            )


def _unlimited_sessions(config: Config, document: Document) -> Iterator[Problem]:
    if config.session.max_per_subject == 0:
        yield document.problem(
            ("session", "max_per_subject"),
            "lets one account fill the store with sessions, and a stolen password keep any number "
            "of them; say how many devices a person has at the most",
        )


def _undone_logouts(config: Config, document: Document) -> Iterator[Problem]:
    if config.session.renew_on_upstream_401:
        yield document.problem(
            ("session", "renew_on_upstream_401"),
            "replaces tokens that a backend has revoked, which undoes its own logout; remove it",
        )
