"""uvicorn's HTTP/1.1 protocol as the ports need it: give it to uvicorn as `http=GuardedProtocol`.

It tells the guard the request target as it was sent: uvicorn keeps only path and query of it, so
`GET http://other/path` would look like `GET /path`. And it never writes an access log: that would
keep the query strings the guard refuses because they hold credentials.
"""

from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

TARGET = "detent.target"


class GuardedProtocol(HttpToolsProtocol):
    """Adds the bytes of the request target to the scope under TARGET; logs no requests."""

    def on_headers_complete(self) -> None:
        """Hand the request on with its target beside it."""
        self.access_log = False
        cast("dict[str, Any]", self.scope)[TARGET] = self.url
        super().on_headers_complete()
