import pytest

from credentials import bounds
from credentials.base import GrantRefused


@pytest.mark.parametrize("ttl_s", [1, 60])
def test_the_ends_of_the_lifetime_are_allowed(ttl_s: int) -> None:
    """One second and sixty seconds are inside the bounds."""
    bounds.check_ttl(ttl_s)


@pytest.mark.parametrize("ttl_s", [0, 61, -1, 30.0, True, "30", None])
def test_a_lifetime_out_of_bounds_is_refused(ttl_s: object) -> None:
    """Zero, more than a minute, and whatever is no whole number are refused."""
    with pytest.raises(GrantRefused, match="lifetime"):
        bounds.check_ttl(ttl_s)  # type: ignore[arg-type]  # the attack is the type


@pytest.mark.parametrize("epoch", [-1, 1.0, True, "7"])
def test_an_epoch_that_is_no_count_is_refused(epoch: object) -> None:
    """Only whole numbers from zero are epochs."""
    with pytest.raises(GrantRefused, match="epoch"):
        bounds.check_epoch(epoch)  # type: ignore[arg-type]  # the attack is the type


@pytest.mark.parametrize(
    "text", ["", "a\nb", "a\0", "a\x7f", "\u202eevil", "a\u200bb", "a\u2028b", "\ud800", "x" * 513]
)
def test_text_that_people_cannot_see_whole_is_refused(text: str) -> None:
    """Control, bidi, zero-width and surrogate characters, nothing, and too much are refused."""
    with pytest.raises(GrantRefused, match="subject must be 1 to 512 printable") as refused:
        bounds.check_text("subject", text)
    assert not text or text not in str(refused.value)


def test_text_in_other_scripts_is_allowed() -> None:
    """Printable is not ASCII: names of people and places pass."""
    bounds.check_text("subject", "acme/Zoë 東京")


@pytest.mark.parametrize("audience", ["", "*", "https://*.example", "a b", "a\r\nb"])
def test_an_audience_that_is_not_one_resource_is_refused(audience: str) -> None:
    """Empty, wildcard and split audiences are refused."""
    with pytest.raises(GrantRefused, match="audience"):
        bounds.check_audience(audience)


@pytest.mark.parametrize(
    "scope",
    [
        (),
        ("",),
        ("*",),
        ("repo:*",),
        ("a", "a"),
        ("a b",),
        ("a\n",),
        ('a"',),
        ("a\\",),
        ("é",),
        ("x" * 129,),
        tuple(f"s{n}" for n in range(33)),
    ],
)
def test_a_scope_that_is_empty_wide_or_doubled_is_refused(scope: tuple[str, ...]) -> None:
    """No entry, a wildcard, a duplicate, and what would not survive a space-separated list."""
    with pytest.raises(GrantRefused, match="scope"):
        bounds.check_scope(scope)


def test_a_plain_scope_is_allowed() -> None:
    """Several different plain tokens pass."""
    bounds.check_scope(("repo:read", "repo:write"))


@pytest.mark.parametrize("digest", ["", "a" * 63, "A" * 64, "a" * 64 + "\n", "g" * 64])
def test_a_digest_in_another_form_is_refused(digest: str) -> None:
    """Only 64 lower-case hexadecimal digits are a SHA-256."""
    with pytest.raises(GrantRefused, match="arguments_sha256"):
        bounds.check_sha256("arguments_sha256", digest)
