"""The ledger of another gateway: a sidecar reserves and settles there.

store      RemoteStore: the port, each method a request
gateway    the connection: one request, its answer or what went wrong
authority  the kill lease: renewals, pushes, acknowledgements
outcomes   what was observed and could not be delivered yet
"""

from proxy.stores.remote.authority import GatewayAuthority
from proxy.stores.remote.store import RemoteStore

__all__ = ["GatewayAuthority", "RemoteStore"]
