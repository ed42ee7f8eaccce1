"""A7: text in an encoding that another reader takes for something else."""

import pytest

from tests.harness.agents_port import DOORS, AgentsPort, code_of

CALL = '{"server":"rec","tool":"write","arguments":{}}'
IN_STRINGS = {
    "invalid": b'{"a":"\xff"}',
    "overlong slash": b'{"a":"\xc0\xaf"}',
    "overlong NUL": b'{"a":"\xc0\x80"}',
    "CESU-8": b'{"a":"\xed\xa0\xbd\xed\xb8\x80"}',
    "truncated": b'{"a":"\xe2\x82"}',
    "beyond U+10FFFF": b'{"a":"\xf4\x90\x80\x80"}',
    "lone high surrogate": b'{"a":"\\ud800"}',
    "lone low surrogate": b'{"a":"\\udc00x"}',
    "reversed surrogates": b'{"a":"\\ude00\\ud83d"}',
    "in a key": b'{"\xff":1}',
}
WHOLE = {
    "byte order mark": b"\xef\xbb\xbf" + CALL.encode(),
    "UTF-16": CALL.encode("utf-16"),
    "UTF-16 without mark": CALL.encode("utf-16-be"),
    "UTF-32": CALL.encode("utf-32"),
    "UTF-32 without mark": CALL.encode("utf-32-le"),
    "UTF-7": CALL.replace("{", "+AHs-").encode(),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", IN_STRINGS)
async def test_strings_that_are_no_utf_8_are_refused(
    agents_port: AgentsPort, door: str, name: str
) -> None:
    """400 at every door, nothing is replaced by U+FFFD, and the pipeline receives nothing."""
    assert await agents_port.refusal(door, IN_STRINGS[name]) == (400, "not-utf8")
    assert agents_port.gate.calls == []


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("path", ["/v1/calls", "/mcp"])
async def test_bodies_in_other_encodings_are_refused(
    agents_port: AgentsPort, path: str, name: str
) -> None:
    """No encoding is guessed."""
    status, answer = await agents_port.ask("POST", path, WHOLE[name])
    assert (status, code_of(answer) in {"not-utf8", "not-json"}) == (400, True)
    assert agents_port.gate.calls == []


@pytest.mark.parametrize("door", DOORS)
async def test_plain_text_of_every_plane_passes(agents_port: AgentsPort, door: str) -> None:
    """As UTF-8, escaped or not."""
    assert (await agents_port.call(door, '{"b":"é日😀","a":"\\ud83d\\ude00"}'.encode()))[0] == 200
    assert agents_port.gate.calls[0].arguments == '{"a":"😀","b":"é日😀"}'.encode()
