"""The secrets in the seals: rotated over two gateways without logging users out."""

from pathlib import Path

import redis as redis_client

from gateway.core.sessions.keys import Key, session_id
from gateway.core.sessions.records import Records
from gateway.core.sessions.sealing import Sealer, Unsealable
from tests.sessions.conftest import call, log_in, sections
from tests.support.gateway import Gateway, gateway
from tests.support.redis_server import RedisServer
from tests.support.renewing import Renewing

OLD, NEW = "the secret of last year, leaked", "the secret of this year, random"


def test_rotation_logs_nobody_out(tmp_path: Path, redis: RedisServer, backend: Renewing) -> None:
    """First every gateway can open what the new one seals, then it seals, then the old one goes."""
    backend.life = 600
    steps = ([OLD], [OLD, NEW], [NEW, OLD])
    keys: list[str] = []
    for at, secrets in enumerate(steps):
        before = steps[max(0, at - 1)]  # one gateway is always a step behind
        with (
            gateway(tmp_path / f"{at}a", redis.url, **with_secrets(backend, secrets)) as one,
            gateway(tmp_path / f"{at}b", redis.url, **with_secrets(backend, before)) as two,
        ):
            keys += [log_in(one.port), log_in(two.port)]
            assert codes([one, two], keys) == {200}
    with gateway(tmp_path / "last", redis.url, **with_secrets(backend, [NEW])) as last:
        assert codes([last], keys[4:5]) == {200}
        assert codes([last], keys[:2]) == {401}, "the old secret opens nothing any more"


def test_a_leaked_key_opens_no_stolen_dump(
    tmp_path: Path, redis: RedisServer, backend: Renewing
) -> None:
    """Without the gateway's secret, a thief of both has neither the token nor the session."""
    backend.life = 600
    with gateway(tmp_path, redis.url, **with_secrets(backend, [NEW])) as only:
        key = Key(log_in(only.port).encode())
    with redis_client.from_url(redis.url) as client:
        record = client.get(f"latchkey:s:{{{session_id(key)}}}")
    assert backend.tokens[-1].encode() not in record
    opened = Records(Sealer([NEW])).open(key, session_id(key), record)
    assert opened.token.reveal() == backend.tokens[-1]
    for guess in (OLD, "", " " + NEW):
        try:
            Records(Sealer([guess])).open(key, session_id(key), record)
        except Unsealable:
            continue
        raise AssertionError("opened without the secret")


def with_secrets(backend: Renewing, secrets: list[str]) -> dict[str, object]:
    changed = sections(backend)
    changed["session"] = {"secrets": secrets}
    return changed


def codes(gateways: list[Gateway], keys: list[str]) -> set[int]:
    return {call(running, key)[0] for running in gateways for key in keys}
