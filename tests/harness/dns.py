"""A name server on loopback that answers what a test says, one answer after the other."""

import asyncio
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Self, cast

A, CNAME, AAAA = 1, 5, 28
IN, TTL_S = 1, 0
ANSWER, NAME_ERROR = 0x8580, 0x8583  # authoritative, recursion available; with and without a name

Record = tuple[int, str]


@dataclass
class NameServer:
    """Maps a name to its addresses and aliases, `|`-separated turns of comma-separated records.

    `{"a.test": "8.8.8.8|127.0.0.1,8.8.8.8"}` answers with the first at the first question, with
    the other two from then on; `>b.test` is an alias. `asked` counts questions for addresses.
    """

    names: dict[str, str]
    host: str = "127.0.0.1"
    port: int = 0
    asked: dict[str, int] = field(default_factory=dict)
    _transport: asyncio.DatagramTransport | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        address = (self.host, self.port)
        self._transport, _ = await loop.create_datagram_endpoint(lambda: _Door(self), address)
        self.port = self._transport.get_extra_info("sockname")[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._transport is not None
        self._transport.close()

    def answer(self, packet: bytes) -> bytes:
        """Return the answer to one query (RFC 1035 section 4)."""
        (number,) = struct.unpack_from(">H", packet)
        name, end = _read_name(packet, 12)
        (kind,) = struct.unpack_from(">H", packet, end)
        question = packet[12 : end + 4]
        if name not in self.names:
            return struct.pack(">6H", number, NAME_ERROR, 1, 0, 0, 0) + question
        records = self._records(name, kind)
        head = struct.pack(">6H", number, ANSWER, 1, len(records), 0, 0)
        return head + question + b"".join(records)

    def _records(self, name: str, kind: int) -> list[bytes]:
        """Follow aliases and return every record on the way; A and AAAA share a turn."""
        found: list[bytes] = []
        while name in self.names:
            turns = self.names[name].split("|")
            turn = min(self.asked.get(name, 0), len(turns) - 1)
            if kind == AAAA:  # a resolver asks for both kinds of addresses, for this one last
                self.asked[name] = turn + 1
            owner, name = name, ""
            for text in filter(None, turns[turn].split(",")):
                own, data = _record(text)
                if own == CNAME:
                    name = text[1:]
                if own in (kind, CNAME):
                    rest = struct.pack(">HHIH", own, IN, TTL_S, len(data)) + data
                    found.append(_written_name(owner) + rest)
        return found


class _Door(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert self._transport is not None
        self._transport.sendto(self._server.answer(data), addr)


def _record(text: str) -> tuple[int, bytes]:
    if text.startswith(">"):
        return CNAME, _written_name(text[1:])
    address = ip_address(text)
    return (A if address.version == 4 else AAAA), address.packed


def _read_name(packet: bytes, at: int) -> tuple[str, int]:
    labels: list[str] = []
    while size := packet[at]:
        labels.append(packet[at + 1 : at + 1 + size].decode("ascii").lower())
        at += size + 1
    return ".".join(labels), at + 1


def _written_name(name: str) -> bytes:
    labels: Sequence[str] = name.split(".")
    return b"".join(bytes([len(label)]) + label.encode() for label in labels) + b"\0"
