"""Certificates judged as far as they can be without a look elsewhere: their name, their dates, and whoever issued them
where that came along."""

import contextlib
import ssl
import warnings
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import cache
from re import Pattern
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import NameOID

_LONGEST: Final = 8
_SHORTEST_KEY: Final = 2_048


def require_sound(pem: bytes, subject: Pattern[str], now: int, roots: Sequence[x509.Certificate]) -> None:
    """Return when a certificate in `pem` is for `subject`, is in date and holds an RSA key of 2,048 bits or more.

    Who issued it is looked for among the certificates beside it, up to one of `roots`; where there are none (SNS sends
    one alone), the TLS connection by which it came from the vendor's own host is what vouches for it: its issuer
    would have to be fetched by plain HTTP from a third host. `now` is milliseconds since the epoch. Raises ValueError.
    """
    found = x509.load_pem_x509_certificates(pem)
    first = next((one for one in found if any(subject.fullmatch(name) for name in _names(one))), None)
    if first is None:
        raise ValueError(f"the certificate is not for {subject.pattern}")
    key = first.public_key()
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < _SHORTEST_KEY:
        raise ValueError(f"the certificate holds no RSA key of {_SHORTEST_KEY} bits or more")
    at = datetime.fromtimestamp(now / 1_000, UTC)
    _require_in_date(first, at)
    if len(found) > 1:
        _require_issued(first, found, roots, at)


@cache
def authorities() -> tuple[x509.Certificate, ...]:
    """Whom this machine believes; some old ones are not quite what RFC 5280 wants, which is theirs to mend."""
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        for der in ssl.create_default_context().get_ca_certs(binary_form=True):
            with contextlib.suppress(ValueError):
                found.append(x509.load_der_x509_certificate(der))
    return tuple(found)


def _names(certificate: x509.Certificate) -> Iterable[str]:
    common = [str(one.value) for one in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return common
    return [*common, *extension.value.get_values_for_type(x509.DNSName)]


def _require_in_date(certificate: x509.Certificate, at: datetime) -> None:
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not begins <= at <= ends:
        raise ValueError(f"the certificate is valid from {begins:%Y-%m-%d} to {ends:%Y-%m-%d}")


def _require_issued(
    first: x509.Certificate, others: Sequence[x509.Certificate], roots: Sequence[x509.Certificate], at: datetime
) -> None:
    """Raises ValueError where no way leads from `first` over `others` to a root."""
    current = first
    for _ in range(_LONGEST):
        if current in roots or any(_issued(root, current) for root in roots):
            return
        issuer = next(
            (other for other in others if other != current and _may_issue(other, at) and _issued(other, current)), None
        )
        if issuer is None:
            break
        current = issuer
    raise ValueError("the certificates that came do not lead to an authority that this machine believes")


def _may_issue(certificate: x509.Certificate, at: datetime) -> bool:
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        _require_in_date(certificate, at)
    except (x509.ExtensionNotFound, ValueError):
        return False
    return constraints.value.ca


def _issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    if issuer.subject != certificate.issuer:
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True
