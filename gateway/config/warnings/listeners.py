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
    """Certificates that no client accepts now."""
    now = dt.datetime.now(dt.UTC)
    for at, address in enumerate(config.listen):
        for number, pair in enumerate(address.entrance.certificates):
            why = server_certificate(read_file(Path(pair.cert_file))).why_invalid(now)
            if why:
                where = (*place_of_pair(at, number, document), "cert_file")
                yield document.problem(where, f"is accepted by no client: {why}")
