"""Where a signed bundle comes from: a file that is replaced, or a URL that tells by its ETag.

HTTP: RFC 9110, sections 8.8.3 (ETag) and 13.1.2 (If-None-Match).
"""

from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from proxy.egress.addresses import AddressPolicy, parse_origin
from proxy.egress.client import EgressClient, EgressLimits, EgressRequest, EgressResponse
from proxy.errors import PolicyInvalid, PolicyUnavailable, UpstreamError
from proxy.pdp.delivery.packing import MAX_PACKED_BYTES

FETCH_S = 30.0
MAX_ETAG_CHARS = 256
TOO_LARGE = f"the archive is larger than {MAX_PACKED_BYTES} bytes"


class Origin(Protocol):
    """Gives the archive."""

    async def fetch(self, *, anew: bool = False) -> bytes | None:
        """Return it; None when it is the one of the last time, which is not told if `anew`.

        Raises PolicyUnavailable when it cannot be had, PolicyInvalid when it is too large.
        """
        ...

    async def close(self) -> None:
        """Close what is open."""
        ...


class FileOrigin:
    """A file on this machine."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: tuple[int, ...] = ()

    async def fetch(self, *, anew: bool = False) -> bytes | None:
        """Return the file if another one stands there. Raises PolicyUnavailable, PolicyInvalid."""
        try:
            status = self._path.stat()
            stamp = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            if stamp == self._known and not anew:
                return None
            with self._path.open("rb") as file:
                packed = file.read(MAX_PACKED_BYTES + 1)
        except OSError as error:
            raise PolicyUnavailable(
                f"{self._path.name} cannot be read ({error.strerror}). Cure: check policy.bundle"
            ) from None
        self._known = stamp
        if len(packed) > MAX_PACKED_BYTES:
            raise PolicyInvalid(TOO_LARGE)
        return packed

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
        self._client: EgressClient | None = None
        parse_origin(self._base, self._policy)

    async def fetch(self, *, anew: bool = False) -> bytes | None:
        """Return the archive if it is another one. Raises PolicyUnavailable, PolicyInvalid."""
        answer = await self._ask({} if anew or not self._etag else {"If-None-Match": self._etag})
        if answer.status == HTTPStatus.NOT_MODIFIED and self._etag and not anew:
            return None
        if answer.status != HTTPStatus.OK:
            raise PolicyUnavailable(f"the bundle's server answers {answer.status}")
        etag = answer.headers.get("ETag", "")
        self._etag = etag if len(etag) <= MAX_ETAG_CHARS else ""
        if len(answer.body) > MAX_PACKED_BYTES:
            raise PolicyInvalid(TOO_LARGE)
        return answer.body

    async def close(self) -> None:
        """Close the connection, if there is one."""
        if self._client is not None:
            await self._client.close()

    async def _ask(self, condition: dict[str, str]) -> EgressResponse:
        if self._client is None:
            self._client = EgressClient(self._base, self._policy, EgressLimits(1), self._ca_file)
        token = self._token()
        identity = {"Authorization": f"Bearer {token}"} if token else {}
        request = EgressRequest(
            "GET",
            self._url,
            {"Accept": "application/gzip, application/octet-stream", **identity, **condition},
            timeout_s=FETCH_S,
            max_bytes=MAX_PACKED_BYTES + 1,
        )
        try:
            return await self._client.request(request, _no_more_to_check)
        except UpstreamError as problem:
            raise PolicyUnavailable(f"the bundle cannot be fetched: {problem}") from None


def _no_more_to_check() -> None:
    """Let it go: what is fetched stands under no kill."""
