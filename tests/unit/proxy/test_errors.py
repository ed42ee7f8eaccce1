import inspect

from proxy import errors
from proxy.errors import BadRequest, ConfigError, DetentError, Refused
from proxy.model.decision import Verdict


def test_the_tree_at_the_top_names_every_class() -> None:
    """Nobody has to read the file to know what can be raised."""
    classes = [
        name
        for name, found in inspect.getmembers(errors, inspect.isclass)
        if issubclass(found, DetentError)
    ]
    assert all(name in (errors.__doc__ or "") for name in classes)


def test_every_problem_of_a_configuration_is_told() -> None:
    """One line each."""
    assert str(ConfigError(("a:1: wrong", "a:2: wrong too"))) == "a:1: wrong\na:2: wrong too"


def test_a_refusal_for_one_reason_is_a_deny_with_its_sentence() -> None:
    """The reason comes from the one table unless another sentence is given."""
    refusal = Refused.because("killed").refusal
    assert refusal.verdict is Verdict.DENY
    assert refusal.reasons[0].message.startswith("A kill switch")
    assert str(Refused.because("killed", "Stopped.")) == "killed"


def test_a_bad_request_answers_400_unless_told_otherwise() -> None:
    """Its text is the detail, its code is stable."""
    error = BadRequest("duplicate-key", "A key stands twice.")
    assert (error.http, error.rpc_code, str(error)) == (400, -32600, "A key stands twice.")
