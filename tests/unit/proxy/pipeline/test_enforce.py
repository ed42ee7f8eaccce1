from dataclasses import replace
from datetime import UTC, datetime

import pytest

from proxy.errors import Refused
from proxy.model.call import Door, ToolCall
from proxy.model.decision import Decision, Obligation, Reason, Verdict
from proxy.model.session import Mode, Principal, Session
from proxy.model.step import Step
from proxy.model.tool import Effect, ToolManifest
from proxy.pipeline.enforce import enforce

NOW = datetime(2026, 11, 22, tzinfo=UTC)
ALLOW = Decision("dec_1", Verdict.ALLOW, (Reason("ok", "Fine."),), "sha256:r")
STEP = Step(
    id="stp_1",
    call=ToolCall("repo", "write_file", b"{}", Door.CALLS),
    principal=Principal("acme", "loop"),
    session=Session("ses_1", "acme", "loop", Mode.READ_WRITE, NOW, NOW, 100),
    epoch=0,
    mode=Mode.READ_WRITE,
    manifest=ToolManifest("repo", "write_file", Effect.WRITE),
    decision=ALLOW,
)


def test_an_allow_goes_on() -> None:
    """The only verdict that does."""
    assert enforce(STEP) is True


def test_a_dry_run_ends_in_a_preview() -> None:
    """Asked for by the session or obliged by the policy."""
    assert enforce(replace(STEP, mode=Mode.DRY_RUN)) is False
    obliged = replace(ALLOW, obligations=(Obligation("dry_run"),))
    assert enforce(replace(STEP, decision=obliged)) is False


def test_a_hold_is_previewed_too_and_a_denial_never() -> None:
    """A dry run has no effect to approve; what is refused is not shown either."""
    dry = replace(STEP, mode=Mode.DRY_RUN)
    assert enforce(replace(dry, decision=replace(ALLOW, verdict=Verdict.HOLD))) is False
    with pytest.raises(Refused):
        enforce(replace(dry, decision=replace(ALLOW, verdict=Verdict.DENY)))


@pytest.mark.parametrize("verdict", [Verdict.DENY, Verdict.HOLD])
def test_any_other_verdict_is_refused_with_its_reasons(verdict: Verdict) -> None:
    """A hold without an approval does not go on."""
    refusal = replace(ALLOW, verdict=verdict, reasons=(Reason("approval-required", "Ask."),))
    with pytest.raises(Refused, match="approval-required") as refused:
        enforce(replace(STEP, decision=refusal))
    assert refused.value.refusal.verdict is verdict


def test_an_obligation_nobody_knows_denies() -> None:
    """Obligations are must-understand."""
    strange = replace(ALLOW, obligations=(Obligation("notarise"),))
    with pytest.raises(Refused, match="obligation-unknown"):
        enforce(replace(STEP, decision=strange))


def _masking(path: str, door: Door = Door.CALLS) -> Step:
    duty = Obligation("mask", {"path": path})
    decision = replace(ALLOW, obligations=(duty,))
    return replace(STEP, call=replace(STEP.call, door=door), decision=decision)


def test_a_mask_that_can_be_put_on_goes_on() -> None:
    """On what comes back; a hook, which sees only what goes out, on that."""
    assert enforce(_masking("/result/email")) is True
    assert enforce(_masking("/arguments/email", Door.HOOKS)) is True


@pytest.mark.parametrize(
    "step",
    [_masking("email"), _masking("/arguments/email"), _masking("/result/email", Door.HOOKS)],
)
def test_a_mask_that_cannot_be_put_on_denies_before_anything_is_sent(step: Step) -> None:
    """A bad path, or one for the other way."""
    with pytest.raises(Refused, match="obligation-unknown"):
        enforce(step)


ATTENDED = replace(ALLOW, verdict=Verdict.HOLD, obligations=(Obligation("human_attended"),))
OWN = replace(
    STEP, decision=ATTENDED, manifest=ToolManifest("cc", "Bash", Effect.WRITE, hooks=True)
)


def test_a_hold_of_an_agents_own_tool_may_be_put_to_its_person() -> None:
    """When policy says so; a dry run is a preview all the same."""
    assert enforce(OWN) is True
    assert enforce(replace(OWN, mode=Mode.DRY_RUN)) is False


@pytest.mark.parametrize(
    "step",
    [
        replace(OWN, decision=replace(ATTENDED, obligations=())),
        replace(OWN, manifest=STEP.manifest),
        replace(OWN, manifest=None),
    ],
    ids=["nobody is there", "a tool that Detent carries", "no manifest"],
)
def test_every_other_hold_waits_for_an_operator(step: Step) -> None:
    """The agent's own channel approves nothing else."""
    with pytest.raises(Refused) as refused:
        enforce(step)
    assert refused.value.refusal.verdict is Verdict.HOLD


def test_no_decision_denies() -> None:
    """A step that was never decided has no verdict to stand on."""
    with pytest.raises(Refused, match="policy-unavailable"):
        enforce(replace(STEP, decision=None))
