"""What answers other enforcement points: the gateway's own parts, asked without an effect."""

from proxy.app.gateway import Parts
from proxy.app.identity import named_principals
from proxy.config import Settings
from proxy.pipeline.evaluate import Evaluator, Grounds


def evaluator_of(parts: Parts, settings: Settings) -> Evaluator:
    """Return the evaluator of a gateway."""
    named = named_principals(settings)
    grounds = Grounds(
        admit=parts.admission,
        resolve=parts.resolver,
        sessions=parts.store,
        limits=parts.catalogue.limits,
        named=lambda tenant, agent: named.get((tenant, agent)),
        epoch=lambda: parts.kill_switch.state.epoch,
    )
    return Evaluator(grounds, parts.policy)


def scheme_of(settings: Settings) -> str:
    """Return how clients reach the operators' port."""
    listen = settings.listen
    return "https" if listen.tls_cert or listen.tls_terminated else "http"
