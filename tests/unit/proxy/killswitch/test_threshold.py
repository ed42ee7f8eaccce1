from proxy.killswitch.threshold import Threshold


def test_calls_stand_there_from_their_look_to_their_write() -> None:
    """In any order; leaving twice changes nothing."""
    threshold = Threshold()
    threshold.enter("one")
    threshold.enter("two")
    before = threshold.standing()
    threshold.leave("one")
    threshold.leave("one")
    assert set(before) == {"one", "two"}
    assert set(threshold.standing()) == {"two"}
