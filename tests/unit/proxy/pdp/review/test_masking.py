"""What is kept of an input: the rest of it, and stand-ins."""

import json
from typing import Any

import pytest
from hypothesis import given, settings, strategies

from proxy.ingress.canonical import urls_in
from proxy.observability.masking import Masker
from proxy.pdp.review.masking import MAX_HIDDEN, Seers, Shown, masked_input, withheld_input
from proxy.pdp.review.stand_ins import StandIns
from proxy.pipeline.secret_fields import without_secrets

LIVE = "live-secret-of-ours"
SEERS = Seers(Masker([LIVE]).mask, urls_in, without_secrets)
WRITE_ONLY = {"properties": {"phrase": {"writeOnly": True}, "all": {"items": {"writeOnly": True}}}}


def shown(
    arguments: Any, masks: Any = (), schema: dict[str, Any] | None = None, **context: Any
) -> Shown:
    """Mask an input with these arguments."""
    document = {
        "subject": {"id": "a"},
        "resource": {"id": "s/t", "manifest": {"big": "x" * 999}},
        "context": {"arguments": arguments, "arguments_sha256": "0" * 64, "urls": []} | context,
    }
    raw = json.dumps(schema).encode() if schema else b""
    before = json.dumps(document)
    result = masked_input(document, list(masks), raw, SEERS, StandIns(b"k" * 32))
    assert json.dumps(document) == before
    return result


def test_without_masks_all_stays_but_the_manifest() -> None:
    """That stands in the bundle."""
    result = shown({"path": "/srv/x"})
    assert result.masked == ()
    assert result.input["resource"] == {"id": "s/t"}
    assert result.input["context"]["arguments"] == {"path": "/srv/x"}
    assert result.input["context"]["arguments_sha256"] == "0" * 64


def test_what_a_mask_points_at_is_replaced() -> None:
    """And the hash, by which a short text could be guessed."""
    result = shown({"a": "one", "b": "two"}, ["/context/arguments/a", "/context/arguments/gone"])
    assert result.masked == ("/context/arguments/a", "/context/arguments_sha256")
    assert result.input["context"]["arguments"]["a"].startswith("masked-")
    assert result.input["context"]["arguments"]["b"] == "two"
    assert result.input["context"]["arguments_sha256"] != "0" * 64


@pytest.mark.parametrize(
    ("arguments", "masked"),
    [
        ({"phrase": "abc", "user": "ann"}, ["/context/arguments/phrase"]),
        ({"all": ["a", "b"]}, ["/context/arguments/all/0", "/context/arguments/all/1"]),
        ({"user": "ann"}, []),
    ],
)
def test_what_the_schema_calls_secret_is_replaced(arguments: Any, masked: list[str]) -> None:
    """Whatever the policy says."""
    assert [*shown(arguments, (), WRITE_ONLY).masked][: len(masked)] == masked


def test_a_schema_without_secrets_hides_nothing() -> None:
    """Most have none."""
    assert shown({"user": "ann"}, (), {"properties": {"user": {"type": "string"}}}).masked == ()


def test_a_schema_nobody_can_follow_hides_everything() -> None:
    """Better too much."""
    odd = {"$ref": "elsewhere", "properties": {"a": {"writeOnly": True}}}
    assert "/context/arguments" in shown({"a": "b"}, (), odd).masked


def test_a_live_secret_is_replaced_wherever_it_stands() -> None:
    """In a text, in meta, in the name of a member."""
    result = shown({"note": f"use {LIVE} here"}, meta={"x": [LIVE]}, extras={LIVE: 1, "plain": 2})
    assert LIVE not in json.dumps(result.input)
    assert {"/context/arguments/note", "/context/meta/x/0", "/context/extras"} <= {*result.masked}


def test_a_name_in_a_list_of_objects_is_seen() -> None:
    """Members of items are members."""
    result = shown({"rows": [{LIVE: 1}]})
    assert LIVE not in json.dumps(result.input)


def test_a_text_that_holds_a_masked_one_is_masked() -> None:
    """Prose repeats what fields hold."""
    result = shown({"code": "4711-0815", "note": "it is 4711-0815."}, ["/context/arguments/code"])
    assert "/context/arguments/note" in result.masked


@pytest.mark.parametrize(
    ("arguments", "masks"),
    [
        ({"m": {LIVE: "x" * 300}}, ["/context/arguments/m/" + LIVE]),
        ({"m": {"k": {LIVE: {"token": "v"}}}}, [f"/context/arguments/m/k/{LIVE}/token"]),
        (
            {"p": "hunter2", "o": {"hunter2": {"t": "v"}}},
            ["/context/arguments/p", "/context/arguments/o/hunter2/t"],
        ),
    ],
)
def test_no_pointer_tells_a_secret_name(arguments: Any, masks: list[str]) -> None:
    """What is inside of a hidden object is not told apart."""
    result = shown(arguments, masks)
    assert LIVE not in json.dumps([result.input, result.masked])
    assert "hunter2" not in json.dumps([result.input, result.masked])


@pytest.mark.parametrize("inner", [{LIVE: "x"}, {"deep": [{LIVE: 1}]}])
@pytest.mark.parametrize("masks", [[], ["/context/arguments/phrase"]])
def test_a_secret_name_goes_from_what_is_hidden_for_another_reason(
    inner: dict[str, Any], masks: list[str]
) -> None:
    """Names that look like names stay there, but for secrets."""
    result = shown({"phrase": inner}, masks, WRITE_ONLY)
    assert LIVE not in json.dumps(result.input)
    assert "/context/arguments/phrase" in result.masked


def test_many_hidden_texts_are_all_looked_for() -> None:
    """However long the others are."""
    long = {f"t{number}": f"{number}" * 300 for number in range(100)}
    masks = [f"/context/arguments/{name}" for name in (*long, "code")]
    result = shown({**long, "code": "4711-0815", "note": "it is 4711-0815."}, masks)
    assert "/context/arguments/note" in result.masked


def test_more_hidden_texts_than_can_be_looked_for_are_refused() -> None:
    """Some would be found elsewhere."""
    texts = [f"text {number}" for number in range(MAX_HIDDEN + 1)]
    with pytest.raises(ValueError, match="hidden"):
        shown({"all": texts}, (), WRITE_ONLY)


def test_urls_of_masked_arguments_are_gone() -> None:
    """Those of others stay as the gateway read them."""
    arguments = {"a": "https://one.example/x", "b": "https://two.example/y"}
    result = shown(arguments, ["/context/arguments/a"], urls=list(urls_in(arguments)))
    assert result.input["context"]["urls"] == ["https://two.example/y"]
    assert "/context/urls" in result.masked


def test_masks_may_overlap() -> None:
    """The outer one, the inner one, twice the same."""
    paths = ["/context/arguments/a", "/context/arguments/a/b", "/context/arguments/a"]
    assert "/context/arguments/a/b" not in shown({"a": {"b": "c"}}, paths).masked


JSON = strategies.recursive(
    strategies.sampled_from([LIVE, f"x{LIVE}y", "plain", 1, None, True]),
    lambda inner: (
        strategies.lists(inner, max_size=3)
        | strategies.dictionaries(strategies.sampled_from(["a", "b c", LIVE]), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(strategies.dictionaries(strategies.sampled_from(["a", "b", LIVE]), JSON, max_size=4))
@settings(max_examples=60, deadline=None)
def test_no_live_secret_is_left_in_whatever_an_agent_sends(arguments: dict[str, Any]) -> None:
    """And who has sent none finds all of it."""
    result = shown(arguments, meta=arguments)
    assert LIVE not in json.dumps(result.input)
    if LIVE not in json.dumps(arguments):
        assert result.input["context"]["arguments"] == arguments


@pytest.mark.parametrize("masks", [None, [1], ["x"]])
def test_what_are_no_masks_is_refused(masks: Any) -> None:
    """Nothing is logged as if it had been masked."""
    with pytest.raises(ValueError, match="pointer"):
        masked_input({"context": {}}, masks, b"", SEERS, StandIns(b"k"))


def test_what_is_nested_too_deeply_is_refused() -> None:
    """No mask can be trusted there."""
    deep: Any = "x"
    for _ in range(300):
        deep = [deep]
    with pytest.raises(ValueError, match="deep"):
        shown({"a": deep})


def test_an_input_without_a_context_is_kept() -> None:
    """There is nothing of the agent in it."""
    assert masked_input({"a": 1}, [], b"{}", SEERS, StandIns(b"k")).input["a"] == 1


def test_a_mask_may_point_beside_the_context() -> None:
    """Policies name any part of their input."""
    result = masked_input({"a": {"b": 1}, "c": 2}, ["/a/b"], b"", SEERS, StandIns(b"k"))
    assert result.masked == ("/a/b",)
    assert result.input["a"]["b"] != 1


def test_withheld_means_nothing_of_the_agent_is_left() -> None:
    """The subject, the tool and the session are."""
    document = {
        "resource": {"id": "s/t"},
        "context": {"arguments": {"a": 1}, "meta": {}, "urls": ["u"], "session": {"id": "x"}},
    }
    assert withheld_input(document)["context"] == {"session": {"id": "x"}}
    assert withheld_input({"subject": 1}) == {"subject": 1, "context": None}
