"""Stage 8: the narrowest credential, bound to this step, inside the grant and the ceiling (I23)."""

from collections.abc import Mapping
from typing import Any

from credentials.base import (
    Broker,
    BrokerError,
    GrantRefused,
    Lease,
    LeaseRequest,
)
from proxy.errors import Refused
from proxy.killswitch.switch import KillSwitch
from proxy.model.decision import Grant
from proxy.model.step import Step
from proxy.model.token import new_id
from proxy.model.tool import CredentialRule, Effect

MAX_TTL_S = 60


class Lending:
    """Turns a grant into a lease. `brokers` by the name manifests use."""

    def __init__(self, brokers: Mapping[str, Broker], kill_switch: KillSwitch) -> None:
        self._brokers = dict(brokers)
        self._kill_switch = kill_switch

    def request(self, step: Step) -> tuple[str, LeaseRequest] | None:
        """Return broker and request for this step, None when the policy grants no credential.

        Raises Refused: credential-refused, when the grant is wider than the manifest's ceiling.
        """
        decision, manifest, definition = step.decision, step.manifest, step.definition
        if decision is None or manifest is None or definition is None:
            raise Refused.because("credential-refused")
        grant, rule = decision.grant, manifest.credential
        if grant is None or grant.broker == "none":
            return None
        if not _fits(grant, rule) or grant.broker not in self._brokers:
            raise Refused.because("credential-refused")
        return grant.broker, LeaseRequest(
            lease_id=new_id("lse"),
            step_id=step.id,
            session_id=step.session.id,
            subject=f"{step.principal.tenant}/{step.principal.agent}",
            audience=grant.audience,
            scope=grant.scope,
            ttl_s=min(grant.ttl_s, MAX_TTL_S),
            tool=step.call.resource_id,
            arguments_sha256=step.call.arguments_sha256,
            tool_pin=definition.pin,
            policy_revision=decision.policy_revision,
            decision_id=decision.id,
            epoch=step.epoch,
            write=manifest.effect is not Effect.READ,
        )

    def preview(self, wanted: tuple[str, LeaseRequest] | None) -> dict[str, Any] | None:
        """Describe the credential that would be lent. Raises Refused: credential-refused."""
        if wanted is None:
            return None
        name, request = wanted
        try:
            return self._brokers[name].preview(request)
        except GrantRefused:
            raise Refused.because("credential-refused") from None

    async def mint(self, step: Step, wanted: tuple[str, LeaseRequest] | None) -> Lease | None:
        """Lend the credential; the epoch is checked before and after.

        Raises Refused: killed, credential-refused, credential-unavailable.
        """
        if wanted is None:
            return None
        name, request = wanted
        if self._kill_switch.covers(step.scopes, step.epoch):
            raise Refused.because("killed")
        try:
            lease = await self._brokers[name].mint(request)
        except GrantRefused:
            raise Refused.because("credential-refused") from None
        except BrokerError:
            raise Refused.because("credential-unavailable") from None
        if self._kill_switch.covers(step.scopes, step.epoch):
            await self.take_back(lease)
            raise Refused.because("killed")
        return lease

    async def take_back(self, lease: Lease | None) -> bool:
        """Revoke a lease; return False when the provider did not confirm it."""
        if lease is None:
            return True
        try:
            await self._brokers[lease.broker].revoke(lease.id)
        except BrokerError:
            return False
        return True


def _fits(grant: Grant, rule: CredentialRule) -> bool:
    same = grant.broker == rule.broker and grant.audience == rule.audience
    return same and set(grant.scope) <= set(rule.ceiling)
