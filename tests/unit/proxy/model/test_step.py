from dataclasses import replace
from datetime import UTC, datetime

import pytest

from proxy.model.call import Door, ToolCall
from proxy.model.session import Mode, Principal, Session
from proxy.model.step import Step
from proxy.model.tool import Effect, ToolManifest

NOW = datetime(2026, 11, 22, tzinfo=UTC)
STEP = Step(
    id="stp_1",
    call=ToolCall("repo", "git_commit", b"{}", Door.CALLS),
    principal=Principal("acme", "loop"),
    session=Session("ses_1", "acme", "loop", Mode.READ_WRITE, NOW, NOW, 100),
    epoch=0,
    mode=Mode.READ_WRITE,
)


@pytest.mark.parametrize(
    ("mode", "effect", "asked", "dry"),
    [
        (Mode.READ_WRITE, Effect.WRITE, False, False),
        (Mode.READ_WRITE, Effect.WRITE, True, True),
        (Mode.READ_WRITE, Effect.READ, True, True),
        (Mode.DRY_RUN, Effect.READ, False, False),
        (Mode.DRY_RUN, Effect.WRITE, False, True),
        (Mode.DRY_RUN, Effect.IRREVERSIBLE, False, True),
    ],
)
def test_dry_run_follows_the_call_then_the_mode(
    mode: Mode, effect: Effect, asked: bool, dry: bool
) -> None:
    """A dry-run call sends nothing at all; in a dry-run session reads are real."""
    call = replace(STEP.call, dry_run=asked)
    manifest = ToolManifest("repo", "git_commit", effect)
    assert replace(STEP, call=call, mode=mode, manifest=manifest).is_dry_run is dry


def test_an_unresolved_step_in_a_dry_run_session_counts_as_a_write() -> None:
    """What is not known to be a read is not sent."""
    assert replace(STEP, mode=Mode.DRY_RUN).is_dry_run


def test_a_step_stands_under_its_tools_scope() -> None:
    """Killing a tool reaches the step."""
    assert any(scope.id == "repo/git_commit" for scope in STEP.scopes)
