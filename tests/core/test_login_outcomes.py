"""login_outcomes: what an attempt counts for, by its refusal or by its status."""

import pytest

from gateway.core.http import refusals
from gateway.core.http.refusals import Refusal
from gateway.core.logins import login_outcomes


@pytest.mark.parametrize(
    ("refusal", "outcome"),
    [
        (refusals.WRONG_LOGIN, "failed"),
        (refusals.LOGIN_REPLY, "failed"),
        (refusals.TOO_MANY_AT_ONCE, "undecided"),
        (refusals.UPSTREAM_REFUSED, "undecided"),
        (refusals.STORE_DOWN, "undecided"),
        (refusals.UPSTREAM_CLOSED, "broken"),
        (refusals.UPSTREAM_BROKEN, "broken"),
    ],
)
def test_refusals(refusal: Refusal, outcome: str) -> None:
    """A reply that cannot be used counts as a failure: backends say no in those, too."""
    assert login_outcomes.of_refusal(refusal) == outcome


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, "failed"),
        (302, "failed"),
        (401, "failed"),
        (500, "broken"),
        (501, "broken"),
        (502, "undecided"),
        (503, "undecided"),
        (504, "undecided"),
    ],
)
def test_statuses(status: int, outcome: str) -> None:
    """Without a key, a success has failed; an unavailable backend has decided nothing."""
    assert login_outcomes.of_status(status) == outcome
