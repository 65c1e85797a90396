"""Servers that fail, behind Latchkey and behind nginx, HAProxy, Caddy and Traefik."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bench.faults import LATCHKEY, PEERS, Peer, Seen, suffer

pytestmark = pytest.mark.busy

# Of a hundred requests: by so much one proxy differs from one run to the next.
_ALIKE = 1.0


@pytest.mark.parametrize(
    "fault",
    [
        "two servers restart in turn, 1 s each",
        "the only server restarts, 1 s",
        "one of two servers closes",
        "one of two servers hangs",
    ],
)
def test_no_proxy_loses_fewer_requests(fault: str, tmp_path: Path) -> None:
    """All have the same fault at the same time; docs/reliability.md has the figures."""

    def seen(peer: Peer) -> Seen:
        return asyncio.run(suffer(fault, peer, tmp_path))

    with ThreadPoolExecutor(len(PEERS)) as threads:
        found = dict(zip((peer.name for peer in PEERS), threads.map(seen, PEERS), strict=True))
    ours = found.pop(LATCHKEY.name)
    assert ours.requests > 0
    best = min(peer.share for peer in found.values())
    assert ours.share <= best + _ALIKE, (ours, found)
