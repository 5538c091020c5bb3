"""A real name server on loopback, by UDP and TCP, that says what a test wants it to say.

    with DnsServer({"example.org": {"TXT": ["v=spf1 -all"], "MX": ["10 mx.example.org."]}}) as server:
        server.add("mx.example.org", "A", "192.0.2.1")
        server.address  # (host, port)

TXT texts are given as they are, without quotes; all other records as in a zone file. Names need no final dot. A name
that has nothing, and nothing below it, does not exist (NXDOMAIN).
"""

import contextlib
import selectors
import socket
import struct
import threading
from collections import Counter

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.TXT
import dns.rrset

TTL = 300
_SOA = "ns.invalid. hostmaster.invalid. 1 3600 600 86400 60"


class DnsServer:
    """Serves in a thread of its own, between `with` and the end of it; on a free port, or where it is told."""

    def __init__(self, records=None, ttl=TTL, port=0, host="127.0.0.1"):
        self.ttl = ttl
        self._host, self._port = host, port
        self.questions = Counter()
        """How often each (name, type) was asked for, in lower case without a final dot."""
        self.by_tcp = 0
        """How many of them by TCP."""
        self._records = {}
        self._failing = {}
        self._silent = set()
        for name, by_type in (records or {}).items():
            for rdtype, texts in by_type.items():
                self.add(name, rdtype, *texts)

    def add(self, name, rdtype, *texts):
        """More records of that name and type."""
        self._records.setdefault((_plain(name), rdtype), []).extend(_rdata(rdtype, text) for text in texts)

    def replace(self, name, rdtype, *texts):
        """These records, and none that there were."""
        self._records.pop((_plain(name), rdtype), None)
        if texts:
            self.add(name, rdtype, *texts)

    def fail(self, name, rcode=dns.rcode.SERVFAIL):
        """Answer every question about the name with this code, until `mend`."""
        self._failing[_plain(name)] = rcode

    def fall_silent(self, name):
        """Answer no question about the name, until `mend`."""
        self._silent.add(_plain(name))

    def mend(self, name):
        """Answer questions about the name again."""
        self._failing.pop(_plain(name), None)
        self._silent.discard(_plain(name))

    def asked(self, name, rdtype="TXT"):
        """How often that was asked."""
        return self.questions[_plain(name), rdtype]

    @property
    def asked_in_all(self):
        return self.questions.total()

    def __enter__(self):
        self._udp, self._tcp = _sockets(self._host, self._port)
        self.address = self._udp.getsockname()
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, name="dns-server", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._wake.send(b"x")
        self._thread.join()
        for one in (self._udp, self._tcp, self._wake, self._woken):
            one.close()

    def _serve(self):
        with selectors.DefaultSelector() as selector:
            for one in (self._udp, self._tcp, self._woken):
                selector.register(one, selectors.EVENT_READ)
            while True:
                ready = [key.fileobj for key, _ in selector.select()]
                if self._woken in ready:
                    return
                for one in ready:
                    with contextlib.suppress(OSError, dns.exception.DNSException):
                        self._take_datagram() if one is self._udp else self._take_connection()

    def _take_datagram(self):
        wire, client = self._udp.recvfrom(65535)
        query = dns.message.from_wire(wire)
        answer = self._answer(query)
        if answer is None:
            return
        room = max(512, query.payload)
        wire = answer.to_wire(max_size=65535)
        if len(wire) > room:
            short = dns.message.make_response(query)
            short.flags |= dns.flags.TC
            wire = short.to_wire()
        self._udp.sendto(wire, client)

    def _take_connection(self):
        connection, _ = self._tcp.accept()
        with connection:
            connection.settimeout(5)
            (length,) = struct.unpack("!H", _exactly(connection, 2))
            answer = self._answer(dns.message.from_wire(_exactly(connection, length)))
            if answer is not None:
                self.by_tcp += 1
                wire = answer.to_wire(max_size=65535)
                connection.sendall(struct.pack("!H", len(wire)) + wire)

    def _answer(self, query):
        question = query.question[0]
        name, rdtype = _plain(question.name), dns.rdatatype.to_text(question.rdtype)
        self.questions[name, rdtype] += 1
        if name in self._silent:
            return None
        response = dns.message.make_response(query)
        response.flags |= dns.flags.AA | dns.flags.RA
        if name in self._failing:
            response.set_rcode(self._failing[name])
            return response
        owner = question.name
        for _ in range(10):
            found = self._records.get((_plain(owner), rdtype))
            alias = self._records.get((_plain(owner), "CNAME"))
            if found:
                response.answer.append(dns.rrset.from_rdata_list(owner, self.ttl, found))
            if found or not alias:
                break
            response.answer.append(dns.rrset.from_rdata_list(owner, self.ttl, alias))
            owner = alias[0].target
        if not found:
            response.authority.append(dns.rrset.from_text(dns.name.root, self.ttl, "IN", "SOA", _SOA))
            if not self._exists(_plain(owner)):
                response.set_rcode(dns.rcode.NXDOMAIN)
        return response

    def _exists(self, name):
        return any(one == name or one.endswith("." + name) for one, _ in list(self._records))


def _plain(name):
    return str(name).rstrip(".").lower()


def _rdata(rdtype, text):
    if rdtype == "TXT":
        octets = text.encode("latin-1") if isinstance(text, str) else text
        strings = [octets[start : start + 255] for start in range(0, len(octets), 255)] or [b""]
        return dns.rdtypes.ANY.TXT.TXT(dns.rdataclass.IN, dns.rdatatype.TXT, strings)
    return dns.rdata.from_text("IN", rdtype, text, origin=dns.name.root, relativize=False)


def _sockets(host, port):
    """UDP and TCP on one port of loopback, a free one for 0."""
    while True:
        tcp = socket.create_server((host, port))
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            udp.bind(tcp.getsockname())
        except OSError:
            tcp.close()
            udp.close()
        else:
            return udp, tcp


def _exactly(connection, length):
    octets = b""
    while len(octets) < length:
        piece = connection.recv(length - len(octets))
        if not piece:
            raise ConnectionError("closed inside a message")
        octets += piece
    return octets
