"""How many run, how many wait, and what share a client has (`gateway.concurrency.fair_queue`)."""

import asyncio

import pytest

from gateway.concurrency.fair_queue import FairQueue, NoRoom


class Work:
    """Work that goes on until it is told to end, and what has run of it, in order."""

    def __init__(self, turns: FairQueue) -> None:
        self.ran: list[str] = []
        self.end = asyncio.Event()
        self._turns = turns

    async def __call__(self, name: str, *clients: str) -> None:
        async with self._turns.take(clients):
            self.ran.append(name)
            await self.end.wait()

    async def begin(self, name: str, *clients: str) -> "asyncio.Task[None]":
        task = asyncio.create_task(self(name, *clients))
        await asyncio.sleep(0)
        return task


async def refused(work: Work, *clients: str) -> bool:
    """Whether it was refused for the client's sake; fails if it was not refused."""
    with pytest.raises(NoRoom) as full:
        await work("too many", *clients)
    return full.value.of_client


async def test_turns_come_in_order() -> None:
    """So many of a client run at once, and the next as soon as one has ended."""
    work = Work(FairQueue(at_once=2, waiting=9, share=9))
    tasks = [await work.begin(name) for name in "abcd"]
    assert work.ran == ["a", "b"]
    work.end.set()
    await asyncio.gather(*tasks)
    assert work.ran == ["a", "b", "c", "d"]


async def test_clients_come_one_after_the_other() -> None:
    """A client that waits for many turns gets one in each round."""
    work = Work(FairQueue(at_once=1, waiting=20, share=9))
    names = ["a1", "a2", "a3", "a4", "b1", "b2", "c1"]
    tasks = [await work.begin(name, name[0], f"account {name}") for name in names]
    work.end.set()
    await asyncio.gather(*tasks)
    assert work.ran == ["a1", "a2", "b1", "c1", "a3", "b2", "a4"]


async def test_each_name_of_a_client_has_a_share() -> None:
    """Whichever of them is used up first; others have room until there is none at all."""
    work = Work(FairQueue(at_once=1, waiting=4, share=2))
    tasks = [await work.begin("a", "address 1", "account 1")]
    tasks += [await work.begin("b", "address 1", "account 2")]
    assert await refused(work, "address 1", "account 3")
    tasks += [await work.begin("c", "address 2", "account 1")]
    assert await refused(work, "address 3", "account 1")
    tasks += [await work.begin("d"), await work.begin("e", "address 3", "account 3")]
    assert not await refused(work, "address 4", "account 4")
    assert not await refused(work)
    work.end.set()
    await asyncio.gather(*tasks)


async def test_what_ends_makes_room() -> None:
    """By its end, an error, or because it was cancelled while it waited; nothing is remembered."""
    turns = FairQueue(at_once=1, waiting=1, share=1)
    work = Work(turns)
    first, waiting = await work.begin("a", "one"), await work.begin("b", "two")
    waiting.cancel()
    await asyncio.wait([waiting])
    second = await work.begin("c", "two")
    work.end.set()
    await first
    second.cancel()  # its turn has just come
    await asyncio.wait([second])
    assert await work.begin("d", "three")
    with pytest.raises(ValueError, match="broken"):
        async with turns.take(["one"]):
            raise ValueError("broken")
    await asyncio.sleep(0)
    assert (turns._asked, turns._of_clients, turns._queues, turns._free) == (0, {}, {}, 1)
