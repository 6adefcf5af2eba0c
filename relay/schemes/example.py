"""A secret of the form that a scheme takes, made up on the spot: for checks without secrets, for demonstrations."""

import base64
import secrets
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from relay.schemes.catalog import vendor
from relay.schemes.entry import Jwt, Login, Signature


@dataclass(frozen=True, slots=True)
class Pair:
    """What the receiver is configured with (None: nothing), and the sender's private key in PEM, if any."""

    secret: str | None
    private: str | None = None


def example(scheme: str) -> Pair:
    """A new one. Raises KeyError when there is no such scheme."""
    entry = vendor(scheme)
    if entry.picks:
        return example(next(one for one in entry.picks if one in entry.accepts))
    if entry.secret is None:
        return Pair(None)
    proof = entry.proof[0] if entry.proof else None
    match proof:
        case Signature(algorithm="ed25519"):
            return _pair(ed25519.Ed25519PrivateKey.generate())
        case Signature(algorithm="ecdsa-p256-sha256"):
            return _pair(ec.generate_private_key(ec.SECP256R1()))
        case Signature(algorithm="rsa-sha1" | "rsa-sha256") | Jwt(algorithm="RS256"):
            return _pair(rsa.generate_private_key(65_537, 2_048))
        case Signature(key="base64"):
            return Pair(base64.b64encode(secrets.token_bytes(32)).decode())
        case Signature(key="whsec"):
            return Pair(f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}")
        case Login(only="basic"):
            return Pair(f"relay:{secrets.token_hex(16)}")
    return Pair(secrets.token_hex(32))


def _pair(key: Any) -> Pair:
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Pair(public.decode(), private.decode())
