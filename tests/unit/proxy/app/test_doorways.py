"""Which names the ports answer to; what binds them is tested with the whole gateway."""

import pytest

from proxy.app.doorways import names_of


@pytest.mark.parametrize(
    ("hosts", "names"),
    [
        ((), set()),
        (("Gw.example",), {"gw.example", "gw.example:8787"}),
        (("gw:443",), {"gw:443"}),
        (("[fd00::1]",), {"[fd00::1]", "[fd00::1]:8787"}),
    ],
)
def test_a_name_with_a_port_stands_for_that_port_only(
    hosts: tuple[str, ...], names: set[str]
) -> None:
    """IPv6 in brackets is a name without one."""
    assert names_of(hosts, 8787) == names
