import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from credentials.base import BrokerMisconfigured
from proxy.errors import EgressRefused, PolicyInvalid, PolicyUnavailable
from proxy.pdp.delivery import origin as module
from proxy.pdp.delivery.origin import FileOrigin, UrlOrigin
from tests.harness.bundle_web import BundleWeb


@pytest.fixture
async def web() -> AsyncIterator[BundleWeb]:
    """A server of bundles; the adapter is all about its socket."""
    async with BundleWeb.serving() as web:
        web.packed = b"one"
        yield web


@pytest.fixture
async def url(web: BundleWeb) -> AsyncIterator[UrlOrigin]:
    origin = UrlOrigin(web.url)
    yield origin
    await origin.close()


async def test_a_file_is_read_until_it_was_judged(tmp_path: Path) -> None:
    """Then when another stands there, and whenever it is wanted anew."""
    file = tmp_path / "b.tar.gz"
    file.write_bytes(b"one")
    origin = FileOrigin(file)
    assert [await origin.fetch(), await origin.fetch()] == [b"one", b"one"]
    origin.judged()
    assert await origin.fetch() is None
    assert await origin.fetch(anew=True) == b"one"
    (tmp_path / "next").write_bytes(b"two")
    (tmp_path / "next").replace(file)
    assert await origin.fetch() == b"two"
    await origin.close()


async def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    """By its name, not its place."""
    with pytest.raises(PolicyUnavailable, match=r"^b\.tar\.gz cannot be read"):
        await FileOrigin(tmp_path / "b.tar.gz").fetch()


async def test_a_pipe_in_the_place_of_a_file_hangs_nobody(tmp_path: Path) -> None:
    """Nor does it count as a bundle."""
    os.mkfifo(tmp_path / "b")
    async with asyncio.timeout(5):
        with pytest.raises(PolicyUnavailable, match="not a regular file"):
            await FileOrigin(tmp_path / "b").fetch()


async def test_a_file_that_is_too_large_is_refused_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then it is known."""
    monkeypatch.setattr(module, "MAX_PACKED_BYTES", 2)
    (tmp_path / "b").write_bytes(b"one")
    origin = FileOrigin(tmp_path / "b")
    with pytest.raises(PolicyInvalid, match="larger"):
        await origin.fetch()
    assert await origin.fetch() is None


async def test_a_url_is_asked_with_its_etag(web: BundleWeb, url: UrlOrigin) -> None:
    """304 is nothing new; what is wanted anew is asked without."""
    assert [await url.fetch(), await url.fetch()] == [b"one", b"one"]
    url.judged()
    assert await url.fetch() is None
    assert await url.fetch(anew=True) == b"one"
    web.packed = b"two"
    assert await url.fetch() == b"two"
    assert web.told == [200, 200, 304, 200, 200]


@pytest.mark.parametrize("etag", ['"\u00e9"', "one", '"' + "x" * 300 + '"'])
async def test_an_odd_etag_is_not_asked_with(web: BundleWeb, url: UrlOrigin, etag: str) -> None:
    """It would be refused as a header of ours, for ever."""
    web.etag = etag
    assert await url.fetch() == b"one"
    url.judged()
    assert await url.fetch() == b"one"


async def test_a_token_that_is_being_exchanged_is_waited_for(web: BundleWeb) -> None:
    """Its file is away for a moment: nothing can be fetched, and nothing ends."""
    there = iter([False, True])

    def token() -> str:
        if not next(there):
            raise BrokerMisconfigured("token: cannot be read")
        return "t"

    origin = UrlOrigin(web.url, token)
    with pytest.raises(PolicyUnavailable, match=r"policy\.pull\.token: token: cannot be read"):
        await origin.fetch()
    assert await origin.fetch() == b"one"
    await origin.close()


async def test_roots_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    """By the setting that names them."""
    origin = UrlOrigin("https://127.0.0.1:9/b", ca_file=str(tmp_path / "missing.pem"))
    with pytest.raises(PolicyUnavailable, match=r"policy\.pull\.ca_file"):
        await origin.fetch()


async def test_a_url_gets_our_token_as_it_is_now(web: BundleWeb) -> None:
    """A token that was exchanged on disk counts at once."""
    tokens = iter(["old", "new"])
    origin, web.token = UrlOrigin(web.url, lambda: next(tokens)), "new"
    with pytest.raises(PolicyUnavailable, match="401"):
        await origin.fetch()
    assert await origin.fetch() == b"one"
    await origin.close()


@pytest.mark.parametrize("mood", ["half", "500"])
async def test_half_an_answer_is_none(web: BundleWeb, url: UrlOrigin, mood: str) -> None:
    """And leaves no ETag behind: the whole one is asked for again."""
    web.mood = mood
    with pytest.raises(PolicyUnavailable):
        await url.fetch()
    web.mood = ""
    assert await url.fetch() == b"one"


async def test_an_answer_without_end_is_cut(
    web: BundleWeb, url: UrlOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the size of a bundle."""
    monkeypatch.setattr(module, "MAX_PACKED_BYTES", 1000)
    web.mood = "endless"
    with pytest.raises(PolicyUnavailable):
        await url.fetch()


async def test_one_byte_too_many_is_refused_once(
    url: UrlOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its ETag is known then."""
    monkeypatch.setattr(module, "MAX_PACKED_BYTES", 2)
    with pytest.raises(PolicyInvalid, match="larger"):
        await url.fetch()
    assert await url.fetch() is None


async def test_nothing_is_open_before_it_is_asked() -> None:
    """And a URL that cannot be asked is refused at once."""
    await UrlOrigin("https://policies.example/b.tar.gz").close()
    with pytest.raises(EgressRefused):
        UrlOrigin("ftp://policies.example/b.tar.gz")
