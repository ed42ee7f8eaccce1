"""A client that sends any bytes to a port and says what came back and whether it was hung up on."""

import asyncio
import json
import math
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

CALL = b'{"server":"rec","tool":"write","arguments":{}}'


@dataclass(frozen=True)
class Heard:
    """Everything that came back; `closed`: the other end hung up."""

    raw: bytes
    closed: bool

    @property
    def statuses(self) -> list[int]:
        """The status of every answer, in order."""
        return [int(part[:3]) for part in self.raw.split(b"HTTP/1.1 ")[1:]]

    @property
    def status(self) -> int:
        """The status of the only answer."""
        (only,) = self.statuses
        return only

    @property
    def json(self) -> Any:
        """The body of the last answer."""
        return json.loads(self.raw.rpartition(b"\r\n\r\n")[2])

    @property
    def code(self) -> str:
        """The code of the last answer's problem."""
        code: str = self.json["code"]
        return code


def authority_of(url: str) -> str:
    """Return `host:port` of a base URL."""
    return urlsplit(url).netloc


async def say(
    url: str, *parts: bytes, pause_s: float = 0.0, wait_s: float = 10.0, quiet_s: float = math.inf
) -> Heard:
    """Send these parts, `pause_s` apart, and listen until hung up on, or for `wait_s` seconds.

    When something was heard, listen until `quiet_s` seconds bring nothing more. On a bare socket:
    what arrived is heard also when the other end would not take the rest.
    """
    loop = asyncio.get_running_loop()
    host, _, port = authority_of(url).rpartition(":")
    heard, closed, started = bytearray(), True, loop.time()
    with socket.socket() as line:
        line.setblocking(False)
        await loop.sock_connect(line, (host, int(port)))
        sending = asyncio.create_task(_send(line, parts, pause_s))
        try:
            async with asyncio.timeout(wait_s) as patience:
                while chunk := await loop.sock_recv(line, 65_536):
                    heard += chunk
                    patience.reschedule(min(loop.time() + quiet_s, started + wait_s))
        except TimeoutError:
            closed = False
        except ConnectionError:
            pass
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
    return Heard(bytes(heard), closed)


async def _send(line: socket.socket, parts: Sequence[bytes], pause_s: float) -> None:
    for part in parts:
        await asyncio.get_running_loop().sock_sendall(line, part)
        await asyncio.sleep(pause_s)


def request(
    url: str,
    token: str,
    *fields: bytes,
    line: bytes = b"POST /v1/calls HTTP/1.1",
    body: bytes = CALL,
    without: Sequence[bytes] = (),
) -> bytes:
    """Return a whole request: a valid call, with these header lines added or put in place.

    `without` names header lines to leave out: host, authorization, content-type, content-length.
    """
    own = {
        b"host": b"Host: " + authority_of(url).encode(),
        b"authorization": b"Authorization: Bearer " + token.encode(),
        b"content-type": b"Content-Type: application/json",
        b"content-length": b"Content-Length: %d" % len(body),
    }
    kept = [field for name, field in own.items() if name not in without]
    return b"\r\n".join([line, *kept, *fields, b"", body])
