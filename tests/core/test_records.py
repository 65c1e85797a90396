"""Records: what stands in the open, what the seal vouches for, and what is none of ours."""

import math
import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.sessions import records
from gateway.core.sessions.keys import new_key, session_id
from gateway.core.sessions.records import (
    COOKIE_AT,
    ENDS_AT,
    HEAD_SIZE,
    IDLE_AT,
    OWN_HEAD_SIZE,
    OWN_VERSION,
    SEEN_AT,
    TEXTS_SIZE_AT,
    Foreign,
    NewerVersion,
    Records,
    SessionInfo,
)
from gateway.core.sessions.sealing import Sealer, Unsealable
from gateway.core.sessions.session import Device, Life, Parent, Session, Token, dump_session

DEVICE = Device("Firefox", "192.0.2.7")
KEY = new_key(bytes(32))
ID = session_id(KEY)
SUBJECTS = st.text(st.characters(blacklist_categories=["Cs"]), max_size=60)
LINES = SUBJECTS.map(lambda text: text.replace("\n", ""))
ADDRESSES = LINES.map(lambda text: text.replace("\t", ""))
OURS = Records(Sealer(["a secret"]))


def session(subject: str = "alice") -> Session:
    return Session(ID, subject, Token(b"eyJ.e30.x"), "/login", 1600, 1500, math.inf, "r")


def record(subject: str = "alice", device: Device = DEVICE) -> bytes:
    return OURS.new(KEY, session(subject), device, 1000.9, bytes(12))


@given(SUBJECTS, LINES, ADDRESSES)
def test_written_down_and_read(subject: str, label: str, address: str) -> None:
    """A subject may hold anything."""
    written = record(subject, Device(label, address))
    assert OURS.open(KEY, ID, written) == session(subject)
    assert records.read_info(written) == SessionInfo(subject, label, address, 1600, 1000, 1000)


@given(SUBJECTS, SUBJECTS.filter(bool))
def test_an_impersonation_names_its_parent(subject: str, impersonator: str) -> None:
    """In the open, but for the parent's key."""
    device = replace(DEVICE, parent_id=ID, impersonator=impersonator)
    parent = Parent(KEY, ID, impersonator, ends_at=1600)
    child = replace(session(subject), parent=parent.kept)
    written = OURS.new(KEY, child, device, 1000.9, bytes(12))
    info = records.read_info(written)
    assert (info.subject, info.address, info.parent_id) == (subject, "192.0.2.7", ID)
    assert info.impersonator == impersonator.replace("\n", " ")
    assert KEY.raw not in written
    opened = OURS.open(KEY, ID, written)
    assert (opened, opened.parent_id, opened.parent_key) == (child, ID, KEY)
    for text in (repr(opened), repr(parent)):
        assert KEY.reveal() not in text


def test_the_places_that_scripts_know() -> None:
    """By Lua's counting."""
    written = record()

    def at(place: int, form: str) -> int:
        return int(struct.unpack_from(form, written, place - 1)[0])

    assert (at(ENDS_AT, ">I"), at(SEEN_AT, ">I")) == (1600, 1000)
    assert written[HEAD_SIZE + at(TEXTS_SIZE_AT, ">H") :] == records.parts(written)[2]


def of_its_own() -> tuple[Session, bytes]:
    """A session with timeouts of its own and a lasting cookie, and its record."""
    own = session()
    own.life, own.cookie_until = Life(100, 5000), 1200
    return own, OURS.new(KEY, own, DEVICE, 1000.5, bytes(12))


def test_a_session_with_timeouts_of_its_own() -> None:
    """Its record tells them in the open, where scripts find them; other records stay as they were,
    so that gateways of before this version read them.
    """
    own, written = of_its_own()
    assert OURS.open(KEY, ID, written) == own
    info = records.read_info(written)
    assert (info.subject, info.life, info.cookie_until) == ("alice", Life(100, 5000), 1200)
    assert (written[0], record()[0]) == (OWN_VERSION, 1)
    assert struct.unpack_from(">I", written, IDLE_AT - 1) == (100,)
    assert struct.unpack_from(">I", written, COOKIE_AT - 1) == (1200,)
    assert records.idle_end(written, 600) == 1100
    assert records.idle_end(record(), 600) == 1600


def test_the_seal_vouches_for_the_timeouts() -> None:
    """The cookie's end changes without the key; the timeouts, and the version, do not."""
    own, written = of_its_own()
    noted = written[: COOKIE_AT - 1] + struct.pack(">I", 1500) + written[COOKIE_AT + 3 :]
    assert OURS.open(KEY, ID, noted).cookie_until == 1500
    longer = written[: IDLE_AT - 1] + struct.pack(">I", 9999) + written[IDLE_AT + 3 :]
    with pytest.raises(Unsealable):
        OURS.open(KEY, ID, longer)
    plain = b"\x01" + written[1:HEAD_SIZE] + written[OWN_HEAD_SIZE:]
    with pytest.raises(Unsealable):
        OURS.open(KEY, ID, plain)
    own.token = Token(b"eyJ.e30.new")
    old, new = OURS.renewed(KEY, own, written, b"n" * 12)
    assert OURS.open(KEY, ID, written.removesuffix(old) + new) == own


def test_the_seal_vouches_for_the_texts() -> None:
    """A writer to Redis cannot hand a session to another subject; last seen may change."""
    written = record()
    with pytest.raises(Unsealable):
        OURS.open(KEY, ID, written.replace(b"alice", b"mally"))
    touched = written[: SEEN_AT - 1] + struct.pack(">I", 1234) + written[SEEN_AT + 3 :]
    assert OURS.open(KEY, ID, touched) == session()
    assert records.read_info(touched).seen == 1234


def test_renewed() -> None:
    """The new seal takes the place of the old one; the texts stay."""
    written, renewed = record(), session()
    renewed.token = Token(b"eyJ.e30.new")
    old, new = OURS.renewed(KEY, renewed, written, b"n" * 12)
    assert written.endswith(old)
    assert OURS.open(KEY, ID, written.removesuffix(old) + new) == renewed


@given(st.binary(max_size=80))
def test_foreign_values(value: bytes) -> None:
    """wire-rules.md#E13: refused, and never a crash."""
    with pytest.raises((Foreign, Unsealable)):
        OURS.open(KEY, ID, value)
    try:
        records.read_info(value)
    except Foreign:
        return
    assert value[0] == 1


def test_a_newer_version_is_told_apart() -> None:
    """wire-rules.md#E13: a value of a newer gateway is not called a forgery."""
    with pytest.raises(NewerVersion):
        records.read_info(b"\x03" + bytes(60))


def test_digests_tell_nothing_and_are_found_again() -> None:
    """The same parts have the same digest, by whichever gateway; others, or parts that are cut
    otherwise, have another; and so has everything under another secret.
    """
    sealer = Sealer(["a secret of the tests"])
    assert sealer.digest("a", "bc") == Sealer(["a secret of the tests", "old"]).digest("a", "bc")
    others = [("a", "b", "c"), ("ab", "c"), ("abc",), ("a", "bd"), ("A", "bc"), ("a", "\ud800")]
    digests = {sealer.digest(*parts) for parts in [*others, ("a", "bc")]}
    digests.add(Sealer(["another secret of the tests"]).digest("a", "bc"))
    assert len(digests) == len(others) + 2


@pytest.mark.parametrize("cookie", ["", "sid; Path=/app; Domain=.shop.example"])
def test_the_cookie_that_holds_the_key(cookie: str) -> None:
    """It is read back; a session without one is written as former versions wrote it."""
    kept = replace(session(), cookie=cookie)
    assert OURS.open(KEY, ID, OURS.new(KEY, kept, DEVICE, 1000.9, bytes(12))) == kept
    former = struct.pack(">3d", 1600, 1500, math.inf) + b"/login\nr\n"
    assert dump_session(session()).startswith(former)
