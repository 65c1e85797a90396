"""The audit log's lines, and what happens when they cannot be written."""

import json
import os
import resource
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from gateway.observe.audit_log import AuditLog, open_audit_log, render
from gateway.observe.events import Event

EVENT = Event("login", "alice", "p5Yk3vQm8s2LxWzAbCdEf", "192.0.2.7", "Firefox on Linux", by="x")

# What one write to a pipe is not torn apart up to (POSIX PIPE_BUF, on Linux).
ATOMIC = 4096


def test_a_line() -> None:
    """JSON with what is known, in this order; the session as short as in the access log."""
    line = render(EVENT, 1_700_000_000.5)
    assert line == (
        b'{"time": "2023-11-14T22:13:20.500Z", "event": "login", "subject": "alice", '
        b'"session": "p5Yk3vQm8s2L", "address": "192.0.2.7", "device": "Firefox on Linux", '
        b'"by": "x"}\n'
    )


@given(st.text(), st.text(), st.text())
def test_whatever_a_text_holds_it_is_one_line_of_json(
    subject: str, device: str, reason: str
) -> None:
    """A subject is the backend's to choose; no character of it ends the line or adds a field."""
    line = render(Event("login", subject, "id", "", device, reason), 0.0)
    assert line.count(b"\n") == 1
    assert line.isascii()
    read = json.loads(line)
    assert read.get("subject", "") == subject[:128]
    assert set(read) <= {"time", "event", "subject", "session", "device", "reason"}


def test_the_longest_line_is_written_in_one_piece() -> None:
    """Two workers that share a pipe do not tear each other's lines apart."""
    long = "\U0001f600" * 1000
    line = render(Event("refused", long, "s" * 43, "a" * 45, long, "r" * 30, "i" * 128, "b"), 0.0)
    assert len(line) <= ATOMIC


def test_each_line_is_written_at_once(tmp_path: Path) -> None:
    """An audit line must not wait for others; a file is appended to, and not for others to read."""
    file = tmp_path / "audit.log"
    for number in range(1, 4):
        open_audit_log(str(file)).write(EVENT)
        assert file.read_text().count("\n") == number
    assert file.stat().st_mode & 0o007 == 0


def test_a_line_that_was_torn_spoils_no_other(tmp_path: Path) -> None:
    """A disk that is full in the middle of a line: the next one begins anew."""
    file = tmp_path / "audit.log"
    log = open_audit_log(str(file))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50, before[1]))  # bytes
    try:
        log.write(EVENT)
        log.write(EVENT)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    log.write(EVENT)
    torn, whole = file.read_text().splitlines()
    assert len(torn) == 50
    assert json.loads(whole)["subject"] == "alice"


def test_a_log_that_takes_nothing_loses_lines_and_nothing_else() -> None:
    """A full disk, a pipe without a reader, and a log that is off."""
    reader, writer = os.pipe()
    os.close(reader)
    AuditLog(writer).write(EVENT)
    os.close(writer)
    open_audit_log("/dev/full").write(EVENT)
    open_audit_log("off").write(EVENT)
