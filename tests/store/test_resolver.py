"""What a presented key resolves to (`gateway.store.resolver`)."""

import pytest
import redis as redis_client

from gateway.core.sessions.keys import new_key
from gateway.store.errors import StoreUnavailable
from gateway.store.resolver import Unresolved
from gateway.store.sessions import Sessions
from tests.conftest import token_of
from tests.support.store import issue, presented_key, resolved


async def test_what_is_no_key_never_reaches_the_store(store: Sessions) -> None:
    """Shape and checksum are looked at first."""
    assert await store.resolve(b"nonsense") == Unresolved("not_a_key")
    assert await store.resolve(b"lk_" + b"A" * 49) == Unresolved("not_a_key")
    assert await store.resolve(token_of("alice").encode()) == Unresolved("token_not_key")
    unknown = new_key(bytes(32)).reveal().encode()
    assert await store.resolve(unknown) == Unresolved("invalid_key")


@pytest.mark.parametrize("value", [b"", b"\x01", b"\x01" + bytes(60), b"\x00" * 500])
async def test_foreign_values(store: Sessions, url: str, value: bytes) -> None:
    """wire-rules.md#E13: what cannot be opened is no session, and not a crash; ending it is
    possible.
    """
    issued = await issue(store)
    with redis_client.from_url(url) as client:
        client.set(f"test:s:{{{issued.session.id}}}", value)
    assert await store.resolve(presented_key(issued)) == Unresolved("unreadable_session")
    assert await store.directory.of("alice") == {}
    assert set(await store.revoke(issued.session.id)) == {issued.session.id}
    assert await store.resolve(presented_key(issued)) == Unresolved("invalid_key")


async def test_a_newer_version(store: Sessions, url: str) -> None:
    """wire-rules.md#E13: a newer gateway can read it: no logout, and nothing is lost."""
    issued = await issue(store)
    with redis_client.from_url(url) as client:
        record = client.get(f"test:s:{{{issued.session.id}}}")
        client.set(f"test:s:{{{issued.session.id}}}", b"\x03" + record[1:])
        with pytest.raises(StoreUnavailable):
            await store.resolve(presented_key(issued))
        client.set(f"test:s:{{{issued.session.id}}}", record)
    await resolved(store, issued)
