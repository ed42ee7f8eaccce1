"""One OPA: its private place, its start, its end."""

import asyncio
import json
import os
import stat
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.errors import PolicyInvalid, PolicyUnavailable
from proxy.pdp.base import DECISION_PATH, StagedBundle
from proxy.pdp.find_opa import find_opa
from proxy.pdp.opa_process import OpaProcess

POLICY = 'package detent.main\n\ndecision := "yes"\n'


def write(directory: Path, policy: str = POLICY, **manifest: object) -> StagedBundle:
    """Write a bundle of revision `r1`."""
    directory.mkdir(exist_ok=True)
    (directory / "main.rego").write_text(policy)
    fields = {"revision": "r1", "roots": ["detent"], "rego_version": 1} | manifest
    (directory / ".manifest").write_text(json.dumps(fields))
    return StagedBundle(directory, "r1")


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the directory where private directories are made."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
async def opa(places: Path) -> AsyncIterator[OpaProcess]:
    """Give a running OPA."""
    opa = await OpaProcess.start(find_opa().path, write(places / "bundle"))
    yield opa
    await opa.stop()


async def test_it_answers_and_is_healthy(opa: OpaProcess) -> None:
    """When start returns, everything works."""
    answer = await opa.query(DECISION_PATH, b'{"input":{}}', 5)
    assert (answer.result, answer.revision) == ("yes", "r1")
    assert await opa.is_healthy(5)


async def test_its_place_is_private(opa: OpaProcess) -> None:
    """Nobody else may enter the directory or connect, and no file holds the token."""
    assert stat.S_IMODE(opa.home.stat().st_mode) == stat.S_IRWXU
    assert stat.S_IMODE((opa.home / "opa.sock").stat().st_mode) == stat.S_IRUSR | stat.S_IWUSR
    token = opa._health.partition(b"Bearer ")[2].partition(b"\r")[0]
    files = [file for file in opa.home.rglob("*") if file.is_file()]
    assert len(files) == 3
    assert not [file for file in files if token in file.read_bytes()]
    assert token not in Path(f"/proc/{opa.child.pid}/cmdline").read_bytes()


async def test_each_start_has_its_own_token(opa: OpaProcess, places: Path) -> None:
    """The token of one OPA says nothing to the next."""
    other = await OpaProcess.start(find_opa().path, write(places / "bundle"))
    assert other._health != opa._health
    await other.stop()


async def test_its_environment_is_explicit(
    opa: OpaProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No proxies, no credentials, nothing of ours."""
    names = {
        pair.partition(b"=")[0]
        for pair in Path(f"/proc/{opa.child.pid}/environ").read_bytes().split(b"\0")
    }
    assert names == {b"HOME", b"GOMAXPROCS", b"GOGC", b""}


async def test_stop_leaves_nothing(opa: OpaProcess) -> None:
    """No process, no directory, no answer."""
    await opa.stop()
    assert not Path(f"/proc/{opa.child.pid}").exists()
    assert not opa.home.exists()
    assert not await opa.is_healthy(1)


async def test_stop_lets_a_query_finish(opa: OpaProcess) -> None:
    """With time to drain, what is under way is answered."""
    asking = asyncio.create_task(opa.query(DECISION_PATH, b'{"input":{}}', 5))
    await asyncio.sleep(0)
    await opa.stop(2.0)
    assert (await asking).result == "yes"


@pytest.mark.parametrize(
    ("policy", "manifest", "words"),
    [
        ("package detent.main\n\ndecision := ", {}, "rego_parse_error"),
        (POLICY, {"roots": [""]}, "overlapping roots"),
        ("package other\n\nx := 1", {}, "do not permit"),
    ],
)
async def test_a_bundle_opa_refuses_is_invalid_in_its_own_words(
    places: Path, policy: str, manifest: dict[str, object], words: str
) -> None:
    """Among them one that would own `system` as well as its own roots."""
    with pytest.raises(PolicyInvalid, match=words):
        await OpaProcess.start(find_opa().path, write(places / "bad", policy, **manifest))
    assert [place.name for place in places.iterdir()] == ["bad"]


async def test_another_revision_is_invalid(places: Path) -> None:
    """The manifest on disk must be the one that was staged."""
    staged = write(places / "bundle", revision="r0")
    with pytest.raises(PolicyInvalid, match=r"OPA serves \['r0'\], not policy revision r1"):
        await OpaProcess.start(find_opa().path, staged)
    assert [place.name for place in places.iterdir()] == ["bundle"]


async def test_without_a_binary_there_is_no_policy(places: Path) -> None:
    """And nothing is left of the attempt."""
    with pytest.raises(PolicyUnavailable, match=r"opa was not started: .*No such file"):
        await OpaProcess.start(places / "none", write(places / "bundle"))
    assert [place.name for place in places.iterdir()] == ["bundle"]


async def test_a_start_is_bounded_in_time(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that never listens is not waited for."""
    monkeypatch.setattr("proxy.pdp.opa_process.START_TIMEOUT_S", 0.1)
    sleeper = places / "sleeper"
    sleeper.write_text("#!/bin/sh\nexec sleep 60\n")
    sleeper.chmod(stat.S_IRWXU)
    with pytest.raises(PolicyUnavailable, match=r"not ready within 0\.1 s"):
        await OpaProcess.start(sleeper, write(places / "bundle"))


async def test_a_cancelled_start_leaves_nothing(places: Path) -> None:
    """Whoever gives up while OPA starts leaves no process and no directory."""
    staged = write(places / "bundle")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await OpaProcess.start(find_opa().path, staged)
    assert [place.name for place in places.iterdir()] == ["bundle"]


async def test_a_place_too_deep_for_a_socket_says_so(
    places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is the system's; the cure is the user's."""
    deep = places / ("d" * 100)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    with pytest.raises(PolicyUnavailable, match="set a shorter TMPDIR"):
        await OpaProcess.start(find_opa().path, write(places / "bundle"))
    assert os.listdir(deep) == []  # noqa: PTH208  # the shortest way to say empty
