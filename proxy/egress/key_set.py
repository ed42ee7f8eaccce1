"""The key set of an issuer (JWKS), fetched like everything else that leaves: checked addresses, no
redirects, no environment proxies, bounded in size and time.
"""

from urllib.parse import urlsplit

from credentials.key_cache import KeysUnavailable
from proxy.egress.addresses import AddressPolicy, parse_origin
from proxy.egress.client import EgressClient, EgressLimits, EgressRequest
from proxy.errors import UpstreamError

MAX_BYTES = 256 * 1024
TIMEOUT_S = 5.0
_OK = 200
_LIMITS = EgressLimits(connections=1)


class KeySetClient:
    """Fetches one URL. Raises EgressRefused for one that the policy does not admit.

    Nothing is opened before the first fetch, which needs a running event loop.
    """

    def __init__(self, url: str, policy: AddressPolicy, ca_file: str | None = None) -> None:
        parts = urlsplit(url)
        self._url = url
        self._base = f"{parts.scheme}://{parts.netloc}"
        self._policy = policy
        self._ca_file = ca_file
        self._client: EgressClient | None = None
        parse_origin(self._base, policy)

    async def fetch(self) -> bytes:
        """Return the document. Raises KeysUnavailable."""
        if self._client is None:
            self._client = EgressClient(self._base, self._policy, _LIMITS, self._ca_file)
        request = EgressRequest(
            "GET",
            self._url,
            {"Accept": "application/jwk-set+json, application/json"},
            timeout_s=TIMEOUT_S,
            max_bytes=MAX_BYTES,
        )
        try:
            answer = await self._client.request(request, _no_more_to_check)
        except UpstreamError as problem:
            raise KeysUnavailable(str(problem)) from None
        if answer.status != _OK:
            raise KeysUnavailable(f"it answers {answer.status}")
        return answer.body

    async def close(self) -> None:
        """Close the connection, if there is one."""
        if self._client is not None:
            await self._client.close()


def _no_more_to_check() -> None:
    """Let it go: a fetch of public keys stands under no kill."""
