"""Keys in every form in which vendors show them, and none of another kind."""

import base64
import hashlib
import hmac

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from relay.schemes import SchemeFault, keys
from tests.schemes.pairs import certificate, private, public, rsa_key, sign_certificate

MESSAGE = b'1700000000.{"id": "e-1"}'
ED25519 = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
P256 = ec.derive_private_key(4711, ec.SECP256R1())
PRIVATE = {"ed25519": ED25519, "ecdsa-p256-sha256": P256, "rsa-sha1": rsa_key(0), "rsa-sha256": rsa_key(0)}


def raw(key):
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def der(key):
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def based(data):
    return base64.b64encode(data).decode()


FORMS = {
    "PEM": ("any", public),
    "PEM without its last line break": ("any", lambda key: public(key).strip()),
    "PEM with CRLF": ("any", lambda key: public(key).replace("\n", "\r\n")),
    "PEM of another label": ("any", lambda key: public(key).replace("PUBLIC KEY", "RSA PUBLIC KEY")),
    "base64 of DER": ("any", lambda key: based(der(key))),
    "base64 of DER without padding": ("any", lambda key: based(der(key)).rstrip("=")),
    "base64 of DER in lines": ("any", lambda key: "\n".join(public(key).splitlines()[1:-1])),
    "32 bytes in hex": ("ed25519", lambda key: raw(key).hex()),
    "32 bytes in capital hex": ("ed25519", lambda key: raw(key).hex().upper()),
    "32 bytes in base64": ("ed25519", lambda key: based(raw(key))),
    "32 bytes in base64 without padding": ("ed25519", lambda key: based(raw(key)).rstrip("=")),
    "whpk_": ("ed25519", lambda key: f"whpk_{based(raw(key))}"),
}
CASES = [(form, algorithm) for form, (only, _) in FORMS.items() for algorithm in PRIVATE if only in {"any", algorithm}]


@pytest.mark.parametrize(("form", "algorithm"), CASES)
def test_a_public_key_is_read_as_vendors_show_it(form, algorithm):
    key = PRIVATE[algorithm]
    read = keys.read(FORMS[form][1](key), "text", algorithm, "base64")
    signature = keys.sign(private(key), algorithm, "base64", MESSAGE)
    assert read.matches(MESSAGE, [signature])
    assert read.matches(MESSAGE, [b"x", signature])
    assert not read.matches(MESSAGE + b" ", [signature])
    assert not read.matches(MESSAGE, [])


WRONG = {
    "ed25519": [
        public(P256),
        public(rsa_key(0)),
        raw(ED25519).hex()[:-2],
        public(ed448.Ed448PrivateKey.generate()),
    ],
    "ecdsa-p256-sha256": [public(ED25519), public(rsa_key(0)), public(ec.derive_private_key(5, ec.SECP384R1()))],
    "rsa-sha256": [public(ED25519), public(P256), public(dsa.generate_private_key(1_024))],
    "rsa-sha1": [public(P256)],
}
NO_KEY = ["", " ", "Sesam", "%%%", "whpk_", "whpk_%", "ü" * 44, certificate(0), private(rsa_key(0)), private(ED25519)]


@pytest.mark.parametrize("algorithm", WRONG)
def test_what_is_no_public_key_or_one_of_another_kind_is_a_fault_at_load(algorithm):
    for secret in [*WRONG[algorithm], *NO_KEY]:
        with pytest.raises(SchemeFault) as caught:
            keys.read(secret, "text", algorithm, "base64")
        assert caught.value.key == "secret"
        assert not secret.strip() or secret not in str(caught.value)


@pytest.mark.parametrize("algorithm", PRIVATE)
@pytest.mark.parametrize("encoding", ["hex", "base64"])
def test_a_signature_has_one_way_to_be_written(algorithm, encoding):
    key = PRIVATE[algorithm]
    read = keys.read(public(key), "text", algorithm, encoding)
    good = keys.sign(private(key), algorithm, encoding, MESSAGE)
    assert read.matches(MESSAGE, [good])
    spoilt = [
        good + b"=",
        good + b"\n",
        b" " + good,
        good[:-1],
        good.rstrip(b"="),
        good * 2,
        good.swapcase(),
        b"",
        b"\xff",
    ]
    assert not any(read.matches(MESSAGE, [one]) for one in spoilt if one != good)


def test_the_hash_of_rsa_is_the_schemes_and_not_the_signers():
    """A signature with SHA-1 must not do where SHA-256 is expected, or the other way round."""
    key = rsa_key(0)
    one = based(key.sign(MESSAGE, padding.PKCS1v15(), SHA1())).encode()
    other = based(key.sign(MESSAGE, padding.PKCS1v15(), SHA256())).encode()
    sha1, sha256 = (keys.read(public(key), "text", name, "base64") for name in ("rsa-sha1", "rsa-sha256"))
    assert sha1.matches(MESSAGE, [one])
    assert sha256.matches(MESSAGE, [other])
    assert not sha1.matches(MESSAGE, [other])
    assert not sha256.matches(MESSAGE, [one])


@pytest.mark.parametrize(
    ("form", "secret", "key"),
    [
        ("text", "c2VjcmV0", b"c2VjcmV0"),
        ("text", "sécret ✓", "sécret ✓".encode()),
        ("nfkd", "sécret", b"se\xcc\x81cret"),
        ("hex", "00ff10AB", b"\x00\xff\x10\xab"),
        ("hex", " 00ff\n", b"\x00\xff"),
        ("base64", "c2VjcmV0", b"secret"),
        ("base64", "c2VjcmU", b"secre"),
        ("base64", " c2VjcmU=\n", b"secre"),
        ("whsec", f"whsec_{based(bytes(24))}", bytes(24)),
        ("whsec", based(bytes(64)), bytes(64)),
        ("whsec", based(bytes(25)).rstrip("="), bytes(25)),
    ],
)
@pytest.mark.parametrize("name", ["sha1", "sha256", "sha512"])
def test_a_shared_secret_is_what_its_form_says(form, secret, key, name):
    read = keys.read(secret, form, f"hmac-{name}", "hex")
    signature = hmac.digest(key, MESSAGE, name).hex().encode()
    assert read.matches(MESSAGE, [b"0" * len(signature), signature])
    assert read.length == len(signature)
    assert not read.matches(MESSAGE, [signature[:-1] + b"x"])


def test_plain_sha256_has_the_secret_in_front():
    """https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/request-validation"""
    read = keys.read("secret", "text", "sha256", "hex")
    assert read.matches(MESSAGE, [hashlib.sha256(b"secret" + MESSAGE).hexdigest().encode()])


@pytest.mark.parametrize(
    ("form", "secret"),
    [
        ("hex", ""),
        ("hex", "0"),
        ("hex", "Sesam"),
        ("base64", ""),
        (
            "base64",
            "====",
        ),
        ("base64", "Sesam"),
        ("base64", "se cret"),
        ("base64", "_-_-"),
        ("whsec", "whsec_"),
        ("whsec", f"whsec_{based(bytes(23))}"),
        ("whsec", f"whsec_{based(bytes(65))}"),
        ("whsec", f"whsk_{based(bytes(64))}"),
        ("whsec", f"whpk_{based(bytes(32))}"),
    ],
)
def test_a_shared_secret_of_another_form_is_a_fault_that_does_not_repeat_it(form, secret):
    with pytest.raises(SchemeFault) as caught:
        keys.read(secret, form, "hmac-sha256", "hex")
    assert caught.value.key == "secret"
    assert not secret or secret not in str(caught.value)


def test_a_certificate_gives_its_key_and_only_an_rsa_one():
    read = keys.of_certificate(certificate(0).encode(), "rsa-sha256", "base64")
    assert read.matches(MESSAGE, [keys.sign(private(rsa_key(0)), "rsa-sha256", "base64", MESSAGE)])
    assert not read.matches(MESSAGE, [keys.sign(private(rsa_key(1)), "rsa-sha256", "base64", MESSAGE)])
    for pem in (b"", b"x", public(rsa_key(0)).encode(), sign_certificate(P256).encode()):
        with pytest.raises(ValueError, match=r"\w"):
            keys.of_certificate(pem, "rsa-sha256", "base64")


@pytest.mark.parametrize("algorithm", PRIVATE)
def test_a_private_key_of_another_kind_signs_nothing(algorithm):
    others = [key for name, key in PRIVATE.items() if name[:3] != algorithm[:3]]
    encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAA==\n-----END ENCRYPTED PRIVATE KEY-----\n"
    pkcs1 = rsa_key(0).private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
    for pem in ["", "x", encrypted, *map(private, others), *([] if algorithm.startswith("rsa") else [pkcs1])]:
        with pytest.raises((ValueError, TypeError)):
            keys.sign(pem, algorithm, "base64", MESSAGE)
