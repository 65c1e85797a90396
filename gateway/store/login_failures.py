"""Counts of failed logins, which all gateways share.

Guessers have to wait, and users need not.

An attempt counts before the backend is asked, and is taken off again if it has not failed. So
however many attempts are made at once, only as many reach the backend as may fail; and a client
that hangs up before the answer has made a guess all the same. Failures are counted in a window:
* for one account from one network. After some failures an attempt has to wait, each time twice as
  long. A success sets back the failures of its own spelling of the account's name: the password is
  known, so these were no guesses. Other spellings count on, since a guesser may own an account of
  nearly that name.
* for one account from all networks, with a much higher limit, against guessers with many networks.
  It does not stop a network that has logged in to the account, by the same spelling, within the
  last weeks. So a stranger can keep an account's owner out only from the owner's own address.
* for one network, for one site of IPv6, and for all. A success does not set these back: a guesser
  has an account, too.

The names of counts hold keyed digests: the store learns neither what was typed nor where.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from limits import RateLimitItem, RateLimitItemPerSecond

from gateway.core.http.networks import network, site
from gateway.core.logins.throttle_keys import HIDDEN
from gateway.core.sessions.sealing import Sealer
from gateway.store.errors import bounded
from gateway.store.layout import Layout
from gateway.store.servers.topology import Client
from gateway.store.shared_counts import SharedCounts

if TYPE_CHECKING:
    from gateway.config.login_sections import Guessing

# A wait that is doubled this often is longer than any that is configured.
_MAX_DOUBLINGS = 30

# How long a login may take between its steps (seconds): as long as a code in a message is valid
# (NIST SP 800-63B §5.1.3.2).
_STEP_SECONDS = 600

# A site of IPv6 may have the failures of this many home networks. A guesser may own the whole site,
# but in a mobile provider's network the other homes belong to other users.
_HOMES_OF_A_SITE = 10

# How long to wait when only attempts under way take the room: about as long as a login (seconds).
_LOGIN_SECONDS = 1.0


class TooManyFailures(Exception):
    """The attempt must not be made; the next one may come in `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__("too many logins have failed")
        self.seconds = max(1, math.ceil(seconds))


@dataclass(frozen=True, slots=True)
class _Counter:
    """A counter of attempts, of which a number may fail in a window."""

    name: str
    item: RateLimitItem
    wait: str = ""  # the name of the wait between its attempts, if there is one

    @property
    def failures(self) -> str:
        """The name of the count of failures; `name` also counts those under way."""
        return f"failed/{self.name}"


@dataclass(frozen=True, slots=True)
class _Forgiven:
    """What a success sets back: the failures of one spelling at a counter."""

    counter: _Counter
    spelling: str  # the name of their count

    @property
    def failures(self) -> str:
        return f"failed/{self.spelling}"


@dataclass(frozen=True, slots=True)
class _Account:
    """An account that an attempt may mean, by digests."""

    name: str  # of its login and of itself
    spelling: str = ""  # empty if it was spelled in several ways
    is_hidden: bool = False


@dataclass(slots=True)
class CountedAttempt:
    """An attempt, with its counters and those that its success sets back."""

    passwords: int = 1  # how many it tries; each one counts
    counters: list[_Counter] = field(default_factory=list)
    turns: list[str] = field(default_factory=list)  # the waits after which it was its turn
    account: _Account | None = None  # the account, if it is certain which one is meant
    forgiven: _Forgiven | None = None
    known: str = ""  # the name under which a success remembers the network


class LoginFailures:
    """The counts. Everything raises `StoreUnavailable`."""

    def __init__(self, client: Client, layout: Layout, sealer: Sealer, timeout: float) -> None:
        """`timeout` bounds an attempt's wait for the store (seconds)."""
        self._client = client
        self._counts = SharedCounts(client, layout.failures)
        self._layout = layout
        self._digest = sealer.digest
        self._timeout = timeout

    async def admit(
        self,
        rules: Guessing,
        login: str,
        accounts: Mapping[str, Collection[str]],
        address: str,
        *,
        passwords: int = 1,
        continues: Collection[str] = (),
    ) -> CountedAttempt:
        """Count an attempt before it is made. A method with its outcome follows.

        Raises `TooManyFailures`; then it does not count.

        accounts: what was typed, by account (see `throttle_keys.of_request`)
        address: the client's
        passwords: how many the attempt tries at once
        continues: texts that a first step may have handed out; they name its account
        """
        counted, home = CountedAttempt(passwords), network(address)
        meant = [self._account(login, *account) for account in accounts.items()]
        try:
            counting = self._admit(counted, rules, meant, continues, home)
            await bounded(counting, self._timeout)
        except TooManyFailures:
            await self.release(counted)
            raise
        return counted

    async def release(self, counted: CountedAttempt) -> None:
        """Take back an attempt that has neither failed nor succeeded."""
        await bounded(self._release(counted), self._timeout)

    async def failed(self, rules: Guessing, counted: CountedAttempt) -> None:
        """Count an attempt that has failed."""
        await bounded(self._failed(rules, counted), self._timeout)

    async def remember(self, counted: CountedAttempt, handed_out: Collection[str]) -> None:
        """Note the texts of a first step: an attempt with one means its account."""
        if counted.account is not None:
            await bounded(self._remember(counted.account, handed_out), self._timeout)

    async def has_begun(self, continues: Collection[str]) -> bool:
        """Whether a first step has handed out one of these texts."""
        return bool(await bounded(self._begun(continues), self._timeout))

    async def broke(self, counted: CountedAttempt) -> None:
        """Count an attempt over which the backend broke down.

        It counts only for its account from all networks. This bounds guessing by breakdowns, and an
        outage locks no user out.
        """
        await bounded(self._broke(counted), self._timeout)

    async def succeeded(self, rules: Guessing, counted: CountedAttempt) -> None:
        """Take back an attempt that has succeeded, with the failures that it sets back."""
        await bounded(self._succeeded(rules, counted), self._timeout)

    def _account(self, login: str, account: str, spellings: Collection[str]) -> _Account:
        name = self._digest("account", login, account)
        if account == HIDDEN or len(spellings) != 1:
            return _Account(name, is_hidden=account == HIDDEN)
        return _Account(name, self._digest("spelling", login, *spellings))

    async def _admit(
        self,
        counted: CountedAttempt,
        rules: Guessing,
        meant: Sequence[_Account],
        continues: Collection[str],
        home: str,
    ) -> None:
        begun = await self._begun(continues)
        counted.account = _only(begun or meant)
        named = [account for account in meant if not (begun and account.is_hidden)]
        for account in sorted({*begun, *named}, key=attrgetter("name")):
            await self._count_account(counted, rules, account, home)
        for kind, origin in (("address", home), ("site", site(home))):
            if origin:
                await self._count(counted, _counter(rules, kind, self._digest(kind, origin)))
        await self._count(counted, _counter(rules, "all", ""))

    async def _begun(self, continues: Collection[str]) -> list[_Account]:
        """The accounts of the logins that an attempt continues."""
        names = [self._layout.step(self._digest("step", text)) for text in continues]
        kept: list[Any] = await self._client.mget(names) if names else []
        lines = dict.fromkeys(line.decode() for line in kept if line is not None)
        return [_Account(name, spelling) for name, spelling in map(str.split, lines)]

    async def _count_account(
        self, counted: CountedAttempt, rules: Guessing, account: _Account, home: str
    ) -> None:
        is_certain = account == counted.account
        here = _counter(rules, "here", self._digest("here", account.name, home))
        await self._count(counted, here)
        await self._check_turn(counted, rules, here)
        if is_certain and here in counted.counters:
            name = self._digest("forgiven", account.name, account.spelling, home)
            counted.forgiven = _Forgiven(here, f"spelling/{name}")
        if account.is_hidden or not rules.per_account_everywhere:
            return
        if is_certain and home:
            counted.known = self._layout.known(self._digest("known", account.spelling, home))
            if await self._client.exists(counted.known):
                return
        await self._count(
            counted, _counter(rules, "everywhere", self._digest("everywhere", account.name))
        )

    async def _count(self, counted: CountedAttempt, counter: _Counter) -> None:
        most = counter.item.amount
        if not most:
            return
        number = await self._counts.incr(counter.name, counter.item.get_expiry(), counted.passwords)
        counted.counters.append(counter)
        if number > most:
            failures = await self._counts.get(counter.failures)
            left = await self._counts.left(counter.name)
            raise TooManyFailures(left if failures >= most else _LOGIN_SECONDS)

    async def _check_turn(
        self, counted: CountedAttempt, rules: Guessing, counter: _Counter
    ) -> None:
        """After some failures, admit one attempt at a time, after the wait."""
        if not (rules.delay_after and counter.item.amount):
            return
        failures = await self._counts.get(counter.failures)
        if failures < rules.delay_after:
            return
        if await self._counts.incr(counter.wait, _delay(rules, failures)) > 1:
            raise TooManyFailures(await self._counts.left(counter.wait))
        counted.turns.append(counter.wait)

    async def _release(self, counted: CountedAttempt) -> None:
        await self._leave(counted)
        for wait in counted.turns:
            await self._counts.clear(wait)

    async def _leave(self, counted: CountedAttempt) -> None:
        for counter in counted.counters:
            await self._counts.give_back(counter.name, counted.passwords)

    async def _failed(self, rules: Guessing, counted: CountedAttempt) -> None:
        for counter in counted.counters:
            failures = await self._count_failures(counter.failures, counter, counted.passwords)
            if counter.wait and 0 < rules.delay_after <= failures:
                await self._counts.begin(counter.wait, _delay(rules, failures))
        forgiven = counted.forgiven
        if forgiven is not None:
            await self._count_failures(forgiven.failures, forgiven.counter, counted.passwords)

    async def _remember(self, account: _Account, handed_out: Collection[str]) -> None:
        line = f"{account.name} {account.spelling}".encode()
        for text in handed_out:
            name = self._layout.step(self._digest("step", text))
            await self._client.set(name, line, ex=_STEP_SECONDS)

    async def _broke(self, counted: CountedAttempt) -> None:
        kept = [counter for counter in counted.counters if counter.item.namespace == "everywhere"]
        counted.counters = [counter for counter in counted.counters if counter not in kept]
        await self._release(counted)
        for counter in kept:
            await self._count_failures(counter.failures, counter, counted.passwords)

    async def _count_failures(self, name: str, counter: _Counter, number: int) -> int:
        return await self._counts.incr(name, counter.item.get_expiry(), number)

    async def _succeeded(self, rules: Guessing, counted: CountedAttempt) -> None:
        await self._leave(counted)
        if counted.forgiven is not None:
            await self._forgive(rules, counted.forgiven)
        if counted.known and rules.known_for:
            await self._client.set(counted.known, b"", px=math.ceil(rules.known_for * 1000))

    async def _forgive(self, rules: Guessing, forgiven: _Forgiven) -> None:
        counter = forgiven.counter
        failures = await self._counts.get(forgiven.failures)
        await self._counts.clear(forgiven.failures)
        await self._counts.give_back(counter.name, failures)
        left = await self._counts.give_back(counter.failures, failures)
        if left < rules.delay_after:
            await self._counts.clear(counter.wait)


def _only(accounts: Sequence[_Account]) -> _Account | None:
    """The one account that is meant, in one spelling; else None."""
    [first, *others] = accounts
    return first if first.spelling and not others else None


def _counter(rules: Guessing, kind: str, digest: str) -> _Counter:
    """The counter of a kind. Another limit or window makes another counter."""
    amounts = {
        "here": rules.per_account,
        "everywhere": rules.per_account_everywhere,
        "address": rules.per_address,
        "site": rules.per_address * _HOMES_OF_A_SITE,
        "all": rules.in_all,
    }
    item = RateLimitItemPerSecond(amounts[kind], math.ceil(rules.window), namespace=kind)
    return _Counter(item.key_for(digest), item, f"wait/{digest}" if kind == "here" else "")


def _delay(rules: Guessing, failures: int) -> int:
    """How long the next attempt has to wait after so many failures (seconds)."""
    doublings: int = min(failures - rules.delay_after, _MAX_DOUBLINGS)
    return math.ceil(min(rules.delay * (1 << doublings), rules.longest_delay))
