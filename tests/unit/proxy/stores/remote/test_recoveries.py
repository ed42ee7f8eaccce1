"""A sidecar recovers nothing and settles nothing."""

import pytest

from proxy.errors import StoreUnavailable
from proxy.model.kill import GLOBAL
from proxy.model.ledger import IntentState
from proxy.model.recovery import Covered, Resolution, Resumption, Take
from proxy.stores.remote.recoveries import NoRecoveries
from tests.harness.ledger import NOW


async def test_nothing_is_ever_found() -> None:
    """Its gateway looks."""
    store = NoRecoveries()
    await store.note_sidecars(())
    assert await store.abandoned_to_unknown(NOW, 1.0) == ()
    assert await store.take_unsettled(Take("me", NOW, NOW, 1.0)) == ()
    assert await store.take_covered(Covered(1, (GLOBAL,), (), "me", NOW, NOW)) == ()
    assert not await store.has_covered(Covered(1, (GLOBAL,), (), "me", NOW, NOW))
    assert await store.unsettled() == {}


async def test_nothing_is_settled() -> None:
    """Its gateway does."""
    store = NoRecoveries()
    asked = Resumption("stp1", "me", "acme", "loop", "ses1", (GLOBAL,), 3, NOW)
    for refused in (
        store.postpone("stp1", "me", NOW, tried=True),
        store.resume(asked),
        store.end_credential("stp1"),
        store.resolve(Resolution("stp1", IntentState.DONE, NOW, "")),
        store.step("stp1"),
    ):
        with pytest.raises(StoreUnavailable, match="attached to"):
            await refused
