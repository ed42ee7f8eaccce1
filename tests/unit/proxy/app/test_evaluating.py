from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from proxy.app.evaluating import evaluator_of, scheme_of
from proxy.app.gateway import Parts
from proxy.config import Settings
from proxy.errors import Refused
from proxy.model.kill import KillState
from proxy.model.ledger import Limits
from proxy.pipeline.evaluate import Asked

AGENT = {"name": "loop", "tenant": "acme", "roles": ["reader"], "token_sha256": "ab" * 32}
TLS = {"tls_cert": "c.pem", "tls_key": "k.pem"}


@pytest.mark.parametrize(
    ("listen", "scheme"), [({}, "http"), (TLS, "https"), ({"tls_terminated": True}, "https")]
)
def test_clients_reach_the_port_as_it_is_served(
    settings_of: Callable[..., Settings], listen: dict[str, Any], scheme: str
) -> None:
    """TLS of our own, or in front of us."""
    assert scheme_of(settings_of(listen=listen)) == scheme


async def test_agents_of_the_settings_have_their_rights(
    settings_of: Callable[..., Settings],
) -> None:
    """The principal, its limits and the epoch are those of the gateway."""
    seen: list[Any] = []

    async def standing(principal: Any, session: Any, _scopes: Any) -> None:
        seen.extend((principal.roles, session.risk_limit))
        raise Refused.because("killed")

    parts = SimpleNamespace(
        admission=SimpleNamespace(standing=standing),
        resolver=SimpleNamespace(manifests={}),
        store=None,
        catalogue=SimpleNamespace(limits=lambda *_: Limits(7, 9, 60)),
        kill_switch=SimpleNamespace(state=KillState(3, (), {})),
        policy=None,
    )
    evaluator = evaluator_of(cast("Parts", parts), settings_of(identity={"agents": [AGENT]}))
    with pytest.raises(Refused, match="killed"):
        await evaluator.of_other(Asked("acme", "loop"), "x", {})
    assert seen == [("reader",), 7]
