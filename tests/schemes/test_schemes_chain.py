"""Certificates that come with those who issued them: the way to an authority of this machine is walked."""

import re
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from relay.schemes.chain import authorities, require_sound
from tests.schemes.cases import NOW
from tests.schemes.pairs import rsa_key

NAME = re.compile(r"signer\.example\.com")
YEAR = 365 * 86_400_000


def issue(subject, key, issuer, by, *, ca=False, until=2043):
    made = (
        x509.CertificateBuilder()
        .subject_name(named(subject))
        .issuer_name(named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime(2023, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(until, 1, 1, tzinfo=UTC))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    return made.sign(by, hashes.SHA256())


def named(name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def pem(*certificates):
    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates)


ROOT = issue("root", rsa_key(2), "root", rsa_key(2), ca=True)
MIDDLE = issue("middle", rsa_key(1), "root", rsa_key(2), ca=True)
LEAF = issue("signer.example.com", rsa_key(0), "middle", rsa_key(1))


@pytest.mark.parametrize(
    "document",
    [pem(LEAF), pem(LEAF, MIDDLE), pem(MIDDLE, LEAF), pem(LEAF, MIDDLE, ROOT)],
    ids=["alone", "with its issuer", "behind its issuer", "with the root"],
)
def test_a_sound_certificate_is_taken(document):
    require_sound(document, NAME, NOW, [ROOT])


def test_the_roots_are_this_machines():
    assert all(isinstance(one, x509.Certificate) for one in authorities())


WRONG = {
    "nobody's issuer": pem(LEAF, MIDDLE, issue("other", rsa_key(0), "other", rsa_key(0), ca=True)),
    "an issuer that may not issue": pem(LEAF, issue("middle", rsa_key(1), "root", rsa_key(2))),
    "an issuer out of date": pem(LEAF, issue("middle", rsa_key(1), "root", rsa_key(2), ca=True, until=2023)),
    "an issuer of that name with another key": pem(LEAF, issue("middle", rsa_key(0), "root", rsa_key(2), ca=True)),
    "its own issuer": pem(issue("signer.example.com", rsa_key(0), "signer.example.com", rsa_key(0)), MIDDLE),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_chain_that_leads_to_no_authority_is_refused(kind):
    roots = [] if kind == "nobody's issuer" else [ROOT]
    with pytest.raises(ValueError, match=r"do not lead|valid from"):
        require_sound(WRONG[kind], NAME, NOW, roots)


@pytest.mark.parametrize(
    ("document", "at", "told"),
    [
        (pem(MIDDLE), NOW, "is not for"),
        (pem(issue("xsigner.example.com", rsa_key(0), "middle", rsa_key(1))), NOW, "is not for"),
        (pem(LEAF), NOW - 2 * YEAR, "valid from"),
        (pem(LEAF), NOW + 40 * YEAR, "valid from"),
        (b"<html>", NOW, "PEM"),
        (b"", NOW, "PEM"),
    ],
)
def test_a_certificate_of_another_name_or_time_is_refused(document, at, told):
    with pytest.raises(ValueError, match=told):
        require_sound(document, NAME, at, [ROOT])


def test_a_short_key_is_refused():
    short = issue("signer.example.com", rsa.generate_private_key(65_537, 1_024), "middle", rsa_key(1))
    with pytest.raises(ValueError, match="2048 bits"):
        require_sound(pem(short, MIDDLE), NAME, NOW, [ROOT])
