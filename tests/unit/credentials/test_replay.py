from concurrent.futures import ThreadPoolExecutor

import pytest

from credentials.replay import ReplayCache, ReplayCacheFull


def test_an_id_is_good_once() -> None:
    """The second use of an id is refused, that of another is not."""
    cache = ReplayCache()
    assert [cache.claim(jti, 130, 100) for jti in ("a", "a", "b")] == [True, False, True]


def test_an_id_is_forgotten_when_its_token_has_run_out() -> None:
    """Memory is bounded by the tokens that are still valid."""
    cache = ReplayCache()
    cache.claim("a", 110, 100)
    cache.claim("b", 130, 100)
    cache.claim("c", 140, 110)
    assert len(cache) == 2


def test_a_clock_set_back_revives_no_token() -> None:
    """What was forgotten counts as used, although its time has not come yet by this clock."""
    cache = ReplayCache()
    cache.claim("a", 110, 100)
    cache.claim("b", 150, 120)
    assert not cache.claim("a", 110, 101)
    assert cache.claim("c", 160, 101)


def test_a_full_cache_takes_nothing_more() -> None:
    """What could not be remembered must not be accepted, until there is room again."""
    cache = ReplayCache(max_entries=1)
    assert cache.claim("a", 110, 100)
    with pytest.raises(ReplayCacheFull):
        cache.claim("b", 130, 100)
    assert cache.claim("b", 130, 110)


def test_a_used_id_is_told_from_a_full_cache() -> None:
    """A replay is called a replay even while there is no room."""
    cache = ReplayCache(max_entries=1)
    cache.claim("a", 110, 100)
    assert not cache.claim("a", 110, 100)


def test_threads_cannot_share_one_id() -> None:
    """Of many simultaneous uses exactly one is the first."""
    cache = ReplayCache()
    with ThreadPoolExecutor(8) as pool:
        firsts = list(pool.map(lambda n: cache.claim(f"id{n % 50}", 130, 100), range(2000)))
    assert sum(firsts) == 50


def test_a_cache_without_room_is_refused() -> None:
    """A bound below one is a mistake in the set-up."""
    with pytest.raises(ValueError, match="max_entries"):
        ReplayCache(0)
