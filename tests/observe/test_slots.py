"""The folder of the workers' metrics."""

from pathlib import Path

from gateway.observe.slots import Slots


def test_the_folder_is_private_and_goes() -> None:
    slots = Slots()
    slots.remove()  # there is none yet
    slots.make()
    folder = Path(slots.folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    (folder / "counter_0.db").touch()
    slots.remove()
    assert not folder.exists()
    slots.remove()


def test_a_worker_gets_a_slot_that_no_living_one_has() -> None:
    """The lowest one, so that files do not pile up however often workers are replaced."""
    free = Slots().free
    assert [free([]), free([0, 1]), free([1, 2]), free([0, 2])] == [0, 2, 0, 1]


def test_what_a_worker_counted_stays_and_how_it_was_goes() -> None:
    slots = Slots()
    slots.make()
    folder = Path(slots.folder)
    try:
        names = {"counter_1.db", "gauge_max_1.db", "gauge_livesum_1.db", "gauge_livesum_11.db"}
        for name in names:
            (folder / name).touch()
        slots.left(1)
        assert {path.name for path in folder.iterdir()} == names - {"gauge_livesum_1.db"}
    finally:
        slots.remove()
