"""An operators' port that answers as told, for tests of the command line."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from click.testing import Result

Run = Callable[..., Result]


@dataclass
class Port:
    """An operators' port that answers as told, and what it was asked."""

    url: str = ""
    status: int = 200
    body: bytes = b"{}"
    asked: list[tuple[str, str, str, Any]] = field(default_factory=list)

    def answers(self, document: Any, status: int = 200) -> None:
        self.status, self.body = status, json.dumps(document).encode()


@pytest.fixture
def port() -> Iterator[Port]:
    """Serve it in a thread of its own."""
    told = Port()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked = (self.command, self.path, self.headers["Authorization"])
            told.asked.append((*asked, json.loads(body or b"null")))
            self.send_response(told.status)
            self.send_header("Content-Length", str(len(told.body)))
            self.end_headers()
            self.wfile.write(told.body)

        do_GET = do_DELETE = do_POST  # noqa: N815 the standard library's names

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    told.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield told
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def operate(detent: Run, port: Port) -> Run:
    """Run a command of the operators' plane against that port."""

    def run(*arguments: str, **environ: str) -> Result:
        return detent(
            *arguments, **{"DETENT_URL": port.url, "DETENT_OPERATOR_TOKEN": "dto_x"} | environ
        )

    return run
