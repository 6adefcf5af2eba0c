"""From a source's configuration to its scheme; whatever could let a stranger in is a fault here, at load."""

import base64
import binascii
import difflib
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from relay import units
from relay.schemes import phrase
from relay.schemes.scheme import Scheme, SchemeFault, SchemeSpec
from relay.schemes.seal import Places, Seal, Stamp, Vendor
from relay.schemes.shared import Open, Shown, pair
from relay.schemes.signed import ALGORITHMS, ENCODE, Check, Signed
from relay.schemes.vendors import VENDORS
from relay.secret import Secret

_TOLERANCE: Final = 300_000
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_WHSEC: Final = "whsec_"


def build(spec: SchemeSpec) -> Scheme:
    """The scheme, ready to judge. Raises SchemeFault: unknown scheme or key, secret missing, empty or malformed, ..."""
    _require_known(spec)
    if spec.scheme == "none":
        return _open(spec)
    _require_secrets(spec)
    make = _MECHANISMS.get(spec.scheme)
    return make(spec) if make else _vendor(spec, VENDORS[spec.scheme])


def options(scheme: str) -> frozenset[str]:
    """The configuration keys of a scheme's own. Raises SchemeFault when there is no such scheme."""
    if scheme in VENDORS:
        stamped = any(seal.stamp for seal in VENDORS[scheme].seals)
        return frozenset({"tolerance"} if stamped else ())
    if scheme in _OPTIONS:
        return _OPTIONS[scheme]
    close = difflib.get_close_matches(scheme, NAMES, 1)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(NAMES))}"
    raise SchemeFault("scheme", f"there is no scheme {scheme!r}; {hint}")


def _require_known(spec: SchemeSpec) -> None:
    known = options(spec.scheme)
    for key in spec.options:
        if key not in known:
            takes = f"it takes {', '.join(sorted(known))}" if known else "it takes none of its own"
            raise SchemeFault(key, f"is no key of scheme {spec.scheme}; {takes}")


def _require_secrets(spec: SchemeSpec) -> None:
    if not spec.secrets:
        raise SchemeFault("secret", f"is missing: scheme {spec.scheme} needs the secret that the sender uses")
    if any(not secret.reveal().strip() for secret in spec.secrets):
        raise SchemeFault("secret", "is empty: anybody could sign with it; set the secret that the sender uses")


def _open(spec: SchemeSpec) -> Scheme:
    if spec.secrets:
        raise SchemeFault("secret", "is no key of scheme none, which checks nothing; name the scheme that uses it")
    return Open()


def _bearer(spec: SchemeSpec) -> Scheme:
    header = _header(spec.options, "header", "Authorization")
    if any(_CONTROL.search(secret.reveal()) or secret.reveal() != secret.reveal().strip() for secret in spec.secrets):
        raise SchemeFault("secret", "has white space around it or control characters, which no header can carry")
    words = tuple(secret.reveal().encode() for secret in spec.secrets)
    usual = header.lower() == "authorization"
    return Shown(header, "Bearer", words, bare=not usual, challenge='Bearer realm="relay"' if usual else None)


def _basic(spec: SchemeSpec) -> Scheme:
    username = spec.options.get("username")
    words = tuple(_credentials(username, secret) for secret in spec.secrets)
    return Shown("Authorization", "Basic", words, bare=False, challenge='Basic realm="relay", charset="UTF-8"')


def _credentials(username: Any, secret: Secret) -> bytes:
    if username is not None:
        user = _text({"username": username}, "username", "")
        if ":" in user or not user:
            raise SchemeFault("username", "must not be empty or hold a colon (RFC 7617)")
        return pair(user, secret.reveal())
    user, colon, password = secret.reveal().partition(":")
    if not (user and colon and password):
        raise SchemeFault("secret", "must be user:password, or the password alone beside the key `username`")
    return pair(user, password)


def _hmac(spec: SchemeSpec) -> Scheme:
    given = spec.options
    if "header" not in given:
        raise SchemeFault("header", "is missing: name the header with the signature, as X-Signature")
    seal = Seal(
        header=_header(given, "header", ""),
        content=_text(given, "content", "{{ body }}"),
        algorithm=_choice(given, "algorithm", "sha256", ALGORITHMS),
        encoding=_choice(given, "encoding", "hex", ENCODE),
        prefix=_text(given, "prefix", ""),
        stamp=Stamp(_header(given, "timestamp_header", "")) if "timestamp_header" in given else None,
    )
    _require_sound(seal, given)
    keys = tuple(secret.reveal().encode() for secret in spec.secrets)
    return Signed((Check(seal, keys, _tolerance(given)),), Places())


def _require_sound(seal: Seal, given: Mapping[str, Any]) -> None:
    try:
        phrase.signed(seal.content)
    except ValueError as error:
        raise SchemeFault("content", str(error)) from None
    used = phrase.names(seal.content)
    if "body" not in used:
        raise SchemeFault("content", "leaves out {{ body }}: anybody who saw one request could change what it says")
    if "timestamp" in used and seal.stamp is None:
        raise SchemeFault("timestamp_header", "is missing: `content` has {{ timestamp }}, so name the header it is in")
    signed = "timestamp" in used or (seal.stamp and seal.stamp.header.lower() in phrase.named_headers(seal.content))
    if seal.stamp and not signed:
        raise SchemeFault("content", "leaves out {{ timestamp }}: a time that is not signed proves nothing")
    if "tolerance" in given and seal.stamp is None:
        raise SchemeFault("tolerance", "needs `timestamp_header`: without a time of signing nothing is too old")


def _vendor(spec: SchemeSpec, vendor: Vendor) -> Scheme:
    tolerance = _tolerance(spec.options)
    checks = tuple(Check(seal, _keys(seal, spec.secrets), tolerance) for seal in vendor.seals)
    return Signed(checks, vendor.places, id_header=vendor.id_header, type_header=vendor.type_header)


def _keys(seal: Seal, secrets: tuple[Secret, ...]) -> tuple[bytes, ...]:
    read = _whsec if seal.key == "whsec" else str.encode
    return tuple(read(secret.reveal()) for secret in secrets)


def _whsec(secret: str) -> bytes:
    """A Standard Webhooks secret: `whsec_` and the base64 of 24 to 64 bytes; prefix and padding may be left out."""
    if secret.startswith(("whpk_", "whsk_")):
        raise SchemeFault("secret", "is an asymmetric key (v1a); give the symmetric one, which begins with whsec_")
    text = secret.removeprefix(_WHSEC)
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise SchemeFault("secret", "is not whsec_ followed by base64; copy it as the sender shows it") from None
    if not 24 <= len(key) <= 64:
        raise SchemeFault("secret", f"holds {len(key)} bytes, while Standard Webhooks has 24 to 64; is it cut?")
    return key


def _tolerance(given: Mapping[str, Any]) -> int:
    value = given.get("tolerance", _TOLERANCE)
    try:
        value = units.duration(value) if isinstance(value, str) else value
    except ValueError as error:
        raise SchemeFault("tolerance", str(error)) from None
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise SchemeFault("tolerance", "must be a duration above zero, as 5m")
    return value


def _header(given: Mapping[str, Any], key: str, otherwise: str) -> str:
    value = _text(given, key, otherwise)
    if not _TOKEN.fullmatch(value):
        raise SchemeFault(key, f"{value!r} is not the name of a header; write one as X-Signature")
    return value


def _text(given: Mapping[str, Any], key: str, otherwise: str) -> str:
    value = given.get(key, otherwise)
    if not isinstance(value, str):
        raise SchemeFault(key, "must be text")
    return value


def _choice(given: Mapping[str, Any], key: str, otherwise: str, known: tuple[str, ...] | Mapping[str, Any]) -> str:
    value = _text(given, key, otherwise)
    if value not in known:
        raise SchemeFault(key, f"{value!r} is none of {', '.join(known)}")
    return value


_MECHANISMS: Final[dict[str, Callable[[SchemeSpec], Scheme]]] = {"bearer": _bearer, "basic": _basic, "hmac": _hmac}
_OPTIONS: Final[dict[str, frozenset[str]]] = {
    "none": frozenset(),
    "bearer": frozenset({"header"}),
    "basic": frozenset({"username"}),
    "hmac": frozenset({"header", "algorithm", "encoding", "prefix", "content", "timestamp_header", "tolerance"}),
}
NAMES: Final = frozenset(_OPTIONS) | frozenset(VENDORS)
"""Every scheme by the name that the configuration uses."""
IDENTIFYING: Final = frozenset(name for name, vendor in VENDORS.items() if vendor.places.id)
"""The schemes whose senders give each event an id; the others say no more than who sends."""
