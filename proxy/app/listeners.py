"""The bound sockets of a gateway, before anybody serves: workers have the same ones."""

import contextlib
import socket
from dataclasses import dataclass

from proxy.app.servers import Sockets, authority, bind
from proxy.config.settings import Address, Listen


@dataclass(frozen=True, slots=True)
class Listeners:
    """The bound sockets of a gateway by port, one for each worker. None at all: the port is off."""

    agents: Sockets
    operators: Sockets
    attach: Sockets = ()
    health: Sockets = ()

    @classmethod
    def bind(cls, listen: Listen, workers: int = 1) -> "Listeners":
        """Bind all ports. Raises ConfigError; then none is bound."""
        with contextlib.ExitStack() as unless_bound:

            def bound(address: Address | None) -> Sockets:
                found = bind_shared(address, workers) if address else ()
                for one in found:
                    unless_bound.callback(one.close)
                return found

            ports = (listen.agents, listen.operators, listen.attach, listen.health)
            listeners = cls(*map(bound, ports))
            unless_bound.pop_all()
        return listeners

    def of(self, worker: int) -> "Listeners":
        """Return them as one of the workers (from 1) needs them, its own in front."""
        ports = (self.agents, self.operators, self.attach, self.health)
        return Listeners(*((*one[worker - 1 :], *one[: worker - 1]) for one in ports))

    def urls(self, scheme: str) -> tuple[str, ...]:
        """Return where each port is; that for health is in plain HTTP."""
        schemes = [(scheme, one) for one in (self.agents, self.operators, self.attach)]
        return tuple(
            f"{named}://{authority(*bound[0].getsockname()[:2])}"
            for named, bound in (*schemes, ("http", self.health))
            if bound
        )

    def close(self) -> None:
        """Let go of the addresses; who has them too keeps them."""
        for one in (*self.agents, *self.operators, *self.attach, *self.health):
            one.close()


def bind_shared(address: Address, count: int) -> Sockets:
    """Bind an address so many times. Raises ConfigError, also when another gateway has it.

    The first is bound as if alone, because SO_REUSEPORT would let us in beside another gateway.
    """
    first = bind(address)
    bound = [first]
    if count > 1:
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    for _ in range(count - 1):
        one = socket.socket(first.family, socket.SOCK_STREAM)
        bound.append(one)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        one.bind(first.getsockname())
    return tuple(bound)
