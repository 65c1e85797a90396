"""A DNS server on loopback whose answers a test sets."""

import socket
import threading
from ipaddress import ip_address
from typing import Self

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset


class DnsServer:
    """Answers queries of A and AAAA over UDP (RFC 1035)."""

    def __init__(self) -> None:
        self.names: dict[str, list[str]] = {}  # the addresses; other names do not exist
        self.broken = False  # it answers SERVFAIL
        self.queries = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def address(self) -> str:
        host, port = self._socket.getsockname()
        return f"{host}:{port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", self._socket.getsockname())  # nothing to answer: it ends
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            data, client = self._socket.recvfrom(4096)
            if not data:
                return
            self.queries += 1
            self._socket.sendto(self._answer(dns.message.from_wire(data)).to_wire(), client)

    def _answer(self, query: dns.message.Message) -> dns.message.Message:
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        [question] = query.question
        addresses = self.names.get(question.name.to_text(omit_final_dot=True))
        if self.broken:
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif addresses is None:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        else:
            version = 6 if question.rdtype == dns.rdatatype.AAAA else 4
            found = [text for text in addresses if ip_address(text).version == version]
            if found:
                answer.answer.append(
                    dns.rrset.from_text(question.name, 0, "IN", question.rdtype, *found)
                )
        return answer
