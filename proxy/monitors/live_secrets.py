"""Live secrets: what the gateway itself holds or lends, looked for in what tools say.

A tripwire for tools that echo their credential and for files that hold one: what is encrypted, or
written in a way not listed at `LiveSecrets`, is not seen.
"""

import base64
import binascii
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain

from pydantic_core import SchemaValidator, core_schema

from proxy.monitors.encodings import base64_forms, layers, normal
from proxy.monitors.token_shapes import BEGINNINGS, tokens_in

MIN_CHARS = 8
HALVED_CHARS = 32  # either half of a secret this long is as good as the whole
MIN_LINE_CHARS = 16
COMPILED_FROM_CHARS = 262_144  # from here on compiling costs less than looking once a clue
OF_THIS_CALL = "the credential of the call"

_JWS = "eyJ"  # base64url of `{"`, with which every JOSE header begins (RFC 7515)
_BOUNDARY = "-----"

# A clue is a run of letters and digits of a form: no escape, and neither base64 alphabet, has to
# write those differently.
_CLUE = re.compile(r"[A-Za-z0-9]{12}")
_SHORT_CLUE = re.compile(r"[A-Za-z0-9]{6,}")

# Escapes that may hide a clue, each behind the one byte that most texts do not have.
_ESCAPES = (
    (b"\\", re.compile(rb"\\u00[2-7]")),
    (b"%", re.compile(rb"%(?:25)*[2-7][0-9A-Fa-f]")),
    (b"&", re.compile(rb"&#")),
)


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret by a name that people may read; each of its `pieces` counts as the whole."""

    name: str
    value: str = field(repr=False)
    pieces: tuple[str, ...] = field(repr=False)

    @classmethod
    def of(cls, name: str, value: str) -> "Secret":
        """Make the pieces: the signature of a JWS, the lines of a PEM file, the halves of the rest.

        One half of what is split in two is whole on one of the sides, so no more than a half gets
        through unseen. Raises ValueError under 8 characters: those turn up by chance.
        """
        value = value.strip()
        if len(value) < MIN_CHARS:
            raise ValueError("a secret needs at least 8 characters; take a longer one")
        return cls(name, value, tuple(_pieces(value)))


@dataclass(frozen=True, slots=True)
class Found:
    """What stands in a text: names of secrets, and what has the form of Detent's tokens."""

    names: tuple[str, ...]
    tokens: tuple[str, ...] = field(repr=False)


class Lent:
    """The secrets of one call; few, so each clue is looked for by itself."""

    def __init__(self, secrets: Collection[Secret] = ()) -> None:
        self.secrets = tuple(secrets)
        self._clues = [clue for one in secrets for clue in _clues_of(one)]

    def is_hinted(self, text: str) -> bool:
        """Whether a text has a clue to one of them."""
        if len(text) > COMPILED_FROM_CHARS and self._clues:
            return _compiled(self._clues).isinstance_python(text)
        return any([clue in text for clue in self._clues])  # noqa: C419  (a generator costs more)


_NOTHING_LENT = Lent()


class LiveSecrets:
    """Finds the gateway's secrets, those of one call, and everything shaped like a Detent token.

    Seen are: plain, reversed, hex, base64 (all alignments, both alphabets, with or without padding;
    wrapped, for secrets from about 32 characters on), each of them also JSON-escaped, wholly or
    partly percent-encoded and as HTML numeric references, up to four times in any order.
    """

    def __init__(self) -> None:
        self._known: dict[str, Secret] = {}
        self._clues = _compiled((), BEGINNINGS)

    def add(self, name: str, value: str) -> None:
        """Look for this secret from now on. Raises ValueError under 8 characters."""
        secret = Secret.of(name, value)
        self._known.setdefault(secret.value, secret)
        clues = (clue for one in self._known.values() for clue in _clues_of(one))
        self._clues = _compiled(clues, BEGINNINGS)

    def lent(self, headers: Mapping[str, str]) -> Lent:
        """Return what is secret in the headers of one call: tokens, and the password of Basic."""
        if not headers:
            return _NOTHING_LENT
        values = chain.from_iterable(map(_header_secrets, headers.values()))
        fresh = [one for one in values if len(one) >= MIN_CHARS and one not in self._known]
        return Lent([Secret.of(OF_THIS_CALL, one) for one in fresh])

    def search(self, text: bytes, lent: Lent) -> Found | None:
        """Return what stands in a text, None when nothing does. Linear in the text."""
        if not any(
            self._clues.isinstance_python(view) or lent.is_hinted(view) for view in _views(text)
        ):
            return None
        bare = list(layers(text))
        exact = [normal(layer) for layer in (text, *bare)]
        secrets = (*self._known.values(), *lent.secrets)
        names = tuple(dict.fromkeys(one.name for one in secrets if _is_in(one, exact)))
        tokens = tuple(dict.fromkeys(chain.from_iterable(map(tokens_in, (text, *bare)))))
        return Found(names, tokens) if names or tokens else None

    def values(self, lent: Lent) -> tuple[str, ...]:
        """Return the secrets themselves, longest first, for whoever replaces them in a text."""
        known = (*self._known.values(), *lent.secrets)
        return tuple(sorted({one.value for one in known}, key=len, reverse=True))


def _compiled(clues: Iterable[str], more: Iterable[str] = ()) -> SchemaValidator:
    """Return one linear search for all clues and for `more` regular expressions.

    pydantic's regular expressions are those of Rust: hundreds of literals cost one look at the
    text, where Python's `re` would try each at each place.
    """
    pattern = "|".join((*more, *map(re.escape, sorted(set(clues)))))
    return SchemaValidator(core_schema.str_schema(pattern=pattern))


def _pieces(value: str) -> Iterator[str]:
    signature = value.rpartition(".")[2]
    if value.startswith(_JWS) and len(signature) >= HALVED_CHARS:
        value = signature
    if "\n" in value:
        lines = [line.strip() for line in value.splitlines()]
        long = (line for line in lines if len(line) >= MIN_LINE_CHARS)
        yield from (line for line in long if _BOUNDARY not in line)
    elif len(value) >= HALVED_CHARS:
        yield from (value[: len(value) // 2], value[len(value) // 2 :])
    else:
        yield value


def _header_secrets(value: str) -> Iterator[str]:
    scheme, _, rest = value.strip().partition(" ")
    yield rest.strip() or scheme
    if scheme.lower() == "basic":
        try:
            decoded = base64.b64decode(rest.strip(), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return
        yield decoded.partition(":")[2]


def _forms(piece: str) -> tuple[str, ...]:
    raw = piece.encode("utf-8", "surrogatepass")
    return piece, piece[::-1], raw.hex(), raw.hex().upper(), *base64_forms(raw)


def _clues_of(secret: Secret) -> list[str]:
    return [_clue(form) for piece in secret.pieces for form in _forms(piece)]


def _clue(form: str) -> str:
    found = _CLUE.search(form)
    return found[0] if found else max(_SHORT_CLUE.findall(form), key=len, default=form)


def _views(text: bytes) -> Iterator[str]:
    """Yield the text, and what it says without escapes when it has such as may hide a clue."""
    yield text.decode("utf-8", "replace")
    if any(mark in text and sign.search(text) for mark, sign in _ESCAPES):
        for layer in layers(text):
            yield layer.decode("utf-8", "replace")


def _is_in(secret: Secret, exact: Collection[str]) -> bool:
    forms = (
        normal(form.encode("utf-8", "surrogatepass"))
        for form in chain.from_iterable(map(_forms, secret.pieces))
    )
    return any(form in text for form in forms if form for text in exact)
