from typing import Any

import pytest
from pydantic import ValidationError

from proxy.config.attach import Attach
from proxy.config.settings import Settings

TOKEN = {"env": "SIDECAR"}
SUBJECT = {"sub": "system:serviceaccount:a:b", "name": "pods", "agents": ["acme/loop"]}
ISSUER = {"issuer": "https://k8s.example", "jwks_uri": "https://k8s.example/jwks"} | {
    "subjects": [SUBJECT]
}
SIDECAR = {"name": "pod-1", "agents": ["acme/loop"], "token_sha256": "a" * 64}


@pytest.mark.parametrize(
    "url", ["https://gateway.detent.svc:8789", "http://127.0.0.1:8789", "http://localhost:8789"]
)
def test_a_gateway_is_a_url_with_tls_or_on_loopback(url: str) -> None:
    """With the token that says who we are."""
    assert Attach.model_validate({"url": url, "token": TOKEN}).url == url


@pytest.mark.parametrize(
    "values",
    [
        {"url": "http://gateway:8789", "token": TOKEN},
        {"url": "gateway:8789", "token": TOKEN},
        {"url": "https://gateway:8789"},
        {"sidecars": [SIDECAR | {"agents": []}]},
        {"sidecars": [SIDECAR | {"agents": ["loop"]}]},
        {"sidecars": [SIDECAR | {"agents": ["acme/*/x"]}]},
        {"sidecars": [SIDECAR | {"token_sha256": "dtx_token"}]},
    ],
    ids=["in the clear", "no URL", "no token", "nobody", "no tenant", "pattern", "no hash"],
)
def test_what_is_unclear_or_unsafe_is_refused(values: dict[str, Any]) -> None:
    """A sidecar speaks for agents that are named one by one."""
    with pytest.raises(ValidationError):
        Attach.model_validate(values)


NOT_ONE = {
    "a name twice": {"sidecars": [SIDECAR, SIDECAR]},
    "an issuer twice": {"issuers": [ISSUER, ISSUER]},
    "a subject twice": {"issuers": [ISSUER, ISSUER | {"issuer": "https://other.example"}]},
    "no subject": {"issuers": [ISSUER | {"subjects": []}]},
    "no agent": {"issuers": [ISSUER | {"subjects": [SUBJECT | {"agents": []}]}]},
    "a name of both kinds": {"issuers": [ISSUER], "sidecars": [SIDECAR | {"name": "pods"}]},
}


@pytest.mark.parametrize("values", NOT_ONE.values(), ids=NOT_ONE)
def test_a_token_stands_for_one_sidecar(values: dict[str, Any]) -> None:
    """And its name for one set of agents."""
    with pytest.raises(ValidationError):
        Attach.model_validate(values)


def test_the_attach_port_beyond_loopback_needs_tls() -> None:
    """As the other ports do."""
    listen = {"attach": "0.0.0.0:8789"}
    with pytest.raises(ValidationError, match="tls_cert"):
        Settings.model_validate({"listen": listen})
    assert Settings.model_validate({"listen": listen | {"tls_terminated": True}}).listen.attach
    assert Settings.model_validate({"attach": {"sidecars": [SIDECAR]}}).attach.sidecars


def test_tokens_to_attach_with_are_for_nothing_else() -> None:
    """An audience of their own, and no `typ`, as Kubernetes signs them."""
    (issuer,) = Attach.model_validate({"issuers": [ISSUER]}).issuers
    assert (issuer.audience, issuer.token_types) == (("detent-attach",), ("none",))
