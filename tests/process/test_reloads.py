"""The order of a reload's steps (`gateway.processes.reloads`), told by what workers are ordered."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.config.load import load
from gateway.observe.slots import Slots
from gateway.processes.control import Control
from gateway.processes.file_watch import FileWatch
from gateway.processes.forking import Forker
from gateway.processes.generation import Generation, Worker
from gateway.processes.generations import Generations
from gateway.processes.notify import Notifier
from gateway.processes.reloads import Reloads
from gateway.processes.store_keeper import StoreKeeper
from gateway.processes.worker_keeper import WorkerKeeper
from gateway.processes.worker_link import Order, Report, WorkerEnd, link

CONFIG = """
version: 1
listen: 127.0.0.1:8080
store: redis://127.0.0.1:6379/0
session: {secrets: [a secret of the tests and long enough]}
workers: 1
upstreams: {shop: "http://127.0.0.1:9000"}
routes: [{path: /*, upstream: shop, auth: public}]
"""


@dataclass
class Scene:
    """Two generations of one worker each, whose ends the test holds."""

    reloads: Reloads
    old: WorkerEnd
    new: WorkerEnd
    said: list[str] = field(default_factory=list)

    def step(self) -> tuple[list[Order], list[Order]]:
        """Look after the reload once; what the old worker and the new one were ordered."""
        self.reloads.look_after()
        return orders(self.old), orders(self.new)


def orders(worker: WorkerEnd) -> list[Order]:
    heard = []
    try:
        while message := worker.sock.recv(4096):
            heard.append(Order(message[:1]))
    except BlockingIOError:
        pass
    return heard


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    file = tmp_path / "config.yaml"
    file.write_text(CONFIG)
    config = load(file)
    said: list[str] = []
    generations = Generations(Generation(config), Generation(config))
    ends = []
    for number, generation in enumerate(generations):
        ours, theirs = link()
        generation.workers[number] = Worker(number, number, number, 0.0, ours)
        ends.append(theirs)
    slots, store, control = Slots(), StoreKeeper(said.append), Control(str(file), said.append)
    forker = Forker(said.append, slots, store, control)
    keeper = WorkerKeeper(said.append, generations, forker, slots, has_served=True)
    reloads = Reloads(
        say=said.append,
        read=lambda _: pytest.fail("it is not read again"),
        files=FileWatch({}),
        generations=generations,
        workers=keeper,
        store=store,
        slots=slots,
        notifier=Notifier({}),
        control=control,
    )
    old, new = ends
    scene = Scene(reloads, old, new, said)
    scene.old.say_ready()
    generations.present.let_listen()
    assert orders(scene.old) == [Order.LISTEN]
    yield scene
    control.close("the test ends")
    for number, end in enumerate(ends):
        generations.take_out(number)
        end.sock.close()


def test_old_workers_listen_until_the_new_ones_do(scene: Scene) -> None:
    """Otherwise clients of an address that has changed would be refused for a moment."""
    assert scene.step() == ([], [])
    scene.new.say_ready()
    assert scene.step() == ([], [Order.LISTEN])
    assert scene.step() == ([], [])
    scene.new.say_serves()
    assert scene.step() == ([Order.RETIRE], [])
    assert scene.step() == ([], [])
    assert scene.said == []
    scene.old.report(Report.CLOSED)
    scene.step()
    assert scene.said == ["reloaded"]


def test_a_new_worker_that_cannot_listen(scene: Scene) -> None:
    """The old ones have never ceased to; what the new one has accepted is answered first."""
    scene.new.say_ready()
    scene.step()
    scene.reloads.fail("worker 0 cannot serve: Address already in use")
    assert scene.step() == ([], [Order.STOP])
    assert scene.said == [
        "the old configuration stays: worker 0 cannot serve: Address already in use"
    ]
