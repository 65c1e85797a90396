"""The messages between the supervisor and a worker (`gateway.processes.worker_link`)."""

from collections.abc import Iterator

import pytest

from gateway.processes.worker_link import Order, Report, SupervisorEnd, WorkerEnd, link
from tests.support.processes import HANG

Ends = tuple[SupervisorEnd, WorkerEnd]


@pytest.fixture
def ends() -> Iterator[Ends]:
    supervisor, worker = link()
    yield supervisor, worker
    supervisor.close()
    worker.sock.close()


def follow(worker: WorkerEnd, drain_seconds: float = HANG) -> list[str]:
    """Obeys from now on. Returns what is noted of reopened logs."""
    reopened: list[str] = []
    worker.follow(drain_seconds=drain_seconds, reopen_logs=lambda: reopened.append("logs"))
    return reopened


def test_a_worker_reports_that_it_can_serve(ends: Ends) -> None:
    supervisor, worker = ends
    assert not supervisor.is_ready
    worker.say_ready()
    assert supervisor.is_ready
    assert supervisor.reason == ""


def test_a_worker_reports_why_it_cannot_serve(ends: Ends) -> None:
    supervisor, worker = ends
    worker.say_failed("worker 1 cannot serve: no such file")
    assert not supervisor.is_ready
    assert supervisor.reason == "worker 1 cannot serve: no such file"


def test_what_a_worker_has_reported_last_is_heard(ends: Ends) -> None:
    """Also after its end, and after many beats."""
    supervisor, worker = ends
    for _ in range(100):
        worker.report(Report.BEAT)
    worker.report(Report.SERVES)
    worker.report(Report.CLOSED)
    worker.sock.close()
    supervisor.close()
    assert supervisor.has_heard(Report.SERVES)
    assert supervisor.has_heard(Report.CLOSED)
    assert not supervisor.is_ready


def test_what_was_inherited_is_not_read(ends: Ends) -> None:
    """The reports in a link are for the supervisor, and not for the other workers."""
    supervisor, worker = ends
    worker.say_ready()
    inherited = SupervisorEnd(supervisor.sock.dup())
    inherited.forget()
    assert supervisor.is_ready


async def test_an_order_to_listen(ends: Ends) -> None:
    supervisor, worker = ends
    follow(worker)
    supervisor.order(Order.LISTEN)
    await worker.listening.wait()
    assert not worker.draining.is_set()


async def test_orders_that_come_together_are_obeyed_one_by_one(ends: Ends) -> None:
    supervisor, worker = ends
    reopened = follow(worker)
    for order in (Order.REOPEN_LOGS, Order.REOPEN_LOGS, Order.END):
        supervisor.order(order)
    await worker.ending.wait()
    assert reopened == ["logs", "logs"]


@pytest.mark.parametrize("numbers", [{0}, {7, 8}, set(range(1, 100_000, 2))])
async def test_routes_that_are_no_more(ends: Ends, numbers: set[int]) -> None:
    """However many there are, one order tells of all."""
    supervisor, worker = ends
    follow(worker)
    supervisor.end_routes(numbers)
    supervisor.order(Order.RETIRE)
    await worker.draining.wait()
    assert worker.ended_routes == numbers


async def test_a_retired_worker_drains_without_end(ends: Ends) -> None:
    """Its tunnels may last for days, until too many generations are retired."""
    supervisor, worker = ends
    follow(worker, drain_seconds=0.01)
    supervisor.order(Order.RETIRE)
    await worker.draining.wait()
    assert (worker.is_retired, worker.ending_tunnels.is_set()) == (True, False)
    supervisor.order(Order.END_RETIRED)
    await worker.ending_tunnels.wait()
    await worker.ending.wait()


async def test_a_worker_drains_when_the_supervisor_is_gone(ends: Ends) -> None:
    """An end of file says so, on every system."""
    supervisor, worker = ends
    follow(worker, drain_seconds=0.01)
    supervisor.close()
    await worker.ending.wait()
    assert worker.is_orphan


def test_an_order_to_a_worker_that_has_ended(ends: Ends) -> None:
    """It has no effect: the supervisor hears of the end by itself."""
    supervisor, worker = ends
    worker.sock.close()
    supervisor.order(Order.END)
    assert supervisor.reason == ""
