"""Keys as vendors hand them out, and the algorithms that they are for."""

import base64
import binascii
import hashlib
import hmac
import unicodedata
from collections.abc import Callable
from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509 import load_pem_x509_certificate

from relay.schemes.spec import SchemeFault

ENCODE: Final[dict[str, Callable[[bytes], bytes]]] = {
    "hex": lambda digest: digest.hex().encode(),
    "base64": base64.b64encode,
}
DECODE: Final[dict[str, Callable[[bytes], bytes]]] = {
    "hex": lambda text: bytes.fromhex(text.decode()),
    "base64": lambda text: base64.b64decode(text, validate=True),
}
ASYMMETRIC: Final = frozenset({"ed25519", "ecdsa-p256-sha256", "rsa-sha1", "rsa-sha256"})
_HASHES: Final = {"rsa-sha1": hashes.SHA1(), "rsa-sha256": hashes.SHA256()}  # noqa: S303 - SNS signs with it by default


PublicKey = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey


class ProofKey(Protocol):
    """Judges signatures. `length` is that of an encoded signature, None where it varies."""

    length: int | None

    def matches(self, message: bytes, signatures: list[bytes]) -> bool:
        """Whether one of the encoded signatures is this key's over the message; in constant time where it matters."""
        ...


class Digest:
    """A shared secret: HMAC, or plain SHA-256 with the secret in front."""

    def __init__(self, secret: bytes, algorithm: str, encoding: str) -> None:
        self._digest = _digester(secret, algorithm)
        self._encode = ENCODE[encoding]
        self.length: int | None = len(self.sign(b""))

    def matches(self, message: bytes, signatures: list[bytes]) -> bool:
        """As `ProofKey.matches` says."""
        expected = self.sign(message)
        matched = False
        for signature in signatures:
            matched |= hmac.compare_digest(expected, signature)
        return matched

    def sign(self, message: bytes) -> bytes:
        """The encoded signature."""
        return self._encode(self._digest(message))


class Public:
    """A public key, Ed25519, P-256 or RSA (PKCS #1 v1.5)."""

    length: int | None = None

    def __init__(
        self,
        key: PublicKey,
        algorithm: str,
        encoding: str,
    ) -> None:
        self._key = key
        self._algorithm = algorithm
        self._encoding = encoding

    def matches(self, message: bytes, signatures: list[bytes]) -> bool:
        """As `ProofKey.matches` says."""
        return any(self._fits(message, signature) for signature in signatures)

    def _fits(self, message: bytes, signature: bytes) -> bool:
        try:
            raw = DECODE[self._encoding](signature)
        except ValueError:
            return False
        if ENCODE[self._encoding](raw) != signature:
            return False
        try:
            _verify(self._key, self._algorithm, raw, message)
        except InvalidSignature:
            return False
        return True


def read(secret: str, form: str, algorithm: str, encoding: str) -> ProofKey:
    """The key in a secret. Raises `SchemeFault` saying what form it must have."""
    if algorithm in ASYMMETRIC:
        return Public(_public(secret, algorithm), algorithm, encoding)
    return Digest(_FORMS[form](secret), algorithm, encoding)


def pem(secret: str, algorithm: str) -> str:
    """A public key in PEM, from any of the forms that vendors show. Raises `SchemeFault`."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return _public(secret, algorithm).public_bytes(serialization.Encoding.PEM, form).decode()


def of_certificate(pem: bytes, algorithm: str, encoding: str) -> ProofKey:
    """The key in an X.509 certificate. Raises ValueError when it is none, or of another kind."""
    key = load_pem_x509_certificate(pem).public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise ValueError("the certificate holds no RSA key")  # noqa: TRY004 - callers handle one kind of error
    return Public(key, algorithm, encoding)


def sign(private: str, algorithm: str, encoding: str, message: bytes) -> bytes:
    """An encoded signature by a private key in PEM. Raises ValueError when it is none, or of another kind."""
    key = serialization.load_pem_private_key(private.encode(), None)
    if algorithm == "ed25519" and isinstance(key, ed25519.Ed25519PrivateKey):
        return ENCODE[encoding](key.sign(message))
    if algorithm.startswith("ecdsa") and isinstance(key, ec.EllipticCurvePrivateKey):
        return ENCODE[encoding](key.sign(message, ec.ECDSA(hashes.SHA256())))
    if algorithm.startswith("rsa") and isinstance(key, rsa.RSAPrivateKey):
        return ENCODE[encoding](key.sign(message, padding.PKCS1v15(), _HASHES[algorithm]))
    raise ValueError(f"the private key is not one for {algorithm}")


def _verify(key: object, algorithm: str, signature: bytes, message: bytes) -> None:
    if isinstance(key, ed25519.Ed25519PublicKey):
        key.verify(signature, message)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
    elif isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, message, padding.PKCS1v15(), _HASHES[algorithm])


def _digester(secret: bytes, algorithm: str) -> Callable[[bytes], bytes]:
    if algorithm == "sha256":
        return lambda message: hashlib.sha256(secret + message).digest()
    keyed = hmac.new(secret, digestmod=algorithm.removeprefix("hmac-"))

    def digest(message: bytes) -> bytes:
        """A copy has the key inside already, which is half the work on a body of 1 KB."""
        one = keyed.copy()
        one.update(message)
        return one.digest()

    return digest


def _public(secret: str, algorithm: str) -> PublicKey:
    """A public key in PEM (whatever its label), in base64 of its DER, or (Ed25519) as 32 bytes in hex or base64."""
    text = "".join(line for line in secret.strip().removeprefix("whpk_").splitlines() if not line.startswith("-----"))
    try:
        if algorithm == "ed25519" and len(text) in {43, 44, 64}:
            raw = bytes.fromhex(text) if len(text) == 64 else _unpad(text)
            return ed25519.Ed25519PublicKey.from_public_bytes(raw)
        key: object = serialization.load_der_public_key(_unpad(text))
    except (ValueError, UnsupportedAlgorithm):
        raise SchemeFault("secret", f"is not a public key for {algorithm}; copy it as the sender shows it") from None
    if isinstance(key, ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey) and _suits(
        key, algorithm
    ):
        return key
    raise SchemeFault("secret", f"is a public key of another kind; {algorithm} is expected")


def _suits(key: PublicKey, algorithm: str) -> bool:
    if isinstance(key, ec.EllipticCurvePublicKey):
        return algorithm.startswith("ecdsa") and isinstance(key.curve, ec.SECP256R1)
    return algorithm.startswith("rsa" if isinstance(key, rsa.RSAPublicKey) else "ed25519")


def _whsec(secret: str) -> bytes:
    """A Standard Webhooks secret: `whsec_` and the base64 of 24 to 64 bytes; prefix and padding may be left out."""
    if secret.startswith("whsk_"):
        raise SchemeFault("secret", "is the sender's private key; give its public one, which begins with whpk_")
    try:
        key = _unpad(secret.removeprefix("whsec_"))
    except (binascii.Error, ValueError):
        raise SchemeFault("secret", "is not whsec_ followed by base64; copy it as the sender shows it") from None
    if not 24 <= len(key) <= 64:
        raise SchemeFault("secret", f"holds {len(key)} bytes, while Standard Webhooks has 24 to 64; is it cut?")
    return key


def _hex(secret: str) -> bytes:
    try:
        key = bytes.fromhex(secret.strip())
    except ValueError:
        raise SchemeFault("secret", "is not hex; copy it as the sender shows it") from None
    return _filled(key)


def _base64(secret: str) -> bytes:
    try:
        key = _unpad(secret.strip())
    except (binascii.Error, ValueError):
        raise SchemeFault("secret", "is not base64; copy it as the sender shows it") from None
    return _filled(key)


def _filled(key: bytes) -> bytes:
    if not key:
        raise SchemeFault("secret", "is empty: anybody could sign with it; set the secret that the sender uses")
    return key


def _unpad(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)


_FORMS: Final[dict[str, Callable[[str], bytes]]] = {
    "text": str.encode,
    "nfkd": lambda secret: unicodedata.normalize("NFKD", secret).encode(),
    "hex": _hex,
    "base64": _base64,
    "whsec": _whsec,
}
