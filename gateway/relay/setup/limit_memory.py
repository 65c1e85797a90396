"""The memory in which the workers of a gateway count limits together."""

from __future__ import annotations

import mmap
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.config.limit_places import concurrency_places, kept_place, rate_limits
from gateway.core.http import token_buckets
from gateway.core.http.worker_counts import TABLE_BYTES

if TYPE_CHECKING:
    from gateway.config.document import Where
    from gateway.config.limit_sections import RateLimit
    from gateway.config.model import Config


@dataclass(frozen=True, slots=True)
class LimitMemory:
    """The memory of one configuration. It is zero at first, and takes room as it is used."""

    _buckets: Mapping[Hashable, memoryview] = field(default_factory=dict)  # by what a limit is
    _tables: Mapping[Where, Sequence[memoryview]] = field(default_factory=dict)  # by its place

    @classmethod
    def of(cls, config: Config, before: LimitMemory | None = None) -> LimitMemory:
        """Map the memory. Raises `OSError`.

        before: of the configuration that is replaced; limits that stay as they are go on in it
        """
        known = {} if before is None else before._buckets
        names = [_name(config, where, limit) for where, limit in rate_limits(config).items()]
        buckets = {name: known.get(name) or _mapped(token_buckets.BYTES) for name in names}
        places = concurrency_places(config) if config.workers > 1 else ()
        return cls(buckets, {where: _mapped_tables(config.workers) for where in places})

    def buckets(self, config: Config, where: Where, limit: RateLimit) -> memoryview:
        """The memory of a rate limit."""
        return self._buckets[_name(config, where, limit)]

    def tables(self, where: Where) -> Sequence[memoryview]:
        """The tables of a limit on requests in flight; none for one worker."""
        return self._tables.get(where, ())

    def forget_worker(self, number: int) -> None:
        """Clear the counts of a worker that has ended, with all that it had in flight."""
        for tables in self._tables.values():
            tables[number][:] = bytes(TABLE_BYTES)

    def release(self, kept: LimitMemory) -> None:
        """Unmap what `kept` does not use."""
        others = {id(view) for view in kept._views()}
        for view in self._views():
            if id(view) not in others:
                view.release()

    def _views(self) -> Iterator[memoryview]:
        yield from self._buckets.values()
        for tables in self._tables.values():
            yield from tables


def _name(config: Config, where: Where, limit: RateLimit) -> Hashable:
    """The identity of a limit, in this configuration and the next ones."""
    return kept_place(config, where), limit.rate, limit.burst, limit.per


def _mapped(size: int) -> memoryview:
    return memoryview(mmap.mmap(-1, size))


def _mapped_tables(number: int) -> list[memoryview]:
    memory = _mapped(number * TABLE_BYTES)
    return [memory[at * TABLE_BYTES : (at + 1) * TABLE_BYTES] for at in range(number)]
