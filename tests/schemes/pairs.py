"""Secrets and key pairs of every form that an entry's proof takes."""

import base64
import secrets
from datetime import UTC, datetime
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import NameOID

from relay.schemes.entry import Jwt, Login, Signature
from relay.schemes.example import Pair


def fresh(form, *, login=False, turn=0):
    """What the receiver is configured with for this proof of an entry, and the sender's private key, if any.

    It is new at each call, but for RSA keys, which take a while to make: `turn` says which. `login` wants user and
    password where a token would do as well.
    """
    match form:
        case Signature(algorithm="ed25519", key=key):
            return _ed25519(raw=key == "whpk")
        case Signature(algorithm="ecdsa-p256-sha256"):
            return pair(ec.generate_private_key(ec.SECP256R1()))
        case Signature(algorithm="rsa-sha1" | "rsa-sha256") | Jwt(algorithm="RS256"):
            return pair(rsa_key(turn))
        case Signature(key="base64"):
            return Pair(base64.b64encode(secrets.token_bytes(32)).decode())
        case Signature(key="whsec"):
            return Pair(f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}")
        case Login() if login:
            return Pair(f"user:{secrets.token_hex(16)}")
    return Pair(secrets.token_hex(32))


@cache
def rsa_key(which):
    """One of a few RSA keys: making one takes a tenth of a second."""
    return rsa.generate_private_key(65_537, 2_048)


def pair(key):
    """Both halves in PEM."""
    return Pair(public(key), private(key))


def public(key):
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def private(key):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@cache
def certificate(which):
    """A certificate in PEM of that RSA key, as a vendor's address would give it."""
    return sign_certificate(rsa_key(which))


def sign_certificate(key, *hosts):
    """A certificate in PEM of any key, issued by an authority of the test's own: for Amazon and PayPal, or `hosts`."""
    issuer = rsa_key(2)
    names = hosts or ("sns.amazonaws.com", "messageverificationcerts.paypal.com")
    made = (
        x509.CertificateBuilder()
        .subject_name(_named(names[0]))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(one) for one in names]), critical=False)
        .issuer_name(_named("Relay's test authority"))
        .public_key(key.public_key())
        .serial_number(4711)
        .not_valid_before(datetime(2023, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2043, 1, 1, tzinfo=UTC))
        .sign(issuer, hashes.SHA256())
    )
    return made.public_bytes(Encoding.PEM).decode()


def _ed25519(*, raw):
    key = ed25519.Ed25519PrivateKey.generate()
    if not raw:
        return pair(key)
    bare = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return Pair(f"whpk_{base64.b64encode(bare).decode()}", private(key))


def _named(name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
