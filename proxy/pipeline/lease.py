"""Stage 8: the narrowest credential, bound to this step, inside the grant and the ceiling (I23).

A credential whose target checks its end does not outlive the kill lease it was minted under: a call
that leaves late, however long this process was frozen, is refused there.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from credentials.base import (
    Broker,
    BrokerError,
    GrantRefused,
    Lease,
    LeaseRequest,
)
from proxy.errors import Refused
from proxy.killswitch.lease import KillLease
from proxy.killswitch.switch import KillSwitch
from proxy.model.decision import Grant
from proxy.model.step import Step
from proxy.model.token import new_id
from proxy.model.tool import CredentialRule, Effect

MAX_TTL_S = 60
ENOUGH = 0.25  # of a kill lease: what a credential needs to arrive with
LOOK_AGAIN_S = 0.01


class Lending:
    """Turns a grant into a lease. `brokers` by the name manifests use; `clock` gives Unix seconds.

    `lease` is the kill lease, which no fenced credential outlives.
    """

    def __init__(
        self,
        brokers: Mapping[str, Broker],
        kill_switch: KillSwitch,
        lease: KillLease,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._brokers = dict(brokers)
        self._kill_switch = kill_switch
        self._lease = lease
        self._clock = clock

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

        Raises Refused: killed, kill-lease-expired, credential-refused, credential-unavailable.
        """
        if wanted is None:
            return None
        name, request = wanted
        broker = self._brokers[name]
        if broker.is_fenced:
            request = replace(request, ends_by_s=await self._end_of_kill_lease())
        if self._kill_switch.covers(step.scopes, step.epoch):
            raise Refused.because("killed")
        try:
            lease = await broker.mint(request)
        except GrantRefused:
            raise Refused.because("credential-refused") from None
        except BrokerError:
            raise Refused.because("credential-unavailable") from None
        if self._kill_switch.covers(step.scopes, step.epoch):
            await self.take_back(lease)
            raise Refused.because("killed")
        return lease

    async def _end_of_kill_lease(self) -> float:
        """Return it in Unix seconds; wait for a renewal when hardly anything is left.

        The wall clock is read first: a freeze before the lease is read makes the end earlier.
        """
        enough_s = self._lease.terms.duration_s * ENOUGH
        while True:
            now_s = self._clock()
            left_s = self._lease.remaining_s
            if left_s >= enough_s:
                return now_s + left_s
            if not left_s:
                raise Refused.because("kill-lease-expired")
            await asyncio.sleep(LOOK_AGAIN_S)

    async def take_back(self, lease: Lease | None) -> bool:
        """Revoke a lease; return False when the provider did not confirm it."""
        return lease is None or await self.revoke(lease.broker, lease.id)

    async def revoke(self, broker: str, lease_id: str) -> bool:
        """Revoke a lease by its id; False when that is not confirmed, or nobody knows the broker.

        It may have been lent by another process.
        """
        known = self._brokers.get(broker)
        if known is None:
            return False
        try:
            await known.revoke(lease_id)
        except BrokerError:
            return False
        return True


def _fits(grant: Grant, rule: CredentialRule) -> bool:
    same = grant.broker == rule.broker and grant.audience == rule.audience
    return same and set(grant.scope) <= set(rule.ceiling)
