"""Something in the place of OPA that answers with whatever bytes a file holds.

    python fake_opa.py ANSWER run --server --addr=(unix://PATH | HOST:PORT) …

`ANSWER` is read at each request: when it is empty nothing is said, when it holds `close` the
connection ends. Health is always fine. The other arguments of `opa run` are ignored.
"""

import asyncio
import sys
from pathlib import Path

HEALTHY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


async def serve(answer: Path, address: str) -> None:
    """Answer until killed."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            if head.startswith(b"GET /health "):
                writer.write(HEALTHY)
                continue
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]
            await reader.readexactly(int(length))
            said = answer.read_bytes()
            if said == b"close":
                return writer.close()
            writer.write(said)
        return None

    if address.startswith("unix://"):
        server = await asyncio.start_unix_server(talk, address.removeprefix("unix://"))
    else:
        host, _, port = address.rpartition(":")
        server = await asyncio.start_server(talk, host, int(port))
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    told = next(word for word in sys.argv if word.startswith("--addr="))
    asyncio.run(serve(Path(sys.argv[1]), told.removeprefix("--addr=")))
