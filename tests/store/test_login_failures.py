"""Counts of failed logins (`gateway.store.login_failures`)."""

from collections.abc import AsyncIterator

import pytest

from gateway.config.login_sections import Guessing
from gateway.core.sessions.sealing import Sealer
from gateway.store.layout import Layout
from gateway.store.login_failures import LoginFailures, TooManyFailures
from gateway.store.servers.connect import connect
from tests.support.redis_server import RedisServer

HOME, ELSEWHERE = "192.0.2.7", "198.51.100.9"
RULES = Guessing(per_account=3, per_account_everywhere=5, delay_after=0)


@pytest.fixture
async def failures(server: RedisServer) -> AsyncIterator[LoginFailures]:
    client = connect(server.url, 5.0).client
    yield LoginFailures(client, Layout("t:"), Sealer(["a secret of the tests"]), 5.0)
    await client.aclose()


async def fail(failures: LoginFailures, account: str = "alice", address: str = HOME) -> None:
    await failures.failed(
        RULES, await failures.admit(RULES, "/login", {account: [account]}, address)
    )


async def test_an_account_from_one_network(failures: LoginFailures) -> None:
    """So many may fail; then none is admitted there, and others are."""
    for _ in range(3):
        await fail(failures)
    with pytest.raises(TooManyFailures) as refused:
        await fail(failures)
    assert refused.value.seconds > 1
    await fail(failures, "bob")
    await fail(failures, address=ELSEWHERE)


async def test_attempts_at_once(failures: LoginFailures) -> None:
    """No more are admitted than may fail; one that is taken off leaves room."""
    admitted = [await failures.admit(RULES, "/login", {"alice": ["alice"]}, HOME) for _ in range(3)]
    with pytest.raises(TooManyFailures) as refused:
        await fail(failures)
    assert refused.value.seconds == 1, "only attempts under way take the room"
    await failures.release(admitted[0])
    await fail(failures)


async def test_a_success_sets_failures_back(failures: LoginFailures) -> None:
    """Those of the account's own spelling, and it makes the network known."""
    for _ in range(2):
        await fail(failures)
    counted = await failures.admit(RULES, "/login", {"alice": ["alice"]}, HOME)
    await failures.succeeded(RULES, counted)
    for _ in range(3):
        await fail(failures)


async def test_an_account_from_everywhere(failures: LoginFailures) -> None:
    """Many networks together may fail only so often; a network that is known still may."""
    await failures.succeeded(
        RULES, await failures.admit(RULES, "/login", {"alice": ["alice"]}, HOME)
    )
    for number in range(5):
        await fail(failures, address=f"203.0.113.{number}")
    with pytest.raises(TooManyFailures):
        await fail(failures, address=ELSEWHERE)
    await fail(failures)


async def test_a_breakdown_counts_for_the_account_alone(failures: LoginFailures) -> None:
    """It is bounded over all networks, and locks no network out."""
    for _ in range(5):
        counted = await failures.admit(RULES, "/login", {"alice": ["alice"]}, HOME)
        await failures.broke(counted)
    with pytest.raises(TooManyFailures):
        await fail(failures)
    await fail(failures, "bob")
