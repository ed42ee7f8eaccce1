"""A real token issuer: keys of each kind, tokens of any form, and its key set on loopback."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from credentials import base64url

SUBJECT = "system:serviceaccount:agents:nightly"
AUDIENCE = "detent"
_RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)  # once: it takes a while


def private_keys() -> dict[str, Any]:
    """Return a key for each algorithm; the RSA key is always the same."""
    return {
        "ES256": ec.generate_private_key(ec.SECP256R1()),
        "RS256": _RSA,
        "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    }


def public_jwk(algorithm: str, key: Any, kid: str) -> dict[str, Any]:
    """Return the public JWK of a private key."""
    written: dict[str, Any] = jwt.get_algorithm_by_name(algorithm).to_jwk(
        key.public_key(), as_dict=True
    )
    known = {name: written[name] for name in ("kty", "crv", "x", "y", "n", "e") if name in written}
    return known | {"kid": kid, "use": "sig", "alg": algorithm}


def public_pem(key: Any) -> bytes:
    """Return the public half as PEM: what an attacker would take as an HMAC secret."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    pem: bytes = key.public_key().public_bytes(serialization.Encoding.PEM, form)
    return pem


@dataclass
class Issuer:
    """Signs whatever it is told to, and serves its keys under the path /jwks.

    `document` replaces the key set, `status` its HTTP status. `clock` gives Unix seconds.
    """

    name: str = "https://idp.example"
    keys: dict[str, Any] = field(default_factory=private_keys)
    document: bytes | None = None
    status: int = 200
    port: int = 0
    asked: int = 0
    clock: Callable[[], float] = time.time
    _runner: web.AppRunner | None = None

    @property
    def jwks_uri(self) -> str:
        """Where the key set is."""
        return f"http://127.0.0.1:{self.port}/jwks"

    def jwks(self) -> dict[str, Any]:
        """Return the key set: one key for each algorithm, the kid is its name."""
        return {"keys": [public_jwk(alg, key, alg) for alg, key in self.keys.items()]}

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Return the claims of a good token; a change to None leaves the claim out."""
        now = int(self.clock())
        given = {
            "iss": self.name,
            "sub": SUBJECT,
            "aud": AUDIENCE,
            "iat": now,
            "nbf": now,
            "exp": now + 300,
        } | changes
        return {name: value for name, value in given.items() if value is not None}

    def token(
        self, algorithm: str = "ES256", header: dict[str, Any] | None = None, **claims: Any
    ) -> str:
        """Return a token; `header` replaces members of the header, None takes one out."""
        return self.sign(json.dumps(self.claims(**claims)), algorithm, header)

    def sign(self, claims: str, algorithm: str, header: dict[str, Any] | None = None) -> str:
        """Sign a text of claims as it is."""
        members = {"alg": algorithm, "typ": "at+jwt", "kid": algorithm} | (header or {})
        written = json.dumps({name: value for name, value in members.items() if value is not None})
        signed = ".".join(base64url.encode(part.encode()) for part in (written, claims))
        key = self.keys[algorithm]
        signature = jwt.get_algorithm_by_name(algorithm).sign(signed.encode(), key)
        return f"{signed}.{base64url.encode(signature)}"

    async def start(self) -> "Issuer":
        """Serve the key set on a free loopback port."""
        app = web.Application()
        app.router.add_get("/jwks", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def stop(self) -> None:
        """Close everything."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, _: web.Request) -> web.Response:
        self.asked += 1
        body = json.dumps(self.jwks()).encode() if self.document is None else self.document
        return web.Response(body=body, status=self.status, content_type="application/json")
