"""Failed logins, counted over all gateways: who guesses has to wait, and nobody else.

An attempt is counted as failed before the backend is asked, and uncounted when it turns out not to
be. So however many are made at once, no more than may fail ever reach the backend; and who hangs up
before the answer has made a guess all the same.

Four counts, each of the failures within a window that begins with the first:
* of one account from one network. A success sets it back, for whoever knows the password guesses no
  more. After some failures each further attempt has to wait, twice as long each time.
* of one account from all networks, which is much higher. It is for guessers who have many networks,
  and it stops none that has logged in to the account within the last weeks. So a stranger can keep
  an account's owner out only from the owner's own address.
* of one network, and of all. A success does not set these back: a guesser has an account, too.

They are kept by `limits`, over our own client, for that knows each kind of store. Its scripts work
on one key each, so a cluster runs them as well. What is counted by is a keyed digest: the store
learns neither what was typed nor where.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from limits import RateLimitItem, RateLimitItemPerSecond
from limits.aio.storage import RedisStorage

from gateway.core.accounts import HIDDEN, network
from gateway.core.sealing import Sealer
from gateway.store.connect import Client
from gateway.store.errors import bounded
from gateway.store.layout import Layout

if TYPE_CHECKING:
    from gateway.config.login_sections import Guessing

# A wait that is doubled this often is longer than any that anybody configures.
_MOST_DOUBLINGS = 30


class TooManyFailures(Exception):
    """The attempt must not be made; the next one is welcome in so many `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__("too many logins have failed")
        self.seconds = max(1, math.ceil(seconds))


@dataclass(slots=True)
class Counted:
    """An attempt that counts as failed for now: where, and what a success sets back."""

    counts: list[tuple[str, int]] = field(default_factory=list)
    waits: list[str] = field(default_factory=list)
    forgiven: tuple[str, ...] = ()
    known: str = ""  # the name by which the network is remembered then


class Failures:
    """The counts. Everything raises `StoreUnavailable`."""

    def __init__(self, client: Client, layout: Layout, sealer: Sealer, timeout: float) -> None:
        """`timeout` bounds what an attempt waits for, in seconds."""
        self._client = client
        self._storage = _Storage(client, layout.failures)
        self._layout = layout
        self._digest = sealer.digest
        self._timeout = timeout

    async def count(
        self, rules: Guessing, login: str, accounts: Collection[str], address: str
    ) -> Counted:
        """Counts an attempt at `accounts` (see `accounts.typed`) as failed. Raises
        `TooManyFailures`; then it does not count.
        """
        counted = Counted()
        try:
            await bounded(
                self._count(counted, rules, login, accounts, network(address)), self._timeout
            )
        except TooManyFailures:
            await self.uncount(counted)
            raise
        return counted

    async def uncount(self, counted: Counted) -> None:
        """The attempt has neither failed nor succeeded."""
        await bounded(self._uncount(counted), self._timeout)

    async def succeeded(self, rules: Guessing, counted: Counted) -> None:
        """The attempt has succeeded."""
        await bounded(self._succeeded(rules, counted), self._timeout)

    async def _count(
        self, counted: Counted, rules: Guessing, login: str, accounts: Collection[str], home: str
    ) -> None:
        for account in sorted(accounts):
            await self._count_here(counted, rules, self._digest("here", login, account, home))
            if account != HIDDEN and rules.per_account_everywhere:
                known = await self._client.exists(self._known(login, account, home))
                if not known:
                    digest = self._digest("everywhere", login, account)
                    await self._take(counted, rules, "everywhere", digest)
        if home:
            await self._take(counted, rules, "address", self._digest("address", home))
        await self._take(counted, rules, "all", "")
        if len(accounts) == 1 and HIDDEN not in accounts:
            # Of several accounts, nobody knows here which one it is that succeeds.
            [account] = accounts
            here = self._digest("here", login, account, home)
            counted.forgiven = (_item(rules, "here").key_for(here), _wait(here))
            # Clients without an address cannot be told from one another.
            counted.known = self._known(login, account, home) if home else ""

    def _known(self, login: str, account: str, home: str) -> str:
        return self._layout.known(self._digest("known", login, account, home))

    async def _count_here(self, counted: Counted, rules: Guessing, digest: str) -> None:
        """Of one account from one network; after some failures, only if none is too near."""
        number = await self._take(counted, rules, "here", digest)
        if not rules.delay_after or number < rules.delay_after:
            return
        doublings = min(number - rules.delay_after, _MOST_DOUBLINGS)
        seconds = min(rules.delay * 2**doublings, rules.longest_delay)
        wait = _wait(digest)
        if await self._storage.incr(wait, math.ceil(seconds)) > 1:
            raise TooManyFailures(await self._storage.left(wait))
        counted.waits.append(wait)

    async def _take(self, counted: Counted, rules: Guessing, kind: str, digest: str) -> int:
        """Counts one more, and returns how many there are now."""
        item = _item(rules, kind)
        if not item.amount:
            return 0
        name = item.key_for(digest)
        number = await self._storage.incr(name, item.get_expiry())
        counted.counts.append((name, item.get_expiry()))
        if number > item.amount:
            raise TooManyFailures(await self._storage.left(name))
        return number

    async def _uncount(self, counted: Counted) -> None:
        for name, expiry in counted.counts:
            await self._storage.incr(name, expiry, -1)
        for name in counted.waits:
            await self._storage.clear(name)

    async def _succeeded(self, rules: Guessing, counted: Counted) -> None:
        await self._uncount(counted)
        for name in counted.forgiven:
            await self._storage.clear(name)
        if counted.known and rules.known_for:
            await self._client.set(counted.known, b"", px=math.ceil(rules.known_for * 1000))


def _item(rules: Guessing, kind: str) -> RateLimitItem:
    """How many may fail in a window. Counts with other numbers are other counts."""
    amounts = {
        "here": rules.per_account,
        "everywhere": rules.per_account_everywhere,
        "address": rules.per_address,
        "all": rules.in_all,
    }
    return RateLimitItemPerSecond(amounts[kind], math.ceil(rules.window), namespace=kind)


def _wait(digest: str) -> str:
    return f"wait/{digest}"


class _Storage(RedisStorage):
    """What `limits` keeps its counts in, over a client that there is already."""

    def __init__(self, client: Client, prefix: str) -> None:
        self.DEPENDENCIES = {"redis": self.DEPENDENCIES["redis"]}  # it imports each of these
        self._client: Any = client
        super().__init__("redis://", implementation="redispy", key_prefix=prefix)

    def configure_bridge(self) -> None:
        bridge: Any = self.bridge
        bridge.storage = self._client
        bridge.connection_getter = lambda _readonly: self._client

    async def left(self, key: str) -> float:
        """How long a count lasts yet, in seconds; its own `get_expiry` rounds to whole ones."""
        milliseconds: int = await self._client.pttl(self.bridge.prefixed_key(key))
        return max(0, milliseconds) / 1000
