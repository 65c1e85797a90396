"""Warnings about listeners."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

from gateway.config.document import Document
from gateway.config.files import read_file
from gateway.config.listening import place_of_pair
from gateway.config.model import Config
from gateway.config.problems import Problem
from gateway.core.http.server_certificates import server_certificate


def listener_warnings(config: Config, document: Document) -> Iterator[Problem]:
    """Certificates that no client accepts now, or that none is shown."""
    now = dt.datetime.now(dt.UTC)
    for at, address in enumerate(config.listen):
        known: set[str] = set()
        for number, pair in enumerate(address.entrance.certificates):
            where = (*place_of_pair(at, number, document), "cert_file")
            certificate = server_certificate(read_file(Path(pair.cert_file)))
            if why := certificate.why_invalid(now):
                yield document.problem(where, f"is accepted by no client: {why}")
            if number and known.issuperset(certificate.names):
                yield document.problem(
                    where, "is shown to no client: certificates before it have all of its names"
                )
            known.update(certificate.names)
