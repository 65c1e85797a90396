"""What a key holds in all workers of a gateway."""

import pytest

from gateway.core.http.worker_counts import TABLE_BYTES, WorkerCounts


@pytest.fixture
def tables() -> list[memoryview]:
    memory = memoryview(bytearray(3 * TABLE_BYTES))
    return [memory[at * TABLE_BYTES : (at + 1) * TABLE_BYTES] for at in range(3)]


def test_each_worker_sees_what_the_others_hold(tables: list[memoryview]) -> None:
    """And not what it holds itself, which it knows."""
    one, two, three = (WorkerCounts(tables, own) for own in range(3))
    one.put("alice", 2)
    two.put("alice", 3)
    two.put("bob", 1)
    assert [worker.of_others("alice") for worker in (one, two, three)] == [3, 2, 5]
    two.put("alice", 0)
    assert [worker.of_others("alice") for worker in (one, two, three)] == [0, 2, 2]
    assert one.of_others("bob") == 1


def test_a_flood_of_keys_is_bounded(tables: list[memoryview]) -> None:
    """Keys beyond a table's size are counted by their own worker alone; places are free again."""
    one, two = WorkerCounts(tables, 0), WorkerCounts(tables, 1)
    keys = [str(number) for number in range(20_000)]
    for key in keys:
        one.put(key, 1)
    seen = sum(two.of_others(key) for key in keys)
    assert 6000 < seen <= 8192
    for key in keys:
        one.put(key, 0)
    assert sum(two.of_others(key) for key in keys) == 0
    one.put("alice", 1)
    assert two.of_others("alice") == 1
