"""Where a signed bundle comes from: a file that is replaced, or a URL that tells by its ETag.

HTTP: RFC 9110, sections 8.8.3 (ETag) and 13.1.2 (If-None-Match).
"""

import asyncio
import os
import re
import stat
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from credentials.base import BrokerMisconfigured
from proxy.egress.addresses import AddressPolicy, parse_origin
from proxy.egress.client import EgressClient, EgressLimits, EgressRequest, EgressResponse
from proxy.errors import EgressRefused, PolicyInvalid, PolicyUndelivered, UpstreamError
from proxy.pdp.delivery.packing import MAX_PACKED_BYTES

FETCH_S = 30.0
TOO_LARGE = f"the archive is larger than {MAX_PACKED_BYTES} bytes"

_ETAG = re.compile(r'(W/)?"[!#-~]{0,256}"')  # what a header of ours may carry back


class Origin(Protocol):
    """Gives the archive, again and again until it was judged."""

    async def fetch(self, *, anew: bool = False) -> bytes | None:
        """Return it; None when it is the one that was judged, unless it is wanted `anew`.

        Raises PolicyUndelivered when it cannot be had, PolicyInvalid when it is too large.
        """
        ...

    def judged(self) -> None:
        """Hear that what was fetched last needs no other look: it was loaded, or refused."""
        ...

    async def close(self) -> None:
        """Close what is open."""
        ...


class FileOrigin:
    """A file on this machine."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: tuple[int, ...] = ()
        self._fetched: tuple[int, ...] = ()

    async def fetch(self, *, anew: bool = False) -> bytes | None:
        """Return the file if another one stands there. Raises PolicyUndelivered, PolicyInvalid."""
        try:
            packed = await asyncio.to_thread(self._read, () if anew else self._known)
        except OSError as error:
            raise PolicyUndelivered(
                f"{self._path.name} cannot be read ({error.strerror}). Cure: check its path"
            ) from None
        if packed is not None and len(packed) > MAX_PACKED_BYTES:
            self.judged()
            raise PolicyInvalid(TOO_LARGE)
        return packed

    def judged(self) -> None:
        """Do not give this file again."""
        self._known = self._fetched

    def _read(self, known: tuple[int, ...]) -> bytes | None:
        # O_NONBLOCK: a pipe that took the file's place must not hang us.
        number = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(number, "rb") as file:
            status = os.fstat(number)
            if not stat.S_ISREG(status.st_mode):
                raise PolicyUndelivered(f"{self._path.name} is not a regular file")
            stamp = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            if stamp == known:
                return None
            self._fetched = stamp
            return file.read(MAX_PACKED_BYTES + 1)

    async def close(self) -> None:
        """Do nothing: no file stays open."""


class UrlOrigin:
    """A URL. `token` gives the bearer token as it is now, empty for none.

    Nothing is opened before the first fetch, which needs a running event loop. Raises EgressRefused
    for a URL that cannot be asked.
    """

    def __init__(
        self, url: str, token: Callable[[], str] = lambda: "", ca_file: str | None = None
    ) -> None:
        parts = urlsplit(url)
        self._url = url
        self._base = f"{parts.scheme}://{parts.netloc}"
        self._policy = AddressPolicy(allow_private=True)
        self._token = token
        self._ca_file = ca_file
        self._etag = ""
        self._fetched = ""
        self._client: EgressClient | None = None
        parse_origin(self._base, self._policy)

    async def fetch(self, *, anew: bool = False) -> bytes | None:
        """Return the archive if it is another one. Raises PolicyUndelivered, PolicyInvalid."""
        answer = await self._ask({} if anew or not self._etag else {"If-None-Match": self._etag})
        if answer.status == HTTPStatus.NOT_MODIFIED and self._etag and not anew:
            return None
        if answer.status != HTTPStatus.OK:
            raise PolicyUndelivered(f"the bundle's server answers {answer.status}")
        etag = answer.headers.get("ETag", "")
        self._fetched = etag if _ETAG.fullmatch(etag) else ""
        if len(answer.body) > MAX_PACKED_BYTES:
            self.judged()
            raise PolicyInvalid(TOO_LARGE)
        return answer.body

    def judged(self) -> None:
        """Ask for another one than this from now on."""
        self._etag = self._fetched

    async def close(self) -> None:
        """Close the connection, if there is one."""
        if self._client is not None:
            await self._client.close()

    async def _ask(self, condition: dict[str, str]) -> EgressResponse:
        try:
            request = self._request(condition)
            if self._client is None:
                limits = EgressLimits(1)
                self._client = EgressClient(self._base, self._policy, limits, self._ca_file)
            return await self._client.request(request, _no_more_to_check)
        except BrokerMisconfigured as problem:
            raise PolicyUndelivered(f"policy.pull.token: {problem}") from None
        except (UpstreamError, EgressRefused) as problem:
            raise PolicyUndelivered(f"the bundle cannot be fetched: {problem}") from None
        except OSError as problem:
            raise PolicyUndelivered(f"policy.pull.ca_file: {problem.strerror}") from None

    def _request(self, condition: dict[str, str]) -> EgressRequest:
        token = self._token()
        identity = {"Authorization": f"Bearer {token}"} if token else {}
        return EgressRequest(
            "GET",
            self._url,
            {"Accept": "application/gzip, application/octet-stream", **identity, **condition},
            timeout_s=FETCH_S,
            max_bytes=MAX_PACKED_BYTES + 1,
        )


def _no_more_to_check() -> None:
    """Let it go: what is fetched stands under no kill."""
