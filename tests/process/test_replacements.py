"""When ended workers are replaced (`gateway.processes.replacements`)."""

import time

from gateway.processes.replacements import Replacements

LONG_AGO = -1000.0  # seconds from now


def test_a_worker_that_has_served_is_replaced_at_once() -> None:
    replacements = Replacements()
    replacements.add(2, started=time.monotonic() + LONG_AGO, was_ready=True)
    assert replacements
    assert replacements.take_due() == [2]
    assert not replacements


def test_a_worker_with_a_short_life_is_replaced_after_a_pause() -> None:
    """The next start would fail as well, again and again."""
    replacements = Replacements()
    replacements.add(1, started=time.monotonic(), was_ready=True)
    replacements.add(2, started=time.monotonic() + LONG_AGO, was_ready=False)
    assert replacements.take_due() == []
    assert replacements


def test_many_short_lives_in_a_row_are_hopeless() -> None:
    """A long life between them begins a new row."""
    replacements = Replacements()
    for _ in range(4):
        replacements.postpone(1)
    assert not replacements.are_hopeless
    replacements.postpone(1)
    assert replacements.are_hopeless
    replacements.add(1, started=time.monotonic() + LONG_AGO, was_ready=True)
    assert not replacements.are_hopeless
