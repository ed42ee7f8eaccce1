"""A27: a forged, altered, borrowed or stale call token is refused by the resource it is shown to.

The resource records the calls it would carry out; each row sends one honest token first, then the
attack, so that the honest call is the only one recorded.
"""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from credentials import base64url
from credentials.base import LeaseRequest
from credentials.jwt_broker import JwtBroker
from credentials.keys import KeyDirectory
from credentials.verify import InvalidToken, Verifier

NOW = 1_800_000_000
ISSUER, AUDIENCE, TOOL = "https://detent.example", "https://records.example", "records/update"
ARGUMENTS = b'{"id":7,"note":"paid"}'
Json = dict[str, object]

REQUEST = LeaseRequest(
    lease_id="lse_honest",
    step_id="stp_1",
    session_id="ses_1",
    subject="acme/nightly-loop",
    audience=AUDIENCE,
    scope=("records:write",),
    ttl_s=30,
    tool=TOOL,
    arguments_sha256=hashlib.sha256(ARGUMENTS).hexdigest(),
    tool_pin="sha256:" + "b" * 64,
    policy_revision="git:abc",
    decision_id="dec_1",
    epoch=7,
    write=True,
)


@dataclass
class World:
    """Gateway, resource and attacker: `call` is the resource, `received` what it carried out."""

    keys: KeyDirectory
    now: float = NOW
    floor: int = 7
    received: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.broker = JwtBroker(self.keys, ISSUER, lambda: self.now)
        self.verifier = Verifier(
            self.keys.jwks,
            ISSUER,
            AUDIENCE,
            lambda _: self.floor,
            clock=lambda: self.now,
            leeway_s=0,
        )

    def mint(self, **changes: object) -> str:
        lease = asyncio.run(self.broker.mint(replace(REQUEST, **changes)))  # type: ignore[arg-type]  # a table
        return lease.headers["Authorization"].removeprefix("Bearer ")

    def call(self, token: str, arguments: bytes = ARGUMENTS) -> str:
        try:
            self.verifier.verify(token, tool=TOOL, arguments=arguments)
        except InvalidToken as refused:
            return refused.code
        self.received.append(arguments)
        return "carried out"

    def es256(self, message: bytes) -> bytes:
        return raw(self.keys.active.private.sign(message, ec.ECDSA(hashes.SHA256())))

    def forge(self, header: Json | bytes, claims: Json | bytes, sign: "Sign | None" = None) -> str:
        parts = (
            part if isinstance(part, bytes) else json.dumps(part).encode()
            for part in (header, claims)
        )
        signed = ".".join(base64url.encode(part) for part in parts)
        return f"{signed}.{base64url.encode((sign or World.es256)(self, signed.encode()))}"

    def honest(self) -> tuple[Json, Json]:
        """Header and claims of a fresh honest token that nobody has used."""
        header, claims, _ = self.mint(lease_id="lse_target").split(".")
        return json.loads(base64url.decode(header)), json.loads(base64url.decode(claims))


def raw(signed: bytes) -> bytes:
    return b"".join(number.to_bytes(32, "big") for number in decode_dss_signature(signed))


Sign = Callable[[World, bytes], bytes]
Attack = Callable[[World], str]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(KeyDirectory.open(tmp_path / "keys"))


def by_nobody(_: World, __: bytes) -> bytes:
    return b""


def by_stranger(_: World, message: bytes) -> bytes:
    return raw(ec.generate_private_key(ec.SECP256R1()).sign(message, ec.ECDSA(hashes.SHA256())))


def by_hmac_of_pem(world: World, message: bytes) -> bytes:
    public = world.keys.active.private.public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return hmac.digest(pem, message, "sha256")


def by_hmac_of_jwk(world: World, message: bytes) -> bytes:
    return hmac.digest(json.dumps(world.keys.jwks()["keys"][0]).encode(), message, "sha256")


def as_der(world: World, message: bytes) -> bytes:
    return world.keys.active.private.sign(message, ec.ECDSA(hashes.SHA256()))


def changed(members: Json, changes: Json) -> Json:
    return {name: value for name, value in (members | changes).items() if value is not None}


def header(sign: Sign = World.es256, **changes: object) -> Attack:
    """Change header parameters (None takes one away); signed with the real key unless told."""

    def attack(world: World) -> str:
        ours, claims = world.honest()
        return world.forge(changed(ours, changes), claims, sign)

    return attack


def claims(**changes: object) -> Attack:
    """Change claims under a real signature, so that only they can be the reason to refuse."""

    def attack(world: World) -> str:
        ours, honest = world.honest()
        return world.forge(ours, changed(honest, changes))

    return attack


def doubled(part: str, member: bytes) -> Attack:
    """Give a member twice, the second time honestly: parsers differ on which one counts."""

    def attack(world: World) -> str:
        ours, honest = (json.dumps(each).encode() for each in world.honest())
        if part == "header":
            return world.forge(b"{" + member + b"," + ours[1:], honest)
        return world.forge(ours, b"{" + member + b"," + honest[1:])

    return attack


def altered(world: World) -> str:
    """Honest header and signature around widened claims."""
    first, _, last = world.mint(lease_id="lse_target").split(".")
    wide = world.honest()[1] | {"scope": "records:admin"}
    return f"{first}.{base64url.encode(json.dumps(wide).encode())}.{last}"


def later(seconds: int) -> Attack:
    def attack(world: World) -> str:
        token = world.mint(lease_id="lse_target")
        world.now += seconds
        return token

    return attack


def old_epoch(world: World) -> str:
    token = world.mint(lease_id="lse_target")
    world.floor = 8
    return token


FORGERIES: dict[str, tuple[Attack, str]] = {
    **{
        f"alg {alg!r}": (header(by_nobody, alg=alg), "algorithm-refused")
        for alg in ("none", "None", "NONE", "nOnE", "", None)
    },
    "HS256 with the public PEM": (header(by_hmac_of_pem, alg="HS256"), "algorithm-refused"),
    "HS256 with the public JWK": (header(by_hmac_of_jwk, alg="HS256"), "algorithm-refused"),
    "HMAC passed off as ES256": (header(by_hmac_of_pem), "bad-signature"),
    "alg ES384": (header(alg="ES384"), "algorithm-refused"),
    "jwk header": (header(by_stranger, jwk={"kty": "EC"}), "header-refused"),
    "jku header": (header(by_stranger, jku="https://evil.example/jwks"), "header-refused"),
    "x5u header": (header(by_stranger, x5u="https://evil.example/pem"), "header-refused"),
    "x5c header": (header(by_stranger, x5c=["MIIB"]), "header-refused"),
    "unknown crit": (header(crit=["ext"], ext=1), "header-refused"),
    "crit b64": (header(crit=["b64"], b64=False), "header-refused"),
    "typ JWT": (header(typ="JWT"), "type-refused"),
    "typ missing": (header(typ=None), "type-refused"),
    "typ of an id token": (header(typ="id+jwt"), "type-refused"),
    "kid traversal": (header(by_stranger, kid="../../dev/null"), "unknown-key"),
    "kid absolute": (header(by_stranger, kid="/dev/null"), "unknown-key"),
    "kid injection": (header(by_stranger, kid="x' OR '1'='1"), "unknown-key"),
    "kid unknown": (header(by_stranger, kid="A" * 43), "unknown-key"),
    "kid missing": (header(kid=None), "unknown-key"),
    "kid list": (header(kid=["A"]), "unknown-key"),
    "another key under our kid": (header(by_stranger), "bad-signature"),
    "duplicate alg": (doubled("header", b'"alg":"none"'), "malformed"),
    "duplicate kid by escape": (doubled("header", b'"\\u006bid":"x"'), "malformed"),
    "duplicate sub": (doubled("claims", b'"sub":"acme/admin"'), "malformed"),
    "duplicate scope by escape": (doubled("claims", b'"sc\\u006fpe":"all"'), "malformed"),
    "NaN in the claims": (doubled("claims", b'"x":NaN'), "malformed"),
    "aud list": (claims(aud=[AUDIENCE, "https://evil.example"]), "wrong-audience"),
    "aud list of one": (claims(aud=[AUDIENCE]), "wrong-audience"),
    "aud other": (claims(aud="https://other.example"), "wrong-audience"),
    "aud longer": (claims(aud=AUDIENCE + ".evil.example"), "wrong-audience"),
    "aud missing": (claims(aud=None), "claim-missing"),
    "iss other": (claims(iss="https://evil.example"), "wrong-issuer"),
    "iss list": (claims(iss=[ISSUER]), "wrong-issuer"),
    "lifetime over 60 s": (claims(exp=NOW + 61), "lifetime-refused"),
    "expiry as text": (claims(exp="9999999999"), "claim-invalid"),
    "bound to a key without proof": (claims(cnf={"jkt": "x"}), "proof-required"),
    "detail for other arguments": (claims(args_sha256="0" * 64), "claim-invalid"),
    "expired": (later(30), "expired"),
    "not yet valid": (later(-1), "not-yet-valid"),
    "old epoch": (old_epoch, "epoch-stale"),
    "replayed id, signed anew": (lambda world: world.mint(), "replayed"),
    "claims altered": (altered, "bad-signature"),
    "DER signature": (header(as_der), "bad-signature"),
    "truncated signature": (header(lambda w, m: w.es256(m)[:-1]), "bad-signature"),
    "zero signature": (header(lambda _, __: bytes(64)), "bad-signature"),
    "no signature": (header(by_nobody), "malformed"),
    "padded": (lambda world: world.mint(lease_id="lse_target") + "==", "malformed"),
    "oversize": (claims(x="x" * 8192), "too-large"),
}


@pytest.mark.parametrize(("attack", "code"), FORGERIES.values(), ids=FORGERIES.keys())
def test_a27_a_forged_token_is_refused_and_nothing_is_carried_out(
    world: World, attack: Attack, code: str
) -> None:
    """The honest call goes through, the forgery gets its own code and no effect."""
    assert world.call(world.mint()) == "carried out"
    assert world.call(attack(world)) == code
    assert world.received == [ARGUMENTS]


def test_a27_changed_arguments_are_refused(world: World) -> None:
    """An honest token shown with other arguments carries out nothing, then still its own call."""
    token = world.mint()
    assert world.call(token, b'{"id":8,"note":"paid"}') == "arguments-mismatch"
    assert world.call(token) == "carried out"
    assert world.received == [ARGUMENTS]


def test_a27_the_same_token_twice_is_carried_out_once(world: World) -> None:
    """A token is used up by the call it was minted for."""
    token = world.mint()
    assert [world.call(token) for _ in range(3)] == ["carried out", "replayed", "replayed"]
    assert world.received == [ARGUMENTS]


def test_a27_every_single_flipped_character_is_refused(world: World) -> None:
    """No character of a token is without meaning: no second spelling passes."""
    token = world.mint(lease_id="lse_target")
    for place, character in enumerate(token):
        other = "A" if character != "A" else "B"
        assert world.call(token[:place] + other + token[place + 1 :]) != "carried out"
    assert world.call(token) == "carried out"


def test_a27_a_retired_key_verifies_nothing(world: World) -> None:
    """What the old key signs after its retirement is unknown."""
    old = world.keys.active
    token = world.mint()
    world.keys.rotate()
    world.keys.retire(old.kid)
    assert world.call(token) == "unknown-key"
    assert world.received == []
