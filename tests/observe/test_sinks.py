"""Sinks: a stream that is not read delays no writer (`gateway.observe.sinks`)."""

import logging
import os
import socket
from pathlib import Path

import pytest

from gateway.observe.sinks import Sink, open_sink

LINE = b"x" * 999 + b"\n"


def everything(reader: int, sink: Sink) -> bytes:
    """Reads until nothing comes any more."""
    os.set_blocking(reader, False)
    data = b""
    while True:
        sink.flush()
        try:
            data += os.read(reader, 2**20)
        except BlockingIOError:
            return data


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_a_stream_that_is_not_read(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """Lines wait up to a bound, whole and in their order; those beyond it are counted."""
    reader, writer = os.pipe() if kind == "pipe" else stream_pair()
    sink = Sink(writer, "stdout")
    for _ in range(3000):
        sink.write(LINE)
    dropped = sink.count_dropped()
    assert 0 < dropped < 3000
    assert sink.count_dropped() == 0
    got = everything(reader, sink)
    assert got == LINE * (3000 - dropped)
    assert sink.count_dropped() == 0
    assert f"stdout did not take {dropped} lines" in caplog.text
    sink.write(LINE)
    assert everything(reader, sink) == LINE
    os.close(reader)
    os.close(writer)


def stream_pair() -> tuple[int, int]:
    one, other = socket.socketpair()
    return one.detach(), other.detach()


def test_others_may_go_on_to_block() -> None:
    """The stream is not changed for those who share it, such as a shell its terminal."""
    reader, writer = os.pipe()
    sink = Sink(writer)
    sink.write(LINE)
    assert os.get_blocking(writer)
    os.close(reader)
    os.close(writer)


def test_a_file_is_opened_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """After it has been moved away; if that fails, the lines go where they went before."""
    file, moved = tmp_path / "a.log", tmp_path / "a.log.1"
    sink = Sink(open_sink(str(file)), str(file))
    sink.write(b"one\n")
    file.rename(moved)
    sink.write(b"two\n")
    sink.reopen()
    sink.write(b"three\n")
    assert (moved.read_bytes(), file.read_bytes()) == (b"one\ntwo\n", b"three\n")
    file.rename(moved)
    file.mkdir()
    with caplog.at_level(logging.ERROR):
        sink.reopen()
    sink.write(b"four\n")
    assert moved.read_bytes() == b"three\nfour\n"
    assert f"{file} cannot be opened anew: Is a directory" in caplog.text
