"""A86: an agent opens a new session to shed a lock, labels or a spent rolling budget."""

from tests.harness.gateway import Gateway
from tests.harness.recorder import Recorder
from tests.harness.world import World


async def test_a86_labels_follow_the_agent(gateway: Gateway, recorder: Recorder) -> None:
    """Tainted in one session is tainted in the next: the sink stays closed."""
    assert (await gateway.call("write", {"text": "x"}))[0] == 200
    assert (await gateway.call("leak"))[0] == 200
    _, session = await gateway.ask("POST", "/v1/sessions", {})
    status, answer = await gateway.call("write", {"text": "x"}, token=session["token"])
    assert (status, answer["reasons"][0]["id"]) == (403, "untrusted-to-unregistered-destination")
    assert len(recorder.received) == 2


async def test_a86_a_spent_rolling_budget_follows_the_agent(
    world: World, recorder: Recorder
) -> None:
    """Five points an hour for the agent, however many sessions it opens."""
    world.budgets = {"default": {"session_risk": 3, "agent_risk": 5, "window_s": 3600}}
    async with Gateway(world) as gateway:
        outcomes = []
        for _ in range(3):
            _, session = await gateway.ask("POST", "/v1/sessions", {})
            for _ in range(3):
                status, _ = await gateway.call("read", token=session["token"])
                outcomes.append(status)
    assert outcomes.count(200) == 5
    assert set(outcomes) == {200, 429}
    assert len(recorder.received) == 5


async def test_a86_budgets_and_labels_survive_a_restart(world: World, recorder: Recorder) -> None:
    """Neither is forgotten by a crash."""
    world.budgets = {"default": {"session_risk": 100, "agent_risk": 2, "window_s": 3600}}
    gateway = Gateway(world)
    await gateway.start()
    assert (await gateway.call("leak"))[0] == 200
    await gateway.kill9()
    async with Gateway(world) as again:
        assert (await again.call("write", {"text": "x"}))[0] == 403
        assert (await again.call("read"))[0] == 200
        assert (await again.call("read"))[0] == 429
    assert len(recorder.received) == 2


async def test_a86_a_lock_follows_the_agent(world: World, recorder: Recorder) -> None:
    """Locked by a canary: no session, old or new, does anything."""
    (world.directory / "bait").write_text("HONEYTOKEN-0123456789")
    (world.directory / "bait").chmod(0o600)
    world.settings = {"canaries": [{"name": "bait", "token": {"file": "bait"}}]}
    async with Gateway(world) as gateway:
        _, session = await gateway.ask("POST", "/v1/sessions", {})
        await gateway.call("write", {"text": "HONEYTOKEN-0123456789"})
        assert (await gateway.ask("POST", "/v1/sessions", {}))[0] == 403
        assert (await gateway.call("read", token=session["token"]))[0] == 403
    assert recorder.received == []
