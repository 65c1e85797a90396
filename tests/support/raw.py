"""Speaking bytes: a client without an HTTP library, and an upstream that records what it gets."""

import contextlib
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Self

from tests.support.processes import HANG

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Answer = Callable[["Visit"], None]

# How long an upstream waits for a gateway to notice that it has gone, in seconds.
_FAREWELL = 2.0


class Client:
    """One connection to the gateway."""

    def __init__(self, port: int, source: str = "127.0.0.1") -> None:
        """`source` is the address of the client, one of loopback's."""
        self.sock = socket.create_connection(("127.0.0.1", port), HANG, (source, 0))
        self.held = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.sock.close()

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def head(self) -> bytes:
        """The next head, with its empty line."""
        return self.until(b"\r\n\r\n")

    def line(self) -> bytes:
        """The next line, without its CRLF."""
        return self.until(b"\r\n")[:-2]

    def until(self, mark: bytes) -> bytes:
        """All that comes up to a mark, and the mark."""
        while mark not in self.held:
            self._read()
        before, _, self.held = self.held.partition(mark)
        return before + mark

    def exactly(self, size: int) -> bytes:
        while len(self.held) < size:
            self._read()
        data, self.held = self.held[:size], self.held[size:]
        return data

    def _read(self) -> None:
        piece = self.sock.recv(65536)
        assert piece, f"closed; got {self.held!r}"
        self.held += piece

    def chunks(self) -> bytes:
        """The content of a chunked body without trailers (RFC 9112 §7.1)."""
        body = b""
        while size := int(self.line(), 16):
            body += self.exactly(size)
            assert self.line() == b""
        assert self.line() == b""
        return body

    def answer(self) -> tuple[int, bytes, bytes]:
        """The next answer with a Content-Length, or without a body: (status, head, body)."""
        head = self.head()
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        return status(head), head, self.exactly(int(length[1])) if length else b""

    def rest(self) -> bytes:
        """All that comes until the connection ends, by a close or by a reset."""
        data, self.held = self.held, b""
        try:
            while piece := self.sock.recv(65536):
                data += piece
        except ConnectionResetError:
            pass
        return data


def status(head: bytes) -> int:
    return int(head.split(b" ", 2)[1])


def request(line: str, *fields: str, host: str = "a.example", body: str = "") -> bytes:
    """A request that ends its connection; `line` has no version. A body brings its length."""
    length = (f"Content-Length: {len(body)}",) if body else ()
    head = (f"{line} HTTP/1.1", f"Host: {host}", "Connection: close", *fields, *length, "", body)
    return "\r\n".join(head).encode()


def field_lines(message: bytes) -> list[bytes]:
    """The field lines of a message's head."""
    return message.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]


def field_names(message: bytes) -> list[bytes]:
    """The names of its fields, in lower case."""
    return [line.partition(b":")[0].lower() for line in field_lines(message)]


def fields_by_name(message: bytes) -> dict[str, str]:
    """Its fields, whose names are spelled as they came; of equal names, the last."""
    lines = (line.decode("latin-1").partition(": ") for line in field_lines(message))
    return {name: value for name, _, value in lines}


def set_cookies(answer: bytes) -> list[str]:
    """The values of an answer's Set-Cookie fields."""
    lines = (line.decode("latin-1").partition(": ") for line in field_lines(answer))
    return [value for name, _, value in lines if name.lower() == "set-cookie"]


def ask(port: int, data: bytes, source: str = "127.0.0.1") -> bytes:
    """Sends bytes and returns everything until the gateway closes."""
    with Client(port, source) as client:
        client.send(data)
        return client.rest()


class Visit:
    """One connection that came to the upstream, with the bytes that it brought."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.got = b""
        self.ended = False  # the gateway has closed it

    def read(self) -> bytes:
        """Reads on; empty at the end."""
        try:
            piece = self.sock.recv(65536)
        except OSError:
            piece = b""
        self.got += piece
        self.ended = self.ended or not piece
        return piece

    def request(self, seen: int = 0) -> bytes:
        """Waits for a whole request after the first `seen` bytes, and returns its bytes."""
        while True:
            request = _whole(self.got[seen:])
            if request is not None:
                return request
            if not self.read():
                raise ConnectionError

    def requests(self) -> Iterator[bytes]:
        """Each whole request, as soon as it has come."""
        seen = 0
        while True:
            request = self.request(seen)
            seen += len(request)
            yield request

    def head(self, seen: int = 0) -> bytes:
        while b"\r\n\r\n" not in self.got[seen:]:
            if not self.read():
                raise ConnectionError
        return self.got[seen:].partition(b"\r\n\r\n")[0] + b"\r\n\r\n"

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def finish(self) -> None:
        """Sends the FIN, and still reads."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        # A thread may be reading; only a shutdown wakes it and sends the FIN at once.
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class Again(Visit):
    """A visit of which the first request is read again."""

    def __init__(self, visit: Visit) -> None:
        super().__init__(visit.sock)
        self.got = visit.got


def _whole(data: bytes) -> bytes | None:
    head, mark, body = data.partition(b"\r\n\r\n")
    if not mark:
        return None
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    if length:
        return data[: len(head) + 4 + int(length[1])] if len(body) >= int(length[1]) else None
    if re.search(rb"(?i)\r\ntransfer-encoding: chunked", head):
        end = re.search(rb"(?:^|\r\n)0\r\n(?:[^\r\n]+\r\n)*\r\n", body)
        return data[: len(head) + 4 + end.end()] if end else None
    return head + mark


def until_cut(visit: Visit) -> None:
    """An upstream that reads on, and answers nothing, until the gateway closes."""
    while visit.read():
        pass


def always(data: bytes) -> Answer:
    """An upstream that answers each request of a connection with the same bytes."""

    def answer(visit: Visit) -> None:
        for _ in visit.requests():
            visit.send(data)

    return answer


class Upstream:
    """A server on loopback whose behaviour each test sets, one thread a connection."""

    def __init__(
        self, answer: Answer | None = None, *, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self.answer = answer or always(OK)
        self.visits: list[Visit] = []
        self._has_stopped = False
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, port), family=family, backlog=256)
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def got(self) -> bytes:
        """Everything that came since `clear`, over all connections."""
        return b"".join(visit.got for visit in self.visits)

    def clear(self, answer: Answer | None = None) -> None:
        """Forgets what came, closes what is open, and behaves anew.

        Waits until the gateway has closed its side too: its pool must not hold what is gone.
        """
        self.answer = answer or always(OK)  # first: what is accepted from now on behaves anew
        visits, self.visits = self.visits, []
        for visit in visits:
            visit.finish()
        until = time.monotonic() + _FAREWELL
        while not all(visit.ended for visit in visits) and time.monotonic() < until:
            time.sleep(0.002)
        for visit in visits:
            visit.close()

    def wait(self, condition: Callable[[], bool]) -> None:
        """Waits until something has happened at the upstream."""
        until = time.monotonic() + HANG
        while not condition():
            assert time.monotonic() < until, f"never happened; got {self.got!r}"
            time.sleep(0.01)

    def refuse(self) -> None:
        """Ends like a server that is killed. Its port refuses connections until `listen`."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listener.close()
        self.clear()
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", self.port))

    def listen(self) -> None:
        """Is back, after `refuse`."""
        self._listener.listen(256)
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        self._has_stopped = True
        with contextlib.suppress(OSError):
            # Wakes the thread that accepts: it could go on with a later listener of this number.
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.clear()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            visit = Visit(sock)
            self.visits.append(visit)
            threading.Thread(target=self._serve, args=(visit, self.answer), daemon=True).start()

    def _serve(self, visit: Visit, answer: Answer) -> None:
        with contextlib.suppress(OSError):
            answer(visit)
        # Whatever still comes is recorded, until the gateway closes.
        while visit.read():
            pass
        if self._has_stopped:  # it was accepted while the others were closed
            visit.close()
