"""Which sessions may have changed (`gateway.store.changes`)."""

import pytest

from gateway.store.changes import Changes


def test_they_are_noted_one_by_one_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond it any session may have changed; `clear` begins anew."""
    monkeypatch.setattr("gateway.store.changes._MAX_IDS", 2)
    changes = Changes()
    changes.note("a")
    changes.note("b")
    assert (changes.ids, changes.all) == ({"a", "b"}, False)
    changes.note("c")
    assert changes.all
    changes.clear()
    assert (changes.ids, changes.all) == (set(), False)
