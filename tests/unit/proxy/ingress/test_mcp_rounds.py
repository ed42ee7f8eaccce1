import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import BadRequest
from proxy.ingress.mcp_rounds import LIFETIME_S, Carried, Seal, own_seal
from proxy.model.call import Door, ToolCall
from tests.harness.doors import caller_of

CALL = ToolCall("rec", "write", b'{"n":1}', Door.MCP)
LOOP = caller_of("loop")
CARRIED = Carried("stp_1", 3, "the tool's own", "prk_1")


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def refused(seal: Seal, state: object, call: ToolCall = CALL, agent: str = "loop") -> BadRequest:
    with pytest.raises(BadRequest) as error:
        seal.opened(state, caller_of(agent), call)
    return error.value


def test_what_is_sealed_can_be_opened_again() -> None:
    """By the same principal, for the same request."""
    seal = Seal(lambda: b"k" * 32)
    assert seal.opened(seal.sealed(CARRIED, LOOP, CALL), LOOP, CALL) == CARRIED


def test_a_replica_with_the_same_key_opens_it() -> None:
    """Whenever that one was started: they count the seconds alike."""
    state = Seal(lambda: b"k" * 32).sealed(CARRIED, LOOP, CALL)
    assert Seal(lambda: b"k" * 32).opened(state, LOOP, CALL) == CARRIED


def test_a_seal_of_ones_own_opens_for_nobody_else() -> None:
    """Not even for another of this process."""
    state = own_seal().sealed(CARRIED, LOOP, CALL)
    assert refused(own_seal(), state)


def test_a_later_round_is_the_same_request() -> None:
    """Trace ids and the like may differ."""
    seal = Seal(lambda: b"k" * 32)
    again = ToolCall("rec", "write", b'{"n":1}', Door.MCP, meta=b'{"traceparent":"x"}')
    assert seal.opened(seal.sealed(CARRIED, LOOP, CALL), LOOP, again) == CARRIED


@pytest.mark.parametrize(
    "other",
    [
        ToolCall("rec", "write", b'{"n":2}', Door.MCP),
        ToolCall("rec", "read", b'{"n":1}', Door.MCP),
        ToolCall("other", "write", b'{"n":1}', Door.MCP),
        ToolCall("rec", "write", b'{"n":1}', Door.MCP, extras=b'{"task":{}}'),
    ],
)
def test_it_opens_for_no_other_request(other: ToolCall) -> None:
    """Approved input for one call is not input for another."""
    seal = Seal(lambda: b"k" * 32)
    error = refused(seal, seal.sealed(CARRIED, LOOP, CALL), other)
    assert (error.code, error.rpc_code) == ("invalid-request-state", -32602)


def test_it_opens_for_no_other_principal_and_no_other_key() -> None:
    """Whoever got hold of it."""
    seal = Seal(lambda: b"k" * 32)
    state = seal.sealed(CARRIED, LOOP, CALL)
    assert refused(seal, state, agent="other")
    assert refused(Seal(lambda: b"x" * 32), state)


def test_it_opens_only_for_a_while() -> None:
    """Ten minutes."""
    clock = Clock()
    seal = Seal(lambda: b"k" * 32, clock=clock)
    state = seal.sealed(CARRIED, LOOP, CALL)
    clock.now_s += LIFETIME_S
    assert seal.opened(state, LOOP, CALL) == CARRIED
    clock.now_s += 0.1
    assert refused(seal, state)


@given(st.data())
def test_any_change_is_noticed(data: st.DataObject) -> None:
    """Of whichever character."""
    seal = Seal(lambda: b"k" * 32, clock=Clock())
    state = seal.sealed(CARRIED, LOOP, CALL)
    at = data.draw(st.integers(0, len(state) - 1))
    new = data.draw(st.sampled_from("ABCabc019-_").filter(lambda had: had != state[at]))
    assert refused(seal, state[:at] + new + state[at + 1 :])


@pytest.mark.parametrize("state", [None, 1, "", "x", "é", [], "A" * 43, "x" * 100_000])
def test_other_things_open_nothing(state: object) -> None:
    """Neither a shape nor a length helps."""
    seal = Seal(lambda: b"k" * 32)
    assert refused(seal, state)
    assert refused(seal, seal.sealed(CARRIED, LOOP, CALL) + "-TAMPERED")
