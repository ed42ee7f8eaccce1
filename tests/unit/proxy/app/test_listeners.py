import socket
from collections import Counter

import pytest

from proxy.app.listeners import Listeners, bind_shared
from proxy.app.servers import bind
from proxy.config.settings import Address, Listen
from proxy.errors import ConfigError

ANY = Address(host="127.0.0.1", port=0)


def is_open(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def test_all_ports_are_bound_before_anybody_serves() -> None:
    """Those that are set; port 0 has its number by then."""
    address = "127.0.0.1:0"
    listen = Listen.model_validate({"agents": address, "operators": address, "health": address})
    listeners = Listeners.bind(listen)
    assert listeners.attach == ()
    urls = listeners.urls("https")
    assert [url.partition("://")[0] for url in urls] == ["https", "https", "http"]
    assert len(set(urls)) == 3
    listeners.close()
    assert not any(is_open(url.partition("//")[2]) for url in urls)


def test_when_one_port_is_taken_none_is_bound() -> None:
    """So that a second try finds them free."""
    with bind(ANY) as taken, bind(ANY) as probe:
        taken.listen()
        port = probe.getsockname()[1]
        probe.close()
        at = f"127.0.0.1:{taken.getsockname()[1]}"
        listen = Listen.model_validate({"agents": f"127.0.0.1:{port}", "operators": at})
        with pytest.raises(ConfigError, match="cannot listen"):
            Listeners.bind(listen)
        bind(Address(host="127.0.0.1", port=port)).close()


def test_each_worker_has_a_socket_of_its_own_on_every_port() -> None:
    """In front of those it covers."""
    listen = Listen.model_validate({"agents": "127.0.0.1:0", "operators": "127.0.0.1:0"})
    listeners = Listeners.bind(listen, 3)
    assert len({one.getsockname() for one in listeners.agents}) == 1
    fronts = [listeners.of(worker).agents[0] for worker in (1, 2, 3)]
    assert fronts == list(listeners.agents)
    assert {*listeners.of(2).operators} == {*listeners.operators}
    assert listeners.of(2).health == ()
    listeners.close()


def test_the_kernel_spreads_connections_over_all_sockets() -> None:
    """Evenly, also when they come one by one."""
    bound = bind_shared(ANY, 2)
    for one in bound:
        one.listen(256)
        one.setblocking(False)
    clients = [socket.create_connection(bound[0].getsockname()) for _ in range(100)]
    counted: Counter[int] = Counter()
    for n, one in enumerate(bound):
        try:
            while True:
                one.accept()[0].close()
                counted[n] += 1
        except BlockingIOError:
            continue
    for one in (*clients, *bound):
        one.close()
    assert counted.total() == 100
    assert min(counted.values()) > 20


@pytest.mark.parametrize("count", [1, 2])
def test_another_gateway_is_not_let_in(count: int) -> None:
    """Two that shared a port would each get some of the calls."""
    bound = bind_shared(ANY, 2)
    for one in bound:
        one.listen()
    port = bound[0].getsockname()[1]
    with pytest.raises(ConfigError, match="cannot listen"):
        bind_shared(Address(host="127.0.0.1", port=port), count)
    for one in bound:
        one.close()
