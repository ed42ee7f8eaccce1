import re

from proxy.model.decision import Reason
from proxy.model.reasons import REASONS, kind_of, reason


def test_every_reason_is_kebab_case_and_a_sentence() -> None:
    """Ids are kebab-case; sentences end with a full stop or an example."""
    for reason_id, kind in REASONS.items():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", reason_id)
        assert kind.sentence[0].isupper()
        assert 400 <= kind.http < 600


def test_a_reason_can_carry_its_own_sentence() -> None:
    """Without one the table's sentence stands."""
    assert reason("killed").message == REASONS["killed"].sentence
    assert reason("killed", "Stopped.").message == "Stopped."


def test_the_first_known_reason_decides_how_to_answer() -> None:
    """Policies' own ids answer 403."""
    assert kind_of((Reason("path-outside-workspace", ""), reason("budget-exhausted"))).http == 429
    assert kind_of((Reason("path-outside-workspace", ""),)).http == 403
