"""The log for operators: a message that comes over and over is left out for a while."""

import logging
import time

import pytest

from gateway.observe.worker_log import RepeatFilter


def record(message: str, *args: object, name: str = "gateway.logins") -> logging.LogRecord:
    return logging.LogRecord(name, logging.ERROR, "", 0, message, args, None)


def test_one_message_passes_some_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """With all values; other messages and other loggers pass. In the next window the first
    one says how many were left out.
    """
    repeats = RepeatFilter()
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    passed = [repeats.filter(record("login %s: no token", number)) for number in range(1000)]
    assert passed == [True] * 20 + [False] * 980
    assert repeats.filter(record("login %s: no claims", 1))
    assert repeats.filter(record("login %s: no token", 1, name="another"))
    now += 60
    again = record("login %s: no 100%% token", 7)
    assert repeats.filter(again)
    again = record("login %s: no token", 7)
    assert repeats.filter(again)
    assert again.getMessage() == "login 7: no token (and 980 more that were left out)"
    again = record("login %s: no token", 8)
    assert repeats.filter(again)
    assert again.getMessage() == "login 8: no token"


def test_what_is_remembered_is_bounded() -> None:
    """Messages that are made anew each time are one kind, beyond a number of them."""
    repeats = RepeatFilter()
    passed = [repeats.filter(record(f"message {number}")) for number in range(5000)]
    assert sum(passed) == 1020
    assert len(repeats._passed) <= 1001
