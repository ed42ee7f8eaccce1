from proxy.app.refusals import MAX_TOLD_CHARS, Refusals, shown
from proxy.errors import PolicyInvalid
from proxy.observability.metrics import Metrics


async def test_a_refusal_is_counted_remembered_and_told() -> None:
    """In the same words."""
    told: list[tuple[str, str]] = []

    async def tell(kind: str, message: str) -> None:
        told.append((kind, message))

    metrics = Metrics("1")
    refusals = Refusals(metrics, tell)
    await refusals.tell_of("policy-reload-failed", PolicyInvalid("x\udcff"))
    assert told == [("policy-reload-failed", "the last good policy stays: x\ufffd")]
    assert (refusals.last or {})["message"] == "x\ufffd"
    assert b'detent_policy_reloads_total{result="failed"} 1.0' in metrics.render()


def test_only_what_can_be_stored_and_shown_is_told() -> None:
    """No half characters, no zeros, no megabytes; lines stay lines."""
    assert shown("a\nb\0c\udcffd\x1b") == "a\nb\ufffdc\ufffdd\ufffd"
    assert len(shown("a" * 30_000)) == MAX_TOLD_CHARS + 1
