"""The table of builtins agrees with itself and with the capabilities."""

import json

from proxy.pdp.capabilities import CAPABILITIES
from proxy.pdp.wasm.builtins import NATIVES, OURS, PORTABLE, capabilities
from proxy.pdp.wasm.guards import Guard
from proxy.pdp.wasm.host import HOST


def test_only_portable_builtins_are_offered() -> None:
    """What any bundle may use, without what is not portable; nothing else changes."""
    offered = json.loads(capabilities())
    known = json.loads(CAPABILITIES.read_bytes())
    names = {builtin["name"] for builtin in offered["builtins"]}
    assert names == PORTABLE
    assert {**offered, "builtins": known["builtins"]} == known


def test_every_builtin_we_are_asked_for_is_ours() -> None:
    """A guard that asks needs a number, and the number a function."""
    assert set(OURS.values()) == HOST.keys()
    asking = [
        one for one in NATIVES.values() if one.guards & {Guard.ASCII, Guard.FRACTIONS, Guard.GLOB}
    ]
    asking += [one for one in NATIVES.values() if one.is_replaced]
    assert len(asking) == 10
    assert all(one.asked is not None and OURS[one.asked] == one.builtin for one in asking)
